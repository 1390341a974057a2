package server6

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/pool"
	"fairlead/internal/wire/dhcp6"
)

// maxIAs bounds how many IAs of one message are looked at. Each costs as much as a message.
const maxIAs = 64

// assign answers a Solicit, Request, Renew or Rebind (RFC 8415 sections 18.3.1, 18.3.2, 18.3.4
// and 18.3.5).
func (s *Server) assign(now instant.Now, r *request, eff *effect.Effects) (effect.Drop, bool) {
	answer := dhcp6.Reply
	if r.m.Type() == dhcp6.Solicit {
		_, r.rapid = r.m.Options().First(dhcp6.OptionRapidCommit)
		if r.rapid = r.rapid && r.subnet.RapidCommit; !r.rapid {
			answer = dhcp6.Advertise
		}
	}
	if !r.readIAs() {
		return effect.DropInvalid, false
	}
	for i := range r.ias {
		s.decide(now, r, &r.ias[i])
		if answer == dhcp6.Advertise {
			s.reserve(r, &r.ias[i], i)
		}
	}
	s.events = s.events[:0]
	if answer == dhcp6.Advertise {
		s.unreserve(r)
	} else {
		s.learn(now, r)
	}
	if r.m.Type() == dhcp6.Rebind && !r.saysAnything() {
		return effect.DropNoAnswer, false
	}
	s.send(now, r, answer, eff)
	return 0, true
}

// readIAs finds the IA_NA and IA_PD options of a message; false where there are too many.
func (r *request) readIAs() bool {
	for c, v := range r.m.Options().IAs() {
		if len(r.ias) == maxIAs {
			return false
		}
		x := ia{code: c, kind: binding.Address, id: v.IAID, options: v.Options}
		if c == dhcp6.OptionIAPD {
			x.kind = binding.Prefix
		}
		r.ias = append(r.ias, x)
	}
	return true
}

// decide says what the client gets in an IA: what is reserved for it, else what it has, else
// what it names, else what a pool has for it.
func (s *Server) decide(now instant.Now, r *request, x *ia) {
	x.from, x.to = len(r.leases), len(r.leases)
	reserved := s.giveReserved(r, x)
	for slot := s.first(r); slot != nil; slot = s.table.Next(slot) {
		if id, _ := slot.IAID(); slot.Kind() != x.kind || id != x.id || x.has(r, slot.Prefix()) {
			continue
		}
		sn := s.permitted(r, slot.Prefix(), x.kind)
		if reserved {
			sn = nil
		}
		r.give(x, slot.Prefix(), sn)
	}
	if !s.heed(r, x) || x.gives(r) {
		return
	}
	if r.m.Type() == dhcp6.Rebind {
		// Another server may have given what the client names: this one has no part in it.
		x.status = dhcp6.StatusNoBinding
		return
	}
	if p, sn, ok := s.pick(r, x); ok {
		r.give(x, p, sn)
		return
	}
	x.status = x.none()
}

// none is the status of an IA that gets nothing.
func (x *ia) none() dhcp6.StatusCode {
	if x.kind == binding.Prefix {
		return dhcp6.StatusNoPrefixAvail
	}
	return dhcp6.StatusNoAddrsAvail
}

// give adds a lease to an answer, out of a subnet; nil takes it from its client.
func (r *request) give(x *ia, p netip.Prefix, sn *subnet) {
	l := lease{prefix: p, subnet: sn}
	if sn != nil {
		l.preferred, l.valid = sn.Lifetimes.Preferred, sn.Lifetimes.Valid
		if x.kind == binding.Prefix {
			l.exclude = sn.excluded(p)
		}
	}
	r.leases = append(r.leases, l)
	x.to = len(r.leases)
}

// has reports whether a lease is in an answer already, in that IA.
func (x *ia) has(r *request, p netip.Prefix) bool {
	return slices.ContainsFunc(r.leases[x.from:x.to], func(l lease) bool { return l.prefix == p })
}

// gives reports whether the client has any lease by the answer, in that IA.
func (x *ia) gives(r *request) bool {
	return slices.ContainsFunc(r.leases[x.from:x.to], func(l lease) bool { return l.valid > 0 })
}

// saysAnything reports whether there is an IA in the answer that has a lease or a status.
func (r *request) saysAnything() bool {
	return slices.ContainsFunc(r.ias, func(x ia) bool { return x.from < x.to || x.status != dhcp6.StatusSuccess })
}

// first is the first of the client's leases on its link.
func (s *Server) first(r *request) *binding.Slot {
	return s.table.First(s.table.HolderBy(r.link, binding.ByDUID, r.duid))
}

// giveReserved gives what is reserved for the client, and that nobody else has now.
func (s *Server) giveReserved(r *request, x *ia) (any bool) {
	if r.reserved == nil {
		return false
	}
	offer := func(p netip.Prefix) {
		if slices.ContainsFunc(r.leases, func(l lease) bool { return l.prefix == p && l.valid > 0 }) || !s.mayGive(r, x, p) {
			return
		}
		r.give(x, p, r.subnet)
		any = true
	}
	if x.kind == binding.Prefix {
		for _, p := range r.reserved.Prefixes {
			offer(p)
		}
		return any
	}
	for _, a := range r.reserved.Addresses {
		offer(netip.PrefixFrom(a, a.BitLen()))
	}
	return any
}

// mayGive reports whether nobody has a lease, or the client has it in that IA.
func (s *Server) mayGive(r *request, x *ia, p netip.Prefix) bool {
	slot := s.table.At(r.vrf, p)
	if slot == nil {
		return true
	}
	id, _ := slot.IAID()
	return s.table.HolderBy(r.link, binding.ByDUID, r.duid).Has(slot) && id == x.id
}

// permitted is the subnet that has a lease for the client; nil if it may not have that one (any
// more): no pool has it, or not for clients of its classes, or it is reserved for another.
func (s *Server) permitted(r *request, p netip.Prefix, k binding.Kind) *subnet {
	for _, sn := range r.network.subnets {
		if r.reserved != nil && sn == r.subnet && (slices.Contains(r.reserved.Prefixes, p) || p.IsSingleIP() && slices.Contains(r.reserved.Addresses, p.Addr())) {
			return sn
		}
		if s.networks.isReserved(p) {
			continue
		}
		if k == binding.Address {
			for i := range sn.addresses {
				if pl := &sn.addresses[i]; r.mayHave(pl.class) && pl.pool.Holds(p) {
					return sn
				}
			}
			continue
		}
		for i := range sn.prefixes {
			if pl := &sn.prefixes[i]; r.mayHavePart(pl) && pl.pool.Holds(p) {
				return sn
			}
		}
	}
	return nil
}

// mayHavePart reports whether a client may have a part of a pool. A part of which something is
// excluded is for clients alone that know of Prefix Exclude (RFC 6603 section 5.2).
func (r *request) mayHavePart(p *prefixPool) bool {
	return r.mayHave(p.class) && (!p.Exclude.IsValid() || r.oro.Contains(dhcp6.OptionPDExclude))
}

// heed looks at what the client names in an IA. It is given, where it is free and the IA has
// nothing yet. A Renew or Rebind is told what its client must not use any more. False: the
// whole IA is refused, as a Request names an address of another link (RFC 8415 section 18.3.2).
func (s *Server) heed(r *request, x *ia) bool {
	t := r.m.Type()
	for c, payload := range x.options.All() {
		var p netip.Prefix
		switch {
		case c == dhcp6.OptionIAAddr && x.kind == binding.Address:
			v, err := dhcp6.ParseIAAddr(payload)
			if err != nil || v.Address.IsUnspecified() {
				continue
			}
			p = netip.PrefixFrom(v.Address, v.Address.BitLen())
			if t == dhcp6.Request && r.network.onLink(v.Address) == nil {
				r.leases = r.leases[:x.from]
				x.to, x.status = x.from, dhcp6.StatusNotOnLink
				return false
			}
		case c == dhcp6.OptionIAPrefix && x.kind == binding.Prefix:
			v, err := dhcp6.ParseIAPrefix(payload)
			if err != nil || v.Prefix.Addr().IsUnspecified() {
				continue
			}
			p = v.Prefix.Masked()
		default:
			continue
		}
		if x.has(r, p) {
			continue
		}
		if sn := s.permitted(r, p, x.kind); sn != nil && !x.gives(r) && s.isFree(r, x, p) && s.room(r, x) == binding.NoReason {
			r.give(x, p, sn)
			continue
		}
		if t == dhcp6.Renew || t == dhcp6.Rebind && s.isForeign(r, x, p) {
			r.give(x, p, nil)
		}
	}
	return true
}

// isForeign reports whether the client of a Rebind must not use a lease: it is of another link,
// or another client has it. Other leases may be another server's.
func (s *Server) isForeign(r *request, x *ia, p netip.Prefix) bool {
	return x.kind == binding.Address && r.network.onLink(p.Addr()) == nil || !s.mayGive(r, x, p)
}

// isFree reports whether a lease can be given to a client that does not have it.
func (s *Server) isFree(r *request, x *ia, p netip.Prefix) bool {
	pl := s.networks.poolOf(p)
	return pl != nil && pl.IsFree(p) && s.usable(p) && !r.offers(p) && !s.quarantine.keepsFrom(s.place(x.kind, r.duid, x.id), p)
}

// offers reports whether a lease is given in another IA of the same answer.
func (r *request) offers(p netip.Prefix) bool {
	return slices.ContainsFunc(r.leases, func(l lease) bool { return l.valid > 0 && l.prefix.Overlaps(p) })
}

// The interface identifiers that no host may have (RFC 5453): that of the subnet's routers, and
// those of anycast.
const (
	lowestAnycast  = 0xfdffffffffffff80
	highestAnycast = 0xfdffffffffffffff
)

// usable reports whether a host may have an address. It is neither one of ours nor of an
// interface identifier that is reserved (RFC 8415 section 13.1).
func (s *Server) usable(p netip.Prefix) bool {
	if !p.IsSingleIP() {
		return true
	}
	a := p.Addr().As16()
	id := binary.BigEndian.Uint64(a[8:])
	return id != 0 && (id < lowestAnycast || id > highestAnycast) && !s.links.IsKnown(p.Addr())
}

// room is the limit that one more lease in an IA would exceed, or NoReason.
func (s *Server) room(r *request, x *ia) binding.Reason {
	has, more := 0, 1
	for slot := s.first(r); slot != nil; slot = s.table.Next(slot) {
		if slot.Kind() == x.kind {
			has++
		}
	}
	for i := range r.ias {
		if y := &r.ias[i]; y.kind == x.kind {
			for _, l := range r.leases[y.from:y.to] {
				if l.valid > 0 && s.table.At(r.vrf, l.prefix) == nil {
					more++
				}
			}
		}
	}
	if has+more > r.policy.ClientLimit {
		return binding.LimitClient
	}
	return s.table.Room(r.link, binding.Client{}, r.linkLayer, x.kind, more, 0, r.policy)
}

// tries bounds how many free leases of a pool are looked at that cannot be given: our own
// addresses, those of reserved identifiers, those that are reserved for others or wait for them.
const tries = 16

// pick finds a free lease for an IA in a pool of the client's network.
func (s *Server) pick(r *request, x *ia) (netip.Prefix, *subnet, bool) {
	if s.room(r, x) != binding.NoReason {
		return netip.Prefix{}, nil, false
	}
	for _, sn := range r.network.subnets {
		if x.kind == binding.Address {
			for i := range sn.addresses {
				if pl := &sn.addresses[i]; r.mayHave(pl.class) {
					if p, ok := s.search(r, x, pl.pool, 128); ok {
						return p, sn, true
					}
				}
			}
			continue
		}
		for i := range sn.prefixes {
			if pl := &sn.prefixes[i]; r.mayHavePart(pl) {
				if p, ok := s.search(r, x, pl.pool, x.length(pl)); ok {
					return p, sn, true
				}
			}
		}
	}
	return netip.Prefix{}, nil, false
}

// search looks for a free lease for an IA in a pool, from the IA's place on.
func (s *Server) search(r *request, x *ia, in *pool.Pool, bits int) (netip.Prefix, bool) {
	own := s.place(x.kind, r.duid, x.id)
	place := own
	for range tries {
		p, ok := in.Find(place, bits)
		if !ok {
			return p, false
		}
		if s.usable(p) && !r.offers(p) && !s.networks.isReserved(p) && !s.quarantine.keepsFrom(own, p) {
			return p, true
		}
		place = place*6364136223846793005 + 1442695040888963407 // any other place
	}
	return netip.Prefix{}, false
}

// place is where in a pool the search for an IA begins: the same for the same client, so that it
// gets the same lease again where it can, and not to be guessed by others (RFC 7824).
func (s *Server) place(k binding.Kind, duid []byte, iaid uint32) uint64 {
	var b [len(s.cfg.Secret) + 1 + 4 + dhcp6.MaxDUIDLen]byte
	seed := append(append(b[:0], s.cfg.Secret[:]...), byte(k))
	seed = append(binary.BigEndian.AppendUint32(seed, iaid), duid...)
	sum := sha256.Sum256(seed)
	return binary.BigEndian.Uint64(sum[:])
}

// length is how long a prefix the client gets out of a pool: as it asks for, as far as the pool
// has such (RFC 8168 section 3.1).
func (x *ia) length(p *prefixPool) int {
	for c, payload := range x.options.All() {
		if c != dhcp6.OptionIAPrefix {
			continue
		}
		if v, err := dhcp6.ParseIAPrefix(payload); err == nil && v.Prefix.Bits() > 0 {
			return min(max(v.Prefix.Bits(), p.Min), p.Max)
		}
	}
	return p.Length
}

// excluded is the part of a delegated prefix that its client has not got; invalid: none. The
// configuration says it for the first prefix of the pool, and the others have theirs in the same
// place.
func (sn *subnet) excluded(p netip.Prefix) netip.Prefix {
	for i := range sn.prefixes {
		pl := &sn.prefixes[i]
		if !pl.Exclude.IsValid() || !pl.pool.Holds(p) || pl.Exclude.Bits() <= p.Bits() {
			continue
		}
		base, in, at := pl.Prefix.Addr().As16(), pl.Exclude.Addr().As16(), p.Addr().As16()
		for j := range at {
			at[j] |= in[j] &^ base[j]
		}
		return netip.PrefixFrom(netip.AddrFrom16(at), pl.Exclude.Bits()).Masked()
	}
	return netip.Prefix{}
}

// reserve marks what an Advertise offers in one IA as taken, until the other IAs of the message
// are decided on. The last needs it not.
func (s *Server) reserve(r *request, x *ia, i int) {
	if i == len(r.ias)-1 {
		return
	}
	for j := x.from; j < x.to; j++ {
		l := &r.leases[j]
		if pl := s.networks.poolOf(l.prefix); l.valid > 0 && pl != nil && s.table.At(r.vrf, l.prefix) == nil {
			l.marked = pl.Take(l.prefix)
		}
	}
}

// unreserve takes those marks away.
func (s *Server) unreserve(r *request) {
	for i := range r.leases {
		if l := &r.leases[i]; l.marked {
			s.networks.poolOf(l.prefix).Free(l.prefix)
		}
	}
}

// learn makes the leases of an answer the client's, and takes from it what the answer takes back.
func (s *Server) learn(now instant.Now, r *request) {
	who := r.who()
	for i := range r.ias {
		x, refused := &r.ias[i], false
		for j := x.from; j < x.to; j++ {
			l := &r.leases[j]
			if l.valid == 0 {
				if slot := s.table.At(r.vrf, l.prefix); slot != nil && s.mayGive(r, x, l.prefix) {
					s.events = append(s.events, s.table.End(slot, binding.Withdrawn))
				}
				continue
			}
			g := delegation.Grant{
				Link: r.link, VRF: r.vrf, Prefix: l.prefix, Kind: x.kind, Client: who, IAID: x.id, NextHop: r.source, LinkLayer: r.linkLayer,
				Preferred: l.preferred.Duration(), Lifetime: l.valid.Duration(), Source: binding.Assigned, Exclude: l.exclude, Line: r.line(),
			}
			before := len(s.events)
			s.events = s.table.Learn(s.events, now, g, delegation.Terms{Policy: r.policy, Reserved: func(*delegation.Grant) bool { return false }})
			for k := before; k < len(s.events); k++ {
				if s.events[k].Kind == binding.Refused {
					*l, refused = lease{}, true
				}
			}
		}
		if refused && !x.gives(r) {
			x.status = x.none()
		}
	}
	s.apply(now)
}

// line is the point-to-point line on which a client has asked; 0: it is on none.
func (r *request) line() uint32 {
	if r.relay != nil {
		return 0
	}
	return r.at.line
}

// apply brings the pools in step with what has happened to leases, and counts it.
func (s *Server) apply(now instant.Now) {
	s.counts.Add(s.events)
	for i := range s.events {
		switch e := &s.events[i]; e.Kind {
		case binding.Granted:
			s.take(&e.New)
			s.quarantine.leave(e.New.Prefix)
		case binding.Ended:
			s.free(&e.Old)
			if e.Reason == binding.Expired {
				s.quarantine.await(now.Boot, e.Old.Prefix, s.place(e.Old.Kind, []byte(e.Old.Client.DUID()), e.Old.IAID))
			}
		}
	}
}
