// Package demo is `fairlead demo`: it makes a small access network on this
// machine, lets other people's DHCPv6 clients and server talk through Fairlead,
// and says in plain English what happens, step by step.
//
// It is not a test of Fairlead against itself. What a step claims is seen with
// foreign eyes: octets by tcpdump and tshark, routes by ip, the filter by nft,
// reachability by ping. What Fairlead says of itself is shown, and never counts.
//
//	home1 dhcpcd    c0 --------- d1 .
//	home2 dhcp6c    c0 --.          edge u0 --- k0 core k1 --- s0 server
//	neighbour       c0 --switch- d2 .
//
// Everything is in network namespaces of its own and goes away with them. Run
// may be called once at a time; it leads the network from one goroutine and
// tears it down, when it is interrupted, from another.
//
// The steps show RFC 8987 (G-1 to G-3, G-5, R-1 to, S-1, O-1), RFC 8415
// section 19, RFC 6939, RFC 4649 and option 53 of RFC 5460.
package demo

import (
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

// limit is how long the demo may take.
const limit = 115 * time.Second

// Options say how the demo is given. The zero value is what a user gets.
type Options struct {
	// Keep leaves the network running after the last step, until a line comes
	// from In or a signal.
	Keep bool
	// Out is where the story goes: standard output if nil. It is coloured if
	// it is a terminal.
	Out io.Writer
	// In is where Keep waits for Enter: standard input if nil.
	In *os.File
	// Binary is the path of the fairlead program: our own if empty.
	Binary string
}

// What Run may answer beside what goes wrong with the network itself.
var (
	ErrFailed      = errors.New("demo: not everything held")
	ErrInterrupted = errors.New("demo: interrupted")
	ErrTooLong     = fmt.Errorf("demo: not done within %v", limit)
)

// programs are what the demo runs, besides the shell.
var programs = []string{
	"ip", "nft", "ping", "tcpdump", "tshark", "nsenter", "mount", "kea-dhcp6", "dhcpcd", "dhcp6c",
}

// Run gives the demo and removes all of it again, also when ctx ends or SIGINT,
// SIGTERM or SIGHUP comes. It needs root.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.complete(); err != nil {
		return err
	}
	if err := findPrograms(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	n, err := lab.New()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	t := &tour{narrator: narrator{out: o.Out, colour: isTerminal(o.Out)}, net: n, binary: o.Binary}
	err = t.within(ctx)
	if o.Keep && ctx.Err() == nil && t.relay != nil {
		t.keep(ctx, o.In)
	}
	return errors.Join(err, n.Close())
}

func (o *Options) complete() error {
	if o.Out == nil {
		o.Out = os.Stdout
	}
	if o.In == nil {
		o.In = os.Stdin
	}
	if o.Binary != "" {
		return nil
	}
	var err error
	if o.Binary, err = os.Executable(); err != nil {
		return fmt.Errorf("demo: where am I: %w", err)
	}
	return nil
}

// findPrograms says which programs are missing, all at once. Those for root are
// not in the path of everyone who becomes root.
func findPrograms() error {
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	var missing []string
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing = append(missing, p)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("demo: not on this machine: %s: `make demo` or `scripts/packages demo` installs them", strings.Join(missing, ", "))
	}
	return nil
}

// within leads the tour and tells how it ended. When ctx ends or time runs out
// it takes the network away from under the tour, and waits until the tour has
// noticed.
func (t *tour) within(ctx context.Context) error {
	started := time.Now()
	timed, cancel := context.WithTimeoutCause(ctx, limit, ErrTooLong)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- t.lead(timed) }()
	var err, closed error
	select {
	case err = <-done:
		if err != nil {
			// Ctrl-C reaches the commands that we wait for as well, and their
			// end may be noticed before the signal.
			select {
			case <-timed.Done():
			case <-time.After(settle):
			}
		}
	case <-timed.Done():
		t.hush()
		closed = t.net.Close()
		<-done
	}
	switch {
	case ctx.Err() != nil:
		err = errors.Join(ErrInterrupted, closed, t.net.Close())
		t.loud("\nInterrupted. Everything is removed.\n")
		return err
	case timed.Err() != nil:
		err = errors.Join(ErrTooLong, closed, t.net.Close())
		t.loud("\nThis takes too long. Everything is removed.\n")
		return err
	}
	return t.verdict(err, time.Since(started))
}

// settle is how long a signal may be on its way to us after a command has ended
// by it.
const settle = 300 * time.Millisecond

// verdict sums up.
func (t *tour) verdict(err error, took time.Duration) error {
	if err == nil && len(t.failed) == 0 {
		t.say("")
		t.loud("%s\n", t.paint(green, fmt.Sprintf("All %d checks held, in %.0f seconds.", t.held, took.Seconds())))
		return nil
	}
	if err != nil {
		t.failed = append(t.failed, err.Error())
	}
	t.loud("\n%s\n", t.paint(red, fmt.Sprintf("%d checks held, and this did not:", t.held)))
	for _, f := range t.failed {
		t.loud("  %s\n", f)
	}
	t.loud("\nThe ends of the logs of all programs:\n%s", t.net.Logs(logLines))
	return ErrFailed
}

// logLines is how much of each log a failed demo shows.
const logLines = 12
