// Package kernel keeps the kernel as the roles of the process want it. Before the first socket
// opens, it brings the kernel to what was kept; as long as the process runs, it compares the two.
// Each role that wants something from the kernel has a Part. What no part wants is removed: an
// earlier process has left it.
package kernel

import (
	"cmp"
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
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/nft"
	"fairlead/internal/host/store"
)

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
	families map[config.Family]int // how many parts each has
	parts    []Engine              // that were restored
	gone     chan []hoststate.Op   // what a part has taken out, while another might want it

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
	k := &Kernel{o: o, comparer: newComparer(&o), families: make(map[config.Family]int), gone: make(chan []hoststate.Op, goneAtOnce)}
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

// Begin brings the kernel to what the parts were restored with, before their engines run and
// before the first socket opens.
func (k *Kernel) Begin() error {
	for _, p := range k.parts {
		k.comparer.parts = append(k.comparer.parts, p)
	}
	if k.nothing && k.unexplained == "" {
		k.installDelegated()
		return nil
	}
	if err := k.bringTo(); err != nil {
		return err
	}
	k.tellOfOrphans(service.Now())
	return nil
}

// installDelegated installs everything that was restored. The kernel has nothing to compare it
// with. The first comparison knows from the filter's Version that the filter has only what was
// installed here.
func (k *Kernel) installDelegated() {
	n := 0
	for _, p := range k.parts {
		var eff effect.Effects
		n += p.Kernel().InstallDelegated(&eff, func() { p.CarryOutNow(service.Now, &eff) })
	}
	k.o.Told.Info("kernel brought to what was kept", "differences", n)
	k.comparer.seen = k.version
}

// bringTo compares what was restored with what the kernel has, and mends the differences. If the
// filter table belongs to this store, its elements are left to the first comparison, during which
// packets pass, because reading them takes seconds. There are two exceptions: delegations on
// point-to-point interfaces wait for their proof, and so the filter may let another client's
// packets pass; or the table does not belong to this store, and so its elements have to be
// explained.
func (k *Kernel) bringTo() error {
	read := k.o.actual
	unproved := func(p Engine) bool { return p.Kernel().Counts().Unproved > 0 }
	if bare, _ := k.o.Filter.Bare(); !bare && k.unexplained == "" && !slices.ContainsFunc(k.parts, unproved) {
		read = k.o.actualRoutes
		k.comparer.goesOn = true
	}
	reading, err := read()
	if err != nil {
		return err
	}
	differences, leftOver := 0, 0
	for _, p := range k.parts {
		comparison := p.Kernel().Compare()
		for done := false; !done; {
			var eff effect.Effects
			var found []hoststate.Finding
			found, done, _ = p.Kernel().ComparePart(comparison, reading, &eff)
			differences += len(found)
			p.CarryOutNow(service.Now, &eff)
		}
	}
	for gone := range reading.LeftOver(leftAtOnce) {
		differences += len(gone)
		for _, op := range gone {
			if op.Route != nil {
				leftOver++
			}
		}
		if err := k.o.carryOut(gone); err != nil { // which the first comparison tries again
			k.o.Told.Warn("what is left of an earlier process is not removed yet", "error", err)
		}
	}
	if differences > 0 {
		k.o.Told.Info("kernel brought to what was kept", "differences", differences)
	}
	if there, _ := k.o.Filter.Found(); !there && leftOver > 0 {
		k.o.Told.Warn("routes of ours that the store does not explain were removed: the kernel had no filter table of ours, so the store is believed", "routes", leftOver)
	}
	return nil
}

// carryOut carries out operations that belong to no part.
func (o *Options) carryOut(ops []hoststate.Op) (err error) {
	for _, host := range []engine.Installer{o.Routes, o.Filter} {
		broken := host.Apply(ops, func(_ int, why error) { err = errors.Join(err, why) })
		err = errors.Join(err, broken)
	}
	return err
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

// Tasks are what runs once Begin has returned.
func (k *Kernel) Tasks() map[string]process.Task {
	return map[string]process.Task{"compare": k.comparer.run, "filter": k.comparer.watch, "parts": k.askOthers}
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
