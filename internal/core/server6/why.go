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

// An operator asks why a client has its leases, and not others. To explain it, the server decides
// once more, by the same code and without consequences, on the message that the client would send
// now: a Renew of its leases, or a Solicit if it has none. The server has not kept all of the
// client's messages, so it does not know the options of relay agents and the options that show
// classes. It assumes that these are as the client's leases require (suppose).

// Question names a client, and where it is.
type Question struct {
	Client      dhcp6.DUID
	Link        string     // the name of a link, as leases have it; empty: all links on which the client has leases
	LinkAddress netip.Addr // used instead of Link: the link-address of a relay agent that the client is behind
	Classes     []string   // classes that the client is assumed to be of, beside those that are known
	// Prefix is what the client asks for: an address (128 bits), a prefix, or only a length, with
	// the address ::. Invalid: it asks for nothing in particular.
	Prefix netip.Prefix
}

// Explanation is what the server decides on a client on one link, and why.
type Explanation struct {
	Link    string
	Network string // empty: the link has no network, and the rest of the explanation is empty
	Subnet  netip.Prefix
	Leased  bool // the client has leases there; else the server decides on a Solicit for an address and a prefix

	Classes         []string     // the classes that the client is assumed to be of
	Excludes        bool         // the client is assumed to support Prefix Exclude
	Reservation     *Reservation // for the client; nil: none
	TakenToBeBehind bool         // the identifiers in Reservation that relay agents add are assumed to match

	Registered []netip.Prefix // addresses that the client has chosen itself and registered (RFC 9686)
	IAs        []ExplainedIA
	// Obstacle is why the client does not get what it asks for by Question.Prefix; None: it gets it.
	Obstacle Obstacle
}

// ExplainedIA is one IA of a client.
type ExplainedIA struct {
	Kind   binding.Kind
	IAID   uint32
	Limit  binding.Reason // the limit that is met; NoReason: none
	Leases []ExplainedLease
	Pools  []ExplainedPool // all pools of the network for leases of that kind, in the order in which they are tried
}

// ExplainedLease is a lease that a client gets, or that is reserved for it, or that it has and will
// lose.
type ExplainedLease struct {
	Prefix   netip.Prefix
	Subnet   netip.Prefix // invalid: the client does not get the lease
	Pool     *effect.Pool // the pool of the lease; nil: it belongs to none
	By       Basis        // why the client gets the lease; 0: it does not
	Obstacle Obstacle     // why the client does not get the lease; None: it does
}

// ExplainedPool is a pool, and why the client finds no lease in it.
type ExplainedPool struct {
	effect.Pool
	Class    string   // only clients of this class get leases of the pool; empty: all clients
	Gives    bool     // a lease of the client is from the pool
	Obstacle Obstacle // None: the client would find a lease
}

// The errors of Explain.
var (
	ErrNoLease = errors.New("the client has no lease of this server")
	ErrNoLink  = errors.New("no such link")
)

// Explain answers a question for each link that it is about. Nothing changes.
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

// wouldSend is the message that a client would send now: a Renew of held, or a Solicit.
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
			ids = append(ids, 1) // any IAID will do
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

// kindOf is the kind of a lease that an operator names.
func kindOf(p netip.Prefix) binding.Kind {
	if p.IsSingleIP() && !p.Addr().IsUnspecified() {
		return binding.Address
	}
	return binding.Prefix
}

// suppose adds to a request what the server does not know of the client: classes and a reservation
// that its leases require, and classes that the operator names.
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

// ofLeases is the first reservation that has a lease of the client and would be for the client if
// its relay agents added the identifiers that the reservation asks for; nil if there is none.
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

// closed is why a client finds no lease in a pool; None: it finds one.
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

// obstacle is why a client does not get what it asks for by Question.Prefix; None: it gets it.
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
