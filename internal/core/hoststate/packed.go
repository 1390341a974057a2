package hoststate

import (
	"bytes"
	"cmp"
	"net/netip"

	"fairlead/internal/core/slab"
)

// There may be a hundred thousand delegations and more. What is kept of each has no
// pointers, so that it is small and costs the garbage collector nothing.

// packed is a prefix: one of IPv4 is in ::ffff:0:0/96. Its zero value is ::/0, which is
// delegated to nobody.
type packed struct {
	addr [16]byte
	bits uint8
}

func pack(p netip.Prefix) packed {
	if !p.IsValid() {
		return packed{}
	}
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += mappedBits
	}
	return packed{p.Addr().As16(), uint8(bits)}
}

func (p packed) prefix() netip.Prefix {
	if a := netip.AddrFrom16(p.addr); a.Is4In6() && p.bits >= mappedBits {
		return netip.PrefixFrom(a.Unmap(), int(p.bits)-mappedBits)
	}
	return netip.PrefixFrom(netip.AddrFrom16(p.addr), int(p.bits))
}

// mappedBits is what stands before an IPv4 address in the form of IPv6 (RFC 4291 section
// 2.5.5.2).
const mappedBits = 96

func (p packed) compare(q packed) int {
	if c := bytes.Compare(p.addr[:], q.addr[:]); c != 0 {
		return c
	}
	return cmp.Compare(p.bits, q.bits)
}

// nextHop is a next nextHop; the unspecified address is none.
type nextHop [16]byte

func packNextHop(a netip.Addr) nextHop {
	if !a.Is6() {
		return nextHop{}
	}
	return a.As16()
}

func (h nextHop) addr() netip.Addr {
	if h == (nextHop{}) {
		return netip.Addr{}
	}
	return netip.AddrFrom16(h)
}

// ref names a delegation; 0 names none.
type ref = slab.Ref

// delegations are found by number and by place.
type delegations struct {
	all slab.Slab[delegation]
	at  map[spot]ref
}

// spot is a prefix on a link.
type spot struct {
	link   linkID
	prefix packed
}

func (s *delegations) get(r ref) *delegation { return s.all.At(r) }

func (s *delegations) find(p spot) *delegation {
	if r := s.at[p]; r != 0 {
		return s.get(r)
	}
	return nil
}

// add makes a delegation. Pointers to others stay good.
func (s *delegations) add(p spot) *delegation {
	r, d := s.all.Add()
	d.spot, d.ref = p, r
	s.at[p] = r
	return d
}

func (s *delegations) remove(d *delegation) {
	delete(s.at, d.spot)
	s.all.Remove(d.ref)
}
