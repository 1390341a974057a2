package pool

import (
	"math/bits"

	"fairlead/internal/core/slab"
)

// A block is 2^h units from a multiple of 2^h on; h is its height. A tree holds disjoint
// blocks that are taken, of positions from 0 to 2^64-1.
//
// It is a binary tree in which a node stands only where something is taken in both of its
// halves. Below are leaves: either the 64 units of a word, at least one of which is taken, or
// one taken block that is larger. Each node knows the largest free block in either half, so that a
// search goes straight to the first one that is large enough.
type tree struct {
	root   ref
	nodes  slab.Slab[node]
	leaves slab.Slab[leaf]
}

// ref names a node or a leaf; 0 names none, and what it stands for is free. The lowest bit is
// set for a leaf.
type ref uint32

func (r ref) isLeaf() bool            { return r&1 != 0 }
func (r ref) slab() slab.Ref          { return slab.Ref(r >> 1) }
func leafRef(r slab.Ref) ref          { return ref(r)<<1 | 1 }
func nodeRef(r slab.Ref) ref          { return ref(r) << 1 }
func size(h uint8) uint64             { return 1 << h } // 0 for a height of 64
func lastOf(p uint64, h uint8) uint64 { return p + size(h) - 1 }
func start(p uint64, h uint8) uint64  { return p &^ (size(h) - 1) }

// node has 24 octets.
type node struct {
	at     uint64 // its first position
	half   [2]ref
	free   [2]uint8 // 1 + the height of the largest free block in the half; 0: none is free
	height uint8    // above word
}

// leaf has 32 octets.
type leaf struct {
	at     uint64 // its first position
	taken  uint64 // the units of a word that are taken
	joined uint64 // those of them that belong to the same block as the unit before
	height uint8  // word; a larger leaf is one block, all of which is taken
}

// word is the height of 64 units.
const word = 6

// starts has the units at which a block of a height may begin in a word.
var starts = [word + 1]uint64{
	^uint64(0), 0x5555555555555555, 0x1111111111111111, 0x0101010101010101, 0x0001000100010001, 0x0000000100000001, 1,
}

// freeBlocks are the units at which a free block of height h begins; h is at most word.
func freeBlocks(taken uint64, h uint8) uint64 {
	free := ^taken
	for i := range h {
		free &= free >> size(i)
	}
	return free & starts[h]
}

// mask has the units of a block in a word.
func mask(p uint64, h uint8) uint64 { return (size(uint8(size(h))) - 1) << (p % 64) }

// span is where a node or a leaf lies.
func (t *tree) span(r ref) (at uint64, height uint8) {
	if r.isLeaf() {
		l := t.leaves.At(r.slab())
		return l.at, l.height
	}
	n := t.nodes.At(r.slab())
	return n.at, n.height
}

// largest is 1 + the height of the largest free block in a block of height h, in which r is
// all that is taken.
func (t *tree) largest(r ref, h uint8) uint8 {
	if _, height := t.span(r); height < h {
		return h // the half in which r is not
	}
	if !r.isLeaf() {
		n := t.nodes.At(r.slab())
		return max(n.free[0], n.free[1])
	}
	l := t.leaves.At(r.slab())
	if l.height > word {
		return 0
	}
	for k := uint8(word); k > 0; k-- {
		if freeBlocks(l.taken, k-1) != 0 {
			return k
		}
	}
	return 0
}

// isFree reports whether no unit of a block is taken.
func (t *tree) isFree(p uint64, h uint8) bool {
	r := t.root
	for r != 0 {
		at, height := t.span(r)
		if height < h {
			return start(at, h) != p
		}
		if start(p, height) != at {
			return true
		}
		if r.isLeaf() {
			l := t.leaves.At(r.slab())
			return height == word && l.taken&mask(p, h) == 0
		}
		if height == h { // something in it is taken
			return false
		}
		r = t.nodes.At(r.slab()).toward(p)
	}
	return true
}

// side is the half of a node in which a position lies.
func (n *node) side(p uint64) uint64 { return p >> (n.height - 1) & 1 }

func (n *node) toward(p uint64) ref { return n.half[n.side(p)] }

// set puts r into the half of node n in which p lies.
func (t *tree) set(n *node, p uint64, r ref) {
	i := n.side(p)
	n.half[i], n.free[i] = r, t.largest(r, n.height-1)
}

// take takes a block that is free, at or below r, and returns what stands there then.
func (t *tree) take(r ref, p uint64, h uint8) ref {
	if r == 0 {
		return t.leaf(p, h)
	}
	at, height := t.span(r)
	if start(p, height) != at { // it lies beside r: a node above both
		made, n := t.nodes.Add()
		n.height = uint8(bits.Len64(p ^ at))
		n.at = start(p, n.height)
		t.set(n, at, r)
		t.set(n, p, t.leaf(p, h))
		return nodeRef(made)
	}
	if r.isLeaf() {
		t.leaves.At(r.slab()).take(p, h)
		return r
	}
	n := t.nodes.At(r.slab())
	t.set(n, p, t.take(n.toward(p), p, h))
	return r
}

// leaf makes a leaf in which one block is taken.
func (t *tree) leaf(p uint64, h uint8) ref {
	made, l := t.leaves.Add()
	l.height = max(h, word)
	l.at = start(p, l.height)
	l.take(p, h)
	return leafRef(made)
}

func (l *leaf) take(p uint64, h uint8) {
	if l.height > word {
		return
	}
	m := mask(p, h)
	l.taken |= m
	l.joined |= m & (m << 1)
}

// has reports whether a block was taken exactly so.
func (l *leaf) has(p uint64, h uint8) bool {
	if h > word || l.height > word {
		return l.at == p && l.height == h
	}
	m := mask(p, h)
	first := m &^ (m << 1)
	next := (m << 1) &^ m // 0 at the word's end
	return l.taken&m == m && l.joined&m == m&^first && l.joined&next == 0
}

// free gives back a block at or below r, and returns what stands there then. It reports
// false, and changes nothing, where the block was not taken exactly so.
func (t *tree) free(r ref, p uint64, h uint8) (ref, bool) {
	if r == 0 {
		return r, false
	}
	if at, height := t.span(r); start(p, height) != at || height < h {
		return r, false
	}
	if r.isLeaf() {
		l := t.leaves.At(r.slab())
		if !l.has(p, h) {
			return r, false
		}
		if l.height == word {
			m := mask(p, h)
			l.taken &^= m
			l.joined &^= m
		}
		if l.height == word && l.taken != 0 {
			return r, true
		}
		t.leaves.Remove(r.slab())
		return 0, true
	}
	n := t.nodes.At(r.slab())
	left, ok := t.free(n.toward(p), p, h)
	if !ok {
		return r, false
	}
	if left == 0 { // a node has two halves
		other := n.half[1-n.side(p)]
		t.nodes.Remove(r.slab())
		return other, true
	}
	t.set(n, p, left)
	return r, true
}

// find is the first free block of height h at or after position from, of those from position
// lo to position hi, where r is all that is taken. A block of height h may begin at from,
// which is not above hi. The positions from lo to hi are a block of at least that height.
func (t *tree) find(r ref, lo, hi, from uint64, h uint8) (uint64, bool) {
	p := max(from, lo)
	if r == 0 {
		return p, true
	}
	at, height := t.span(r)
	last := lastOf(at, height)
	if height < h { // all of the block in which r lies is out
		at, last = start(at, h), lastOf(start(at, h), h)
	}
	if p < at {
		return p, true
	}
	if p <= last && height >= h {
		if found, ok := t.inside(r, p, h); ok {
			return found, true
		}
	}
	if last >= hi {
		return 0, false
	}
	return max(p, last+1), true
}

// inside is find in the span of r, from a position in it on.
func (t *tree) inside(r ref, from uint64, h uint8) (uint64, bool) {
	if r.isLeaf() {
		l := t.leaves.At(r.slab())
		if l.height > word {
			return 0, false
		}
		found := freeBlocks(l.taken, h) & (^uint64(0) << (from - l.at))
		return l.at + uint64(bits.TrailingZeros64(found)), found != 0
	}
	n := t.nodes.At(r.slab())
	for i := n.side(from); i < 2; i++ {
		if n.free[i] <= h {
			continue
		}
		lo := n.at + i<<(n.height-1)
		if found, ok := t.find(n.half[i], lo, lastOf(lo, n.height-1), from, h); ok {
			return found, true
		}
	}
	return 0, false
}
