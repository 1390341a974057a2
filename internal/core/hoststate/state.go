package hoststate

import (
	"net/netip"
	"slices"
)

// State is the wanted state of the kernel, kept as its inputs. It is not safe
// for concurrent use; one goroutine owns it. What it is given it copies; the
// operations that it returns belong to the caller.
type State struct {
	links      map[string]*link
	routes     map[routeID]*claim
	aggregates map[routeID]bool
	puts       uint64 // number of the last Put
	counts     Counts
}

// link is what is known of one interface name, there or not.
type link struct {
	Link    // as last told; while it is gone: index 0, down, no addresses
	present bool
	policy  *Policy
	onLink  []netip.Prefix
	gates   map[Element]bool // elements without a prefix
	static  map[Element]bool // elements that no lease is behind
	leases  map[netip.Prefix]*lease
	refused int // leases whose route the kernel refused
}

type lease struct {
	Lease
	on      *link
	put     uint64 // the later of two Puts wins the route
	refused bool   // until the link's next event
	route   routeID
	holds   holding
}

// New has nothing in it and wants nothing.
func New() *State {
	return &State{
		links:      map[string]*link{},
		routes:     map[routeID]*claim{},
		aggregates: map[routeID]bool{},
	}
}

// SetLink takes note of an interface that has appeared or changed. It also ends
// what Refused began: the kernel is asked again.
func (s *State) SetLink(ops []Op, l Link) []Op {
	rec := s.link(l.Name)
	same := rec.present && rec.Index == l.Index && rec.Up == l.Up && rec.Table == l.Table &&
		rec.PointToPoint == l.PointToPoint && slices.Equal(rec.Addrs, l.Addrs)
	if !rec.present {
		s.counts.Links++
	}
	if l.Table == 0 {
		l.Table = MainTable
	}
	l.Addrs = slices.Clone(l.Addrs)
	rec.Link, rec.present = l, true
	if same && rec.refused == 0 {
		return ops
	}
	s.forgive(rec)
	return s.settleLink(ops, rec)
}

// RemoveLink takes note that an interface is gone. Its leases stay, with
// unreachable routes standing in for theirs (RFC 8987 S-2), and so do the
// elements, which go by name: an interface made anew is filtered from its first
// packet.
func (s *State) RemoveLink(ops []Op, name string) []Op {
	rec := s.links[name]
	if rec == nil || !rec.present {
		return ops
	}
	s.counts.Links--
	rec.present, rec.Index, rec.Up, rec.Running, rec.Addrs = false, 0, false, false, nil
	s.forgive(rec)
	ops = s.settleLink(ops, rec)
	s.forget(rec)
	return ops
}

// SetPolicy makes a link client-facing, changes how, or ends it (nil): then its
// guard, elements and routes go, while its leases are remembered.
func (s *State) SetPolicy(ops []Op, name string, p *Policy) []Op {
	if p == nil && s.links[name] == nil {
		return ops
	}
	rec := s.link(name)
	rec.policy = p.clone()
	ops = s.settleLink(ops, rec)
	s.forget(rec)
	return ops
}

// Put takes note of a lease that is new, or whose next hop, link-layer address
// or exemption changed. A prefix leased on two links is routed to the one that
// was put last. A prefix that is not IPv6 is ignored.
func (s *State) Put(ops []Op, l Lease) []Op {
	if !l.Prefix.IsValid() || !l.Prefix.Addr().Is6() || l.Prefix.Addr().Is4In6() {
		return ops
	}
	l.Prefix = l.Prefix.Masked()
	if l.NextHop = l.NextHop.WithZone(""); !l.NextHop.Is6() {
		l.NextHop = netip.Addr{}
	}
	rec := s.link(l.Link)
	l.Link = rec.Name
	s.puts++
	le := rec.leases[l.Prefix]
	if le == nil {
		le = &lease{on: rec}
		rec.leases[l.Prefix] = le
		s.counts.Leases++
	} else if le.NextHop != l.NextHop {
		s.pardon(le)
	}
	le.Lease, le.put = l, s.puts
	return s.settleLease(ops, rec, le)
}

// Delete takes note of a lease that ended. To delete what is not there is no
// mistake.
func (s *State) Delete(ops []Op, name string, p netip.Prefix) []Op {
	rec := s.links[name]
	if rec == nil {
		return ops
	}
	le := rec.leases[p.Masked()]
	if le == nil {
		return ops
	}
	s.pardon(le)
	delete(rec.leases, le.Prefix)
	s.counts.Leases--
	ops = s.hold(ops, rec, le, holding{})
	ops = s.claimRoute(ops, le, routeID{})
	s.forget(rec)
	return ops
}

// Refused takes note that the kernel did not take a route, because its device
// is down or gone: an unreachable route stands in until the link's next event,
// or until the lease's next hop changes (RFC 8987 S-2).
func (s *State) Refused(ops []Op, r Route) []Op {
	c := s.routes[r.id()]
	if c == nil || r.Link == 0 || c.now.Link != r.Link || c.now.Gateway != r.Gateway {
		return ops
	}
	le := c.winner()
	if le == nil || le.refused {
		return ops
	}
	le.refused = true
	le.on.refused++
	s.counts.Refused++
	return s.settleRoute(ops, le.route)
}

// SetAggregates replaces the aggregates.
func (s *State) SetAggregates(ops []Op, aggregates []Aggregate) []Op {
	old := s.aggregates
	s.aggregates = make(map[routeID]bool, len(aggregates))
	var order []routeID
	for _, a := range aggregates {
		id := a.id()
		if !a.Prefix.IsValid() || !a.Prefix.Addr().Is6() || s.aggregates[id] {
			continue
		}
		s.aggregates[id] = true
		order = append(order, id)
	}
	for _, id := range order {
		ops = s.settleRoute(ops, id)
	}
	for _, id := range sortedIDs(old) {
		if !s.aggregates[id] {
			ops = s.settleRoute(ops, id)
		}
	}
	return ops
}

// link finds or makes the record of a name.
func (s *State) link(name string) *link {
	rec := s.links[name]
	if rec == nil {
		rec = &link{
			Link:   Link{Name: name, Table: MainTable},
			gates:  map[Element]bool{},
			static: map[Element]bool{},
			leases: map[netip.Prefix]*lease{},
		}
		s.links[name] = rec
	}
	return rec
}

// forget drops the record of a name about which nothing is left to know.
func (s *State) forget(rec *link) {
	if !rec.present && rec.policy == nil && len(rec.leases) == 0 {
		delete(s.links, rec.Name)
	}
}

// forgive lets every lease of a link try its own route again.
func (s *State) forgive(rec *link) {
	if rec.refused == 0 {
		return
	}
	for _, le := range rec.leases {
		s.pardon(le)
	}
}

func (s *State) pardon(le *lease) {
	if le.refused {
		le.refused = false
		le.on.refused--
		s.counts.Refused--
	}
}

func (p *Policy) clone() *Policy {
	if p == nil {
		return nil
	}
	c := *p
	c.Permit = slices.Clone(p.Permit)
	c.LoopExempt = slices.Clone(p.LoopExempt)
	return &c
}
