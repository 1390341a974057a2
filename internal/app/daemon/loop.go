package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fairlead/internal/app/service"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/udp"
)

// loop is the one goroutine that owns the core. Everything else hands it
// events: datagrams, link events, outcomes, probe results, and calls of the
// control interface.
type loop struct {
	log     *slog.Logger
	core    *relay6.Relay
	build   func(now instant.Now, eff *effect.Effects) (*relay6.Relay, error) // the core anew, from the store
	pipe    *pipeline
	net     *network
	lost    *failures
	refused refusals
	notes   *notes
	probe   func(ctx context.Context, p effect.Probe) (answers, asked bool)

	intake  *intake
	arrived chan struct{} // something is in the sockets, or in the intake
	drained chan struct{} // the sockets are empty: tell when they are not
	awaited bool          // somebody waits for that
	glances chan struct{} // look at the sockets now
	busy    atomic.Bool   // more is known to be in the sockets, or in the intake
	senders *senders      // nil where there are no cores for them
	batch   []*message
	packet  relay6.Packet // the one that is decided on

	links    <-chan netlink.Event
	probed   chan probeResult
	calls    chan func(now instant.Now, eff *effect.Effects)
	ended    chan struct{} // closed when run has returned: nobody is called any more
	probes   sync.WaitGroup
	silence  func() // a server has fallen silent
	auditDue func() // soon
	// othersChanged: another program has changed what is ours.
	othersChanged func()
	auditLate     func() // in a while: something could not be installed

	at       instant.Now // of what is being handled
	turn     *turn
	inflight int // changes in the pipeline
	backlog  backlog
	holds    bool // there are too many of them
	released bool // no longer, and something may have waited for that
	ticked   instant.Instant

	guard   guard
	planted func(*relay6.Packet) // tests plant panics here: nil is an event that is no packet
	tripped bool                 // the last Tick panicked
}

type probeResult struct {
	question delegation.Question
	answers  bool
	asked    bool // else nothing is known
}

// tell brings the result to the core.
func (p probeResult) tell(core *relay6.Relay, now instant.Now, eff *effect.Effects) {
	if p.asked {
		core.Probed(now, p.question, p.answers, eff)
	} else {
		core.Unprobed(now, p.question, eff)
	}
}

// idle is the longest that the loop sleeps: the watchdog and the clock's
// settling want a look now and then.
const idle = 5 * time.Second

var (
	errEnded     = errors.New("relay: it has ended")
	errPanicked  = errors.New("relay: a panic, which is in the log")
	errWatchGone = errors.New("links: the watch has ended")
)

// run ends with ctx. The pipeline then finishes what was decided and ends too.
func (l *loop) run(ctx context.Context) error {
	defer l.probes.Wait()
	defer close(l.pipe.jobs)
	defer close(l.ended)
	if l.senders != nil {
		defer l.senders.close()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	arrived, always := l.arrived, make(chan struct{})
	close(always)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-arrived:
			l.at = service.Now()
			l.awaited = l.awaited || arrived == l.arrived && l.senders == nil
			arrived = l.arrived
			if l.takeTurn(ctx) {
				arrived = always
			}
		case <-l.glances:
			l.at = service.Now()
			if l.takeTurn(ctx) {
				arrived = always
			}
		case e, ok := <-l.links:
			if !ok && ctx.Err() == nil {
				return errWatchGone
			}
			if ok {
				l.at = service.Now()
				l.linkEvents(ctx, e)
				l.carryOut(ctx)
			}
		case outcomes := <-l.pipe.outcomes:
			l.at = service.Now()
			l.settle(ctx, outcomes)
			l.carryOut(ctx)
		case p := <-l.probed:
			l.at = service.Now()
			l.decideOn(ctx, func(n instant.Now, eff *effect.Effects) { p.tell(l.core, n, eff) })
			l.carryOut(ctx)
		case call := <-l.calls:
			l.at = service.Now()
			l.decideOn(ctx, call)
			l.carryOut(ctx)
		case <-timer.C:
			l.at = service.Now()
			l.tick(ctx)
			l.carryOut(ctx)
		}
		if l.released {
			l.released = false
			arrived = always
		}
		l.net.retry(l.at.Boot, l.core)
		timer.Reset(l.sleep())
	}
}

func (l *loop) tick(ctx context.Context) {
	l.ticked = l.at.Boot
	l.tripped = !l.decideOn(ctx, func(n instant.Now, eff *effect.Effects) { l.core.Tick(n, eff) })
}

// sleep is until the core wants a Tick; also on a busy relay it gets one now and
// then. A core that panicked in the last one wants the next at once: it waits.
func (l *loop) sleep() time.Duration {
	left := l.at.Until(l.ticked.After(idle))
	if at, ok := l.core.Deadline(); ok && !l.tripped {
		left = min(left, l.at.Until(at))
	}
	return max(0, left)
}

// handle lets the core decide on a batch. A packet that makes it panic costs
// that packet: what the others wanted is kept, and the core is built anew from
// the store.
func (l *loop) handle(ctx context.Context, batch []*message) {
	l.startAfresh()
	for _, m := range batch {
		p := &l.packet
		*p = relay6.Packet{
			Link: m.Link, Source: m.Source, Dest: m.Dest, LinkLayer: linkLayer(&m.Datagram),
			HardwareType: m.HardwareType, Framed: m.Path == udp.PathFrame, Payload: m.Payload,
		}
		if drop, refused := l.guard.refuses(p, l.at.Boot); refused {
			l.core.CountDrop(p.Link, drop, 1)
			continue
		}
		if cause := l.decide(p); cause != nil {
			if l.guard.panicked(p, l.at.Boot) {
				l.log.Warn("link muted: its packets make the core panic", "link", p.Link, "for", time.Duration(muteFor))
			}
			l.rebuild(ctx, cause)
		}
	}
}

// startAfresh empties the Effects for what comes next.
func (l *loop) startAfresh() {
	l.turn.eff.Reset()
	l.turn.eff.OmitExtensions = !l.notes.hearExtensions()
}

func (l *loop) decide(p *relay6.Packet) (cause any) {
	defer l.caught(l.turn.eff.Mark(), &cause)
	if l.planted != nil {
		l.planted(p)
	}
	l.core.Handle(l.at, p, &l.turn.eff)
	return nil
}

// maxLinkEvents bounds how long a burst of link events holds up everything else.
const maxLinkEvents = 256

func (l *loop) linkEvents(ctx context.Context, e netlink.Event) {
	audit := false
	l.decideOn(ctx, func(instant.Now, *effect.Effects) {
		audit = l.linkEvent(e)
		for range maxLinkEvents {
			var more bool
			select {
			case e, more = <-l.links:
			default:
			}
			if !more {
				break
			}
			audit = l.linkEvent(e) || audit
		}
	})
	l.net.update(l.core)
	if audit {
		l.auditDue()
	}
}

func (l *loop) linkEvent(e netlink.Event) (audit bool) {
	switch {
	case e.Link != nil:
		l.net.know(*e.Link)
		l.core.SetLink(*e.Link, &l.turn.eff)
	case e.Removed != "":
		l.net.forget(e.Removed)
		l.core.RemoveLink(e.Removed, &l.turn.eff)
	case e.RouteChanged:
		l.othersChanged()
	default:
		return true
	}
	return false
}

// settle takes in outcomes. A route that was refused has its stand-in, and what
// was not kept is undone; what failed otherwise is for the audit to mend.
func (l *loop) settle(ctx context.Context, outcomes []effect.Outcome) {
	l.returned(outcomes)
	l.decideOn(ctx, func(n instant.Now, eff *effect.Effects) {
		for _, o := range outcomes {
			l.core.Settle(n, o, eff)
		}
	})
}

// returned is what outcomes mean but for the core.
func (l *loop) returned(outcomes []effect.Outcome) {
	l.inflight -= len(outcomes)
	l.backlog.settled(l.at.Boot, len(outcomes))
	if slices.ContainsFunc(outcomes, func(o effect.Outcome) bool {
		return slices.ContainsFunc(o.Install, func(f effect.FailedOp) bool { return !errors.Is(f.Err, effect.ErrRefused) })
	}) {
		l.auditLate()
	}
}

// maxChanges bounds the changes of one job. Some events make thousands: what is
// kept in one commit is bounded too.
const maxChanges = 64

// carryOut does what the Effects say: datagrams that wait for nothing leave at
// once, changes and what waits for them go into the pipeline.
func (l *loop) carryOut(ctx context.Context) {
	l.begin(ctx)
	l.dispatch()
}

// begin is carryOut but for the datagrams that leave at once.
func (l *loop) begin(ctx context.Context) {
	eff := &l.turn.eff
	l.lost.count(l.core)
	l.refused.tell(l.at, l.core, eff)
	if l.silence != nil && slices.ContainsFunc(eff.Notes, func(n effect.Note) bool { return n.Kind == effect.NotePeer && n.Reason != "" }) {
		l.silence()
	}
	l.notes.take(eff)
	for _, p := range eff.Probes {
		l.probes.Go(func() { l.runProbe(ctx, p) })
	}
	if j := l.share(); j != nil {
		l.enqueue(j)
	}
	l.hold()
}

// share divides what is to be sent into what leaves now and what waits for a
// change; nil if nothing does, and nothing changes.
func (l *loop) share() *job {
	eff := &l.turn.eff
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
			l.turn.gone = make(chan struct{})
			j.left = l.turn.gone
		}
	}
	own := make([]byte, 0, octets) // the turn's memory is used again before a job is done
	for i := range eff.Sends {
		s := &eff.Sends[i]
		o := l.net.outgoing(s)
		switch {
		case s.After != 0:
			own = append(own, s.Payload...)
			o.Payload = own[len(own)-len(s.Payload):]
			j.sends = append(j.sends, waiting{s.After, s.Extends, o})
		case s.ToPeer:
			l.turn.toPeers = append(l.turn.toPeers, o)
		default:
			l.turn.toLinks = append(l.turn.toLinks, o)
		}
	}
	return j
}

// enqueue hands a job to the pipeline, in parts where it is large.
func (l *loop) enqueue(j *job) {
	for len(j.changes) > maxChanges {
		part := j.split(maxChanges)
		if !l.offer(part) {
			l.refuse(part)
			l.refuse(j)
			return
		}
	}
	if !l.offer(j) {
		l.refuse(j)
	}
}

func (l *loop) offer(j *job) bool {
	if !l.pipe.offer(j) {
		return false
	}
	l.inflight += len(j.changes)
	return true
}

// refuse is what becomes of changes for which the pipeline has no room: they
// fail at once, as if the store had. What only extends, and asks nothing of the
// kernel, leaves.
func (l *loop) refuse(j *job) {
	for _, w := range j.sends {
		if w.extends && j.onlyKeeps(w.after) {
			l.turn.toLinks = append(l.turn.toLinks, w.out)
			continue
		}
		l.net.sendFailed(w.out, fmt.Errorf("%w: %w", errNotKept, errStalled))
	}
	var undo effect.Effects
	for _, c := range j.changes {
		l.core.Settle(l.at, effect.Outcome{ID: c.ID, Keep: errStalled}, &undo)
	}
	l.notes.take(&undo)
	// What the undoing itself wants installed is found by the audit, and what it wants
	// kept is kept later.
	for i := 0; i < len(undo.Changes); i++ {
		o := effect.Outcome{ID: undo.Changes[i].ID}
		if len(undo.Changes[i].Keep) > 0 {
			o.Keep = errStalled
		}
		l.core.Settle(l.at, o, &undo)
	}
	l.auditLate()
}

const probeTimeout = 3 * time.Second

// runProbe asks one next hop; the core bounds how many there are. A probe that
// was cut short tells nothing.
func (l *loop) runProbe(ctx context.Context, p effect.Probe) {
	answers, asked := false, true
	if p.Index != 0 {
		bounded, cancel := context.WithTimeout(ctx, probeTimeout)
		answers, asked = l.probe(bounded, p)
		cancel()
	}
	if ctx.Err() != nil {
		return
	}
	select {
	case l.probed <- probeResult{p.Question, answers, asked}:
	case <-ctx.Done():
	}
}

// call runs f in the loop and waits for it. Once the loop has taken it, f runs to
// its end, whatever becomes of ctx: what f writes to is then the caller's alone.
func (l *loop) call(ctx context.Context, f func(now instant.Now, eff *effect.Effects)) error {
	done := make(chan struct{})
	whole := false
	wrapped := func(n instant.Now, eff *effect.Effects) {
		defer close(done)
		f(n, eff)
		whole = true
	}
	select {
	case l.calls <- wrapped:
	case <-l.ended:
		return errEnded
	case <-ctx.Done():
		return fmt.Errorf("relay: busy: %w", ctx.Err())
	}
	<-done
	if !whole {
		return errPanicked
	}
	return nil
}
