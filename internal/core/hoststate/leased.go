package hoststate

import (
	"maps"
	"slices"
)

// Leased yields the operations that make from nothing what leases want of the kernel: the
// elements of each, then its route. What links have without leases was asked for when
// they were told of. Meanwhile the State may take in that a route was Refused.
func (s *State) Leased(yield func(Op) bool) {
	var room opRoom
	for _, name := range slices.Sorted(maps.Keys(s.links)) {
		rec := s.links[name]
		for le := range s.each(rec) {
			if !s.leased(rec, le, &room, yield) {
				return
			}
		}
	}
}

func (s *State) leased(rec *link, le *lease, room *opRoom, yield func(Op) bool) bool {
	var a [4]Element
	for _, e := range le.holding().elements(a[:0], rec.Name, le.prefix.prefix()) {
		if !rec.holds(e) && !yield(room.again(e)) {
			return false
		}
	}
	if le.table == 0 {
		return true
	}
	id := routeID{le.table, le.metric, le.prefix}
	c := s.routes[id]
	return s.winner(c) != le || yield(room.route(c.route(id)))
}

// opRoom is where operations that come by the hundred thousand have what they are about,
// many in one piece of memory.
type opRoom struct {
	elements []Element
	routes   []Route
}

// roomAtOnce is how many are made at once.
const roomAtOnce = 256

// again is the operation that makes an element of a lease which may have been there
// before.
func (r *opRoom) again(e Element) Op {
	if len(r.elements) == cap(r.elements) {
		r.elements = make([]Element, 0, roomAtOnce)
	}
	r.elements = append(r.elements, e)
	return Op{Element: &r.elements[len(r.elements)-1], Again: e.Set.IsTimed()}
}

func (r *opRoom) route(x Route) Op {
	if len(r.routes) == cap(r.routes) {
		r.routes = make([]Route, 0, roomAtOnce)
	}
	r.routes = append(r.routes, x)
	return Op{Route: &r.routes[len(r.routes)-1]}
}
