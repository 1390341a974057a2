// Package kernel keeps the kernel as the roles of the process want it. Before the first socket
// opens, it brings the kernel to what was kept; as long as the process runs, it compares the two.
// Each family is the part of one role. If no role serves a family, what an earlier process has
// left of that family is removed.
package kernel

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/engine"
	"fairlead/internal/app/process"
	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/nft"
	"fairlead/internal/host/store"
)

// Part is the part of one role: an engine, with the core that it drives.
type Part interface {
	compared
	CarryOutNow(now func() instant.Now, eff *effect.Effects)
}

// Core is a core that wants something from the kernel.
type Core interface {
	engine.Core
	Kernel() ledger.Kernel
}

// Of is the part of an engine.
func Of[C Core](e *engine.Engine[C]) Part { return part[C]{e} }

type part[C Core] struct{ *engine.Engine[C] }

// Kernel is of compared.
func (p part[C]) Kernel() ledger.Kernel { return p.Core.Kernel() }

// Options are what a Kernel is made of.
type Options struct {
	Told   *slog.Logger // those who watch are told of its warnings
	Log    *slog.Logger // the same for what they are told of otherwise
	Feed   *control.Feed
	Config func() *config.Config
	BootID string
	Store  *store.Store
	Routes *netlink.Conn
	Filter *nft.Table
}

// Kernel is what all roles want from the kernel. The loops of engines call Soon, Later and
// OthersChanged, which never wait.
type Kernel struct {
	o        Options
	comparer *comparer
	parts    map[config.Family]compared

	// The state before any role had begun.
	nothing     bool        // the kernel had nothing of ours, as after a reboot
	version     nft.Version // of the filter, if it had nothing
	unexplained string
	until       instant.Instant

	mu        sync.Mutex // guards filterErr
	filterErr error
}

// Open finds out what the kernel has of ours, before any role has begun.
func Open(o Options) (*Kernel, error) {
	k := &Kernel{o: o, comparer: newComparer(&o), parts: make(map[config.Family]compared)}
	bare, version := o.Filter.Bare()
	if bare {
		routes, err := o.Routes.Routes()
		if err != nil {
			return nil, err
		}
		k.nothing, k.version = len(routes) == 0, version
	}
	return k, k.match(service.Now())
}

// Hosts are where Changes are installed.
func (k *Kernel) Hosts() []engine.Installer { return []engine.Installer{k.o.Routes, k.o.Filter} }

// Restore makes a part that of a family, and brings the kernel to what was restored of it, before
// the part's engine runs.
func (k *Kernel) Restore(of config.Family, p Part) error {
	k.parts[of] = p
	if k.nothing && k.unexplained == "" {
		k.installDelegated(p)
		return nil
	}
	return k.bringTo(p)
}

// installDelegated installs everything that was restored. The kernel has nothing to compare it
// with. The first comparison knows from the filter's Version that the filter has only what was
// installed here.
func (k *Kernel) installDelegated(p Part) {
	var eff effect.Effects
	n := p.Kernel().InstallDelegated(&eff, func() { p.CarryOutNow(service.Now, &eff) })
	k.o.Told.Info("kernel brought to what was kept", "differences", n)
	k.comparer.seen = k.version
}

// bringTo compares what was restored with what the kernel has, and mends the differences. If the
// filter table belongs to this store, its elements are left to the first comparison, during which
// packets pass, because reading them takes seconds. There are two exceptions: delegations on
// point-to-point interfaces wait for their proof, and so the filter may let another client's
// packets pass; or the table does not belong to this store, and so its elements have to be
// explained.
func (k *Kernel) bringTo(p Part) error {
	read := k.o.actual
	if bare, _ := k.o.Filter.Bare(); !bare && k.unexplained == "" && p.Kernel().Counts().Unproved == 0 {
		read = k.o.actualRoutes
		k.comparer.goesOn = true
	}
	reading, err := read()
	if err != nil {
		return err
	}
	differences, leftOver := 0, 0
	comparison := p.Kernel().Compare()
	for done := false; !done; {
		var eff effect.Effects
		var found []hoststate.Finding
		found, done, _ = p.Kernel().ComparePart(comparison, reading, &eff)
		differences += len(found)
		for _, f := range found {
			if f.Kind == hoststate.LeftOver && f.Route != nil {
				leftOver++
			}
		}
		p.CarryOutNow(service.Now, &eff)
	}
	if differences > 0 {
		k.o.Told.Info("kernel brought to what was kept", "differences", differences)
	}
	if there, _ := k.o.Filter.Found(); !there && leftOver > 0 {
		k.o.Told.Warn("routes of ours that the store does not explain were removed: the kernel had no filter table of ours, so the store is believed", "routes", leftOver)
	}
	return nil
}

// actual reads back what of ours the kernel has.
func (o *Options) actual() (*hoststate.Reading, error) {
	r := hoststate.NewReading()
	routes, err := o.Routes.Routes()
	if err != nil {
		return nil, err
	}
	for i := range routes {
		r.AddRoute(routes[i])
	}
	return r, o.Filter.Elements(r.AddElement)
}

// actualRoutes reads back our routes.
func (o *Options) actualRoutes() (*hoststate.Reading, error) {
	routes, err := o.Routes.Routes()
	return hoststate.OfRoutes(routes), err
}

// Tasks are what runs once all roles have restored what was kept.
func (k *Kernel) Tasks() map[string]process.Task {
	for _, family := range []config.Family{config.DHCPv6, config.DHCPv4} {
		if k.parts[family] == nil {
			k.parts[family] = newNobody(k, family)
		}
		k.comparer.parts = append(k.comparer.parts, k.parts[family])
	}
	return map[string]process.Task{"compare": k.comparer.run, "filter": k.comparer.watch}
}

// Soon has the kernel compared with what is wanted: something of ours has happened.
func (k *Kernel) Soon() { k.comparer.soon() }

// Later has the kernel compared after some time: something could not be installed.
func (k *Kernel) Later() { k.comparer.inAWhile() }

// OthersChanged has the kernel compared, because another program has changed what is ours.
func (k *Kernel) OthersChanged() { k.comparer.othersChanged() }

// Count fills in the figures of the filter and of comparisons.
func (k *Kernel) Count(c *api.Counters) {
	k.comparer.count(c)
	var err error // another program may have flushed the rule set: Trouble reports that
	c.FilterDrops, err = k.o.Filter.Dropped()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.filterErr = err
}

// Trouble tells an operator what is wrong.
func (k *Kernel) Trouble() (words []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.filterErr != nil {
		words = append(words, "filter: "+k.filterErr.Error())
	}
	if trouble := k.comparer.trouble(); trouble != "" {
		words = append(words, trouble)
	}
	return words
}

// Spoofed is what was dropped for its source, by link. It is empty where the table is missing
// because another program has flushed the rule set: Trouble reports that.
func (k *Kernel) Spoofed() map[string]nft.Spoofed {
	all, err := k.o.Filter.Spoofed()
	if err != nil {
		return nil
	}
	return all
}

// SpoofedOn are the links on which packets were lately dropped for their source, by name.
func (k *Kernel) SpoofedOn() []api.SpoofedOn {
	found := []api.SpoofedOn{}
	for _, s := range k.Spoofed() {
		if last := control.SpoofedOf(&s, time.Now()); last != nil {
			found = append(found, api.SpoofedOn{Link: s.Link, Packets: s.Packets, Last: *last})
		}
	}
	slices.SortFunc(found, func(a, b api.SpoofedOn) int { return cmp.Compare(a.Link, b.Link) })
	return found
}

// nobody stands for a family that no role of this process serves: nothing is wanted from the
// kernel for it.
type nobody struct {
	ledger *ledger.Ledger
	hosts  []engine.Installer
}

func newNobody(k *Kernel, of config.Family) *nobody {
	state := hoststate.New()
	if of == config.DHCPv4 {
		state = hoststate.NewIPv4()
	}
	return &nobody{ledger.New(nil, state, ledger.Core{}, "", k.o.BootID), k.Hosts()}
}

// Kernel is of compared.
func (n *nobody) Kernel() ledger.Kernel { return n.ledger.Kernel() }

// Call is of compared. It calls f at once, and carries out what f has decided.
func (n *nobody) Call(_ context.Context, f func(instant.Now, *effect.Effects)) error {
	var eff effect.Effects
	f(service.Now(), &eff)
	return n.carryOut(&eff)
}

func (n *nobody) carryOut(eff *effect.Effects) (err error) {
	for _, c := range eff.Changes {
		for _, host := range n.hosts {
			err = errors.Join(err, host.Apply(c.Host, func(_ int, why error) { err = errors.Join(err, why) }))
		}
		n.ledger.Settle(service.Now(), effect.Outcome{ID: c.ID}, new(effect.Effects))
	}
	return err
}

// Installed is of compared. Nothing is ever under way.
func (n *nobody) Installed(_ context.Context, f func()) error {
	f()
	return nil
}

// Panics is of compared: there is no core.
func (n *nobody) Panics() uint64 { return 0 }
