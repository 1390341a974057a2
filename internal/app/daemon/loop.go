package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/clock"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/udp"
)

// loop is the one goroutine that owns the core. Everything else hands it
// events: datagrams, link events, outcomes, probe results, and calls of the
// control interface.
type loop struct {
	log   *slog.Logger
	core  *relay6.Relay
	build func(now instant.Now, eff *relay6.Effects) (*relay6.Relay, error) // the core anew, from the store
	pipe  *pipeline
	net   *network
	notes *notes
	probe func(ctx context.Context, p relay6.Probe) bool

	datagrams chan []udp.Datagram
	handled   chan struct{}
	links     <-chan netlink.Event
	probed    chan probeResult
	calls     chan func(now instant.Now, eff *relay6.Effects)
	auditDue  func()

	eff      relay6.Effects
	out      []udp.Outgoing
	inflight int // changes in the pipeline

	guard   guard
	planted func(*relay6.Packet) // tests plant panics here
}

type probeResult struct {
	hop     delegation.NextHop
	answers bool
}

func now() instant.Now {
	c := clock.Now()
	return instant.Now{Boot: instant.Instant(c.Boot), Wall: c.Wall, Synced: c.Synced}
}

// idle is the longest that the loop sleeps: the watchdog and the clock's
// settling want a look now and then.
const idle = 5 * time.Second

// run ends with ctx. The pipeline then finishes what was decided and ends too.
func (l *loop) run(ctx context.Context) error {
	defer close(l.pipe.jobs)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case batch := <-l.datagrams:
			l.handle(batch)
			l.carryOut(ctx)
			l.handled <- struct{}{}
		case e, ok := <-l.links:
			if !ok {
				l.links = nil
				continue
			}
			l.linkEvents(e)
			l.carryOut(ctx)
		case outcomes := <-l.pipe.outcomes:
			l.settle(outcomes)
			l.carryOut(ctx)
		case p := <-l.probed:
			l.eff.Reset()
			l.core.Probed(now(), p.hop, p.answers, &l.eff)
			l.carryOut(ctx)
		case call := <-l.calls:
			l.eff.Reset()
			call(now(), &l.eff)
			l.carryOut(ctx)
		case <-timer.C:
			l.eff.Reset()
			l.core.Tick(now(), &l.eff)
			l.carryOut(ctx)
		}
		timer.Reset(l.sleep())
	}
}

func (l *loop) sleep() time.Duration {
	at, ok := l.core.Deadline()
	if !ok {
		return idle
	}
	return min(idle, max(0, now().Until(at)))
}

// handle lets the core decide on a batch. A packet that makes it panic costs
// that packet: what the others wanted is kept, and the core is built anew from
// the store.
func (l *loop) handle(batch []udp.Datagram) {
	l.eff.Reset()
	n := now()
	for i := range batch {
		d := &batch[i]
		p := relay6.Packet{
			Link: d.Link, Source: d.Source, Dest: d.Dest, LinkLayer: linkLayer(d),
			HardwareType: d.HardwareType, Payload: d.Payload,
		}
		if drop, refused := l.guard.refuses(&p, n.Boot); refused {
			l.core.CountDrop(p.Link, drop)
			continue
		}
		if cause := l.decide(n, &p); cause != nil {
			l.rebuild(n, &p, cause)
		}
	}
}

func (l *loop) decide(n instant.Now, p *relay6.Packet) (cause any) {
	mark := l.eff.Mark()
	defer func() {
		if cause = recover(); cause != nil {
			l.log.Error("panic while deciding on a packet: it is refused from now on", "panic", cause, "stack", string(debug.Stack()))
			l.eff.Rewind(mark)
		}
	}()
	if l.planted != nil {
		l.planted(p)
	}
	l.core.Handle(n, p, &l.eff)
	return nil
}

// rebuild makes the core anew from the store, once everything that was decided
// is kept.
func (l *loop) rebuild(n instant.Now, p *relay6.Packet, cause any) {
	l.guard.panicked(p, n.Boot)
	l.carryOut(context.Background())
	for l.inflight > 0 {
		l.inflight -= len(<-l.pipe.outcomes)
	}
	l.eff.Reset()
	core, err := l.build(n, &l.eff)
	if err != nil {
		// Without the store the old core is the only one there is.
		l.log.Error("core not rebuilt: going on with the old one", "error", err, "panic", cause)
		l.eff.Reset()
		return
	}
	l.core = core
	l.notes.rebuilt()
}

func (l *loop) linkEvents(e netlink.Event) {
	l.eff.Reset()
	audit := l.linkEvent(e)
	for more := true; more; {
		select {
		case e, ok := <-l.links:
			if !ok {
				l.links, more = nil, false
				break
			}
			audit = l.linkEvent(e) || audit
		default:
			more = false
		}
	}
	l.net.update(l.core)
	if audit {
		l.auditDue()
	}
}

func (l *loop) linkEvent(e netlink.Event) (audit bool) {
	switch {
	case e.Link != nil:
		l.net.know(*e.Link)
		l.core.SetLink(*e.Link, &l.eff)
	case e.Removed != "":
		l.net.forget(e.Removed)
		l.core.RemoveLink(e.Removed, &l.eff)
	default:
		return true
	}
	return false
}

func (l *loop) settle(outcomes []relay6.Outcome) {
	l.eff.Reset()
	l.inflight -= len(outcomes)
	n := now()
	failed := false
	for _, o := range outcomes {
		failed = failed || o.Keep != nil || len(o.Install) > 0
		l.core.Settle(n, o, &l.eff)
	}
	if failed {
		l.auditDue()
	}
}

// carryOut does what the Effects say: datagrams that wait for nothing leave at
// once, changes and what waits for them go into the pipeline.
func (l *loop) carryOut(ctx context.Context) {
	l.notes.take(&l.eff)
	l.out = l.out[:0]
	j := &job{changes: l.eff.Changes}
	for i := range l.eff.Sends {
		s := &l.eff.Sends[i]
		o := l.net.outgoing(s)
		if s.After == 0 {
			l.out = append(l.out, o)
			continue
		}
		o.Payload = append([]byte(nil), s.Payload...)
		j.sends = append(j.sends, waiting{s.After, s.Extends, o})
	}
	if len(l.out) > 0 {
		l.net.send(l.out)
	}
	for _, p := range l.eff.Probes {
		go l.runProbe(ctx, p)
	}
	if len(j.changes) == 0 && len(j.sends) == 0 {
		return
	}
	j.changes = append([]relay6.Change(nil), l.eff.Changes...)
	if l.pipe.offer(j) {
		l.inflight += len(j.changes)
		return
	}
	l.refuse(ctx, j)
}

// refuse is what becomes of changes for which the pipeline has no room: they
// fail at once, as if the store had.
func (l *loop) refuse(ctx context.Context, j *job) {
	for _, w := range j.sends {
		l.net.sendFailed(w.out, errStalled)
	}
	l.eff.Reset()
	n := now()
	for _, c := range j.changes {
		l.core.Settle(n, relay6.Outcome{ID: c.ID, Keep: errStalled}, &l.eff)
	}
	l.notes.take(&l.eff)
	// What the undoing itself wants installed is found by the audit.
	for _, c := range l.eff.Changes {
		l.core.Settle(n, relay6.Outcome{ID: c.ID}, &l.eff)
	}
	l.auditDue()
}

const probeTimeout = 3 * time.Second

// runProbe asks one next hop; the core bounds how many there are.
func (l *loop) runProbe(ctx context.Context, p relay6.Probe) {
	answers := false
	if p.Index != 0 {
		bounded, cancel := context.WithTimeout(ctx, probeTimeout)
		answers = l.probe(bounded, p)
		cancel()
	}
	select {
	case l.probed <- probeResult{p.Hop, answers}:
	case <-ctx.Done():
	}
}

// call runs f in the loop and waits for it.
func (l *loop) call(ctx context.Context, f func(now instant.Now, eff *relay6.Effects)) error {
	done := make(chan struct{})
	wrapped := func(n instant.Now, eff *relay6.Effects) {
		defer close(done)
		f(n, eff)
	}
	select {
	case l.calls <- wrapped:
	case <-ctx.Done():
		return fmt.Errorf("relay: busy: %w", ctx.Err())
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("relay: busy: %w", ctx.Err())
	}
}

// receive brings datagrams to the loop, batch by batch: the buffers are the
// socket's, so the next batch is taken once the loop is done with this one.
func (l *loop) receive(ctx context.Context, conn *udp.Conn) error {
	batch := make([]udp.Datagram, 128)
	for {
		n, err := conn.Receive(batch)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("sockets: %w", err)
		}
		select {
		case l.datagrams <- batch[:n]:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-l.handled:
		case <-ctx.Done():
			return nil
		}
	}
}
