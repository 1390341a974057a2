package server6

import (
	"errors"
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// An operator asks why a client has its leases, and why not others. The server decides once more, by
// the same code and without consequences, on a message that the client would send now: a Renew of what it
// has, or a Solicit where it has nothing. What is not kept of the client's messages is not known then:
// options of relay agents, and what shows its classes. It is taken to be as its leases need it.

// Question names a client, and where it is.
type Question struct {
	Client      dhcp6.DUID
	Link        string     // one of its links, as leases have it; empty: all on which it has leases
	LinkAddress netip.Addr // of a relay agent that the client is behind, in place of a link
	Classes     []string   // which the client is of, too
	// Prefix is what the client asks for: an address as 128 bits, or a prefix; of no address (::) a
	// length. Invalid: nothing.
	Prefix netip.Prefix
}

// Explanation is what the server decides on a client on one link, and why.
type Explanation struct {
	Link    string
	Network string // empty: none is for the link, and nothing else is told
	Subnet  netip.Prefix
	Leased  bool // the client has leases there; else it is as if it asked for an address and a prefix

	Classes         []string     // which the client is taken to be of
	Excludes        bool         // the client is taken to know of Prefix Exclude
	Reservation     *Reservation // for the client; nil: none
	TakenToBeBehind bool         // what of Reservation is a relay agent's is taken to match

	Registered []netip.Prefix // addresses that the client has given itself (RFC 9686)
	IAs        []ExplainedIA
	// Obstacle is in the way of what the client asks for by Question.Prefix, where it is not among
	// what it gets.
	Obstacle Obstacle
}

// ExplainedIA is one IA of a client.
type ExplainedIA struct {
	Kind   binding.Kind
	IAID   uint32
	Limit  binding.Reason // that has been met; NoReason: none
	Leases []ExplainedLease
	Pools  []ExplainedPool // all of the network for leases of that kind, in the order in which they are tried
}

// ExplainedLease is a lease that a client gets, or that is reserved for it, or that it has and gets no more.
type ExplainedLease struct {
	Prefix   netip.Prefix
	Subnet   netip.Prefix // invalid: it does not get it
	Pool     *effect.Pool // that it is out of; nil: of none
	By       Basis        // 0: it does not get it
	Obstacle Obstacle     // in the way of one that it does not get
}

// ExplainedPool is a pool, and what is in the way of a client that seeks a lease in it.
type ExplainedPool struct {
	effect.Pool
	Class    string // of the clients that may have what is in it; empty: all
	Gives    bool   // a lease of the client is out of it
	Obstacle Obstacle
}

// The errors of Explain.
var (
	ErrNoLease = errors.New("the client has no lease of this server")
	ErrNoLink  = errors.New("no such link")
)

// Explain answers a question, link by link. Nothing changes.
func (s *Server) Explain(q Question) (all []Explanation, err error) {
	if q.LinkAddress.IsValid() {
		sn := s.networks.ofAddress(q.LinkAddress)
		if sn == nil {
			return nil, ErrNoLink
		}
		q.Link = sn.network.link
	}
	if q.Link != "" {
		if s.table.First(s.table.HolderBy(q.Link, binding.ByDUID, q.Client)) == nil && s.links.Named(q.Link) == nil && s.networks.named(q.Link) == nil {
			return nil, ErrNoLink
		}
		return []Explanation{s.explain(q)}, nil
	}
	for name := range s.table.Links() {
		if q.Link = name; s.table.First(s.table.HolderBy(name, binding.ByDUID, q.Client)) != nil {
			all = append(all, s.explain(q))
		}
	}
	if all == nil {
		return nil, ErrNoLease
	}
	return all, nil
}

// explain answers a question about one link.
func (s *Server) explain(q Question) Explanation {
	e := Explanation{Link: q.Link}
	r := &request{duid: q.Client}
	if nw := s.networks.named(q.Link); nw != nil {
		r.relay, r.subnet = new(trust.Peer), nw.subnets[0]
	} else if l := s.links.Named(q.Link); l != nil {
		r.at, r.subnet = l, l.subnet
	}
	if r.subnet == nil {
		return e
	}
	var held []binding.Binding
	for slot := range s.table.SlotsOf(q.Link, binding.DUID(q.Client)) {
		if b := s.table.Read(slot); b.NoIAID {
			e.Registered = append(e.Registered, b.Prefix)
		} else {
			held = append(held, b)
		}
	}
	slices.SortFunc(held, func(a, b binding.Binding) int { return a.Prefix.Compare(b.Prefix) })
	for i := range held {
		r.source, r.linkLayer = held[i].NextHop, held[i].LinkLayer
		e.Excludes = e.Excludes || held[i].Exclude.IsValid()
	}
	e.Leased = len(held) > 0
	r.m = wouldSend(&q, held)
	if e.Excludes {
		r.oro, _ = dhcp6.ParseORO(dhcp6.AppendORO(nil, dhcp6.OptionPDExclude)[4:])
	}
	s.know(r)
	s.suppose(r, &q, held, &e)
	r.readIAs()
	s.choose(r)
	e.Network, e.Subnet = r.network.Name, r.subnet.Prefix
	for i := range r.ias {
		e.IAs = append(e.IAs, s.explainIA(r, &r.ias[i]))
	}
	e.Obstacle = s.obstacle(r, &q)
	return e
}

// wouldSend is the message that a client would send now.
func wouldSend(q *Question, held []binding.Binding) dhcp6.Message {
	t := dhcp6.Renew
	if len(held) == 0 {
		t = dhcp6.Solicit
	}
	b := dhcp6.AppendClientID(dhcp6.AppendMessageHeader(nil, t, 0), q.Client)
	for _, code := range []dhcp6.OptionCode{dhcp6.OptionIANA, dhcp6.OptionIAPD} {
		kind := binding.Address
		if code == dhcp6.OptionIAPD {
			kind = binding.Prefix
		}
		ids := []uint32{}
		for i := range held {
			if held[i].Kind == kind && !slices.Contains(ids, held[i].IAID) {
				ids = append(ids, held[i].IAID)
			}
		}
		if len(held) == 0 {
			ids = append(ids, 1) // any
		}
		for _, id := range ids {
			var mark int
			b, mark = dhcp6.BeginIA(b, code, id, 0, 0)
			for i := range held {
				if one := &held[i]; one.Kind == kind && one.IAID == id {
					b = appendAssigned(b, one, 0, 0)
				}
			}
			if q.Prefix.IsValid() && len(held) == 0 && kind == kindOf(q.Prefix) {
				b = appendAssigned(b, &binding.Binding{Prefix: q.Prefix, Kind: kind}, 0, 0)
			}
			b, _ = dhcp6.EndOption(b, mark)
		}
	}
	m, _ := dhcp6.ParseMessage(b)
	return m
}

// kindOf is the kind of what an operator names.
func kindOf(p netip.Prefix) binding.Kind {
	if p.IsSingleIP() && !p.Addr().IsUnspecified() {
		return binding.Address
	}
	return binding.Prefix
}

// suppose has a request be what is not known of the client, so far as its leases or the operator tell it.
func (s *Server) suppose(r *request, q *Question, held []binding.Binding, e *Explanation) {
	for i := range s.cfg.Classes {
		name := s.cfg.Classes[i].Name
		r.classes[i] = r.classes[i] || slices.Contains(q.Classes, name)
		for j := range held {
			if pl := s.networks.poolOf(held[j].Prefix); pl != nil && pl.class == i && pl.subnet.network == r.network {
				r.classes[i] = true
			}
		}
		if r.classes[i] {
			e.Classes = append(e.Classes, name)
		}
	}
	if r.reserved == nil {
		if r.reserved = r.network.ofLeases(r, held); r.reserved != nil {
			r.subnet, e.TakenToBeBehind = r.reserved.subnet, true
		}
	}
	if r.reserved != nil {
		e.Reservation = r.reserved.Reservation
	}
}

// ofLeases is the reservation by which a client may have a lease of its: that has it, and that is for the
// client where its relay agents are as the reservation says.
func (all *reservations) ofLeases(r *request, held []binding.Binding) (best *reservation) {
	for _, by := range []map[string][]*reservation{all.byRemoteID, all.byRelayID} {
		for _, some := range by {
			for _, v := range some {
				if (best == nil || v.place < best.place) && v.isOf(r) && slices.ContainsFunc(held, func(b binding.Binding) bool { return v.lists(b.Prefix, b.Kind) }) {
					best = v
				}
			}
		}
	}
	return best
}

// explainIA tells what was decided on an IA.
func (s *Server) explainIA(r *request, x *ia) ExplainedIA {
	e := ExplainedIA{Kind: x.kind, IAID: x.id, Limit: x.limit}
	gives := make(map[*leasePool]bool)
	for _, l := range r.leases[x.from:x.to] {
		one := ExplainedLease{Prefix: l.prefix, By: l.by, Obstacle: l.obstacle}
		if l.subnet != nil {
			one.Subnet = l.subnet.Prefix
		}
		if pl := s.networks.poolOf(l.prefix); pl != nil {
			v := pl.view()
			one.Pool = &v
			gives[pl] = gives[pl] || l.valid > 0
		}
		e.Leases = append(e.Leases, one)
	}
	for _, p := range r.reserved.of(x.kind) {
		if !x.has(r, p) {
			e.Leases = append(e.Leases, ExplainedLease{Prefix: p, Obstacle: s.withheld(r, x, p)})
		}
	}
	for _, pl := range r.network.pools[x.kind] {
		v := ExplainedPool{Pool: pl.view(), Gives: gives[pl], Obstacle: s.closed(r, x, pl)}
		if pl.class != anyClass {
			v.Class = s.cfg.Classes[pl.class].Name
		}
		e.Pools = append(e.Pools, v)
	}
	return e
}

// closed is why a client finds nothing in a pool; None: there is something.
func (s *Server) closed(r *request, x *ia, pl *leasePool) Obstacle {
	if o := r.barrier(pl); o != None {
		return o
	}
	bits := int(x.hints.lengths[0])
	switch {
	case bits == 0:
		bits = pl.length
	case bits < pl.least || bits > pl.most:
		return OtherLengths
	}
	if _, ok := s.search(r, x, pl, bits); !ok {
		return Full
	}
	return None
}

// obstacle is why a client does not get what the operator says that it asks for.
func (s *Server) obstacle(r *request, q *Question) Obstacle {
	p := q.Prefix
	if !p.IsValid() || p.Addr().IsUnspecified() {
		return None
	}
	x := &ia{kind: kindOf(p), id: 1}
	for i := range r.ias {
		switch y := &r.ias[i]; {
		case y.kind != x.kind:
		case y.has(r, p):
			return None
		default:
			x = y
		}
	}
	_, o := s.available(r, x, p)
	if o == None && !s.room(r, x, false) {
		o = LimitMet
	}
	return o
}
