// Package pool knows which addresses or prefixes of one configured pool are taken, and which
// free one is the nearest to a place.
//
// A server chooses the place by a hash of who asks. A client then gets the same lease again
// while that is free, and clients are spread evenly over the pool. Where the place is taken,
// the next free part after it is found; the pool's first part follows its last one.
//
// A pool of prefixes may give parts of several lengths (RFC 8168). A part is free if nothing in
// it is taken, and if it does not lie in a larger part that is taken. The smallest parts are the
// pool's units. A pool has at most 2^64 units: of a larger one, those from its first unit on
// are given, and the rest is not in the pool.
//
// What a method costs grows with the logarithm of how many parts are taken, and not with how
// few are free: it looks at no more than 59 nodes of a tree on its way down. An empty pool has no
// tree, so that the first parts cost the least. Only Take needs memory: about 56 octets for each
// part that is taken, where they lie far apart, and about one octet for each unit, where all
// are taken. What a pool once needed, it keeps. A Pool is not safe for concurrent use.
package pool

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
)

// Pool is one configured pool. Addresses or Prefixes makes it.
type Pool struct {
	first    address
	last     uint64 // the position of the last unit
	min, max int    // lengths that are given, in bits; a unit has max bits
	taken    uint64 // units
	tree     tree
}

// Addresses makes the pool of the IPv6 addresses from first to last, which is not below first.
// Each is given as a prefix of 128 bits.
func Addresses(first, last netip.Addr) *Pool {
	p := &Pool{first: number(first), min: 128, max: 128}
	var ok bool
	if p.last, ok = number(last).after(p.first).shift(0); !ok {
		p.last = math.MaxUint64
	}
	return p
}

// Prefixes makes the pool of the parts of an IPv6 prefix that are from shortest to longest bits
// long. Neither may be below the prefix's own length, and shortest not above longest. Lengths
// that are 64 bits or more below longest are not given.
func Prefixes(prefix netip.Prefix, shortest, longest int) *Pool {
	p := &Pool{first: number(prefix.Masked().Addr()), min: max(shortest, longest-63), max: longest}
	p.last = math.MaxUint64
	if units := longest - prefix.Bits(); units < 64 {
		p.last = 1<<units - 1
	}
	return p
}

// Holds reports whether x lies in the pool, and has a length that the pool gives. A pool holds
// no prefix with bits set behind its length.
func (p *Pool) Holds(x netip.Prefix) bool {
	_, _, ok := p.block(x)
	return ok
}

// Take takes x. It reports false, and changes nothing, where the pool does not hold x, or a
// part of x is taken, or x is a part of what is taken.
func (p *Pool) Take(x netip.Prefix) bool {
	at, height, ok := p.block(x)
	if !ok || !p.tree.isFree(at, height) {
		return false
	}
	p.tree.root = p.tree.take(p.tree.root, at, height)
	p.taken += size(height)
	return true
}

// Free gives back what Take took. It reports false, and changes nothing, where x was not taken
// exactly so: a part of what was taken is not given back by itself, nor are several parts at once.
func (p *Pool) Free(x netip.Prefix) bool {
	at, height, ok := p.block(x)
	if !ok {
		return false
	}
	if p.tree.root, ok = p.tree.free(p.tree.root, at, height); !ok {
		return false
	}
	p.taken -= size(height)
	return true
}

// IsFree reports whether Take would take x.
func (p *Pool) IsFree(x netip.Prefix) bool {
	at, height, ok := p.block(x)
	return ok && p.tree.isFree(at, height)
}

// Find returns the first free part of a length, in bits, at a place or after it; the pool's first
// part follows its last one. It takes nothing. The places from 0 to 2^64-1 are spread evenly
// over the pool. It reports false where no such part is free, or the pool does not give the length.
func (p *Pool) Find(place uint64, length int) (netip.Prefix, bool) {
	if length < p.min || length > p.max {
		return netip.Prefix{}, false
	}
	height := uint8(p.max - length)
	from := place
	if p.last != math.MaxUint64 {
		from, _ = bits.Mul64(place, p.last+1)
	}
	from = start(from, height)
	at, ok := p.tree.find(p.tree.root, 0, math.MaxUint64, from, height)
	if !ok || at > p.last {
		at, ok = p.tree.find(p.tree.root, 0, math.MaxUint64, 0, height)
	}
	if !ok || at > p.last {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(p.first.plus(at, 128-p.max).addr(), length), true
}

// Size is how many units the pool has; 2^64-1 where it has 2^64.
func (p *Pool) Size() uint64 {
	if p.last == math.MaxUint64 {
		return p.last
	}
	return p.last + 1
}

// Taken is how many units are taken.
func (p *Pool) Taken() uint64 { return p.taken }

// Share is the part of the pool that is taken, from 0 to 1.
func (p *Pool) Share() float64 { return float64(p.taken) / float64(p.Size()) }

// block is where x lies in the pool.
func (p *Pool) block(x netip.Prefix) (at uint64, height uint8, ok bool) {
	if x.Bits() < p.min || x.Bits() > p.max || !x.Addr().Is6() || x != x.Masked() {
		return 0, 0, false
	}
	n := number(x.Addr())
	if n.below(p.first) {
		return 0, 0, false
	}
	at, ok = n.after(p.first).shift(128 - p.max)
	return at, uint8(p.max - x.Bits()), ok && at <= p.last
}

// address is an IPv6 address as a number.
type address struct{ hi, lo uint64 }

func number(a netip.Addr) address {
	b := a.As16()
	return address{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (a address) addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
	return netip.AddrFrom16(b)
}

func (a address) below(b address) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

// after is how far a lies after b.
func (a address) after(b address) address {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	hi, _ := bits.Sub64(a.hi, b.hi, borrow)
	return address{hi, lo}
}

// shift is a in units of 2^by, with by from 0 to 128. It reports false where that does not fit.
func (a address) shift(by int) (uint64, bool) {
	if by >= 64 {
		return a.hi >> (by - 64), true
	}
	return a.hi<<(64-by) | a.lo>>by, a.hi>>by == 0
}

// plus is the address that lies n units of 2^by after a.
func (a address) plus(n uint64, by int) address {
	if by >= 64 {
		return address{a.hi + n<<(by-64), a.lo}
	}
	lo, carry := bits.Add64(a.lo, n<<by, 0)
	hi, _ := bits.Add64(a.hi, n>>(64-by), carry)
	return address{hi, lo}
}
