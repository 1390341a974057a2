// Command fairlead-demo makes a small access network on this machine, lets other
// people's DHCP clients talk to Fairlead, as relay and as server, and says in plain English
// what happens, step by step. The DHCPv4 server is Kea; `fairlead-demo --server kea` has Kea
// for DHCPv6 too, and says which steps it lacks then. `fairlead-demo --ipsec` tells another story, of messages
// between relays and server that nobody on the way can read (RFC 8213); see chain.
//
// It is not a test of Fairlead against itself. What a step claims is seen with
// foreign eyes: octets by tcpdump and tshark, routes by ip, the filter by nft,
// reachability by ping. What Fairlead says of itself is shown, and never counts.
//
//	home1 dhcpcd    c0 --------- d1 .
//	home2 dhcp6c    c0 --.          edge u0 --- k0 core k1 --- s0 server
//	neighbour       c0 --switch- d2 .                         d3
//	home3 dhcpcd    c0 ---------------------------------------'
//
// Everything is in network namespaces of its own and goes away with them. give
// may be called once at a time; it leads the network from one goroutine and
// tears it down, when it is interrupted, from another.
//
// The steps show RFC 8987 (G-1 to G-3, G-5, R-1 to, S-1, O-1), RFC 8415
// section 19, RFC 6939, RFC 4649 and option 53 of RFC 5460; for DHCPv4 RFC 3046 and
// RFC 6925.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"fairlead/internal/lab"
)

// options say how the demo is given.
type options struct {
	// IPsec tells the story of protected hops instead of that of prefixes.
	IPsec bool
	// Kea has Kea's DHCPv6 server in the place of Fairlead's.
	Kea bool
	// Keep leaves the network running after the last step, until a line comes
	// from In or a signal.
	Keep bool
	// Out is where the story goes: standard output if nil. It is coloured if
	// it is a terminal.
	Out io.Writer
	// In is where Keep waits for Enter: standard input if nil.
	In *os.File
	// Limit is how long it may take: the story's own limit if 0.
	Limit time.Duration
	// Binary is the path of the fairlead program.
	Binary string
}

// What give may answer beside what goes wrong with the network itself.
var (
	errFailed      = errors.New("not everything held")
	errInterrupted = errors.New("interrupted")
	errTooLong     = errors.New("not done in time")
)

// story is what is told on a stage.
type story struct {
	limit    time.Duration // how long it may take
	packages string        // what scripts/packages calls its programs
	programs []string      // besides the shell
	// tell is given what all stories have, and returns how they are led, and how
	// they are looked at when they are kept.
	tell func(*stage, options) (lead func(context.Context) error, linger func())
}

// prefixes is the story of the main job.
var prefixes = story{
	limit:    115 * time.Second,
	packages: "demo",
	programs: []string{"ip", "nft", "ping", "tcpdump", "tshark", "nsenter", "mount", "kea-dhcp6", "kea-dhcp4", "dhcpcd", "dhcp6c"},
	tell: func(s *stage, o options) (func(context.Context) error, func()) {
		t := &tour{stage: s, kea: o.Kea}
		return t.lead, t.linger
	},
}

// give gives the demo and removes all of it again, also when ctx ends or SIGINT,
// SIGTERM or SIGHUP comes. It needs root, and for IPsec a kernel that has ESP.
func give(ctx context.Context, o options) (err error) {
	if o.Out == nil {
		o.Out = os.Stdout
	}
	if o.In == nil {
		o.In = os.Stdin
	}
	told := &prefixes
	if o.IPsec {
		told = &hops
	}
	if err := told.findPrograms(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	n, err := lab.New()
	if err != nil {
		return fmt.Errorf("%w", err)
	}
	s := &stage{narrator: narrator{out: o.Out, colour: isTerminal(o.Out)}, net: n, binary: o.Binary}
	lead, linger := told.tell(s, o)
	err = s.within(ctx, cmp.Or(o.Limit, told.limit), lead)
	if o.Keep && ctx.Err() == nil && s.built {
		s.keep(ctx, o.In, linger)
	}
	return errors.Join(err, n.Close())
}

// findPrograms says which programs are missing, all at once. Those for root are
// not in the path of everyone who becomes root.
func (t *story) findPrograms() error {
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return fmt.Errorf("%w", err)
	}
	var missing []string
	for _, p := range t.programs {
		if _, err := exec.LookPath(p); err != nil {
			missing = append(missing, p)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("not on this machine: %s: `make %s` or `scripts/packages %s` installs them", strings.Join(missing, ", "), t.packages, t.packages)
	}
	return nil
}
