package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// span is a range of addresses in one network that something in the file takes for itself.
type span struct {
	first, last netip.Addr
	network     int
	at          Value
	bits        int    // the length, if the range is a prefix
	lengths     [2]int // the shortest and the longest prefix that a pool of prefixes gives; else 0
}

func spanOf(p netip.Prefix, network int, at Value) span {
	return span{first: p.Addr(), last: lastOf(p), network: network, at: at, bits: p.Bits()}
}

func single(a netip.Addr, network int, at Value) span {
	return spanOf(netip.PrefixFrom(a, a.BitLen()), network, at)
}

// lastOf returns the last address of an IPv6 prefix.
func lastOf(p netip.Prefix) netip.Addr {
	a := p.Addr().As16()
	for i := range a {
		bits := min(max(p.Bits()-8*i, 0), 8) // the prefix's bits in this octet
		a[i] |= 0xff >> bits
	}
	return netip.AddrFrom16(a)
}

// holds reports whether all of another span is in this one.
func (s span) holds(other span) bool {
	return s.first.Compare(other.first) <= 0 && other.last.Compare(s.last) <= 0
}

func (s span) String() string {
	text, _ := s.at.raw()
	return text
}

// place says where a value is, for a problem at another value.
func (v Value) place() string {
	if v.d.spoken {
		return v.path + ", made at run time"
	}
	return fmt.Sprintf("%s, on line %d", v.path, start(v.node).Line)
}

// before reports whether a value is before another one in the file.
func (v Value) before(other Value) bool {
	a, b := start(v.node), start(other.node)
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) < 0
}

// raster are spans, sorted by their addresses.
type raster []span

func rasterOf(all []span) raster {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b span) int { return cmp.Or(a.first.Compare(b.first), b.last.Compare(a.last)) })
	return all
}

// overlaps reports each span that overlaps an earlier one, once, and returns whether there is
// any.
func (r raster) overlaps(report func(earlier, later span)) (any bool) {
	for i, widest := 1, 0; i < len(r); i++ {
		if r[i].first.Compare(r[widest].last) <= 0 {
			earlier, later := r[widest], r[i]
			if later.at.before(earlier.at) {
				earlier, later = later, earlier
			}
			report(earlier, later)
			any = true
		}
		if r[widest].last.Less(r[i].last) {
			widest = i
		}
	}
	return any
}

// meeting returns a span of r that has an address in common with s. The spans of r do not
// overlap.
func (r raster) meeting(s span) (span, bool) {
	i, _ := slices.BinarySearchFunc(r, s, func(a, b span) int { return a.last.Compare(b.first) })
	if i == len(r) || s.last.Less(r[i].first) {
		return span{}, false
	}
	return r[i], true
}

// owners has, for each thing that only one network may have, the network that has it.
type owners map[string]owner

type owner struct {
	network int
	at      Value
}

// take gives a key to a network if no network has it yet. Otherwise it returns the first owner.
func (o owners) take(key string, network int, at Value) (first owner, taken bool) {
	if first, taken = o[key]; !taken {
		o[key] = owner{network, at}
	}
	return first, taken
}
