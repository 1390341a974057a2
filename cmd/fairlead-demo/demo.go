// Command fairlead-demo makes a small access network on this machine, lets DHCP clients of other
// authors talk to Fairlead, as a relay and as a server, and says in plain English what happens,
// step by step. The DHCPv4 server is Kea. `fairlead-demo --server kea` uses Kea for DHCPv6 too,
// and says which steps it then leaves out. `fairlead-demo --ipsec` tells another story, of
// messages between relays and server that nobody between them can read (RFC 8213); see chain.
//
// It is not a test of Fairlead against itself. What a step claims is checked by other programs:
// octets by tcpdump and tshark, routes by ip, the filter by nft, reachability by ping. What
// Fairlead reports about itself is shown, but proves nothing.
//
//	home1 dhcpcd    c0 --------- d1 .
//	home2 dhcp6c    c0 --.          edge u0 --- k0 core k1 --- s0 server
//	neighbour       c0 --switch- d2 .                         d3
//	home3 dhcpcd    c0 ---------------------------------------'
//
// Everything is in network namespaces of the demo's own, which are removed at the end. give must
// not be called again while it runs. It builds the network and tells the story in one goroutine,
// and if it is interrupted, removes the network from another.
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

// options say how the demo is shown.
type options struct {
	// IPsec tells the story of protected hops instead of that of prefixes.
	IPsec bool
	// Kea uses Kea's DHCPv6 server in the place of Fairlead's.
	Kea bool
	// Keep leaves the network running after the last step, until a line comes from In, or a
	// signal.
	Keep bool
	// Out is where the story is written: standard output if nil. It is coloured if Out is a
	// terminal.
	Out io.Writer
	// In is where Keep waits for Enter: standard input if nil.
	In *os.File
	// Limit is how long it may take: the story's own limit if 0.
	Limit time.Duration
	// Binary is the path of the fairlead program.
	Binary string
}

// Errors of give that do not come from the network itself.
var (
	errFailed      = errors.New("not everything held")
	errInterrupted = errors.New("interrupted")
	errTooLong     = errors.New("not done in time")
)

// story is a sequence of steps, told on a stage.
type story struct {
	limit    time.Duration // how long it may take
	packages string        // the name for its programs in scripts/packages
	programs []string      // beside the shell
	// tell gets what all stories have in common. It returns a function that tells the story, and
	// a function that prints how to examine the network if it is kept.
	tell func(*stage, options) (lead func(context.Context) error, linger func())
}

// prefixes is the story of delegated prefixes.
var prefixes = story{
	limit:    115 * time.Second,
	packages: "demo",
	programs: []string{"ip", "nft", "ping", "tcpdump", "tshark", "nsenter", "mount", "kea-dhcp6", "kea-dhcp4", "dhcpcd", "dhcp6c"},
	tell: func(s *stage, o options) (func(context.Context) error, func()) {
		t := &tour{stage: s, kea: o.Kea}
		return t.lead, t.linger
	},
}

// give shows the demo and then removes all of it, even if ctx ends or SIGINT, SIGTERM or SIGHUP
// comes. It needs root, and for IPsec a kernel with ESP.
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

// findPrograms returns an error that names all programs that are missing. Programs for root are
// not in the path of every user who becomes root, so their folders are added to it.
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
