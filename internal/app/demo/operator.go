package demo

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab"
)

// operator shows Fairlead's own tables.
func (t *tour) operator() error {
	t.say("So far nobody has asked Fairlead. These are its own words:")
	for _, what := range []string{"delegations", "history", "links", "status"} {
		_, err := t.here(40, t.binary, what, "--socket", t.relay.Socket)
		_ = t.check(err, "`fairlead %s` answers", what)
	}
	return nil
}

// keep says how to talk to what is there, and waits.
func (t *tour) keep(ctx context.Context, in *os.File) {
	t.write("\n%s\n", t.paint(bold, "All of this is left running. To look around, in another terminal, as root:"))
	list := func(title string, commands ...[]string) {
		t.say("")
		t.say("%s", title)
		for _, c := range commands {
			t.command(commandLine(c), "", 0)
		}
	}
	var shells [][]string
	for _, d := range []*lab.Node{t.home1.node, t.home2.node, t.neighbour.node, t.edge, t.core, t.server} {
		shells = append(shells, inside(d, []string{"bash"}))
	}
	list("A shell on each host:", shells...)
	cli := func(words ...string) []string {
		return append(append([]string{t.binary}, words...), "--socket", t.relay.Socket)
	}
	list("Fairlead, through its control socket:",
		cli("delegations"), cli("history"), cli("watch"), cli("clear", "--prefix", t.home1.prefix.String()))
	list("The kernel of the edge:",
		inside(t.edge, strings.Fields("ip -6 route show proto 87")),
		inside(t.edge, strings.Fields("nft list table inet fairlead")))
	list("Have home1 renew, and listen on the server:",
		[]string{"kill", "-USR1", fmt.Sprint(t.home1.client.Proc().Pid())},
		inside(t.server, strings.Fields("tcpdump -n -vv -i s0 port 547")))
	t.say("")
	t.say("Logs and recordings are in %s, the configuration is %s.", t.net.Dir(), t.relay.File)
	t.write("\n%s", t.paint(bold, "Press Enter to remove everything: "))
	waitForLine(ctx, in)
	t.write("\n")
}

// waitForLine returns after a line of input, or when ctx ends. At the end of the
// input it goes on waiting for the latter: nobody is there to press Enter.
func waitForLine(ctx context.Context, in *os.File) {
	const tick = 200 // milliseconds
	for ctx.Err() == nil {
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(in.Fd()), Events: unix.POLLIN}}, tick)
		if err != nil || ready == 0 {
			continue
		}
		if _, err := bufio.NewReader(in).ReadString('\n'); err == nil {
			return
		}
		<-ctx.Done()
	}
}
