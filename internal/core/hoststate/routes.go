package hoststate

// routeID is what the kernel tells routes apart by. Its zero value is no route.
type routeID struct {
	table, metric uint32
	prefix        packed
}

func (r Route) id() routeID {
	return routeID{table: r.Table, metric: r.Metric, prefix: pack(r.Prefix)}
}

func (a Aggregate) id() routeID {
	return newID(pack(a.Prefix.Masked()), a.Table, a.Metric, AggregateMetric)
}

func newID(p packed, table, metric, fallback uint32) routeID {
	if table == 0 {
		table = MainTable
	}
	if metric == 0 {
		metric = fallback
	}
	return routeID{table: table, metric: metric, prefix: p}
}

// ownRoute is one route of ours: the delegations that want it, and what was last asked of the
// kernel.
type ownRoute struct {
	by      ref // the first of them, chained by rival; seldom more than one
	link    int32
	gateway nextHop
	there   bool
	standIn bool // unreachable, with a delegation behind it
}

// route is what was last asked of the kernel.
func (c ownRoute) route(id routeID) Route {
	return Route{Table: id.table, Prefix: id.prefix.prefix(), Metric: id.metric, Link: int(c.link), Gateway: c.gateway.addr()}
}

// winner is the delegation that was put last.
func (s *State) winner(c ownRoute) *delegation {
	var w *delegation
	for r := c.by; r != 0; {
		d := s.delegations.get(r)
		if w == nil || d.put > w.put {
			w = d
		}
		r = d.rival
	}
	return w
}

// routeOf is the identity of a delegation's route: its own length (RFC 8987 R-2), in
// the policy's table, else in that of the link. No route for a link that is not
// client-facing, nor for an address that an on-link prefix covers.
func (rec *link) routeOf(d *delegation) routeID {
	if rec.policy == nil || rec.policy.NoRoutes || rec.covers(d.prefix) {
		return routeID{}
	}
	table := rec.policy.Table
	if table == 0 {
		table = rec.Table
	}
	return newID(d.prefix, table, rec.policy.Metric, DefaultMetric)
}

// wanted is the value of a route. ok is false where there should be none.
func (s *State) wanted(id routeID, w *delegation) (link int32, gateway nextHop, ok bool) {
	if w == nil {
		switch stands := s.standing[id]; {
		case s.aggregates[id] || stands.unreachable > 0:
			return 0, nextHop{}, true
		default:
			return Throw, nextHop{}, stands.throw > 0
		}
	}
	// RFC 8987 S-2: the route stays while the next hop cannot be reached. While
	// the kernel would not have it, an unreachable one stands in.
	on := s.byID[w.link]
	if !on.present || !on.Up || w.refused || w.unproved {
		return 0, nextHop{}, true
	}
	if w.nextHop == (nextHop{}) && !on.PointToPoint && id.prefix.bits != 128 {
		return 0, nextHop{}, true
	}
	return int32(on.Index), w.nextHop, true
}

// wantRoute has the delegation want another route, or brings the one that it wants up to
// date. The new one comes before the old one goes.
func (s *State) wantRoute(ops []Op, d *delegation, id routeID) []Op {
	old := routeID{d.table, d.metric, d.prefix}
	if d.table == 0 {
		old = routeID{}
	}
	if old != id {
		s.unwantRoute(old, d)
		d.table, d.metric = id.table, id.metric
	}
	if id != (routeID{}) {
		c, known := s.routes[id]
		was := c
		if old != id {
			d.rival, c.by = c.by, d.ref
			if c.there {
				s.comparison.adopted([]routeID{id})
			}
		}
		ops = s.updateKnown(ops, id, c, was, known)
	}
	if old != id && old != (routeID{}) {
		ops = s.updateRoute(ops, old)
	}
	return ops
}

// unwantRoute takes a delegation out of those that want a route.
func (s *State) unwantRoute(id routeID, d *delegation) {
	if id == (routeID{}) {
		return
	}
	c := s.routes[id]
	if c.by == d.ref {
		c.by = d.rival
		s.routes[id] = c
	}
	for r := c.by; r != 0; {
		other := s.delegations.get(r)
		if other.rival == d.ref {
			other.rival = d.rival
		}
		r = other.rival
	}
	d.rival = 0
}

// standing says how many links want a route that stands for what their delegations cover, by
// its kind.
type standing struct{ unreachable, throw int }

// stands is one such route of a link.
type stands struct {
	id    routeID
	throw bool
}

// standingOf are the routes that stand for what a link's delegations cover. What is for an
// interface is routed in the link's own table. Where the delegations' routes are in another
// one, that must send it on to there, whichever of the two is looked up first.
func (rec *link) standingOf() (all []stands) {
	if rec.policy == nil {
		return nil
	}
	for _, c := range rec.covered {
		own := stands{id: newID(pack(c.Prefix), rec.Table, StandingMetric, 0)}
		if other := rec.policy.Table; other != 0 && other != rec.Table {
			all = append(all, stands{newID(pack(c.Prefix), other, StandingMetric, 0), c.Reserved})
			if !c.Reserved {
				continue // a client may have it, by a route in the other table
			}
		}
		all = append(all, own)
	}
	return all
}

// updateStanding brings the routes that stand for what a link's delegations cover up to
// date. A route over the interface itself, or to whoever was given the prefix, wins by
// its metric.
func (s *State) updateStanding(ops []Op, rec *link) []Op {
	now, old := rec.standingOf(), rec.stands
	rec.stands = now
	for _, w := range now {
		s.countStanding(w, 1)
	}
	for _, w := range old {
		s.countStanding(w, -1)
	}
	ids := make([]routeID, len(now))
	for i, w := range now {
		ids[i] = w.id
		ops = s.updateRoute(ops, w.id)
	}
	s.comparison.adopted(ids)
	for _, w := range old {
		ops = s.updateRoute(ops, w.id)
	}
	return ops
}

func (s *State) countStanding(w stands, n int) {
	c := s.standing[w.id]
	if w.throw {
		c.throw += n
	} else {
		c.unreachable += n
	}
	if s.standing[w.id] = c; c == (standing{}) {
		delete(s.standing, w.id)
	}
}

// updateRoute compares what is wanted of one route with what was last asked of
// the kernel.
func (s *State) updateRoute(ops []Op, id routeID) []Op {
	c, known := s.routes[id]
	return s.updateKnown(ops, id, c, c, known)
}

// updateKnown is updateRoute for a route that was, if it was known, and is c now.
func (s *State) updateKnown(ops []Op, id routeID, c, was ownRoute, known bool) []Op {
	w := s.winner(c)
	link, gateway, ok := s.wanted(id, w)
	if !ok {
		if !known {
			return ops
		}
		delete(s.routes, id)
		s.standIn(&c, false)
		if !c.there {
			return ops
		}
		s.counts.Routes--
		return s.routeOp(ops, c.route(id), true)
	}
	s.standIn(&c, w != nil && link == 0)
	if !c.there {
		s.counts.Routes++
	}
	c.link, c.gateway, c.there = link, gateway, true
	if c == was {
		return ops
	}
	s.routes[id] = c
	if was.there && was.link == link && was.gateway == gateway {
		return ops
	}
	return s.routeOp(ops, c.route(id), false)
}

func (s *State) routeOp(ops []Op, r Route, remove bool) []Op {
	if s.silent {
		return ops
	}
	s.comparison.touchRoute(r.id())
	asked := r // so that only what is asked of the kernel is on the heap
	return append(ops, Op{Remove: remove, Route: &asked})
}

func (s *State) standIn(c *ownRoute, now bool) {
	switch {
	case now && !c.standIn:
		s.counts.StandIns++
	case !now && c.standIn:
		s.counts.StandIns--
	}
	c.standIn = now
}
