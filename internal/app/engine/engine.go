// Package engine drives a core, of whichever role. One goroutine, the loop, hands the core one
// event after another. Two more goroutines, the pipeline, carry out the core's Changes meanwhile:
// one keeps them, the other installs them and sends (core/effect has the order). Everything else
// only brings events: the receiver of the sockets, the watcher of links, probes, and calls.
//
//	sockets -> Inbox -> turn -+                     +-> what waits for nothing leaves
//	links, probes, calls -----+-> core -> Effects --+
//	timer, outcomes ----------+                     +-> pipeline: keep, install, send
//	     ^                                                  |
//	     +---------------------- outcomes ------------------+
//
// A panic in the core costs the event that caused it: the core is built anew from the store
// (rebuild.go). A packet that caused a panic is refused from then on (quarantine.go).
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
	Deadline() instant.Instant // when Tick has something to do
	Settle(now instant.Now, o effect.Outcome, eff *effect.Effects)
	Probed(now instant.Now, q binding.Question, answers bool, eff *effect.Effects)
	Unprobed(now instant.Now, q binding.Question, eff *effect.Effects)
	CountDrop(link int, d effect.Drop, n uint64) // counts what the engine has discarded
	Unkept() int                                 // records that the core still owes to the store
}

// Role is what an engine asks of the role that it plays. All methods but Probe and Unsent are
// called by the loop alone.
type Role[C Core] interface {
	// Build makes a core anew from the store, to take the place of the one before.
	Build(now instant.Now, eff *effect.Effects) (C, error)
	// Before is called before what was decided is carried out. It brings to the core what others
	// have counted since the last time.
	Before(now instant.Now, core C, eff *effect.Effects)
	// Tell brings notes and drops to those who want to know of them.
	Tell(eff *effect.Effects)
	// HearsExtensions reports whether anyone wants to hear of delegations that are extended.
	HearsExtensions() bool
	// LinkChanged takes in what happened to one link. LinksChanged is called after a burst of
	// such events.
	LinkChanged(core C, e netlink.Event, eff *effect.Effects)
	LinksChanged(core C)
	// Pass is called each time before the loop waits.
	Pass(at instant.Instant, core C)
	// Outgoing returns a datagram in the form that the sockets take.
	Outgoing(s *effect.Send) udp.Outgoing
	// Unsent is told of a datagram that did not leave, and why: a Withheld, or the error of the
	// socket. The datagram has been counted already.
	Unsent(o udp.Outgoing, err error)
	// Suspect tells the packets of one interface apart by whom to blame if they make the core
	// panic.
	Suspect(payload []byte) [16]byte
	// Probe asks a next hop whether it is there. If it could not be asked, asked is false, and
	// answers means nothing.
	Probe(ctx context.Context, p effect.Probe) (answers, asked bool)
}

// Kernel is what an engine asks for a comparison of the kernel: app/kernel. No method of it
// waits.
type Kernel interface {
	Soon()
	Later()         // because something could not be installed
	OthersChanged() // because another program has changed what is ours
}

// Options are what an engine is made of.
type Options[C Core] struct {
	Log     *slog.Logger
	Privacy *privacy.Rules // nil where identifiers of clients need no protection
	Role    Role[C]
	Inbox   *Inbox
	Store   Keeper
	Hosts   []Installer
	Kernel  Kernel
	Links   <-chan netlink.Event
}

// New returns an engine without a core and without sockets.
func New[C Core](o Options[C]) *Engine[C] {
	e := &Engine[C]{
		log: o.Log, privacy: o.Privacy, role: o.Role, inbox: o.Inbox, discards: o.Inbox.discards, links: o.Links, kernel: o.Kernel,
		pipe: newPipeline(o.Log, o.Store, o.Hosts), turn: new(turn), quarantine: newQuarantine(),
		probed: make(chan probeResult), calls: make(chan func(instant.Now, *effect.Effects)), ended: make(chan struct{}),
	}
	e.pipe.unsent, e.pipe.breathe = e.unsent, o.Inbox.Glance
	return e
}

// Open gives the engine its sockets, before it runs. If there are more than two processors,
// sending has goroutines of its own. cores is the number of processors.
func (e *Engine[C]) Open(in Receiver, out Sender, cores int) {
	e.inbox.open(in, cores > fewCores)
	e.out, e.pipe.out = out, out
	if cores > fewCores {
		e.senders = newSenders(e.send, e.endTurn)
	}
}

// fewCores is how many processors the loop and the pipeline keep busy by themselves.
const fewCores = 2

// Tasks returns, by name, the tasks that run until their context ends.
func (e *Engine[C]) Tasks() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"loop": e.run, "store": e.pipe.runKeep, "host": e.pipe.runInstall, "sockets": e.inbox.Run,
	}
}

// Done is closed after the engine has ended, when all that was decided has been carried out.
func (e *Engine[C]) Done() <-chan struct{} { return e.pipe.done }

// Panics returns how often the core has panicked. Only the loop may call it.
func (e *Engine[C]) Panics() uint64 { return e.quarantine.panics }

// Installed calls f in the loop, and returns once everything that was decided before is
// installed.
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

// CarryOutNow carries out what was decided before the engine runs, without the pipeline, until
// nothing is left. Routes and filter elements are installed at the same time, because no packet
// waits yet for a processor.
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

// maxPast bounds how often EndPast asks the core. Each time the core ends hundreds of bindings.
const maxPast = 4096

// EndPast has the core do what is due before the engine runs, and carries that out: it ends what
// has ended while the program did not run.
func (e *Engine[C]) EndPast(now func() instant.Now, eff *effect.Effects) {
	for range maxPast {
		at := now()
		if e.Core.Deadline() > at.Boot {
			return
		}
		eff.Reset()
		e.Core.Tick(at, eff)
		e.CarryOutNow(now, eff)
	}
}
