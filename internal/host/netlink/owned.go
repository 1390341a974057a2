package netlink

import (
	"net/netip"
	"sync"

	"github.com/gaissmai/bart"

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

// kinds are routes, and for each the index of the link to which it leads; 0: it is not unicast. Nearly
// all have the same table and metric. Each table and metric has a trie, which needs a few octets
// for each of perhaps a hundred thousand routes.
type kinds map[space]*bart.Table[int32]

type space struct{ table, metric uint32 }

// routeKey is what the kernel tells routes apart by.
type routeKey struct {
	space
	prefix netip.Prefix
}

func keyOf(r hoststate.Route) routeKey { return routeKey{space{r.Table, r.Metric}, r.Prefix} }

func (k kinds) get(at routeKey) (unicast, ok bool) {
	if k[at.space] == nil {
		return false, false
	}
	link, ok := k[at.space].Get(at.prefix)
	return link > 0, ok
}

// put reports whether there is a unicast route now that was not there before.
func (k kinds) put(at routeKey, link int) (came bool) {
	if k[at.space] == nil {
		k[at.space] = new(bart.Table[int32])
	}
	was, _ := k.get(at)
	k[at.space].Insert(at.prefix, int32(max(link, 0)))
	return link > 0 && !was
}

func (k kinds) remove(at routeKey) {
	routes := k[at.space]
	if routes == nil {
		return
	}
	if routes.Delete(at.prefix); routes.Size() == 0 {
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
