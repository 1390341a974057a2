// Package protect keeps the hops of a configuration protected (RFC 8213). It looks at strongSwan,
// at XFRM and at the guard table once a second, and whenever strongSwan or the kernel tells of a
// change. It asks core/hop what to do, and does it. The relay daemon and "fairlead guard" run it,
// each for its own peers.
//
// Two barriers come first: the guard table, and policies of XFRM that block. They are in the
// kernel before Open returns, and stay when the process ends, so that nothing passes in clear
// meanwhile. A Supervisor is safe for concurrent use.
package protect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"fairlead/internal/app/service"
	"fairlead/internal/core/hop"
	"fairlead/internal/core/instant"
	"fairlead/internal/host/ipsec"
	"fairlead/internal/host/nft"
)

// Settings are the part of a configuration that is about protection.
type Settings struct {
	Hops   []hop.Hop
	Others bool       // relayed messages from senders that are no peers are let through
	Open   []hop.Open // peers from which messages may come in clear
	Remove bool       // at the end, what is ours is taken out of strongSwan and XFRM; the guard stays
}

// guards reports whether there is anything to guard.
func (s *Settings) guards() bool { return len(s.Hops) > 0 || !s.Others }

// find is the hop of that name. The monitor asks only for hops that it was given.
func (s *Settings) find(name string) *hop.Hop {
	return &s.Hops[slices.IndexFunc(s.Hops, func(h hop.Hop) bool { return h.Name == name })]
}

// strongswan is host/ipsec's Strongswan.
type strongswan interface {
	Load(ctx context.Context, hops []hop.Hop) error
	Unload(ctx context.Context) error
	Initiate(ctx context.Context, h *hop.Hop, selector string) error
	Terminate(ctx context.Context, ike ...uint32) error
	Reinstall(ctx context.Context, h *hop.Hop) error
	Observe(ctx context.Context) (hop.Charon, error)
	Events(ctx context.Context) <-chan hop.Event
	Close()
}

// xfrm is host/ipsec's Kernel.
type xfrm interface {
	Install(hops []hop.Hop) error
	Remove() error
	SetBlockPolicies(hops []hop.Hop) error
	Unblocked() (string, error)
	Observe() (hop.Kernel, error)
	VRF(hops []hop.Hop) map[string]bool
	Close() error
}

// guard is host/nft's Guard.
type guard interface {
	Install(hops []hop.Hop, others bool, open ...hop.Open) error
	Observe() (hop.Guard, error)
	Remove() error
	Close() error
}

// Supervisor keeps hops protected.
type Supervisor struct {
	log    *slog.Logger
	note   func(hop.Note)
	charon strongswan
	xfrm   xfrm
	guard  guard
	now    func() instant.Now
	every  time.Duration
	kick   chan struct{}
	gate   *gate

	judged    func() bool                  // Options.Judged
	xfrmHeard heard                        // nil: the kernel tells nothing
	hearGuard func() (guardNotices, error) // begins to listen for changes of the guard's tables; nil: nothing is told

	looking sync.Mutex // held during one look or one change of settings

	mu        sync.Mutex // guards all following fields
	settings  Settings
	installed bool      // settings have been installed before
	leaving   []hop.Hop // hops that have left the settings, and are guarded until Release
	monitor   *hop.Monitor
	strangers hop.Traffic
	frames    string // why packet sockets of other programs are not held back; empty: they are
	states    []hop.State
}

// Options say how to open a Supervisor.
type Options struct {
	Owner  hop.Owner
	Socket string         // strongSwan's; empty: where its packages have it
	Log    *slog.Logger   // must not be nil
	Note   func(hop.Note) // called by Run for every event; nil: only the log gets them
	Filter *nft.Table     // the table of this process, whose changes are ignored here; nil: there is none

	// Judged has everything that came so far judged, which asks May, and reports whether it
	// could. Run calls it before it opens a hop: else a message could be believed that came
	// before the hop was protected and was read after. nil: nobody asks May.
	Judged func() bool
}

// heard wakes a goroutine when the kernel tells something.
type heard interface {
	Wait(ctx context.Context) error
	Close() error
}

// guardNotices is host/nft's Notices.
type guardNotices interface {
	heard
	Read() (changed bool)
}

// Open installs the guard, in the network namespace of the calling thread, and the keys that are
// in the configuration. strongSwan need not run yet.
func Open(o Options, s Settings) (*Supervisor, error) {
	table, err := nft.OpenGuard(o.Owner)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	kernel, err := ipsec.OpenKernel(o.Owner)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ipsec: %w", err), table.Close())
	}
	charon := ipsec.Open(ipsec.Options{Socket: o.Socket, Owner: o.Owner, Logger: o.Log})
	v := newSupervisor(o, charon, kernel, table)
	// This comes before the first look, so that no change is missed.
	if err := v.hear(); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	v.hearGuard = func() (guardNotices, error) { return nft.OpenNotices(o.Owner, o.Filter) }
	if err := v.install(s); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// hear begins to listen for changes of XFRM.
func (v *Supervisor) hear() error {
	changes, err := ipsec.OpenNotices()
	if err != nil {
		return err
	}
	if changes != nil {
		v.xfrmHeard, v.gate.told = changes, changes
	}
	return nil
}

// May reports whether user space may send a message between two addresses, or believe one that
// came. For a protected peer it may only while the kernel has policies that demand ESP in both
// directions, and SAs in both directions that are known to be made with the keys of the
// configuration. May takes into account everything that the kernel has told before.
func (v *Supervisor) May(local, remote netip.Addr) bool { return v.gate.may(local, remote) }

// interval is the time between two looks at everything.
const interval = time.Second

func newSupervisor(o Options, charon strongswan, kernel xfrm, table guard) *Supervisor {
	note := o.Note
	if note == nil {
		note = func(hop.Note) {}
	}
	judged := o.Judged
	if judged == nil {
		judged = func() bool { return true }
	}
	v := &Supervisor{
		judged: judged,
		log:    o.Log, note: note, charon: charon, xfrm: kernel, guard: table, now: service.Now, every: interval,
		kick: make(chan struct{}, 1), monitor: hop.NewMonitor(nil),
	}
	v.gate = newGate(nil, v.look)
	return v
}

// Close closes what Open opened. What was installed in the kernel stays.
func (v *Supervisor) Close() error {
	v.charon.Close()
	var errs []error
	if v.xfrmHeard != nil {
		errs = append(errs, v.xfrmHeard.Close())
	}
	return errors.Join(append(errs, v.xfrm.Close(), v.guard.Close())...)
}

// install installs the guard and the manual keys. New hops are guarded before anything else is
// done for them, and hops that leave the settings are guarded until Release.
func (v *Supervisor) install(s Settings) error {
	v.mu.Lock()
	before, first := v.settings, !v.installed
	leaving := gone(slices.Concat(before.Hops, v.leaving), s.Hops)
	v.installed = true
	v.mu.Unlock()
	if err := v.setBarriers(&s, leaving); err != nil {
		return err
	}
	if err := v.xfrm.Install(s.Hops); err != nil {
		// The guard holds; the monitor tries again, and reports it. Without XFRM in the kernel,
		// those who do not need it have no problem.
		v.log.Debug("manual keys not installed", "error", err)
	}
	v.reopen(slices.Concat(s.Hops, leaving))
	v.mu.Lock()
	v.settings, v.leaving = s, leaving
	v.monitor.Reconfigure(s.Hops)
	v.states = v.monitor.States()
	v.mu.Unlock()
	switch {
	case usesIKE(s.Hops):
	case usesIKE(before.Hops):
		v.tellOf(slog.LevelWarn, v.unload())
	case first: // an earlier process may have left something; without IKE we may have no rights to strongSwan
		v.tellOf(slog.LevelDebug, v.unload())
	}
	for i := range s.Hops {
		if s.Hops[i].Manual != nil {
			v.log.Warn("manual keys: replayed packets are not detected, and whoever finds a key out reads everything; IKE has neither weakness (RFC 8213 section 4)",
				"peer", s.Hops[i].Peer)
		}
	}
	return nil
}

// reopen gives the gate its hops. Hops for which the kernel already has what they need are open
// at once, as where manual keys roll over.
func (v *Supervisor) reopen(hops []hop.Hop) {
	var has hop.Kernel
	began := v.gate.begin()
	if len(hops) > 0 {
		var err error
		if has, err = v.xfrm.Observe(); err != nil {
			v.log.Debug("the kernel's SAs cannot be read", "error", err)
		}
	}
	v.gate.configure(hops, has, began)
}

// Reconfigure takes new settings. New hops are guarded when it returns; their connections come
// later. Hops that have left the settings are guarded until Release, because the sender may not
// know of the change yet.
func (v *Supervisor) Reconfigure(s Settings) error {
	v.looking.Lock()
	defer v.looking.Unlock()
	if err := v.install(s); err != nil {
		return err
	}
	if usesIKE(s.Hops) {
		v.do(context.Background(), hop.Action{Kind: hop.Load, Why: "new configuration"})
	}
	v.look()
	return nil
}

// Release ends the guard of hops that the settings had before the last Reconfigure: nobody sends
// there any more, or is now permitted to send in clear.
func (v *Supervisor) Release() {
	v.looking.Lock()
	defer v.looking.Unlock()
	v.mu.Lock()
	s, held := v.settings, v.leaving
	v.mu.Unlock()
	if len(held) == 0 {
		return
	}
	if err := v.setBarriers(&s, nil); err != nil {
		v.log.Warn("peers that are no more are still held back", "error", err)
		return
	}
	v.reopen(s.Hops)
	v.mu.Lock()
	v.leaving = nil
	v.mu.Unlock()
}

func usesIKE(hops []hop.Hop) bool {
	return slices.ContainsFunc(hops, func(h hop.Hop) bool { return h.IKE != nil })
}

// look asks Run to look soon.
func (v *Supervisor) look() {
	select {
	case v.kick <- struct{}{}:
	default:
	}
}

const (
	maxEvents = 256                    // taken in by one look
	gather    = 100 * time.Millisecond // from an event to the look, so that the next events are taken in as well
)

// Run looks and acts until ctx ends.
func (v *Supervisor) Run(ctx context.Context) error {
	var listeners sync.WaitGroup
	defer listeners.Wait()
	listeners.Go(func() { v.listen(ctx, v.xfrmHeard, v.gate.listen) })
	if v.hearGuard != nil {
		// This comes after the first look, which is still to come. While anybody listens, the
		// kernel writes a notice for each element of every table, and a relay may restore
		// hundreds of thousands of them at its start.
		tables, err := v.hearGuard()
		if err != nil {
			return err
		}
		defer tables.Close()
		listeners.Go(func() {
			v.listen(ctx, tables, func() {
				if tables.Read() {
					v.look()
				}
			})
		})
	}
	ear := ear{charon: v.charon}
	tick := time.NewTicker(v.every)
	defer tick.Stop()
	v.look()
	var seen []hop.Event
	var gathered <-chan time.Time
	for {
		ear.listen(ctx, usesIKE(v.current().Hops))
		select {
		case <-ctx.Done():
			ear.listen(ctx, false)
			v.end()
			return nil
		case <-tick.C:
		case <-v.kick:
		case <-gathered:
		case e, ok := <-ear.events:
			if !ok {
				ear.listen(ctx, false)
				continue
			}
			if len(seen) < maxEvents {
				seen = append(seen, e)
			}
			if gathered == nil {
				gathered = time.After(gather)
			}
			continue
		}
		gathered = nil
		v.looking.Lock()
		v.step(ctx, seen)
		v.looking.Unlock()
		seen = seen[:0]
	}
}

// listen takes in what the kernel tells until ctx ends.
func (v *Supervisor) listen(ctx context.Context, told heard, take func()) {
	if told == nil {
		return
	}
	for told.Wait(ctx) == nil {
		take()
	}
}

func (v *Supervisor) end() {
	v.looking.Lock()
	defer v.looking.Unlock()
	if !v.current().Remove {
		return
	}
	v.tellOf(slog.LevelWarn, v.unload())
	if err := v.xfrm.Remove(); err != nil {
		v.log.Error("manual keys not removed", "error", err)
	}
}

func (v *Supervisor) current() Settings {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.settings
}

// looks is how often one step looks at the hops, at most, until the kernel tells of no change
// of a closed one meanwhile. If it tells of one each time, the next step goes on.
const looks = 3

// step looks once, and does what is needed.
func (v *Supervisor) step(ctx context.Context, events []hop.Event) {
	settings := v.current()
	if !settings.guards() {
		return
	}
	seen := &hop.Seen{Events: events}
	v.observeGuard(ctx, seen)
	for range looks {
		began := v.gate.begin()
		v.observe(ctx, settings.Hops, seen)
		if v.gate.see(seen, began, v.judged) {
			break
		}
		v.look()
	}
	v.mu.Lock()
	actions, notes := v.monitor.Observe(v.now(), seen)
	v.states = v.monitor.States()
	frames := v.frames
	if seen.Guard != nil {
		v.strangers, v.frames = seen.Guard.Strangers, seen.Guard.Frames
	}
	unguarded := v.frames != frames && v.frames != ""
	frames = v.frames
	v.mu.Unlock()
	if unguarded {
		v.log.Warn("what programs send to peers by packet sockets is not held back", "why", frames)
	}
	for _, n := range notes {
		v.tell(n)
	}
	hangs := false
	for _, a := range actions {
		if hangs && asksStrongswan(a.Kind) {
			continue // the monitor asks for it again
		}
		hangs = v.do(ctx, a) || hangs
	}
}

// States are the hops as operators see them, in the order of the configuration.
func (v *Supervisor) States() []hop.State {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.states)
}

// Strangers are the packets that the guard has dropped because their sender is no peer.
func (v *Supervisor) Strangers() hop.Traffic {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.strangers
}

// Frames is why messages that other programs send to peers by packet sockets are not held back.
// It is empty where they are.
func (v *Supervisor) Frames() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.frames
}
