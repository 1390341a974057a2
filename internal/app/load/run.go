package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/host/inject"
)

const (
	prepareWindow = 256
	// patience is how long a preparation may make no progress before it is given up.
	patience = 10 * time.Second
	// askAgain is the time between two tries to find the server.
	askAgain = 250 * time.Millisecond
)

var (
	errInterrupted = errors.New("interrupted")
	errSilence     = errors.New("no server has answered in " + patience.String())
)

// ErrLoss says that more was lost than Options.MaxLoss.
var ErrLoss = errors.New("too much was lost")

// Run plays until the measurement or ctx ends, and writes the result to out. Progress for people
// goes to log.
func Run(ctx context.Context, o Options, out, log io.Writer) error {
	if err := o.Check(); err != nil {
		return err
	}
	e := loadgen.New(loadgen.Config{
		Family: o.Family, First: o.First, Clients: o.Clients, Mix: o.Mix, IAs: o.IAs, Broadcast: o.Broadcast,
		Timeout: o.Timeout, Slots: o.slots(), Seed: o.Seed,
	})
	p := newPlayer(e)
	var err error
	if p.port, err = open(o, p.notSent); err != nil {
		return err
	}
	defer p.port.Close()
	r := &reporter{options: o, out: out, log: log}
	r.announce()

	// The thread belongs to this goroutine, because its timer slack is set. It is never unlocked,
	// and ends with the goroutine.
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		inject.Punctual()
		done <- play(ctx, o, p, r)
	}()
	return <-done
}

// open opens what the options want: clients on a link, or a relay agent.
func open(o Options, unsent func(uint32)) (port, error) {
	var p port
	var err error
	if o.Server.IsValid() {
		p, err = inject.OpenRelay(inject.RelayOptions{
			Family: o.Family, Server: o.Server, Local: o.Local, LinkAddress: o.LinkAddress, InterfaceID: o.InterfaceID,
			First: o.First, Clients: uint32(o.Clients), Unsent: unsent,
		})
	} else {
		p, err = inject.Open(inject.Options{
			Family: o.Family, Interface: o.Interface, First: o.First, Clients: uint32(o.Clients), Unsent: unsent,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return p, nil
}

// play runs all phases.
func play(ctx context.Context, o Options, p *player, r *reporter) error {
	var stop atomic.Bool
	defer context.AfterFunc(ctx, func() { stop.Store(true) })()
	s := &session{player: p, options: o, stop: &stop, report: r}
	if o.Family.NeedsServer(o.Mix) || o.Prepare > 0 {
		if err := s.findServer(); err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	if o.Prepare > 0 {
		if err := s.prepare(); err != nil {
			return fmt.Errorf("load: prepare: %w", err)
		}
	}
	if o.Mix[loadgen.Request] > 0 {
		p.engine.Admit(o.Prepare, o.Clients)
	}
	s.drain()
	return s.measure()
}

// session is one run.
type session struct {
	*player
	options Options
	stop    *atomic.Bool // the user has interrupted the run
	report  *reporter
}

// findServer has the first client ask until a server has answered with its identifier.
func (s *session) findServer() error {
	s.look()
	begun, next := s.now, s.now
	for {
		s.listen()
		switch {
		case s.engine.KnowsServer():
			return nil
		case s.stop.Load():
			return errInterrupted
		case s.now-begun > patience:
			return errSilence
		case s.now >= next:
			s.begin(loadgen.Solicit, s.now)
			next = s.now + askAgain
		}
		s.rest(next, 0)
	}
}

// prepare has each of the first clients get a lease, in as many attempts as it takes.
func (s *session) prepare() error {
	o := s.options
	s.engine.Admit(0, o.Prepare)
	last, changed := 0, s.now
	for s.engine.Holders() < o.Prepare {
		s.listen()
		if n := s.engine.Holders(); n != last {
			last, changed = n, s.now
		}
		if s.stop.Load() {
			return errInterrupted
		}
		if s.now-changed > patience {
			return fmt.Errorf("%d of %d clients hold a lease, and no other got one in %s%s", last, o.Prepare, patience, s.report.statusText(s.engine.Tally()))
		}
		for n := prepareWindow - s.engine.Underway(); n > 0 && s.begin(loadgen.Request, s.now); n-- {
		}
		s.rest(math.MaxInt64, napInWindow)
	}
	s.report.prepared(o.Prepare)
	return nil
}

// drain waits until nothing is under way.
func (s *session) drain() {
	for s.engine.Underway() > 0 {
		s.listen()
		s.rest(math.MaxInt64, 0)
	}
}

// measure does the measurement.
func (s *session) measure() error {
	o, e := s.options, s.engine
	e.Restart()
	s.port.Dropped()
	s.report.measuring()
	s.look()
	pace := pace{rate: o.Rate, window: o.Window, start: s.now}
	end := time.Duration(math.MaxInt64)
	if o.Duration > 0 {
		end = s.now + o.Duration
	}
	progress := s.now + time.Second
	before := s.port.Dropped()
	exhausted, enough := false, false
	for {
		all := s.listen()
		if s.now >= progress {
			s.report.progress(s.now-pace.start, e.Tally())
			progress += time.Second
		}
		if s.now >= end || s.stop.Load() || exhausted || enough && e.Underway() == 0 {
			break
		}
		n := 0
		if !enough {
			n = min(pace.allowed(s.now, e.Underway()), most)
		}
		for ; n > 0 && !exhausted && !enough; n-- {
			exhausted = !s.begin(e.Next(), pace.intended(s.now))
			if !exhausted {
				pace.begun++
				enough = o.Count > 0 && pace.begun == o.Count
			}
		}
		until := min(progress, end)
		switch {
		case !all:
			until = s.now
		case pace.rate > 0 && !enough:
			until = min(until, pace.intended(s.now))
		}
		s.rest(until, pace.nap())
	}
	r := &result{seconds: (s.now - pace.start).Seconds(), inTime: e.Tally().Total().Answered, exhausted: exhausted}
	s.drain()
	r.dropped = s.port.Dropped() - before
	r.tally = e.Restart()
	return s.report.result(r)
}
