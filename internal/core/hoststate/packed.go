package hoststate

import (
	"bytes"
	"cmp"
	"net/netip"

	"fairlead/internal/core/slab"
)

// There may be a hundred thousand leases and more. What is kept of each has no
// pointers, so that it is small and costs the garbage collector nothing.

// packed is an IPv6 prefix. Its zero value is ::/0, which nobody leases.
type packed struct {
	addr [16]byte
	bits uint8
}

func pack(p netip.Prefix) packed {
	if !p.IsValid() {
		return packed{}
	}
	return packed{p.Addr().As16(), uint8(p.Bits())}
}

func (p packed) prefix() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16(p.addr), int(p.bits))
}

func (p packed) compare(q packed) int {
	if c := bytes.Compare(p.addr[:], q.addr[:]); c != 0 {
		return c
	}
	return cmp.Compare(p.bits, q.bits)
}

// hop is a next hop; the unspecified address is none.
type hop [16]byte

func packHop(a netip.Addr) hop {
	if !a.Is6() {
		return hop{}
	}
	return a.As16()
}

func (h hop) addr() netip.Addr {
	if h == (hop{}) {
		return netip.Addr{}
	}
	return netip.AddrFrom16(h)
}

// ref names a lease; 0 names none.
type ref = slab.Ref

// leases are found by number and by place.
type leases struct {
	all slab.Slab[lease]
	at  map[spot]ref
}

// spot is a prefix on a link.
type spot struct {
	link   linkID
	prefix packed
}

func (s *leases) get(r ref) *lease { return s.all.At(r) }

func (s *leases) find(p spot) *lease {
	if r := s.at[p]; r != 0 {
		return s.get(r)
	}
	return nil
}

// add makes a lease. Pointers to others stay good.
func (s *leases) add(p spot) *lease {
	r, le := s.all.Add()
	le.spot, le.ref = p, r
	s.at[p] = r
	return le
}

func (s *leases) remove(le *lease) {
	delete(s.at, le.spot)
	s.all.Remove(le.ref)
}
