package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab/relay"
)

// operator shows the relay's own tables.
func (t *tour) operator() error {
	t.say("So far nobody has asked Fairlead. These are the relay's own words:")
	return t.words(t.relay, "delegations", "history", "links", "peers", "status")
}

// operatorOwn shows the server's own tables.
func (t *tour) operatorOwn() error {
	t.say("And these are the server's:")
	return t.words(t.own, "server6", "pools", "leases", "status")
}

// words shows what one of the two programs answers to commands.
func (t *tour) words(of *relay.Relay, commands ...string) error {
	for _, what := range commands {
		_, err := t.here(40, t.binary, what, "--socket", of.Socket)
		_ = t.check(err, "`fairlead %s` answers", what)
	}
	return nil
}

// linger prints commands by which the network can be examined.
func (t *tour) linger() {
	t.suggest("A shell on each host:",
		shells(t.home1.node, t.home2.node, t.neighbour.node, t.edge, t.core, t.server)...)
	if t.own != nil {
		t.suggest("A shell on the home of the server's own machine:", shells(t.home3.node)...)
		t.suggest("Fairlead's server, through its control socket:",
			t.cli(t.own.Socket, "server6"), t.cli(t.own.Socket, "pools"), t.cli(t.own.Socket, "leases"))
	}
	socket := t.relay.Socket
	t.suggest("The relay, through its control socket:",
		t.cli(socket, "delegations"), t.cli(socket, "history"), t.cli(socket, "watch"),
		t.cli(socket, "clear", "--prefix", t.home1.prefix.String()))
	t.suggest("The kernel of the edge:",
		inside(t.edge, strings.Fields("ip -6 route show proto 87")),
		inside(t.edge, strings.Fields("nft list table inet fairlead")))
	t.suggest("Have home1 renew, and listen on the server:",
		[]string{"kill", "-USR1", fmt.Sprint(t.home1.client.Proc().Pid())},
		inside(t.server, strings.Fields("tcpdump -n -vv -i s0 port 547")))
	t.say("")
	t.say("Logs and recordings are in %s, the configuration is %s.", t.net.Dir(), t.relay.File)
}

// waitForLine returns after a line of input, or when ctx ends. If the input ends, it still waits
// for ctx, because nobody is there to press Enter.
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
