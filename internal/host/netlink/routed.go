package netlink

import (
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Routed is what routes of others lead to one interface.
type Routed struct {
	Prefixes []netip.Prefix // in the kernel's order, each once
	More     int            // routes that there was no room for
}

func (r Routed) equal(o Routed) bool { return r.More == o.More && slices.Equal(r.Prefixes, o.Prefixes) }

const (
	// MaxRouted bounds what is remembered of one interface; more are only counted. A
	// table of the whole Internet may lead to it.
	MaxRouted = 256
	// Nobody is given a shorter prefix. A route for one is a default route in parts,
	// such as 2000::/3, or ::/1 and 8000::/1.
	minRoutedBits = 16
)

// place is a prefix in a routing table.
type place struct {
	table  uint32
	prefix netip.Prefix
}

// WatchRouted says of which interfaces Routed is to tell, with the routing table of
// each. If they are others than before, or with anew, they are looked up anew, and Run
// tells of it even if the routes to them are the same as before.
func (w *ForeignRoutes) WatchRouted(tables map[int]uint32, anew bool) {
	w.mu.Lock()
	anew = anew && len(tables) > 0 || !maps.Equal(w.tables, tables)
	if anew {
		w.tables, w.anew = maps.Clone(tables), true
	}
	w.mu.Unlock()
	if anew {
		w.soon()
	}
}

// Routed is what was found of each interface that was asked for. Those that no route
// leads to are left out.
func (w *ForeignRoutes) Routed() map[int]Routed {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.routed)
}

// Look reads the routing tables at once, if Routed is to tell of any interface.
func (w *ForeignRoutes) Look() error {
	w.mu.Lock()
	wanted := len(w.tables) > 0
	w.mu.Unlock()
	if !wanted {
		return nil
	}
	_, err := w.read()
	return err
}

// leads reports whether a route of somebody else says that its prefix is behind one of
// some interfaces. Who is behind an interface can have us learn routes by router
// advertisements and redirects; those that the kernel makes are for our own addresses.
func leads(tables map[int]uint32, h *heard) bool {
	switch h.protocol {
	case unix.RTPROT_RA, unix.RTPROT_REDIRECT, unix.RTPROT_KERNEL:
		return false
	}
	table, ok := tables[h.oif]
	return ok && h.unicast && table == h.Table && h.Prefix.Bits() >= minRoutedBits && h.Prefix.Addr().IsGlobalUnicast()
}

// concerns reports whether word of a route may change what Routed tells: the kernel
// names only the new one where one takes the place of another.
func (w *ForeignRoutes) concerns(h *heard) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, known := w.places[place{h.Table, h.Prefix}]
	return known || leads(w.tables, h)
}

// gathered is what routes lead to each interface, as they are read.
type gathered struct {
	tables map[int]uint32
	routed map[int]Routed
}

func (g *gathered) add(h *heard) {
	if !leads(g.tables, h) {
		return
	}
	r := g.routed[h.oif]
	switch {
	case len(r.Prefixes) == MaxRouted:
		r.More++
	case slices.Contains(r.Prefixes, h.Prefix): // with another metric
		return
	default:
		r.Prefixes = append(r.Prefixes, h.Prefix)
	}
	g.routed[h.oif] = r
}

// takeRouted keeps what was read, and reports whether there is something to tell. The
// caller holds w.mu.
func (w *ForeignRoutes) takeRouted(g *gathered) (changed bool) {
	changed = !maps.EqualFunc(g.routed, w.routed, Routed.equal)
	if w.anew && maps.Equal(g.tables, w.tables) {
		w.anew, changed = false, true
	}
	w.routed = g.routed
	w.places = make(map[place]struct{})
	for index, r := range g.routed {
		for _, p := range r.Prefixes {
			w.places[place{g.tables[index], p}] = struct{}{}
		}
	}
	return changed
}
