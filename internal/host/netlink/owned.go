package netlink

import (
	"sync"

	"fairlead/internal/core/hoststate"
)

// owned remembers which routes in the kernel are ours, so that a route that is not is never
// replaced: the kernel's own replacement does not look at the protocol. In doubt it forgets a
// route: then the route is looked up.
type owned struct {
	mu        sync.Mutex // guards all following fields
	kinds     kinds
	removals  uint64    // how many entries have been removed
	displaced displaced // routes of ours whose place a foreign route has
	came      func()    // called, unless nil, when a new unicast route is ours
}

// kinds are routes, and the link to which each leads. Nearly all have the same table and metric,
// so these are not stored with each of perhaps a hundred thousand routes.
type kinds map[space]*ways

// ways are the routes of one table and metric.
type ways struct {
	links   map[target]int32 // interface index; 0: the route is not unicast
	lengths [129]int         // how many unicast routes there are by prefix length
}

type space struct{ table, metric uint32 }

type target struct {
	addr [16]byte
	bits uint8
}

// routeKey is what the kernel tells routes apart by.
type routeKey struct {
	space
	target
}

func keyOf(r hoststate.Route) routeKey {
	return routeKey{space{r.Table, r.Metric}, target{r.Prefix.Addr().As16(), uint8(r.Prefix.Bits())}}
}

func (k kinds) get(at routeKey) (unicast, ok bool) {
	w := k[at.space]
	if w == nil {
		return false, false
	}
	link, ok := w.links[at.target]
	return link > 0, ok
}

// put reports whether there is a unicast route now that was not there before.
func (k kinds) put(at routeKey, link int) (came bool) {
	w := k[at.space]
	if w == nil {
		w = &ways{links: make(map[target]int32)}
		k[at.space] = w
	}
	was, is := w.links[at.target] > 0, link > 0
	w.links[at.target] = int32(max(link, 0))
	switch {
	case is && !was:
		w.lengths[at.bits]++
	case was && !is:
		w.lengths[at.bits]--
	}
	return is && !was
}

func (k kinds) remove(at routeKey) {
	w := k[at.space]
	if w == nil {
		return
	}
	if w.links[at.target] > 0 {
		w.lengths[at.bits]--
	}
	if delete(w.links, at.target); len(w.links) == 0 {
		delete(k, at.space)
	}
}

func newOwned() owned { return owned{kinds: kinds{}, displaced: newDisplaced()} }

func (o *owned) has(k routeKey) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.kinds.get(k)
	return ok
}

// surely reports whether r may replace the route that is there. Where an unreachable route is to
// stand in for a unicast route of ours, that one has most likely gone with its device, and
// another program's route may be there now: then we have to look.
func (o *owned) surely(r hoststate.Route) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	unicast, ok := o.kinds.get(keyOf(r))
	return ok && (!unicast || r.Link > 0)
}

func (o *owned) add(r hoststate.Route) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := keyOf(r)
	o.displaced.remove(k)
	if o.kinds.put(k, r.Link) && o.came != nil {
		o.came()
	}
}

func (o *owned) remove(k routeKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.removals++
	o.kinds.remove(k)
}

// gone takes in that the kernel has told of a removed route, and reports whether that means
// anything. The notice of a unicast route that went with its device may come when its stand-in
// route is already there.
func (o *owned) gone(h heard) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := keyOf(h.Route)
	unicast, ok := o.kinds.get(k)
	if !ok || unicast != h.unicast {
		return false
	}
	o.removals++
	o.kinds.remove(k)
	return true
}

func (o *owned) removed() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.removals
}

// replace begins again with the routes that were read back, unless a route was removed since
// removals was read: that one might be among those that were read.
func (o *owned) replace(routes []hoststate.Route, removals uint64) {
	read := kinds{}
	for _, r := range routes {
		read.put(keyOf(r), r.Link)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.removals == removals {
		o.kinds = read
	}
}
