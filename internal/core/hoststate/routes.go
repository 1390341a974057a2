package hoststate

import (
	"net/netip"
	"slices"
)

// routeID is what the kernel tells routes apart by. Its zero value is no route.
type routeID struct {
	table, metric uint32
	prefix        netip.Prefix
}

func (r Route) id() routeID {
	return routeID{table: r.Table, metric: r.Metric, prefix: r.Prefix}
}

func (a Aggregate) id() routeID {
	return newID(a.Prefix, a.Table, a.Metric, AggregateMetric)
}

func newID(p netip.Prefix, table, metric, fallback uint32) routeID {
	if table == 0 {
		table = MainTable
	}
	if metric == 0 {
		metric = fallback
	}
	return routeID{table: table, metric: metric, prefix: p.Masked()}
}

// claim is one route with the leases that want it.
type claim struct {
	by      []*lease // seldom more than one
	now     Route
	standIn bool // unreachable, with a lease behind it
}

// winner is the lease that was put last.
func (c *claim) winner() *lease {
	var w *lease
	for _, le := range c.by {
		if w == nil || le.put > w.put {
			w = le
		}
	}
	return w
}

// routeOf is the identity of a lease's route: its own length (RFC 8987 R-2), in
// the policy's table, else in that of the link. No route for a link that is not
// client-facing, nor for an address that an on-link prefix covers.
func (rec *link) routeOf(le *lease) routeID {
	if rec.policy == nil || rec.covers(le.Prefix) {
		return routeID{}
	}
	table := rec.policy.Table
	if table == 0 {
		table = rec.Table
	}
	return newID(le.Prefix, table, rec.policy.Metric, DefaultMetric)
}

// wanted is the value of a route. ok is false where there should be none.
func (s *State) wanted(id routeID, w *lease) (r Route, ok bool) {
	r = Route{Table: id.table, Prefix: id.prefix, Metric: id.metric}
	if w == nil {
		return r, s.aggregates[id]
	}
	// RFC 8987 S-2: the route stays while the next hop cannot be reached. While
	// the kernel would not have it, an unreachable one stands in.
	if !w.on.present || !w.on.Up || w.refused {
		return r, true
	}
	if !w.NextHop.IsValid() && !w.on.PointToPoint && id.prefix.Bits() != 128 {
		return r, true
	}
	r.Link, r.Gateway = w.on.Index, w.NextHop
	return r, true
}

// claimRoute moves the lease's claim to another route, or brings the same one up
// to date. The new one comes before the old one goes.
func (s *State) claimRoute(ops []Op, le *lease, id routeID) []Op {
	old := le.route
	le.route = id
	if id != (routeID{}) {
		c := s.routes[id]
		if c == nil {
			c = &claim{}
			s.routes[id] = c
		}
		if old != id {
			c.by = append(c.by, le)
		}
		ops = s.settleRoute(ops, id)
	}
	if old != id && old != (routeID{}) {
		c := s.routes[old]
		c.by = slices.DeleteFunc(c.by, func(x *lease) bool { return x == le })
		ops = s.settleRoute(ops, old)
	}
	return ops
}

// settleRoute compares what is wanted of one route with what was last asked of
// the kernel.
func (s *State) settleRoute(ops []Op, id routeID) []Op {
	c := s.routes[id]
	var w *lease
	if c != nil {
		w = c.winner()
	}
	want, ok := s.wanted(id, w)
	if !ok {
		if c == nil {
			return ops
		}
		delete(s.routes, id)
		s.standIn(c, false)
		if c.now.Table == 0 {
			return ops
		}
		s.counts.Routes--
		return append(ops, Op{Remove: true, Route: &c.now})
	}
	if c == nil {
		c = &claim{}
		s.routes[id] = c
	}
	s.standIn(c, w != nil && want.Link == 0)
	if c.now == want {
		return ops
	}
	if c.now.Table == 0 {
		s.counts.Routes++
	}
	c.now = want
	return append(ops, Op{Route: &want})
}

func (s *State) standIn(c *claim, now bool) {
	switch {
	case now && !c.standIn:
		s.counts.StandIns++
	case !now && c.standIn:
		s.counts.StandIns--
	}
	c.standIn = now
}
