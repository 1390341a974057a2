package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"fairlead/internal/app/privacy"
	"fairlead/internal/app/service"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/host/netlink"
)

// Engine is a loop with its pipeline. The loop is the one goroutine that owns the
// core: everything else hands it events.
type Engine[C Core] struct {
	// Core belongs to the loop once that runs: only functions that the loop calls may use it.
	Core C

	log      *slog.Logger
	privacy  *privacy.Rules
	role     Role[C]
	inbox    *Inbox
	discards *discards // shared with the inbox
	pipe     *pipeline
	out      Sender   // nil until the sockets are open
	senders  *senders // nil if there are not enough processors for them

	links  <-chan netlink.Event
	kernel Kernel
	probed chan probeResult
	probes sync.WaitGroup
	calls  chan func(now instant.Now, eff *effect.Effects)
	ended  chan struct{} // closed when run has returned: no call is taken any more

	at       instant.Now // the time of the event that is being handled
	turn     *turn
	batch    []*message
	inflight int // changes in the pipeline
	backlog  backlog
	paused   bool // there are too many Changes under way
	ticked   instant.Instant

	quarantine quarantine
	planted    func(*inbound.Packet) // tests make the core panic by it; nil is an event that is no packet
	tripped    bool                  // the last Tick panicked
}

type probeResult struct {
	question binding.Question
	answers  bool
	asked    bool // if false, answers means nothing
}

// tell brings the result to the core.
func (p probeResult) tell(core Core, now instant.Now, eff *effect.Effects) {
	if p.asked {
		core.Probed(now, p.question, p.answers, eff)
	} else {
		core.Unprobed(now, p.question, eff)
	}
}

// idle is the longest time that the loop sleeps. The watchdog, and the watch for a clock that is
// set, need a pass of the loop from time to time.
const idle = 5 * time.Second

var (
	errEnded     = errors.New("the program is ending: it takes no more requests")
	errPanicked  = errors.New("the request made the program panic; the log has the report")
	errWatchGone = errors.New("links: the watch has ended")
)

// run ends with ctx. Then the pipeline finishes what was decided, and ends too.
func (e *Engine[C]) run(ctx context.Context) error {
	defer e.probes.Wait()
	defer close(e.pipe.jobs)
	defer close(e.ended)
	if e.senders != nil {
		defer e.senders.close()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.inbox.ready():
			e.at = service.Now()
			e.takeTurn(ctx)
		case event, ok := <-e.links:
			if !ok && ctx.Err() == nil {
				return errWatchGone
			}
			if ok {
				e.at = service.Now()
				e.linkEvents(ctx, event)
				e.carryOut(ctx)
			}
		case outcomes := <-e.pipe.outcomes:
			e.at = service.Now()
			e.settle(ctx, outcomes)
			e.carryOut(ctx)
		case p := <-e.probed:
			e.at = service.Now()
			e.decideOn(ctx, func(n instant.Now, eff *effect.Effects) { p.tell(e.Core, n, eff) })
			e.carryOut(ctx)
		case call := <-e.calls:
			e.at = service.Now()
			e.decideOn(ctx, call)
			e.carryOut(ctx)
		case <-timer.C:
			e.at = service.Now()
			e.tick(ctx)
			e.carryOut(ctx)
		}
		e.role.Pass(e.at.Boot, e.Core)
		timer.Reset(e.sleep())
	}
}

func (e *Engine[C]) tick(ctx context.Context) {
	e.ticked = e.at.Boot
	e.tripped = !e.decideOn(ctx, func(n instant.Now, eff *effect.Effects) { e.Core.Tick(n, eff) })
}

// sleep returns the time until the next Tick that the core asks for, and at most idle since the
// last one, on a busy relay as well. A core that panicked in the last Tick would ask for the next
// one at once; it has to wait for idle.
func (e *Engine[C]) sleep() time.Duration {
	left := e.at.Until(e.ticked.After(idle))
	if !e.tripped {
		left = min(left, e.at.Until(e.Core.Deadline()))
	}
	return max(0, left)
}

// handle lets the core decide on a batch. A packet that makes the core panic costs that packet
// alone: what was decided for the others is kept, and the core is built anew from the store.
func (e *Engine[C]) handle(ctx context.Context, batch []*message) {
	e.startAfresh()
	for _, m := range batch {
		p := &m.Packet
		if drop, refused := e.quarantine.refuses(p, e.role.Suspect, e.at.Boot); refused {
			e.discards.add(p.Link, drop)
			continue
		}
		if cause := e.decide(p); cause != nil {
			if e.quarantine.panicked(p, e.role.Suspect, e.at.Boot) {
				e.log.Warn("link muted: its packets make the core panic", "link", p.Link, "for", time.Duration(muteFor))
			}
			e.rebuild(ctx, cause)
		}
	}
}

// startAfresh empties the Effects for the next event.
func (e *Engine[C]) startAfresh() {
	e.turn.eff.Reset()
	e.turn.eff.OmitExtensions = !e.role.HearsExtensions()
}

func (e *Engine[C]) decide(p *inbound.Packet) (cause any) {
	defer e.caught(e.turn.eff.Mark(), &cause)
	if e.planted != nil {
		e.planted(p)
	}
	e.Core.Handle(e.at, p, &e.turn.eff)
	return nil
}

// maxLinkEvents bounds how long a burst of link events delays everything else.
const maxLinkEvents = 256

func (e *Engine[C]) linkEvents(ctx context.Context, event netlink.Event) {
	e.decideOn(ctx, func(_ instant.Now, eff *effect.Effects) {
		e.linkEvent(event, eff)
		for range maxLinkEvents {
			var more bool
			select {
			case event, more = <-e.links:
			default:
			}
			if !more {
				break
			}
			e.linkEvent(event, eff)
		}
	})
	e.role.LinksChanged(e.Core)
}

func (e *Engine[C]) linkEvent(event netlink.Event, eff *effect.Effects) {
	switch {
	case event.RouteChanged:
		e.kernel.OthersChanged()
	case event.Resync:
		e.kernel.Soon()
	default:
		e.role.LinkChanged(e.Core, event, eff)
	}
}

// settle has the core take in outcomes. Of a route that was refused the core installs the
// stand-in; what was not kept it undoes. What failed for another reason is mended by the
// comparison.
func (e *Engine[C]) settle(ctx context.Context, outcomes []effect.Outcome) {
	e.returned(outcomes)
	e.decideOn(ctx, func(n instant.Now, eff *effect.Effects) {
		for _, o := range outcomes {
			e.Core.Settle(n, o, eff)
		}
	})
}

// returned does what outcomes require outside the core.
func (e *Engine[C]) returned(outcomes []effect.Outcome) {
	e.inflight -= len(outcomes)
	e.backlog.settled(e.at.Boot, len(outcomes))
	if slices.ContainsFunc(outcomes, func(o effect.Outcome) bool {
		return slices.ContainsFunc(o.Install, func(f effect.FailedOp) bool { return !errors.Is(f.Err, effect.ErrRefused) })
	}) {
		e.kernel.Later()
	}
}

// maxChanges bounds the Changes of one job. Some events make thousands of Changes, and what is
// kept in one commit is to be bounded too.
const maxChanges = 64

// carryOut does what the Effects say: datagrams that wait for nothing leave at once; Changes, and
// the datagrams that wait for them, go into the pipeline.
func (e *Engine[C]) carryOut(ctx context.Context) {
	e.begin(ctx)
	e.dispatch()
}

// begin does all that carryOut does except to send the datagrams that leave at once.
func (e *Engine[C]) begin(ctx context.Context) {
	eff := &e.turn.eff
	e.discards.bring(e.Core)
	e.role.Before(e.at, e.Core, eff)
	e.role.Tell(eff)
	for _, p := range eff.Probes {
		e.probes.Go(func() { e.runProbe(ctx, p) })
	}
	if j := e.share(); j != nil {
		e.enqueue(j)
	}
	e.pauseChanges()
}

// share divides the datagrams into those that leave now and those that wait for a Change. It
// returns a job with the latter and the Changes, or nil if there are neither.
func (e *Engine[C]) share() *job {
	eff := &e.turn.eff
	waits, octets := 0, 0
	for i := range eff.Sends {
		if s := &eff.Sends[i]; s.After != 0 {
			waits, octets = waits+1, octets+len(s.Payload)
		}
	}
	var j *job
	if len(eff.Changes) > 0 || waits > 0 {
		j = &job{changes: slices.Clone(eff.Changes), sends: make([]waiting, 0, waits)}
		if slices.ContainsFunc(j.changes, func(c effect.Change) bool { return c.Follows }) {
			e.turn.gone = make(chan struct{})
			j.left = e.turn.gone
		}
	}
	own := make([]byte, 0, octets) // the job needs a copy: the turn's memory is used again before the job is done
	for i := range eff.Sends {
		s := &eff.Sends[i]
		o := e.role.Outgoing(s)
		switch {
		case s.After != 0:
			own = append(own, s.Payload...)
			o.Payload = own[len(own)-len(s.Payload):]
			j.sends = append(j.sends, waiting{s.After, s.Extends, o})
		case s.ToPeer:
			e.turn.toPeers = append(e.turn.toPeers, o)
		default:
			e.turn.toLinks = append(e.turn.toLinks, o)
		}
	}
	return j
}

// enqueue hands a job to the pipeline. A large job goes in parts.
func (e *Engine[C]) enqueue(j *job) {
	for len(j.changes) > maxChanges {
		part := j.split(maxChanges)
		if !e.offer(part) {
			e.refuse(part)
			e.refuse(j)
			return
		}
	}
	if !e.offer(j) {
		e.refuse(j)
	}
}

func (e *Engine[C]) offer(j *job) bool {
	if !e.pipe.offer(j) {
		return false
	}
	e.inflight += len(j.changes)
	return true
}

// refuse ends Changes for which the pipeline has no room: they fail at once, as if the store had
// failed. A datagram whose Change only extends, and asks nothing of the kernel, leaves.
func (e *Engine[C]) refuse(j *job) {
	for _, w := range j.sends {
		if w.extends && j.onlyKeeps(w.after) {
			e.turn.toLinks = append(e.turn.toLinks, w.out)
			continue
		}
		e.unsent(w.out, fmt.Errorf("%w: %w", ErrNotKept, errStalled))
	}
	var undo effect.Effects
	for _, c := range j.changes {
		e.Core.Settle(e.at, effect.Outcome{ID: c.ID, Keep: errStalled}, &undo)
	}
	e.role.Tell(&undo)
	// What the undoing itself wants installed, the comparison finds. What it wants kept is kept
	// later.
	for i := 0; i < len(undo.Changes); i++ {
		o := effect.Outcome{ID: undo.Changes[i].ID}
		if len(undo.Changes[i].Keep) > 0 {
			o.Keep = errStalled
		}
		e.Core.Settle(e.at, o, &undo)
	}
	e.kernel.Later()
}

const probeTimeout = 3 * time.Second

// runProbe asks one next hop. The core bounds how many probes there are at a time. A probe that
// is cut short tells nothing.
func (e *Engine[C]) runProbe(ctx context.Context, p effect.Probe) {
	answers, asked := false, true
	if p.Index != 0 {
		bounded, cancel := context.WithTimeout(ctx, probeTimeout)
		answers, asked = e.role.Probe(bounded, p)
		cancel()
	}
	if ctx.Err() != nil {
		return
	}
	select {
	case e.probed <- probeResult{p.Question, answers, asked}:
	case <-ctx.Done():
	}
}

// Call runs f in the loop and waits for it. Once the loop has taken f, f runs to its end,
// whatever becomes of ctx: after Call has returned, f writes to nothing any more.
func (e *Engine[C]) Call(ctx context.Context, f func(now instant.Now, eff *effect.Effects)) error {
	done := make(chan struct{})
	whole := false
	wrapped := func(n instant.Now, eff *effect.Effects) {
		defer close(done)
		f(n, eff)
		whole = true
	}
	select {
	case e.calls <- wrapped:
	case <-e.ended:
		return errEnded
	case <-ctx.Done():
		return fmt.Errorf("the program is busy: %w", ctx.Err())
	}
	<-done
	if !whole {
		return errPanicked
	}
	return nil
}
