package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"fairlead/internal/lab"
)

// stage is where a story is told: the network, and what has been told so far.
type stage struct {
	narrator
	ctx    context.Context
	net    *lab.Net
	binary string
	built  bool // the network is there, so that KEEP has something to show
}

// step is a chapter of a story. If a vital step fails, no later step can be told.
type step struct {
	title string
	run   func() error
	vital bool
}

// tell tells the steps in order. A check that fails does not end the story, unless the later
// steps depend on it.
func (s *stage) tell(ctx context.Context, steps []step) error {
	for _, one := range steps {
		s.chapter(one.title)
		before := len(s.failed)
		err := one.run()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && len(s.failed) == before {
			_ = s.check(err, "the step can be taken")
		}
		if one.vital && len(s.failed) > before {
			return errors.New("nothing else can be shown without this step")
		}
	}
	return nil
}

// within runs lead, which tells the story, and prints how the story ended. When ctx ends, or time
// runs out, it closes the network while lead runs, and waits until lead has returned.
func (s *stage) within(ctx context.Context, limit time.Duration, lead func(context.Context) error) error {
	started := time.Now()
	timed, cancel := context.WithTimeoutCause(ctx, limit, errTooLong)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- lead(timed) }()
	var err, closed error
	select {
	case err = <-done:
		if err != nil {
			// Ctrl-C also reaches the commands that we wait for, and we may see that they ended
			// before we see the signal.
			select {
			case <-timed.Done():
			case <-time.After(signalDelay):
			}
		}
	case <-timed.Done():
		s.hush()
		closed = s.net.Close()
		<-done
	}
	switch {
	case ctx.Err() != nil:
		err = errors.Join(errInterrupted, closed, s.net.Close())
		s.loud("\nInterrupted. Everything is removed.\n")
		return err
	case timed.Err() != nil:
		err = errors.Join(fmt.Errorf("%w: it may take %v", errTooLong, limit), closed, s.net.Close())
		s.loud("\nThis takes too long. Everything is removed.\n")
		return err
	}
	return s.verdict(err, time.Since(started))
}

// signalDelay is how long a signal may be on its way to us after it has ended a command.
const signalDelay = 300 * time.Millisecond

// verdict prints how many checks held, and which did not.
func (s *stage) verdict(err error, took time.Duration) error {
	if err == nil && len(s.failed) == 0 {
		s.say("")
		s.loud("%s\n", s.paint(green, fmt.Sprintf("All %d checks held, in %.0f seconds.", s.passed, took.Seconds())))
		return nil
	}
	if err != nil {
		s.failed = append(s.failed, err.Error())
	}
	s.loud("\n%s\n", s.paint(red, fmt.Sprintf("%d checks held, and this did not:", s.passed)))
	for _, f := range s.failed {
		s.loud("  %s\n", f)
	}
	s.loud("\nThe ends of the logs of all programs:\n%s", s.net.Logs(logLines))
	return errFailed
}

// logLines is how many lines of each log a failed demo shows.
const logLines = 12

// keep prints commands by which the network can be examined, and waits.
func (s *stage) keep(ctx context.Context, in *os.File, linger func()) {
	s.write("\n%s\n", s.paint(bold, "All of this is left running. To look around, in another terminal, as root:"))
	linger()
	s.write("\n%s", s.paint(bold, "Press Enter to remove everything: "))
	waitForLine(ctx, in)
	s.write("\n")
}

// suggest lists commands that a reader may type.
func (s *stage) suggest(title string, commands ...[]string) {
	s.say("")
	s.say("%s", title)
	for _, c := range commands {
		s.command(commandLine(c), "", 0)
	}
}

// shells returns the commands that open a shell in nodes.
func shells(nodes ...*lab.Node) (all [][]string) {
	for _, d := range nodes {
		all = append(all, inside(d, []string{"bash"}))
	}
	return all
}

// cli returns a fairlead command for the program behind a control socket.
func (s *stage) cli(socket string, words ...string) []string {
	return append(append([]string{s.binary}, words...), "--socket", socket)
}
