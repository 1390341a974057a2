package server6

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp6"
)

// addressBits are the bits of an address.
const addressBits = 128

// maxIAs bounds how many IAs of one message are looked at. Each costs as much as a message.
const maxIAs = 64

// assign answers a Solicit, Request, Renew or Rebind (RFC 8415 sections 18.3.1, 18.3.2, 18.3.4
// and 18.3.5).
func (s *Server) assign(now instant.Now, r *request, eff *effect.Effects) (effect.Drop, bool) {
	if !r.readIAs() {
		return effect.DropInvalid, false
	}
	for i := range r.ias {
		s.decide(r, &r.ias[i])
		s.mark(r, &r.ias[i])
	}
	s.unmark(r)
	r.settleSubnet()
	s.events = s.events[:0]
	answer := dhcp6.Reply
	if r.m.Type() == dhcp6.Solicit {
		_, asked := r.m.Options().First(dhcp6.OptionRapidCommit)
		if r.rapid = asked && r.subnet.RapidCommit; !r.rapid {
			answer = dhcp6.Advertise
		}
	}
	if answer == dhcp6.Reply {
		s.learn(now, r, eff)
	}
	if r.m.Type() == dhcp6.Rebind && !r.saysAnything() {
		return effect.DropNoAnswer, false
	}
	s.send(now, r, answer, eff)
	return 0, true
}

// readIAs finds the IA_NA and IA_PD options of a message; false where there are too many. Of
// several with one IAID the first counts: each has to have its own (RFC 8415 section 21.4).
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
		}
		r.ias = append(r.ias, x)
	}
	return true
}

// settleSubnet makes the subnet of the first lease that of the answer, where no reservation says it.
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

// tells reports whether an answer names what it takes back. To a client that begins anew nothing
// is named but what it gets (RFC 8415 sections 18.3.2 and 18.3.9).
func (r *request) tells() bool {
	return r.m.Type() == dhcp6.Renew || r.m.Type() == dhcp6.Rebind
}

// decide says what the client gets in an IA: what is reserved for it, else what it has, else
// what it names, else what has waited for it, else what a pool has.
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
			sn := s.permitted(r, p, x.kind)
			if reserved || replaced {
				sn = nil
			}
			s.give(r, x, p, sn)
		}
	}
	t := r.m.Type()
	mayAdd := t != dhcp6.Rebind || known || r.subnet.RapidCommit
	if !s.heed(r, x, mayAdd) || x.gives(r) {
		return
	}
	if !mayAdd {
		// Another server may have given what the client names (RFC 8415 section 18.3.5).
		if x.from == x.to {
			x.status = dhcp6.StatusNoBinding
		}
		return
	}
	if p, sn, ok := s.pick(r, x); ok {
		s.give(r, x, p, sn)
		return
	}
	x.status = x.none()
}

// is reports whether a lease of the client is in the IA.
func (x *ia) is(slot *binding.Slot) bool {
	id, known := slot.IAID()
	return known && slot.Kind() == x.kind && id == x.id
}

// none is the status of an IA that gets nothing.
func (x *ia) none() dhcp6.StatusCode {
	if x.kind == binding.Prefix {
		return dhcp6.StatusNoPrefixAvail
	}
	return dhcp6.StatusNoAddrsAvail
}

// give adds a lease to an answer, out of a subnet; nil takes it from its client.
func (s *Server) give(r *request, x *ia, p netip.Prefix, sn *subnet) {
	l := lease{prefix: p, subnet: sn}
	if sn != nil {
		l.preferred, l.valid = sn.Lifetimes.Preferred, sn.Lifetimes.Valid
		if x.kind == binding.Prefix && r.oro.Contains(dhcp6.OptionPDExclude) {
			if pl := s.networks.poolOf(p); pl != nil {
				l.exclude = pl.excluded(p)
			}
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
func (s *Server) first(r *request) *binding.Slot { return s.table.First(r.holder) }

// giveReserved gives what is reserved for the client, and that nobody else has now.
func (s *Server) giveReserved(r *request, x *ia) (any bool) {
	if r.reserved == nil {
		return false
	}
	offer := func(p netip.Prefix) {
		if slot := s.table.Find(p); slot == nil && s.isOpen(r, p) && !s.quarantine.isDeclined(p) && s.room(r, x, true) || slot != nil && r.isOwn(x, slot) {
			s.give(r, x, p, r.reserved.subnet)
			any = true
		}
	}
	if x.kind == binding.Prefix {
		for _, p := range r.reserved.Prefixes {
			offer(p)
		}
		return any
	}
	for _, a := range r.reserved.Addresses {
		offer(netip.PrefixFrom(a, addressBits))
	}
	return any
}

// isOwn reports whether a lease is the client's, in that IA.
func (r *request) isOwn(x *ia, slot *binding.Slot) bool { return r.holder.Has(slot) && x.is(slot) }

// permitted is the subnet that has a lease for the client; nil if it may not have that one (any
// more): no pool has it, or not for clients of its classes, or it is reserved for another.
func (s *Server) permitted(r *request, p netip.Prefix, k binding.Kind) *subnet {
	if r.reserved.lists(p, k) {
		return r.reserved.subnet
	}
	if pl := s.networks.poolOf(p); pl != nil && pl.kind == k && pl.subnet.network == r.network && r.mayUse(pl) && !s.networks.isReserved(p) {
		return pl.subnet
	}
	return nil
}

// mayUse reports whether a client may have what is in a pool. A prefix of which something is
// excluded is for clients alone that know of Prefix Exclude (RFC 6603 section 5.2).
func (r *request) mayUse(p *leasePool) bool {
	return r.mayHave(p.class) && (!p.exclude.IsValid() || r.oro.Contains(dhcp6.OptionPDExclude))
}

// named yields the addresses or prefixes that a client names in an IA, as far as they can be read.
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

// hint is the length of prefix that a client asks for: one by itself, else that of the first prefix
// that it names; 0: none (RFC 8168).
func (x *ia) hint() (bits int) {
	for c, payload := range x.options.All() {
		if c != dhcp6.OptionIAPrefix || x.kind != binding.Prefix {
			continue
		}
		v, err := dhcp6.ParseIAPrefix(payload)
		switch {
		case err != nil || v.Prefix.Bits() == 0:
		case v.Prefix.Addr().IsUnspecified():
			return v.Prefix.Bits()
		case bits == 0:
			bits = v.Prefix.Bits()
		}
	}
	return bits
}

// replace gives a client that begins anew another prefix than it has, where it names one that is
// free, or a length, and nothing that it has (RFC 8168 section 3.2).
func (s *Server) replace(r *request, x *ia) bool {
	if x.kind != binding.Prefix || r.tells() {
		return false
	}
	bits := r.network.nearest(r, x.hint())
	if bits == 0 {
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
		if p.Bits() == bits {
			return false
		}
	}
	for p := range x.named {
		if sn := s.permitted(r, p, x.kind); sn != nil && s.isFree(r, x, p) {
			s.give(r, x, p, sn)
			return true
		}
	}
	for _, pl := range r.network.pools[x.kind] {
		if p, ok := s.search(r, x, pl, bits); ok {
			s.give(r, x, p, pl.subnet)
			return true
		}
	}
	return false
}

// nearest is the length that a client gets which asks for bits: that, else the next shorter one; 0
// where there is none, or it asks for none.
func (nw *network) nearest(r *request, bits int) (found int) {
	for _, pl := range nw.pools[binding.Prefix] {
		if pl.least <= bits && r.mayUse(pl) {
			found = max(found, min(bits, pl.most))
		}
	}
	return found
}

// heed looks at what the client names in an IA. It is given, where it is free, the IA has nothing
// yet, and leases may be added. A Renew or Rebind is told what its client must not use any more. False:
// the whole IA is refused, as a Request names an address of another link (RFC 8415 section 18.3.2).
func (s *Server) heed(r *request, x *ia, mayAdd bool) bool {
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
		if mayAdd && !x.gives(r) {
			if sn := s.permitted(r, p, x.kind); sn != nil && s.isFree(r, x, p) && s.room(r, x, false) {
				s.give(r, x, p, sn)
				continue
			}
		}
		if t == dhcp6.Renew || t == dhcp6.Rebind && s.isForeign(r, x, p) {
			s.give(r, x, p, nil)
		}
	}
	return true
}

// isForeign reports whether the client of a Rebind must not use a lease: it is of another link,
// or another client has it. Other leases may be another server's.
func (s *Server) isForeign(r *request, x *ia, p netip.Prefix) bool {
	slot := s.table.Find(p)
	return x.kind == binding.Address && !r.network.onLink(p.Addr()) || slot != nil && !r.isOwn(x, slot)
}

// isFree reports whether a lease of a pool can be given to a client that does not have it.
func (s *Server) isFree(r *request, x *ia, p netip.Prefix) bool {
	if w, waits := s.quarantine.waiting[p]; waits {
		return w.of == s.placeOf(r, x) && s.isOpen(r, p)
	}
	pl := s.networks.poolOf(p)
	return pl != nil && pl.IsFree(p) && s.isOpen(r, p)
}

// isOpen reports whether nothing but its pool can be in a lease's way: it is usable, no other IA of the
// same answer has it, and it does not overlap with a lease that was given before the pools were changed.
func (s *Server) isOpen(r *request, p netip.Prefix) bool {
	return s.usable(r, p) && !r.offers(p) && !s.table.Overlaps(p)
}

// offers reports whether a lease is given in an IA of the same answer.
func (r *request) offers(p netip.Prefix) bool {
	return slices.ContainsFunc(r.leases, func(l lease) bool { return l.valid > 0 && l.prefix.Overlaps(p) })
}

// usable reports whether a host may have an address. It is neither one of ours or of the relay agents
// on the way, nor of an interface identifier that is reserved (RFC 8415 section 13.1).
func (s *Server) usable(r *request, p netip.Prefix) bool {
	if !p.IsSingleIP() {
		return true
	}
	for i := range r.layers {
		if r.layers[i].LinkAddress() == p.Addr() {
			return false
		}
	}
	a := p.Addr().As16()
	return !isReservedID(binary.BigEndian.Uint64(a[8:])) && !s.links.IsKnown(p.Addr())
}

// isReservedID reports whether no host may have an interface identifier: it is that of the subnet's
// routers, of the addresses of Ethernet that IANA keeps, or of anycast (RFC 5453, RFC 7136, and the
// registry of reserved IPv6 interface identifiers).
func isReservedID(id uint64) bool {
	return id == 0 || id>>24 == 0x02005efffe || id >= 0xfdffffffffffff80 && id <= 0xfdffffffffffffff
}

// room reports whether no limit is in the way of one more lease in an IA. It remembers the one that is.
// Where hosts have a limit of their own, what is behind another host does not count against the client:
// that host may have copied its DUID. With instead, the lease takes the place of those that the client has
// in the IA.
func (s *Server) room(r *request, x *ia, instead bool) bool {
	held, more := 0, 1
	for slot := s.first(r); slot != nil; slot = s.table.Next(slot) {
		if slot.Kind() == x.kind && (r.policy.HostLimit <= 0 || slot.LinkLayer() == r.linkLayer || !slot.LinkLayer().IsValid() || !r.linkLayer.IsValid()) {
			held++
		}
		if instead && x.is(slot) && !x.has(r, slot.Prefix()) {
			more--
		}
	}
	for i := range r.ias {
		if y := &r.ias[i]; y.kind == x.kind {
			for _, l := range r.leases[y.from:y.to] {
				switch had := s.table.Find(l.prefix); {
				case l.valid > 0 && had == nil:
					more++
				case l.valid == 0 && had != nil && r.isOwn(y, had):
					more--
				}
			}
		}
	}
	if x.limit = s.table.Room(r.link, binding.Client{}, r.linkLayer, x.kind, more, 0, r.policy); held+more > r.policy.ClientLimit {
		x.limit = binding.LimitClient
	}
	return x.limit == binding.NoReason
}

// pick finds a free lease for an IA: what has waited for the client, else what a pool of its network
// has. A prefix has the length that the client asks for, else the next shorter one that any pool gives,
// else the next longer one (RFC 8168 section 3.2). Where nothing is free, the client gets what has waited
// longest for another.
func (s *Server) pick(r *request, x *ia) (netip.Prefix, *subnet, bool) {
	if !s.room(r, x, false) {
		return netip.Prefix{}, nil, false
	}
	hint, pools := x.hint(), r.network.pools[x.kind]
	nearest := r.network.nearest(r, hint)
	if p, waits := s.quarantine.whose[s.placeOf(r, x)]; waits && (hint == 0 || p.Bits() == nearest) && s.isOpen(r, p) {
		if sn := s.permitted(r, p, x.kind); sn != nil {
			return p, sn, true
		}
	}
	for _, pl := range pools {
		if hint != 0 {
			break
		}
		if p, ok := s.search(r, x, pl, pl.length); ok {
			return p, pl.subnet, true
		}
	}
	for bits := nearest; bits > 0; bits = r.network.nearest(r, bits-1) {
		for _, pl := range pools {
			if p, ok := s.search(r, x, pl, bits); ok {
				return p, pl.subnet, true
			}
		}
	}
	for bits := hint + 1; x.kind == binding.Prefix && bits <= addressBits; bits++ {
		for _, pl := range pools {
			if hint == 0 && bits <= pl.length {
				continue
			}
			if p, ok := s.search(r, x, pl, bits); ok {
				return p, pl.subnet, true
			}
		}
	}
	for _, pl := range pools {
		if p, ok := s.longestWaiting(r, pl); ok {
			return p, pl.subnet, true
		}
	}
	return netip.Prefix{}, nil, false
}

// tries bounds how many free leases of a pool are looked at that cannot be given: our own
// addresses, those of reserved identifiers, and those in the way of a former lease.
const tries = 32

// search looks for a free lease of a length for an IA in a pool, from the IA's place on.
func (s *Server) search(r *request, x *ia, in *leasePool, bits int) (netip.Prefix, bool) {
	if !r.mayUse(in) {
		return netip.Prefix{}, false
	}
	at := s.placeOf(r, x).number
	for range tries {
		p, ok := in.Find(at, bits)
		if !ok || s.isOpen(r, p) {
			return p, ok
		}
		at = at*6364136223846793005 + 1442695040888963407 // any other place
	}
	return netip.Prefix{}, false
}

// longestWaiting is the lease of a pool that has waited longest for another client.
func (s *Server) longestWaiting(r *request, in *leasePool) (netip.Prefix, bool) {
	if !r.mayUse(in) {
		return netip.Prefix{}, false
	}
	in.trim(&s.quarantine)
	for _, l := range in.late[:min(len(in.late), tries)] {
		if !s.quarantine.isOver(l) && s.isOpen(r, l.lease) {
			return l.lease, true
		}
	}
	return netip.Prefix{}, false
}

// placeOf is the place of an IA.
func (s *Server) placeOf(r *request, x *ia) place {
	if !x.placed {
		x.own, x.placed = place{r.link, s.number(x.kind, r.duid, x.id)}, true
	}
	return x.own
}

// number is where in a pool the search for an IA begins: the same for the same client, so that it
// gets the same lease again where it can, and not to be guessed by others (RFC 7824).
func (s *Server) number(k binding.Kind, duid []byte, iaid uint32) uint64 {
	var b [len(s.cfg.Secret) + 1 + 4 + dhcp6.MaxDUIDLen]byte
	seed := append(append(b[:0], s.cfg.Secret[:]...), byte(k))
	seed = append(binary.BigEndian.AppendUint32(seed, iaid), duid...)
	sum := sha256.Sum256(seed)
	return binary.BigEndian.Uint64(sum[:])
}

// mark marks what an answer gives in one IA as taken, until the other IAs of the message are decided
// on. What the answer takes back stays taken until then.
func (s *Server) mark(r *request, x *ia) {
	for j := x.from; j < x.to; j++ {
		l := &r.leases[j]
		if pl := s.networks.poolOf(l.prefix); l.valid > 0 && pl != nil && s.table.Find(l.prefix) == nil {
			l.marked = pl.Take(l.prefix)
		}
	}
}

// unmark takes those marks away.
func (s *Server) unmark(r *request) {
	for i := range r.leases {
		if l := &r.leases[i]; l.marked {
			s.networks.poolOf(l.prefix).Free(l.prefix)
		}
	}
}

// unlimited is for leases that were held against the limits already.
var unlimited = delegation.Policy{ClientLimit: math.MaxInt, LinkLimit: math.MaxInt}

// learn takes from the client what an answer takes back, and makes the leases of the answer its own.
func (s *Server) learn(now instant.Now, r *request, eff *effect.Effects) {
	for i := range r.ias {
		x := &r.ias[i]
		for _, l := range r.leases[x.from:x.to] {
			if slot := s.table.Find(l.prefix); l.valid == 0 && slot != nil && r.isOwn(x, slot) {
				s.events = append(s.events, s.table.End(slot, binding.Withdrawn))
			}
		}
	}
	who := r.who()
	terms := delegation.Terms{Policy: &unlimited, Reserved: func(*delegation.Grant) bool { return false }}
	for i := range r.ias {
		x := &r.ias[i]
		refused := false
		for j := x.from; j < x.to; j++ {
			l := &r.leases[j]
			if l.valid == 0 {
				continue
			}
			before := len(s.events)
			s.events = s.table.Learn(s.events, now, delegation.Grant{
				Link: r.link, VRF: r.vrf, Prefix: l.prefix, Kind: x.kind, Client: who, IAID: x.id, NextHop: r.source, LinkLayer: r.linkLayer,
				Preferred: l.preferred.Duration(), Lifetime: l.valid.Duration(), Source: binding.Assigned, Exclude: l.exclude, Line: r.line(), Reconfigures: r.accepts,
			}, terms)
			if s.events[before].Kind == binding.Refused {
				*l, refused = lease{}, true
			}
		}
		if refused && !x.gives(r) {
			x.status = x.none()
		}
		if x.limit != binding.NoReason {
			s.counts.Refuse(x.limit, 1)
			s.table.MeetLimit(now, x.limit, r.link, who, r.linkLayer, x.kind)
			eff.Note(effect.Note{
				Kind: effect.NoteLimit, Link: r.link, Client: who, IAID: x.id, Type: r.m.Type().String(), XID: r.m.TransactionID(),
				Reason: x.limit.String(), Text: "a lease is not given: a limit is met",
			})
		}
	}
	s.rememberWay(r)
	s.apply(now)
	r.holder = s.table.HolderBy(r.link, binding.ByDUID, r.duid) // it may be new there
}

// line is the point-to-point line on which a client has asked; 0: it is on none.
func (r *request) line() uint32 {
	if r.relay != nil {
		return 0
	}
	return r.at.line
}

// apply brings the pools and the quarantine in step with what has happened to leases, and counts it.
func (s *Server) apply(now instant.Now) {
	s.counts.Add(s.events)
	for i := range s.events {
		if e := &s.events[i]; e.Kind == binding.Ended {
			s.forgetWay(&e.Old)
		}
		switch e := &s.events[i]; {
		case e.Kind == binding.Granted:
			s.networks.take(e.New.Prefix)
			s.quarantine.leave(e.New.Prefix)
		case e.Kind != binding.Ended:
		case e.Reason == binding.Expired:
			s.await(now.Boot.After(expiredFor), &e.Old, false)
		case e.Reason == binding.Cleared:
			s.await(min(e.Old.Valid, now.Boot.After(clearedFor)), &e.Old, true)
		default:
			s.networks.free(e.Old.Prefix)
		}
	}
}
