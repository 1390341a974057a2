package pool

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
)

// filled is a pool with a share of its units taken, at random.
func filled(p *Pool, length int, share float64) *Pool {
	r := rand.New(rand.NewPCG(1, 2))
	for p.Share() < share {
		x, _ := p.Find(r.Uint64(), length)
		p.Take(x)
	}
	return p
}

// BenchmarkFind is Find in pools that are full to a share. An empty pool has no tree to go down.
func BenchmarkFind(b *testing.B) {
	for _, pool := range []struct {
		name  string
		empty func() *Pool
		bits  int
	}{
		{"64k-addresses", func() *Pool { return addresses("2001:db8::", "2001:db8::ffff") }, 128},
		{"1M-addresses", func() *Pool { return addresses("2001:db8::", "2001:db8::f:ffff") }, 128},
		{"1M-prefixes", func() *Pool { return Prefixes(px("2001:db8::/44"), 56, 64) }, 64},
	} {
		for _, share := range []float64{0, 0.5, 0.99, 0.9999} {
			b.Run(fmt.Sprintf("%s/full=%v%%", pool.name, share*100), func(b *testing.B) {
				p := filled(pool.empty(), pool.bits, share)
				b.ReportAllocs()
				place := uint64(1)
				for b.Loop() {
					place = place*6364136223846793005 + 1442695040888963407
					if _, ok := p.Find(place, pool.bits); !ok {
						b.Fatal("the pool is full")
					}
				}
			})
		}
	}
}

// BenchmarkTake finds, takes and frees in a /64 in which a million addresses are taken, far from
// each other, and tells how much memory each of those needs.
func BenchmarkTake(b *testing.B) {
	const leases = 1_000_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := addresses("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff")
	r := rand.New(rand.NewPCG(1, 2))
	find := func() netip.Prefix {
		x, _ := p.Find(r.Uint64(), 128)
		return x
	}
	for range leases {
		p.Take(find())
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		x := find()
		if !p.Take(x) || !p.Free(x) {
			b.Fatal(x)
		}
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/leases, "B/lease")
}
