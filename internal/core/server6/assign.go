package server6

import (
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp6"
)

// addressBits is the length of an address in bits.
const addressBits = 128

// maxIAs bounds how many IAs a message may have. Each IA costs as much work as a message.
const maxIAs = 64

// assign answers a Solicit, Request, Renew or Rebind (RFC 8415 sections 18.3.1, 18.3.2, 18.3.4
// and 18.3.5).
func (s *Server) assign(now instant.Now, r *request, eff *effect.Effects) (effect.Drop, bool) {
	if !r.readIAs() {
		return effect.DropInvalid, false
	}
	s.choose(r)
	s.events = s.events[:0]
	answer := dhcp6.Reply
	if r.m.Type() == dhcp6.Solicit {
		_, asked := r.m.Options().First(dhcp6.OptionRapidCommit)
		if r.rapid = asked && r.subnet.RapidCommit; !r.rapid {
			answer = dhcp6.Advertise
		}
	}
	if answer == dhcp6.Reply {
		if s.ledger.Takes(r.key()) {
			return effect.DropAnswerWaits, false
		}
		if q := s.needsProbe(now, r); q != nil {
			return s.letWait(now, r, *q, eff)
		}
		s.learn(now, r, eff)
	}
	if r.m.Type() == dhcp6.Rebind && !r.saysAnything() {
		return effect.DropNoAnswer, false
	}
	s.send(now, r, answer, eff)
	return 0, true
}

// choose decides what the client gets in each IA.
func (s *Server) choose(r *request) {
	for i := range r.ias {
		s.decide(r, &r.ias[i])
		if i+1 < len(r.ias) {
			s.mark(r, &r.ias[i])
		}
	}
	s.unmark(r)
	r.settleSubnet()
}

// readIAs reads the IA_NA and IA_PD options of a message; false if there are too many. Each IA has
// to have an IAID of its own (RFC 8415 section 21.4). Of several with the same IAID, only the first
// counts.
func (r *request) readIAs() bool {
	for c, v := range r.m.Options().IAs() {
		if slices.ContainsFunc(r.ias, func(x ia) bool { return x.code == c && x.id == v.IAID }) {
			continue
		}
		if len(r.ias) == maxIAs {
			return false
		}
		x := ia{code: c, kind: binding.Address, id: v.IAID, options: v.Options}
		if c == dhcp6.OptionIAPD {
			x.kind = binding.Prefix
			x.readHints()
		}
		r.ias = append(r.ias, x)
	}
	return true
}

// settleSubnet takes the subnet of the first lease as that of the answer, unless the client has a
// reservation, which names its subnet.
func (r *request) settleSubnet() {
	if r.reserved != nil {
		return
	}
	for i := range r.leases {
		if r.leases[i].valid > 0 {
			r.subnet = r.leases[i].subnet
			return
		}
	}
}

// tells reports whether an answer names the leases that it takes back, with lifetimes of 0. The
// answer to a Solicit or a Request names only what the client gets (RFC 8415 sections 18.3.2 and
// 18.3.9).
func (r *request) tells() bool {
	return r.m.Type() == dhcp6.Renew || r.m.Type() == dhcp6.Rebind
}

// decide says what the client gets in an IA: what is reserved for it, else what it has, else what
// it names, else what waits for it in quarantine, else something free in a pool.
func (s *Server) decide(r *request, x *ia) {
	x.from, x.to = len(r.leases), len(r.leases)
	reserved := s.giveReserved(r, x)
	known := false
	for slot := s.first(r); slot != nil; slot = s.table.Next(slot) {
		known = known || x.is(slot)
	}
	replaced := known && !reserved && s.replace(r, x)
	for slot := s.first(r); slot != nil; slot = s.table.Next(slot) {
		if p := slot.Prefix(); x.is(slot) && !x.has(r, p) {
			sn, o := s.permitted(r, p, x.kind)
			switch {
			case reserved:
				sn, o = nil, InsteadReserved
			case replaced:
				sn, o = nil, InsteadLength
			}
			if o == None {
				s.give(r, x, p, sn, Held)
			} else {
				s.withdraw(r, x, p, o)
			}
		}
	}
	t := r.m.Type()
	mayAdd := t != dhcp6.Rebind || known || r.subnet.RapidCommit
	wants := 0
	if mayAdd && !(x.given(r) > 0 && (reserved || r.tells())) {
		wants = x.hints.wants()
	}
	if !s.heed(r, x, wants) {
		return
	}
	for x.given(r) < wants {
		s.mark(r, x) // so that the search passes it
		p, sn, by := s.pick(r, x)
		if by == 0 {
			break
		}
		s.give(r, x, p, sn, by)
	}
	switch {
	case x.given(r) > 0:
	case mayAdd:
		x.status = x.none()
	case x.from == x.to: // what the client names may be another server's lease (RFC 8415 section 18.3.5)
		x.status = dhcp6.StatusNoBinding
	}
}

// is reports whether a lease of the client belongs to the IA.
func (x *ia) is(slot *binding.Slot) bool {
	id, known := slot.IAID()
	return known && slot.Kind() == x.kind && id == x.id
}

// none is the status of an IA in which the client gets nothing.
func (x *ia) none() dhcp6.StatusCode {
	if x.kind == binding.Prefix {
		return dhcp6.StatusNoPrefixAvail
	}
	return dhcp6.StatusNoAddrsAvail
}

// give adds a lease of a subnet to an answer.
func (s *Server) give(r *request, x *ia, p netip.Prefix, sn *subnet, by Basis) {
	l := lease{prefix: p, subnet: sn, by: by, preferred: sn.Lifetimes.Preferred, valid: sn.Lifetimes.Valid}
	if x.kind == binding.Prefix && r.oro.Contains(dhcp6.OptionPDExclude) {
		if pl := s.networks.poolOf(p); pl != nil {
			l.exclude = pl.excluded(p)
		}
	}
	r.leases = append(r.leases, l)
	x.to = len(r.leases)
}

// withdraw adds a lease to an answer that the client must not use any more: its lifetimes are 0.
func (s *Server) withdraw(r *request, x *ia, p netip.Prefix, o Obstacle) {
	r.leases = append(r.leases, lease{prefix: p, obstacle: o})
	x.to = len(r.leases)
}

// has reports whether the answer already has a lease in that IA.
func (x *ia) has(r *request, p netip.Prefix) bool {
	return slices.ContainsFunc(r.leases[x.from:x.to], func(l lease) bool { return l.prefix == p })
}

// given is how many leases the answer gives the client in that IA.
func (x *ia) given(r *request) (n int) {
	for i := x.from; i < x.to; i++ {
		if r.leases[i].valid > 0 {
			n++
		}
	}
	return n
}

// saysAnything reports whether at least one IA of the answer has a lease or a status.
func (r *request) saysAnything() bool {
	return slices.ContainsFunc(r.ias, func(x ia) bool { return x.from < x.to || x.status != dhcp6.StatusSuccess })
}

// first is the first of the client's leases on its link.
func (s *Server) first(r *request) *binding.Slot { return s.table.First(r.holder) }

// giveReserved gives the client what is reserved for it, unless somebody else has it now.
func (s *Server) giveReserved(r *request, x *ia) (any bool) {
	for _, p := range r.reserved.of(x.kind) {
		if s.withheld(r, x, p) == None {
			s.give(r, x, p, r.reserved.subnet, Reserved)
			any = true
		}
	}
	return any
}

// withheld is why a client does not get what is reserved for it.
func (s *Server) withheld(r *request, x *ia, p netip.Prefix) Obstacle {
	if slot := s.table.Find(p); slot != nil {
		if r.isOwn(x, slot) {
			return None
		}
		return HeldByAnother
	}
	if o := s.shut(r, p); o != None {
		return o
	}
	if s.quarantine.isDeclined(p) {
		return Declined
	}
	if w, waits := s.quarantine.waiting[p]; waits && w.of != s.placeOf(r, x) {
		return WaitsForAnother
	}
	if !s.room(r, x, true) {
		return LimitMet
	}
	return None
}

// isOwn reports whether a lease belongs to the client and to that IA.
func (r *request) isOwn(x *ia, slot *binding.Slot) bool { return r.holder.Has(slot) && x.is(slot) }

// named yields the addresses or prefixes that a client names in an IA. It passes over options that
// cannot be read.
func (x *ia) named(yield func(netip.Prefix) bool) {
	for c, payload := range x.options.All() {
		var p netip.Prefix
		switch {
		case c == dhcp6.OptionIAAddr && x.kind == binding.Address:
			if v, err := dhcp6.ParseIAAddr(payload); err == nil {
				p = netip.PrefixFrom(v.Address, addressBits)
			}
		case c == dhcp6.OptionIAPrefix && x.kind == binding.Prefix:
			if v, err := dhcp6.ParseIAPrefix(payload); err == nil {
				p = v.Prefix.Masked()
			}
		}
		if p.IsValid() && !p.Addr().IsUnspecified() && !yield(p) {
			return
		}
	}
}

// replace gives a client that sends a Solicit or a Request another prefix than it has (RFC 8168
// section 3.2). It does so where the client names a free prefix or another length, and does not
// name what it has.
func (s *Server) replace(r *request, x *ia) bool {
	bits := r.network.aim(r, int(x.hints.lengths[0]))
	if r.tells() || bits == 0 {
		return false
	}
	for slot := s.first(r); slot != nil; slot = s.table.Next(slot) {
		if !x.is(slot) {
			continue
		}
		p := slot.Prefix()
		for q := range x.named {
			if q == p {
				return false
			}
		}
		if slices.ContainsFunc(x.hints.lengths[:x.hints.n], func(bits uint8) bool { return r.network.aim(r, int(bits)) == p.Bits() }) {
			return false
		}
	}
	for p := range x.named {
		if sn, o := s.available(r, x, p); o == None {
			s.give(r, x, p, sn, Named)
			return true
		}
	}
	for _, pl := range r.network.pools[x.kind] {
		if p, ok := s.search(r, x, pl, bits); ok {
			s.give(r, x, p, pl.subnet, OtherLength)
			return true
		}
	}
	return false
}

// heed looks at the leases that the client names in an IA. A named lease is given if it is free and
// the IA has fewer leases than the client wants. The answer to a Renew or Rebind also names what
// the client must not use any more. False: a Request names an address of another link, so the whole
// IA is refused (RFC 8415 section 18.3.2).
func (s *Server) heed(r *request, x *ia, wants int) bool {
	t := r.m.Type()
	for p := range x.named {
		if t == dhcp6.Request && x.kind == binding.Address && !r.network.onLink(p.Addr()) {
			r.leases = r.leases[:x.from]
			x.to, x.status = x.from, dhcp6.StatusNotOnLink
			return false
		}
		if x.has(r, p) {
			continue
		}
		if x.given(r) < wants {
			if sn, o := s.available(r, x, p); o == None && s.room(r, x, false) {
				s.give(r, x, p, sn, Named)
				continue
			}
		}
		if t == dhcp6.Renew || t == dhcp6.Rebind && s.isForeign(r, x, p) {
			s.withdraw(r, x, p, HeldByAnother)
		}
	}
	return true
}

// isForeign reports whether the client of a Rebind must not use a lease, because the lease is of
// another link or another client has it. Any other unknown lease may be one of another server.
func (s *Server) isForeign(r *request, x *ia, p netip.Prefix) bool {
	slot := s.table.Find(p)
	return x.kind == binding.Address && !r.network.onLink(p.Addr()) || slot != nil && !r.isOwn(x, slot)
}

// mark marks in the pools what an answer gives in one IA as taken, until the other IAs of the
// message are decided on (unmark). What the answer takes back stays taken until then, too.
func (s *Server) mark(r *request, x *ia) {
	for j := x.from; j < x.to; j++ {
		l := &r.leases[j]
		if pl := s.networks.poolOf(l.prefix); l.valid > 0 && !l.marked && pl != nil && s.table.Find(l.prefix) == nil {
			l.marked = pl.Take(l.prefix)
		}
	}
}

// unmark takes the marks of mark away.
func (s *Server) unmark(r *request) {
	for i := range r.leases {
		if l := &r.leases[i]; l.marked {
			s.networks.poolOf(l.prefix).Free(l.prefix)
		}
	}
}
