package netlink

import (
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Routed are the prefixes that routes of other programs lead to one interface.
type Routed struct {
	Prefixes []netip.Prefix // in the order of the kernel, each once
	More     int            // number of routes for which there was no room
}

func (r Routed) equal(o Routed) bool { return r.More == o.More && slices.Equal(r.Prefixes, o.Prefixes) }

const (
	// MaxRouted bounds how many are remembered for one interface; more are only counted. A table
	// of the whole Internet may lead to it.
	MaxRouted = 256
	// No client has a shorter prefix. A route for one is a part of a default route, such as
	// 2000::/3, or ::/1 and 8000::/1.
	minRoutedBits = 16
)

// place is a prefix in a routing table.
type place struct {
	table  uint32
	prefix netip.Prefix
}

// WatchRouted sets the interfaces that Routed tells of, with the routing table of each. If they
// have changed, or if anew is set, they are looked up again, and Run calls told even if the
// routes to them are the same as before.
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

// Routed tells what was found for each interface of WatchRouted. Interfaces to which no route
// leads are left out.
func (w *ForeignRoutes) Routed() map[int]Routed {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.routed)
}

// Look reads the routing tables at once, if Routed tells of any interface.
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

// leads reports whether a route of another program says that its prefix is behind one of these
// interfaces. Routes that the kernel learned from router advertisements and redirects do not
// count: a host behind the interface can send such. Those that the kernel makes itself are for
// our own addresses.
func leads(tables map[int]uint32, h *heard) bool {
	switch h.protocol {
	case unix.RTPROT_RA, unix.RTPROT_REDIRECT, unix.RTPROT_KERNEL:
		return false
	}
	table, ok := tables[h.oif]
	return ok && h.unicast && table == h.Table && h.Prefix.Bits() >= minRoutedBits && h.Prefix.Addr().IsGlobalUnicast()
}

// concerns reports whether a notice about a route may change what Routed tells. Where one route
// replaces another, the kernel names only the new one.
func (w *ForeignRoutes) concerns(h *heard) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, known := w.places[place{h.Table, h.Prefix}]
	return known || leads(w.tables, h)
}

// gathered are the prefixes that lead to each interface, while the tables are being read.
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
	case slices.Contains(r.Prefixes, h.Prefix): // another route, with another metric
		return
	default:
		r.Prefixes = append(r.Prefixes, h.Prefix)
	}
	g.routed[h.oif] = r
}

// takeRouted stores what was read, and reports whether there is something to tell. The caller
// holds w.mu.
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
