// Package engine drives a core, whichever it is: one goroutine, the loop, hands it one
// event after another, and two more, the pipeline, carry its Changes out behind it: one
// keeps, one installs and sends (core/effect has the order). Everything else only
// brings events: the sockets' receiver, the watcher of links, probes, and calls.
//
//	sockets -> Inbox -> turn -+                     +-> what waits for nothing leaves
//	links, probes, calls -----+-> core -> Effects --+
//	timer, outcomes ----------+                     +-> pipeline: keep, install, send
//	     ^                                                  |
//	     +---------------------- outcomes ------------------+
//
// A panic in the core costs the event that caused it: the core is built anew from the
// store (rebuild.go), and a packet that caused it is refused from then on
// (quarantine.go).
package engine

import (
	"context"
	"log/slog"

	"fairlead/internal/app/privacy"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/udp"
)

// Core is what an engine drives.
type Core interface {
	Handle(now instant.Now, p *inbound.Packet, eff *effect.Effects)
	Tick(now instant.Now, eff *effect.Effects)
	Deadline() (instant.Instant, bool)
	Settle(now instant.Now, o effect.Outcome, eff *effect.Effects)
	Probed(now instant.Now, q binding.Question, answers bool, eff *effect.Effects)
	Unprobed(now instant.Now, q binding.Question, eff *effect.Effects)
	CountDrop(link int, d effect.Drop, n uint64) // of what the engine discards
	Unkept() int                                 // records that the store has not got
}

// Role is what an engine leaves to the role that it plays. All but Probe and Unsent are
// called by the loop alone.
type Role[C Core] interface {
	// Build is a core made anew from the store, the successor of the one before.
	Build(now instant.Now, eff *effect.Effects) (C, error)
	// Before is called before what was decided is carried out: it brings the core
	// what others have counted meanwhile.
	Before(now instant.Now, core C, eff *effect.Effects)
	// Tell takes notes and drops to who wants to know of them.
	Tell(eff *effect.Effects)
	// HearsExtensions reports whether anybody hears of delegations that are extended.
	HearsExtensions() bool
	// LinkChanged takes in what happened to one link, LinksChanged follows after a burst.
	LinkChanged(core C, e netlink.Event, eff *effect.Effects)
	LinksChanged(core C)
	// Pass is called each time before the loop waits.
	Pass(at instant.Instant, core C)
	// Outgoing is a datagram as the sockets take it.
	Outgoing(s *effect.Send) udp.Outgoing
	// Unsent is told of a datagram that did not leave, and why: what held it back
	// (Withheld), or the socket's word. It is counted already.
	Unsent(o udp.Outgoing, err error)
	// Suspect tells apart, among the packets of one interface, whose fault it is if
	// they make the core panic.
	Suspect(payload []byte) [16]byte
	// Probe asks a next hop. What could not be asked is no answer.
	Probe(ctx context.Context, p effect.Probe) (answers, asked bool)
}

// Kernel is what an engine asks to compare the kernel with what is wanted: app/kernel. None of
// its methods waits.
type Kernel interface {
	Soon()
	Later()         // something could not be installed
	OthersChanged() // another program has changed what is ours
}

// Options are what an engine is made of.
type Options[C Core] struct {
	Log     *slog.Logger
	Privacy *privacy.Rules // nil: of nobody's concern
	Role    Role[C]
	Inbox   *Inbox
	Store   Keeper
	Hosts   []Installer
	Kernel  Kernel
	Links   <-chan netlink.Event
}

// New is an engine without a core and without sockets.
func New[C Core](o Options[C]) *Engine[C] {
	e := &Engine[C]{
		log: o.Log, privacy: o.Privacy, role: o.Role, inbox: o.Inbox, discards: o.Inbox.discards, links: o.Links, kernel: o.Kernel,
		pipe: newPipeline(o.Log, o.Store, o.Hosts), turn: new(turn), quarantine: newQuarantine(),
		probed: make(chan probeResult), calls: make(chan func(instant.Now, *effect.Effects)), ended: make(chan struct{}),
	}
	e.pipe.unsent, e.pipe.breathe = e.unsent, o.Inbox.Glance
	return e
}

// Open gives the engine its sockets, before it runs. Where there are more cores than
// two, sending has goroutines of its own.
func (e *Engine[C]) Open(in Receiver, out Sender, cores int) {
	e.inbox.open(in, cores > fewCores)
	e.out, e.pipe.out = out, out
	if cores > fewCores {
		e.senders = newSenders(e.send, e.endTurn)
	}
}

// fewCores is how many cores the loop and the pipeline keep busy by themselves.
const fewCores = 2

// Tasks are what runs until its context ends, by name.
func (e *Engine[C]) Tasks() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"loop": e.run, "store": e.pipe.runKeep, "host": e.pipe.runInstall, "sockets": e.inbox.Run,
	}
}

// Done is closed when all that was decided has been carried out, after the end.
func (e *Engine[C]) Done() <-chan struct{} { return e.pipe.done }

// Panics is how often the core has panicked. It belongs to the loop.
func (e *Engine[C]) Panics() uint64 { return e.quarantine.panics }

// Installed calls f in the loop, and returns once all is installed that was decided
// before.
func (e *Engine[C]) Installed(ctx context.Context, f func()) error {
	done := make(chan struct{})
	offered := false
	err := e.Call(ctx, func(instant.Now, *effect.Effects) {
		f()
		offered = e.pipe.offer(&job{look: func() { close(done) }})
	})
	if err != nil {
		return err
	}
	if !offered {
		return errStalled
	}
	select {
	case <-done:
		return nil
	case <-e.pipe.done:
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CarryOutNow carries out what was decided before the engine runs, without the
// pipeline, until nothing is left. Routes and filter elements are installed side by side:
// no packet waits yet for one of the processors.
func (e *Engine[C]) CarryOutNow(now func() instant.Now, eff *effect.Effects) {
	for range 4 {
		e.role.Tell(eff)
		if len(eff.Changes) == 0 {
			return
		}
		j := &job{changes: append([]effect.Change(nil), eff.Changes...)}
		e.pipe.commit([]*job{j})
		outcomes := e.pipe.installBy([]Installer{sideBySide(e.pipe.hosts)}, []*job{j})
		eff.Reset()
		for _, o := range outcomes {
			e.Core.Settle(now(), o, eff)
		}
	}
}

// maxPast bounds how often EndPast asks the core. Each time it ends hundreds.
const maxPast = 4096

// EndPast has the core do what is due before the engine runs, and carries that out: it ends
// what has ended while nobody looked.
func (e *Engine[C]) EndPast(now func() instant.Now, eff *effect.Effects) {
	for range maxPast {
		at := now()
		if deadline, waits := e.Core.Deadline(); !waits || deadline > at.Boot {
			return
		}
		eff.Reset()
		e.Core.Tick(at, eff)
		e.CarryOutNow(now, eff)
	}
}
