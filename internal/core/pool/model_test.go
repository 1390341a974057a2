package pool

import (
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// twin is the slow and obvious pool: a list of all units, each with the part that has it.
type twin struct {
	first    netip.Addr
	min, max int
	units    []netip.Prefix // invalid: free
}

func (w *twin) Take(x netip.Prefix) bool {
	if !w.IsFree(x) {
		return false
	}
	for i := range w.units {
		if x.Contains(w.unit(i)) {
			w.units[i] = x
		}
	}
	return true
}

func (w *twin) Free(x netip.Prefix) bool {
	found := false
	for i, u := range w.units {
		if u == x {
			w.units[i], found = netip.Prefix{}, true
		}
	}
	return found
}

// IsFree is for an x of a length that the pool gives.
func (w *twin) IsFree(x netip.Prefix) bool {
	n := 0
	for i, u := range w.units {
		if !x.Contains(w.unit(i)) {
			continue
		}
		if u.IsValid() {
			return false
		}
		n++
	}
	return n == 1<<(w.max-x.Bits())
}

func (w *twin) Find(place uint64, length int) (netip.Prefix, bool) {
	if length < w.min || length > w.max {
		return netip.Prefix{}, false
	}
	from, _ := bits.Mul64(place, uint64(len(w.units)))
	step := 1 << (w.max - length)
	for i := 0; i < len(w.units); i += step {
		at := (int(from)/step*step + i) % len(w.units)
		if x := netip.PrefixFrom(w.unit(at), length); w.IsFree(x) {
			return x, true
		}
	}
	return netip.Prefix{}, false
}

func (w *twin) Taken() uint64 {
	n := uint64(0)
	for _, u := range w.units {
		if u.IsValid() {
			n++
		}
	}
	return n
}

// unit is the address of a unit. The units of the tests' pools differ in the last two octets
// that a unit's length has.
func (w *twin) unit(i int) netip.Addr {
	b := w.first.As16()
	last := w.max/8 - 1
	i += int(b[last-1])<<8 + int(b[last])
	b[last-1], b[last] = byte(i>>8), byte(i)
	return netip.AddrFrom16(b)
}

// pair is a pool and its twin.
type pair struct {
	*Pool
	twin twin
}

func pairs() map[string]func() pair {
	return map[string]func() pair{
		"addresses": func() pair {
			first := netip.MustParseAddr("2001:db8::1:fd")
			last := netip.MustParseAddr("2001:db8::1:1c7")
			return pair{Addresses(first, last), twin{first, 128, 128, make([]netip.Prefix, 0x1c7-0xfd+1)}}
		},
		"one address": func() pair {
			first := netip.MustParseAddr("2001:db8::1")
			return pair{Addresses(first, first), twin{first, 128, 128, make([]netip.Prefix, 1)}}
		},
		"one length": func() pair {
			return pair{Prefixes(px("2001:db8:0:aa00::/56"), 64, 64), twin{netip.MustParseAddr("2001:db8:0:aa00::"), 64, 64, make([]netip.Prefix, 256)}}
		},
		"lengths": func() pair {
			return pair{Prefixes(px("2001:db8:0:a800::/55"), 55, 64), twin{netip.MustParseAddr("2001:db8:0:a800::"), 55, 64, make([]netip.Prefix, 512)}}
		},
		"large parts": func() pair {
			return pair{Prefixes(px("2001:db0::/31"), 33, 40), twin{netip.MustParseAddr("2001:db0::"), 33, 40, make([]netip.Prefix, 512)}}
		},
	}
}

// part is a part of some length that the pool gives, in it or just after it.
func (p pair) part(r uint64) netip.Prefix {
	length := p.min + int(r%uint64(p.max-p.min+1))
	at, _ := bits.Mul64(r, uint64(len(p.twin.units))+2)
	return netip.PrefixFrom(p.twin.unit(int(at)), length).Masked()
}

// step does one thing to both, and compares.
func (p pair) step(t *testing.T, what byte, r uint64) {
	t.Helper()
	x := p.part(r)
	switch what % 4 {
	case 0, 1:
		got, ok := p.Find(r, x.Bits())
		want, wok := p.twin.Find(r, x.Bits())
		if got != want || ok != wok {
			t.Fatalf("Find(%#x, %d) = %v, %v, want %v, %v", r, x.Bits(), got, ok, want, wok)
		}
		if what%4 == 0 && ok {
			x = got
			if !p.Take(x) || !p.twin.Take(x) {
				t.Fatalf("Take(%v) of what was found", x)
			}
		}
	case 2:
		if got, want := p.Take(x), p.twin.Take(x); got != want {
			t.Fatalf("Take(%v) = %v", x, got)
		}
	case 3:
		if at, ok := p.position(x); ok && r>>32%8 != 0 && p.twin.units[at].IsValid() {
			x = p.twin.units[at] // mostly what was taken exactly so
		}
		if got, want := p.Free(x), p.twin.Free(x); got != want {
			t.Fatalf("Free(%v) = %v", x, got)
		}
	}
	if got, want := p.IsFree(x), p.twin.IsFree(x); got != want {
		t.Fatalf("IsFree(%v) = %v", x, got)
	}
	if got, want := p.Taken(), p.twin.Taken(); got != want {
		t.Fatalf("Taken() = %d, want %d", got, want)
	}
	p.sound(t)
}

func (p pair) position(x netip.Prefix) (uint64, bool) {
	at, _, ok := p.block(x)
	return at, ok
}

// sound checks what the tree relies on.
func (p *Pool) sound(t *testing.T) {
	t.Helper()
	nodes, leaves := 0, 0
	var walk func(r ref, lo uint64, slot uint8) uint64
	walk = func(r ref, lo uint64, slot uint8) uint64 {
		at, height := p.tree.span(r)
		if height > slot || start(at, height) != at || start(at, slot) != lo {
			t.Fatalf("what stands at %#x with height %d is no part of %#x with height %d", at, height, lo, slot)
		}
		if r.isLeaf() {
			leaves++
			l := p.tree.leaves.At(r.slab())
			if height > word {
				return size(height)
			}
			if height != word || l.taken == 0 || l.joined&^l.taken != 0 || l.joined&1 != 0 || l.joined&^(l.taken<<1) != 0 {
				t.Fatalf("leaf %+v", *l)
			}
			return uint64(bits.OnesCount64(l.taken))
		}
		nodes++
		n := p.tree.nodes.At(r.slab())
		if height <= word || n.half[0] == 0 || n.half[1] == 0 {
			t.Fatalf("node %+v", *n)
		}
		taken := uint64(0)
		for i, h := range n.half {
			if want := p.tree.largest(h, height-1); n.free[i] != want {
				t.Fatalf("node %+v: the largest free block in half %d is %d", *n, i, want)
			}
			taken += walk(h, at+uint64(i)<<(height-1), height-1)
		}
		return taken
	}
	taken := uint64(0)
	if p.tree.root != 0 {
		taken = walk(p.tree.root, 0, 64)
	}
	if taken != p.taken || nodes != max(leaves-1, 0) {
		t.Fatalf("%d nodes, %d leaves, %d units are taken, and %d are counted", nodes, leaves, taken, p.taken)
	}
}

// TestModel holds a pool against its twin: while it fills, while it is nearly full, and while
// it empties.
func TestModel(t *testing.T) {
	for name, build := range pairs() {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(3) {
				r, p := rand.New(rand.NewPCG(seed, 12)), build()
				for i := range 2000 {
					what := byte(r.Uint32())
					if phase := i / 500 % 3; phase != 1 && r.Uint32()%2 == 0 {
						what = []byte{0, 0, 3}[phase]
					}
					p.step(t, what, r.Uint64())
				}
			}
		})
	}
}

// FuzzModel is TestModel with steps that the fuzzer chooses: nine octets each.
func FuzzModel(f *testing.F) {
	f.Add([]byte("\x00aaaaaaaa\x02bbbbbbbb\x03aaaaaaaa\x00cccccccc"))
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00"))
	build := pairs()["lengths"]
	f.Fuzz(func(t *testing.T, steps []byte) {
		p := build()
		for len(steps) >= 9 {
			r := uint64(0)
			for _, b := range steps[1:9] {
				r = r<<8 | uint64(b)
			}
			p.step(t, steps[0], r)
			steps = steps[9:]
		}
	})
}
