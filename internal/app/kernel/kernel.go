// Package kernel keeps routes and filter in the kernel as the roles of the process want them. Before
// the first socket opens, it installs what was kept. While the process runs, it compares the kernel
// with what is wanted. Each role that wants something of the kernel has a Part. What no part wants
// was left by an earlier process, and is removed.
package kernel

import (
	"cmp"
	"errors"
	"fmt"
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
	Told   *slog.Logger // its warnings are also events for those who watch
	Log    *slog.Logger // for warnings of which Kernel makes events itself
	Feed   *control.Feed
	Config func() *config.Config
	BootID string
	Store  *store.Store
	Routes *netlink.Conn
	Filter *nft.Table
}

// Kernel has the parts of all roles. The loops of engines call Soon, Later and OthersChanged, which
// never wait.
type Kernel struct {
	o        Options
	comparer *comparer
	families map[config.Family]int // how many parts each family has
	parts    []Engine              // those that were restored
	gone     chan []hoststate.Op   // removals of one part, which the other parts are to be asked about

	// The state before any role had begun.
	nothing     bool        // the kernel had nothing of ours, as after a reboot
	version     nft.Version // of the filter, if it had nothing of ours
	unexplained string      // see Unexplained
	until       instant.Instant

	mu        sync.Mutex // guards filterErr
	filterErr error
}

// Open finds out whether the kernel has anything of ours. It is called before any role begins.
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

// Begin makes the kernel have what was restored. It is called before the engines run and before the
// first socket opens.
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

// installDelegated installs everything that was restored. It compares nothing, since the kernel has
// nothing of ours. The filter's Version tells the first comparison that nobody else has changed the
// filter since.
func (k *Kernel) installDelegated() {
	n := 0
	for _, p := range k.parts {
		var eff effect.Effects
		n += p.Kernel().InstallDelegated(&eff, func() { p.CarryOutNow(service.Now, &eff) })
	}
	k.o.Told.Info("kernel brought to what was kept", "differences", n)
	k.comparer.seen = k.version
}

// bringTo compares what was restored with what the kernel has, and mends the differences. Reading
// the filter's elements takes seconds, so they are left to the first comparison, while the process
// serves already. There are two exceptions. If a delegation on a point-to-point interface is
// unproved, its element might let another client's packets pass. If the store does not explain what
// the kernel has, the elements are needed to find the orphans.
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
		if err := k.o.carryOut(gone); err != nil { // the first comparison tries it again
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

// actual reads from the kernel everything of ours that it has.
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

// actualRoutes reads our routes from the kernel.
func (o *Options) actualRoutes() (*hoststate.Reading, error) {
	routes, err := o.Routes.Routes()
	return hoststate.OfRoutes(routes), err
}

// Tasks are the tasks that run after Begin has returned.
func (k *Kernel) Tasks() map[string]process.Task {
	return map[string]process.Task{"compare": k.comparer.run, "filter": k.comparer.watch, "parts": k.askOthers}
}

// Soon asks for a comparison, because something has happened in this process.
func (k *Kernel) Soon() { k.comparer.soon() }

// Later asks for a comparison after some time, because something could not be installed.
func (k *Kernel) Later() { k.comparer.inAWhile() }

// OthersChanged asks for a comparison, because another program has changed what is ours.
func (k *Kernel) OthersChanged() { k.comparer.othersChanged() }

// Count writes the figures of the filter and of the comparisons into c.
func (k *Kernel) Count(c *api.Counters) {
	k.comparer.count(c)
	var err error // Trouble reports it; another program may have flushed the rule set
	c.FilterDrops, err = k.o.Filter.Dropped()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.filterErr = err
}

// Trouble is what to tell an operator, in words; empty: nothing is wrong.
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

// Degraded tells an operator what is wrong by the figures of what all roles want of the kernel.
func Degraded(h *api.HostStatus) (words []string) {
	if h.Orphans > 0 {
		words = append(words, fmt.Sprintf("store: %d prefixes are routed that it does not explain (\"fairlead delegations\" and \"fairlead leases\": source kernel); their clients take them over as they renew, and the rest ends at %s", h.Orphans, h.OrphansEnd.Format(time.RFC3339)))
	}
	if h.Refused > 0 {
		words = append(words, fmt.Sprintf("kernel: %d routes are not taken, because their link is down or gone; unreachable routes stand in for them", h.Refused))
	}
	return words
}

// Spoofed counts the packets that were dropped because of their source, by link. It is empty if the
// filter cannot be read, because another program has flushed the rule set: Trouble reports that.
func (k *Kernel) Spoofed() map[string]nft.Spoofed {
	all, err := k.o.Filter.Spoofed()
	if err != nil {
		return nil
	}
	return all
}

// SpoofedOn are the links on which packets were dropped lately because of their source, in the order
// of their names.
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
