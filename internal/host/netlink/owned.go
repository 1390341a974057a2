package netlink

import (
	"sync"

	"fairlead/internal/core/hoststate"
)

// owned remembers which routes in the kernel are ours, so that one that is not
// is never replaced: the kernel's own replacement does not look at the protocol.
// It forgets more readily than it remembers; what it does not know is looked up.
type owned struct {
	mu       sync.Mutex        // guards all following fields
	kinds    map[routeKey]bool // true: unicast
	removals uint64            // how many entries were taken out
}

type routeKey struct {
	table, metric uint32
	addr          [16]byte
	bits          uint8
}

func keyOf(r hoststate.Route) routeKey {
	return routeKey{table: r.Table, metric: r.Metric, addr: r.Prefix.Addr().As16(), bits: uint8(r.Prefix.Bits())}
}

func newOwned() owned { return owned{kinds: map[routeKey]bool{}} }

func (o *owned) has(k routeKey) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.kinds[k]
	return ok
}

// surely reports whether r may replace what is there. A unicast route of ours for
// which an unreachable one is to stand in has most likely gone with its device,
// and what is there now may be somebody else's: then it has to be looked at.
func (o *owned) surely(r hoststate.Route) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	unicast, ok := o.kinds[keyOf(r)]
	return ok && (!unicast || r.Link != 0)
}

func (o *owned) add(r hoststate.Route) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kinds[keyOf(r)] = r.Link > 0
}

func (o *owned) remove(k routeKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.removals++
	delete(o.kinds, k)
}

// gone takes note of a deletion that the kernel told of, and reports whether it
// says anything: word of a unicast route that went with its device may come when
// its unreachable stand-in is already there.
func (o *owned) gone(h heard) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := keyOf(h.Route)
	unicast, ok := o.kinds[k]
	if !ok || unicast != h.unicast {
		return false
	}
	o.removals++
	delete(o.kinds, k)
	return true
}

func (o *owned) removed() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.removals
}

// replace starts anew from what was read back, unless anything was removed since
// removals was asked for: it might be among what was read.
func (o *owned) replace(routes []hoststate.Route, removals uint64) {
	kinds := make(map[routeKey]bool, len(routes))
	for _, r := range routes {
		kinds[keyOf(r)] = r.Link > 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.removals == removals {
		o.kinds = kinds
	}
}
