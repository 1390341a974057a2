package hoststate

import (
	"maps"
	"slices"
)

// Delegated yields the operations that make from nothing what delegations want of the kernel: the
// elements of each, then its route. What links have without delegations was asked for when
// they were told of. Meanwhile the State may take in that a route was Refused.
func (s *State) Delegated(yield func(Op) bool) {
	var room opRoom
	for _, name := range slices.Sorted(maps.Keys(s.links)) {
		rec := s.links[name]
		for d := range s.each(rec) {
			if !s.delegated(rec, d, &room, yield) {
				return
			}
		}
	}
}

func (s *State) delegated(rec *link, d *delegation, room *opRoom, yield func(Op) bool) bool {
	var a [4]Element
	for _, e := range d.elementSets().elements(a[:0], rec.Name, d.prefix.prefix()) {
		if !rec.has(e) && !yield(room.again(e)) {
			return false
		}
	}
	if d.table == 0 {
		return true
	}
	id := routeID{d.table, d.metric, d.prefix}
	c := s.routes[id]
	return s.winner(c) != d || yield(room.route(c.route(id)))
}

// opRoom is where operations that come by the hundred thousand have what they are about,
// many in one piece of memory.
type opRoom struct {
	elements []Element
	routes   []Route
}

// roomAtOnce is how many are made at once.
const roomAtOnce = 256

// again is the operation that makes an element of a delegation which may have been there
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
