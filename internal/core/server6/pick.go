package server6

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"

	"fairlead/internal/core/binding"
	"fairlead/internal/wire/dhcp6"
)

// permitted is the subnet of a lease, if the configuration lets the client have it; else nil and
// why not: no pool has the lease, its pool is not for this client, or it is reserved for another.
func (s *Server) permitted(r *request, p netip.Prefix, k binding.Kind) (*subnet, Obstacle) {
	if r.reserved.lists(p, k) {
		return r.reserved.subnet, None
	}
	pl := s.networks.poolOf(p)
	if pl == nil || pl.kind != k || pl.subnet.network != r.network {
		return nil, NoPool
	}
	if o := r.barrier(pl); o != None {
		return nil, o
	}
	if s.networks.isReserved(p) {
		return nil, ReservedForAnother
	}
	return pl.subnet, None
}

// barrier is why a client may have nothing from a pool. A pool with an excluded prefix is only for
// clients that support Prefix Exclude (RFC 6603 section 5.2).
func (r *request) barrier(p *leasePool) Obstacle {
	switch {
	case !r.mayHave(p.class):
		return OtherClass
	case p.exclude.IsValid() && !r.oro.Contains(dhcp6.OptionPDExclude):
		return ExcludeUnknown
	}
	return None
}

// maxHints bounds how many prefixes a client can ask for in one IA_PD.
const maxHints = 8

// hints are what a client asks for in an IA_PD (RFC 8168): prefixes, and lengths without a prefix.
// Where a named prefix is not available, its length counts. Two lengths, or two prefixes, ask for
// two prefixes; a length beside a prefix does not ask for a second one (RFC 8415 section 18.3.9:
// the server MAY use them as hints about the prefixes that the client would like to receive).
type hints struct {
	lengths      [maxHints]uint8 // first those without a prefix, then those of the named prefixes
	n            int             // how many lengths there are
	alone, named int             // how many lengths without a prefix, and how many prefixes
}

// readHints reads the hints of an IA_PD.
func (x *ia) readHints() {
	h := &x.hints
	var named [maxHints]uint8
	for c, payload := range x.options.All() {
		if c != dhcp6.OptionIAPrefix {
			continue
		}
		v, err := dhcp6.ParseIAPrefix(payload)
		switch {
		case err != nil || v.Prefix.Bits() == 0:
		case !v.Prefix.Masked().Addr().IsUnspecified():
			if h.named < maxHints {
				named[h.named] = uint8(v.Prefix.Bits())
				h.named++
			}
		case h.alone < maxHints:
			h.lengths[h.alone] = uint8(v.Prefix.Bits())
			h.alone++
		}
	}
	h.n = h.alone + copy(h.lengths[h.alone:], named[:h.named])
}

// wants is how many leases a client wants in an IA.
func (h *hints) wants() int { return max(h.alone, h.named, 1) }

// missing is the length of the next prefix for an IA: the first length of the hints that is not met
// yet. A lease of the answer with a length that was not asked for meets one hint. 0: any length.
func (r *request) missing(x *ia) int {
	open, others := x.hints.lengths, 0
	n := x.hints.n
	for _, l := range r.leases[x.from:x.to] {
		if l.valid == 0 {
			continue
		}
		i := slices.IndexFunc(open[:n], func(bits uint8) bool { return r.network.aim(r, int(bits)) == l.prefix.Bits() })
		if i < 0 {
			others++
			continue
		}
		n = i + copy(open[i:], open[i+1:n])
	}
	if others < n {
		return int(open[others])
	}
	return 0
}

// nearest is the length that a client gets if it asks for bits: the same length, else the next
// shorter one that a pool gives; 0: there is none, or the client asks for none.
func (nw *network) nearest(r *request, bits int) (found int) {
	for _, pl := range nw.pools[binding.Prefix] {
		if pl.least <= bits && r.barrier(pl) == None {
			found = max(found, min(bits, pl.most))
		}
	}
	return found
}

// aim is the length that the server looks for first if a client asks for bits: the nearest one,
// else the next longer one; 0: there is none, or the client asks for none.
func (nw *network) aim(r *request, bits int) int {
	found := nw.nearest(r, bits)
	if found > 0 || bits == 0 {
		return found
	}
	for _, pl := range nw.pools[binding.Prefix] {
		if r.barrier(pl) == None && (found == 0 || pl.least < found) {
			found = pl.least
		}
	}
	return found
}

// taken is why a client cannot get a lease of a pool that it does not have; None: it can.
func (s *Server) taken(r *request, x *ia, p netip.Prefix) Obstacle {
	if w, waits := s.quarantine.waiting[p]; waits {
		if w.of != s.placeOf(r, x) {
			return WaitsForAnother
		}
		return s.shut(r, p)
	}
	switch pl := s.networks.poolOf(p); {
	case pl == nil:
		return NoPool
	case pl.IsFree(p):
		return s.shut(r, p)
	case s.quarantine.isDeclined(p):
		return Declined
	case s.table.Find(p) != nil:
		return HeldByAnother
	}
	return Overlaps
}

// available is the subnet of a lease that a client names and does not have, if the client can get
// it; else why not.
func (s *Server) available(r *request, x *ia, p netip.Prefix) (*subnet, Obstacle) {
	sn, o := s.permitted(r, p, x.kind)
	if o == None {
		o = s.taken(r, x, p)
	}
	return sn, o
}

// shut is why a lease that is free in its pool cannot be given; None: it can. No host may use it,
// or it overlaps with a lease of the same answer or with one that was given before the pools were
// changed, or its former client has not been told yet that it must not use it, or another host
// still uses it although the store has lost its lease.
func (s *Server) shut(r *request, p netip.Prefix) Obstacle {
	switch {
	case !s.usable(r, p):
		return Unusable
	case r.offers(p) || s.table.Overlaps(p):
		return Overlaps
	case s.isAnothersOrphan(r, p):
		return WaitsForAnother
	case s.ledger.Untold(p):
		return Untold
	}
	return None
}

// offers reports whether the answer gives a lease that overlaps with p.
func (r *request) offers(p netip.Prefix) bool {
	return slices.ContainsFunc(r.leases, func(l lease) bool { return l.valid > 0 && l.prefix.Overlaps(p) })
}

// usable reports whether a host may have an address or a prefix. An address must be neither our own,
// nor that of a relay agent on the way, nor have a reserved interface identifier (RFC 8415 section
// 13.1). A prefix must not take one of an interface of this machine away.
func (s *Server) usable(r *request, p netip.Prefix) bool {
	if !p.IsSingleIP() {
		return !s.isOnLink(r.vrf, p)
	}
	for i := range r.layers {
		if r.layers[i].LinkAddress() == p.Addr() {
			return false
		}
	}
	a := p.Addr().As16()
	return !isReservedID(binary.BigEndian.Uint64(a[8:])) && !s.links.IsKnown(p.Addr())
}

// isOnLink reports whether a prefix overlaps with one of an interface of this machine. It may contain
// what is excluded from it (RFC 6603).
func (s *Server) isOnLink(vrf string, p netip.Prefix) bool {
	if s.onLink == nil {
		s.onLink = make(map[string]*bart.Lite)
		for l := range s.links.All() {
			if s.onLink[l.VRF] == nil {
				s.onLink[l.VRF] = new(bart.Lite)
			}
			for _, own := range l.OnLink() {
				s.onLink[l.VRF].Insert(own)
			}
		}
	}
	t := s.onLink[vrf]
	if t == nil || !t.OverlapsPrefix(p) {
		return false
	}
	for range t.Supernets(p) {
		return true
	}
	var exclude netip.Prefix
	if pl := s.networks.poolOf(p); pl != nil {
		exclude = pl.excluded(p)
	}
	for own := range t.Subnets(p) {
		if !exclude.IsValid() || exclude.Bits() > own.Bits() || !exclude.Contains(own.Addr()) {
			return true
		}
	}
	return false
}

// isReservedID reports whether an interface identifier is reserved, so that no host may have it:
// those of the subnet-router anycast address, of IANA's Ethernet block, and of subnet anycast
// addresses (RFC 5453, RFC 7136, and IANA's registry of reserved IPv6 interface identifiers).
func isReservedID(id uint64) bool {
	return id == 0 || id>>24 == 0x02005efffe || id >= 0xfdffffffffffff80 && id <= 0xfdffffffffffffff
}

// room reports whether the limits allow one more lease in an IA. If one does not, ia.limit says
// which. Where hosts have a limit of their own, leases that another host holds do not count
// against the client, as that host may have copied its DUID. With instead, the lease replaces
// those that the client has in the IA.
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

// pick finds a free lease for an IA: one that waits for this client, else one from a pool of its
// network. A prefix has the length that the client asks for, else the next shorter length that a
// pool gives, else the next longer one (RFC 8168 section 3.2). If nothing is free, the client gets
// a lease of another length that waits for it, else the lease that has waited longest for another
// client. A Basis of 0: there is none.
func (s *Server) pick(r *request, x *ia) (netip.Prefix, *subnet, Basis) {
	if !s.room(r, x, false) {
		return netip.Prefix{}, nil, 0
	}
	hint, pools := r.missing(x), r.network.pools[x.kind]
	if p, sn := s.waited(r, x, r.network.aim(r, hint)); sn != nil {
		return p, sn, Waited
	}
	for _, pl := range pools {
		if hint != 0 {
			break
		}
		if p, ok := s.search(r, x, pl, pl.length); ok {
			return p, pl.subnet, Found
		}
	}
	for bits := r.network.nearest(r, hint); bits > 0; bits = r.network.nearest(r, bits-1) {
		for _, pl := range pools {
			if p, ok := s.search(r, x, pl, bits); ok {
				return p, pl.subnet, Found
			}
		}
	}
	for bits := hint + 1; x.kind == binding.Prefix && bits <= addressBits; bits++ {
		for _, pl := range pools {
			if hint == 0 && bits <= pl.length {
				continue
			}
			if p, ok := s.search(r, x, pl, bits); ok {
				return p, pl.subnet, Found
			}
		}
	}
	if p, sn := s.waited(r, x, 0); sn != nil {
		return p, sn, Waited
	}
	for _, pl := range pools {
		if p, ok := s.longestWaiting(r, pl); ok {
			return p, pl.subnet, WaitedLongest
		}
	}
	return netip.Prefix{}, nil, 0
}

// waited is a lease of a length that has waited for an IA; bits 0: of any length. The subnet is nil where there is
// none.
func (s *Server) waited(r *request, x *ia, bits int) (netip.Prefix, *subnet) {
	for p := range s.quarantine.waitingFor(s.placeOf(r, x)) {
		if (bits == 0 || p.Bits() == bits) && s.shut(r, p) == None {
			if sn, _ := s.permitted(r, p, x.kind); sn != nil {
				return p, sn
			}
		}
	}
	return netip.Prefix{}, nil
}

// tries bounds how many leases of a pool one search looks at that turn out to be not available.
const tries = 32

// search looks in a pool for a free lease of a length. It begins at the IA's place.
func (s *Server) search(r *request, x *ia, in *leasePool, bits int) (netip.Prefix, bool) {
	if r.barrier(in) != None {
		return netip.Prefix{}, false
	}
	at := s.placeOf(r, x).number
	for range tries {
		p, ok := in.Find(at, bits)
		if !ok || s.shut(r, p) == None {
			return p, ok
		}
		at = at*6364136223846793005 + 1442695040888963407 // another place; the multiplier is Knuth's MMIX generator's
	}
	return netip.Prefix{}, false
}

// longestWaiting is the lease of a pool that has waited longest for its former client.
func (s *Server) longestWaiting(r *request, in *leasePool) (netip.Prefix, bool) {
	if r.barrier(in) != None {
		return netip.Prefix{}, false
	}
	in.trim(&s.quarantine)
	for _, l := range in.late[:min(len(in.late), tries)] {
		if !s.quarantine.isOver(l) && !s.networks.isReserved(l.lease) && s.shut(r, l.lease) == None {
			return l.lease, true
		}
	}
	return netip.Prefix{}, false
}

// placeOf is the place of an IA in the pools. It is computed once for each message.
func (s *Server) placeOf(r *request, x *ia) place {
	if !x.placed {
		x.own, x.placed = place{r.link, s.number(x.kind, r.duid, x.id)}, true
	}
	return x.own
}

// number is where in a pool the search for an IA begins. It is the same each time, so that the
// client gets the same lease again where it can, and others cannot guess it (RFC 7824).
func (s *Server) number(k binding.Kind, duid []byte, iaid uint32) uint64 {
	var b [len(s.cfg.Secret) + 1 + 4 + dhcp6.MaxDUIDLen]byte
	seed := append(append(b[:0], s.cfg.Secret[:]...), byte(k))
	seed = append(binary.BigEndian.AppendUint32(seed, iaid), duid...)
	sum := sha256.Sum256(seed)
	return binary.BigEndian.Uint64(sum[:])
}
