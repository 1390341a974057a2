package server6_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp6"
)

// twin is the slow and obvious server. It knows what clients have asked and what they were told. It reads no
// state of the core, and decides by lists and by loops over all that a pool has.
type twin struct {
	spaces   map[int]space           // by the option code of the IA
	reserved map[netip.Prefix]string // DUIDs
	rapid    bool                    // rapid commit is configured

	has      map[netip.Prefix]promise // leases
	waits    map[netip.Prefix]wait    // leases that wait for who has had them
	declined map[netip.Prefix]decline
}

// space is a pool. It consists of parts of each length, and each part can be a lease.
type space struct {
	whole       netip.Prefix
	least, most int
}

// iaOf is one IA of one client.
type iaOf struct {
	link, duid string
	code       int // 3 or 25
	id         uint32
}

func (x iaOf) String() string {
	return fmt.Sprintf("client %x %d/%d", x.duid[max(0, len(x.duid)-1):], x.code, x.id)
}

// promise is that an IA has a lease.
type promise struct {
	of    iaOf
	until instant.Instant
	sure  instant.Instant // until when it has the lease although the power fails
	vague bool            // the server may have it for longer, as it has given up an answer
}

// wait is that a lease which has ended waits for the IA that had it. The lease is alone where that IA may use it
// yet: then no other IA gets it. Else others get it where nothing else is free.
type wait struct {
	of    iaOf
	until instant.Instant
	alone bool
}

// decline is that an address has been declined. It is sure if the store has heard of it.
type decline struct {
	until instant.Instant
	sure  bool
}

// query is a message of a client.
type query struct {
	kind  dhcp6.MessageType
	rapid bool
	ias   []wish
}

// begins reports whether the client begins anew, and is not told what it is to be without.
func (q *query) begins() bool { return q.kind == dhcp6.Solicit || q.kind == dhcp6.Request }

// wish is one IA of a message.
type wish struct {
	of    iaOf
	named []netip.Prefix // a length by itself is that of a prefix of ::
}

func (x wish) String() string { return fmt.Sprintf("%v %v", x.of, x.named) }

// hints are the lengths that a wish for prefixes has: first those by themselves, then those of prefixes.
func (x *wish) hints() (all []int, count int) {
	var alone, of []int
	for _, p := range x.named {
		switch {
		case x.of.code != 25:
		case p.Addr().IsUnspecified():
			alone = append(alone, p.Bits())
		default:
			of = append(of, p.Bits())
		}
	}
	return append(alone, of...), max(len(alone), len(of), 1)
}

// picking chooses one of several leases, each of which is right. It is told why they are.
type picking func(right []netip.Prefix, why string) netip.Prefix

// outcome is what an IA has to get and has to lose.
type outcome struct {
	gets, loses []netip.Prefix
	status      int // -1: none
}

// decides says what the answer to a message has to give to an IA. Answered is what other IAs get in the same answer.
func (m *twin) decides(q *query, x *wish, answered []netip.Prefix, pick picking) (o outcome) {
	had := m.leasesOf(x.of)
	hints, wants := x.hints()
	give := func(right []netip.Prefix, why string) bool {
		if len(right) == 0 {
			return false
		}
		p := pick(right, why)
		o.gets, answered = append(o.gets, p), append(answered, p)
		return true
	}
	free := func(p netip.Prefix) bool { return m.free(x.of, p, answered) }

	// What is reserved for a client comes first, and takes the place of anything else.
	for _, p := range sorted(m.reserved) {
		w, waits := m.waits[p]
		if m.reserved[p] == x.of.duid && m.spaces[x.of.code].whole.Overlaps(p) && (slices.Contains(had, p) || m.isOpen(p, answered) && (!waits || w.of == x.of)) {
			give([]netip.Prefix{p}, "it is reserved")
		}
	}
	instead := len(o.gets) > 0
	if instead {
		wants = 0
	}

	// A client that begins anew, and asks for nothing like what it has, gets a prefix that it names, or one of the
	// length that it asks for first. Else it keeps what it has (RFC 8168 section 3.2).
	like := func(p netip.Prefix) bool {
		return slices.Contains(x.named, p) || slices.ContainsFunc(hints, func(bits int) bool { return m.aim(bits) == p.Bits() })
	}
	if !instead && q.begins() && len(had) > 0 && len(hints) > 0 && !slices.ContainsFunc(had, like) {
		i := slices.IndexFunc(x.named, free)
		instead = i >= 0 && give(x.named[i:i+1], "it is named, and the client has no such prefix") ||
			give(m.freeOf(x.of, m.aim(hints[0]), answered), "they have the length that is asked for, and the client has no such prefix")
	}

	// The client keeps what it has, unless something is given instead.
	for _, p := range had {
		if !slices.Contains(o.gets, p) && !instead && m.permitted(x.of, p) {
			give([]netip.Prefix{p}, "the client has it")
		}
	}

	// It gets more only where it begins anew, or has nothing left. A Rebind may be of a lease that another server
	// has given: only where rapid commit is configured the server gives something to a client that has nothing.
	adds := q.kind != dhcp6.Rebind || len(had) > 0 || m.rapid
	if !adds || len(o.gets) > 0 && !q.begins() {
		wants = 0
	}
	for _, p := range x.named {
		if len(o.gets) < wants && !slices.Contains(o.gets, p) && free(p) {
			give([]netip.Prefix{p}, "it is named")
		}
	}
	for len(o.gets) < wants && give(m.found(x.of, m.missing(hints, o.gets), answered)) {
	}

	o.loses, o.status = m.loses(q, x, o.gets), -1
	switch {
	case len(o.gets) > 0:
	case adds:
		o.status = map[int]int{3: 2, 25: 6}[x.of.code] // NoAddrsAvail, NoPrefixAvail
	case len(o.loses) == 0:
		o.status = 3 // NoBinding
	}
	return o
}

// loses is what a Renew or Rebind has to be told with a lifetime of 0 (RFC 8415 sections 18.3.4 and 18.3.5). A
// Rebind is told of what it names only where another client has that.
func (m *twin) loses(q *query, x *wish, gets []netip.Prefix) (all []netip.Prefix) {
	if q.begins() {
		return nil
	}
	all = m.leasesOf(x.of)
	for _, p := range x.named {
		if _, has := m.has[p]; !p.Addr().IsUnspecified() && (q.kind == dhcp6.Renew || has) {
			all = append(all, p)
		}
	}
	all = slices.DeleteFunc(all, func(p netip.Prefix) bool { return slices.Contains(gets, p) })
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// found are the leases that an IA can be given of those that it does not name. Hint is the length that it asks for;
// 0: any.
func (m *twin) found(of iaOf, hint int, answered []netip.Prefix) ([]netip.Prefix, string) {
	// First comes what waits for the IA and has the right length.
	if all := m.waitingFor(of, hint, answered); len(all) > 0 {
		return all, "they wait for the client"
	}
	// Then come the length that is asked for, the next shorter ones, and the next longer ones (RFC 8168 section 3.2).
	for _, bits := range m.lengths(of.code, hint) {
		if all := m.freeOf(of, bits, answered); len(all) > 0 {
			return all, "they are free"
		}
	}
	// Then comes what waits for the IA and has another length.
	if all := m.waitingFor(of, 0, answered); len(all) > 0 {
		return all, "they wait for the client, and nothing is free"
	}
	// Last comes what has waited longest for another.
	var late []netip.Prefix
	for _, p := range sorted(m.waits) {
		w := m.waits[p]
		if w.alone || !m.permitted(of, p) || m.reserved[p] != "" || !m.isOpen(p, answered) {
			continue
		}
		if len(late) > 0 && m.waits[late[0]].until > w.until {
			late = nil
		}
		if len(late) == 0 || m.waits[late[0]].until == w.until {
			late = append(late, p)
		}
	}
	return late, "they have waited longest, and nothing is free"
}

// waitingFor are the leases that wait for an IA, and that it can be given.
func (m *twin) waitingFor(of iaOf, hint int, answered []netip.Prefix) (all []netip.Prefix) {
	for _, p := range sorted(m.waits) {
		if m.waits[p].of == of && (hint == 0 || p.Bits() == m.aim(hint)) && m.free(of, p, answered) {
			all = append(all, p)
		}
	}
	return all
}

// leasesOf are the leases of an IA, in order.
func (m *twin) leasesOf(of iaOf) (all []netip.Prefix) {
	for _, p := range sorted(m.has) {
		if m.has[p].of == of {
			all = append(all, p)
		}
	}
	return all
}

// sorted are the leases in a map, in order, so that a seed has the same course each time.
func sorted[T any](in map[netip.Prefix]T) []netip.Prefix {
	return slices.SortedFunc(maps.Keys(in), netip.Prefix.Compare)
}

// isOpen reports whether nobody has a lease or a part of it: no IA, no host that made a client decline it, and no
// other IA of the same answer.
func (m *twin) isOpen(p netip.Prefix, answered []netip.Prefix) bool {
	for other := range m.has {
		if other.Overlaps(p) {
			return false
		}
	}
	for other := range m.declined {
		if other.Overlaps(p) {
			return false
		}
	}
	return !slices.ContainsFunc(answered, p.Overlaps)
}

// permitted reports whether a client may have a lease: it is out of a pool, and is not reserved for another client.
func (m *twin) permitted(of iaOf, p netip.Prefix) bool {
	s := m.spaces[of.code]
	for other, whose := range m.reserved {
		if other.Overlaps(p) && (whose != of.duid || other != p) {
			return false
		}
	}
	return s.whole.Overlaps(p) && p.Bits() >= s.least && p.Bits() <= s.most
}

// free reports whether an IA can be given a lease out of a pool, which waits for no other IA.
func (m *twin) free(of iaOf, p netip.Prefix, answered []netip.Prefix) bool {
	for other, w := range m.waits {
		if other.Overlaps(p) && (w.of != of || other != p) {
			return false
		}
	}
	return m.permitted(of, p) && m.reserved[p] == "" && m.isOpen(p, answered)
}

// freeOf are the free leases of a length that wait for nobody.
func (m *twin) freeOf(of iaOf, bits int, answered []netip.Prefix) (all []netip.Prefix) {
	s := m.spaces[of.code]
	for p := netip.PrefixFrom(s.whole.Addr(), bits); s.whole.Contains(p.Addr()); p = netip.PrefixFrom(after(p), bits) {
		if _, waits := m.waits[p]; !waits && m.free(of, p, answered) {
			all = append(all, p)
		}
	}
	return all
}

// after is the address after the last one of a prefix.
func after(p netip.Prefix) netip.Addr {
	b := p.Addr().As16()
	for i := p.Bits() - 1; i >= 0; i-- {
		bit := byte(0x80 >> (i % 8))
		if b[i/8] ^= bit; b[i/8]&bit != 0 {
			break
		}
	}
	return netip.AddrFrom16(b)
}

// aim is the length that a client is to get which asks for a length: the nearest one that the pool has.
func (m *twin) aim(hint int) int { return min(max(hint, m.spaces[25].least), m.spaces[25].most) }

// missing is the first hint that none of the leases of an IA satisfies. A lease of a length that is not asked for
// stands in for one hint. 0: none is left, so any length will do.
func (m *twin) missing(hints []int, gets []netip.Prefix) int {
	open := slices.Clone(hints)
	others := 0
	for _, p := range gets {
		if i := slices.IndexFunc(open, func(bits int) bool { return m.aim(bits) == p.Bits() }); i >= 0 {
			open = slices.Delete(open, i, i+1)
		} else {
			others++
		}
	}
	if others < len(open) {
		return open[others]
	}
	return 0
}

// lengths are those of a pool in the order in which a client gets them.
func (m *twin) lengths(code, hint int) (all []int) {
	s := m.spaces[code]
	if hint == 0 {
		return []int{s.most}
	}
	for bits := s.most; bits >= s.least; bits-- {
		if bits <= hint {
			all = append(all, bits)
		}
	}
	for bits := s.least; bits <= s.most; bits++ {
		if bits > hint {
			all = append(all, bits)
		}
	}
	return all
}

// What ends waits this long.
const (
	twinExpired  = 10 * time.Minute
	twinCleared  = 24 * time.Hour
	twinDeclined = 24 * time.Hour
)

// ends has a lease end, and wait for its client. What is reserved waits for nobody.
func (m *twin) ends(p netip.Prefix, until instant.Instant, alone bool) {
	of := m.has[p].of
	delete(m.has, p)
	delete(m.waits, p)
	if m.reserved[p] == "" {
		m.waits[p] = wait{of, until, alone}
	}
}

// given has an IA have a lease. Whoever the lease has waited for is remembered: the lease may turn out not to be kept.
func (m *twin) given(p netip.Prefix) {
	if w, waits := m.waits[p]; waits {
		w.alone = true
		m.waits[p] = w
	}
}

// givesBack has an IA give a lease back, which waits for nobody then.
func (m *twin) givesBack(now instant.Instant, q *query, x *wish, sure bool) {
	for _, p := range x.named {
		if m.has[p].of != x.of || q.kind == dhcp6.Decline && x.of.code == 25 {
			continue
		}
		delete(m.has, p)
		delete(m.waits, p)
		if q.kind == dhcp6.Decline {
			m.declined[p] = decline{now.After(twinDeclined), sure}
		}
	}
}

// passes has time go on from now to an end. Leases that should have ended earlier end now.
func (m *twin) passes(now, end instant.Instant) {
	over := sorted(m.has)
	over = slices.DeleteFunc(over, func(p netip.Prefix) bool { return m.has[p].until > end })
	for _, p := range over {
		m.ends(p, max(now, m.has[p].until).After(twinExpired), false)
	}
	maps.DeleteFunc(m.waits, func(_ netip.Prefix, w wait) bool { return w.until <= end })
	maps.DeleteFunc(m.declined, func(_ netip.Prefix, d decline) bool { return d.until <= end })
}

// units are those of each pool that are not free, beside what is reserved.
func (m *twin) units() map[int]uint64 {
	n := make(map[int]uint64)
	all := make(map[netip.Prefix]bool)
	for _, p := range slices.Concat(sorted(m.has), sorted(m.waits), sorted(m.declined)) {
		all[p] = true
	}
	for p := range all {
		for code, s := range m.spaces {
			if s.whole.Overlaps(p) && m.reserved[p] == "" {
				n[code] += 1 << (s.most - p.Bits())
			}
		}
	}
	return n
}
