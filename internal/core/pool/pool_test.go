package pool

import (
	"math"
	"net/netip"
	"testing"
)

func px(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func addresses(first, last string) *Pool {
	return Addresses(netip.MustParseAddr(first), netip.MustParseAddr(last))
}

// wantFind expects one part of a pool; empty: that none is found.
func wantFind(t *testing.T, p *Pool, place uint64, length int, want string) {
	t.Helper()
	got, ok := p.Find(place, length)
	if (want == "") == ok || ok && got.String() != want {
		t.Errorf("Find(%#x, %d) = %v, %v, want %q", place, length, got, ok, want)
	}
	if ok && !p.IsFree(got) {
		t.Errorf("Find(%#x, %d) = %v, which is not free", place, length, got)
	}
}

func wantTake(t *testing.T, p *Pool, x string, want bool) {
	t.Helper()
	if p.IsFree(px(x)) != want {
		t.Errorf("IsFree(%s) is %v", x, !want)
	}
	if p.Take(px(x)) != want {
		t.Errorf("Take(%s) is %v", x, !want)
	}
	if p.IsFree(px(x)) {
		t.Errorf("%s is free after Take", x)
	}
}

func wantFree(t *testing.T, p *Pool, x string, want bool) {
	t.Helper()
	taken := p.Taken()
	if p.Free(px(x)) != want {
		t.Errorf("Free(%s) is %v", x, !want)
	}
	if (p.Taken() == taken) == want {
		t.Errorf("Taken is %d after Free(%s), and was %d", p.Taken(), x, taken)
	}
}

func TestHolds(t *testing.T) {
	hosts := addresses("2001:db8::ff", "2001:db8::1:2")
	parts := Prefixes(px("2001:db8:8000::/36"), 48, 64)
	wide := Prefixes(px("2001:db8::/32"), 40, 120)
	all := addresses("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	for _, c := range []struct {
		pool *Pool
		x    string
		want bool
	}{
		{hosts, "2001:db8::fe/128", false},
		{hosts, "2001:db8::ff/128", true},
		{hosts, "2001:db8::1:2/128", true},
		{hosts, "2001:db8::1:3/128", false},
		{hosts, "2001:db8:0:0:1::1:2/128", false},
		{hosts, "2001:db8::100/127", false},
		{hosts, "::/128", false},
		{parts, "2001:db8:8000::/48", true},
		{parts, "2001:db8:8fff:ffff::/64", true},
		{parts, "2001:db8:8fff:ffff::1/64", false},
		{parts, "2001:db8:7fff:ffff::/64", false},
		{parts, "2001:db8:9000::/48", false},
		{parts, "2001:db8:8000::/47", false},
		{parts, "2001:db8:8000::/65", false},
		{parts, "192.0.2.0/24", false},
		{wide, "2001:db8::/57", true}, // 63 bits above the unit
		{wide, "2001:db8::/56", false},
		{wide, "2001:db8:0:ff::/120", true}, // in the first 2^64 units
		{wide, "2001:db8:0:100::/120", false},
		{all, "::/128", true},
		{all, "::ffff:ffff:ffff:ffff/128", true},
		{all, "::1:0:0:0:0/128", false},
	} {
		if got := c.pool.Holds(px(c.x)); got != c.want {
			t.Errorf("Holds(%s) = %v", c.x, got)
		}
		if got := c.pool.IsFree(px(c.x)); got != c.want {
			t.Errorf("IsFree(%s) = %v in an empty pool", c.x, got)
		}
	}
}

func TestFindGoesRoundThePool(t *testing.T) {
	p := addresses("2001:db8::ff", "2001:db8::102")
	wantFind(t, p, 0, 128, "2001:db8::ff/128")
	wantFind(t, p, 1<<62-1, 128, "2001:db8::ff/128")
	wantFind(t, p, 1<<62, 128, "2001:db8::100/128")
	wantFind(t, p, math.MaxUint64, 128, "2001:db8::102/128")
	wantFind(t, p, 0, 127, "")
	wantTake(t, p, "2001:db8::102/128", true)
	wantFind(t, p, math.MaxUint64, 128, "2001:db8::ff/128")
	wantTake(t, p, "2001:db8::ff/128", true)
	wantFind(t, p, math.MaxUint64, 128, "2001:db8::100/128")
	wantTake(t, p, "2001:db8::100/128", true)
	wantTake(t, p, "2001:db8::101/128", true)
	wantFind(t, p, 0, 128, "")
	if p.Share() != 1 || p.Size() != 4 || p.Taken() != 4 {
		t.Errorf("Share, Size, Taken: %v, %d, %d", p.Share(), p.Size(), p.Taken())
	}
	wantFree(t, p, "2001:db8::100/128", true)
	wantFind(t, p, math.MaxUint64, 128, "2001:db8::100/128")
}

func TestWholeSubnetOfAddresses(t *testing.T) {
	p := addresses("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff")
	wantFind(t, p, math.MaxUint64, 128, "2001:db8::ffff:ffff:ffff:ffff/128")
	wantTake(t, p, "2001:db8::ffff:ffff:ffff:ffff/128", true)
	wantFind(t, p, math.MaxUint64, 128, "2001:db8::/128")
	wantTake(t, p, "2001:db8::/128", true)
	wantFind(t, p, math.MaxUint64, 128, "2001:db8::1/128")
	wantFind(t, p, 1<<63, 128, "2001:db8:0:0:8000::/128")
	if p.Size() != math.MaxUint64 || p.Taken() != 2 {
		t.Errorf("Size, Taken: %d, %d", p.Size(), p.Taken())
	}
}

func TestPrefixesOfSeveralLengths(t *testing.T) {
	p := Prefixes(px("2001:db8:0:8000::/49"), 52, 64)
	wantFind(t, p, 0, 51, "")
	wantTake(t, p, "2001:db8:0:8001::/64", true)
	wantTake(t, p, "2001:db8:0:8000::/63", false) // a part of it is taken
	wantTake(t, p, "2001:db8:0:8000::/52", false)
	wantTake(t, p, "2001:db8:0:9000::/52", true)
	wantTake(t, p, "2001:db8:0:9fff::/64", false) // it is a part of what is taken
	wantTake(t, p, "2001:db8:0:9000::/56", false)
	wantFind(t, p, 0, 64, "2001:db8:0:8000::/64")
	wantFind(t, p, 0, 63, "2001:db8:0:8002::/63")
	wantFind(t, p, 0, 56, "2001:db8:0:8100::/56")
	wantFind(t, p, 0, 52, "2001:db8:0:a000::/52")
	wantFind(t, p, 1<<61+1, 64, "2001:db8:0:a000::/64") // from the middle of the /52
	if p.Taken() != 1+4096 || p.Size() != 32768 {
		t.Errorf("Taken, Size: %d, %d", p.Taken(), p.Size())
	}
}

// TestFreeOfWhatWasNotTaken: what covers what was taken, or is a part of it, is not given back.
func TestFreeOfWhatWasNotTaken(t *testing.T) {
	p := Prefixes(px("2001:db8::/48"), 48, 64)
	wantTake(t, p, "2001:db8::/64", true)
	wantTake(t, p, "2001:db8:0:1::/64", true)
	wantTake(t, p, "2001:db8:0:2::/63", true)
	wantTake(t, p, "2001:db8:0:100::/56", true)
	wantTake(t, p, "2001:db8:0:40::/58", true) // one word
	for _, x := range []string{
		"2001:db8::/63", "2001:db8::/62", "2001:db8:0:2::/64", "2001:db8:0:3::/64", "2001:db8:0:100::/64",
		"2001:db8:0:100::/57", "2001:db8:0:180::/58", "2001:db8::/55", "2001:db8::/48", "2001:db8:0:4::/64",
		"2001:db8:0:200::/56", "2001:db8:0:40::/64", "2001:db8:0:40::/59", "2001:db8:1::/64", "2001:db8::1/64",
	} {
		wantFree(t, p, x, false)
	}
	for _, x := range []string{"2001:db8:0:2::/63", "2001:db8::/64", "2001:db8:0:100::/56", "2001:db8:0:40::/58", "2001:db8:0:1::/64"} {
		wantFree(t, p, x, true)
		wantFree(t, p, x, false)
	}
	wantFind(t, p, 0, 48, "2001:db8::/48")
	if p.Taken() != 0 || p.tree.root != 0 {
		t.Errorf("%d units are taken at the end", p.Taken())
	}
}

func TestWholePoolAsOnePart(t *testing.T) {
	p := Prefixes(px("2001:db8::/32"), 32, 64)
	wantTake(t, p, "2001:db8::/32", true)
	wantFind(t, p, 5, 64, "")
	wantFind(t, p, 5, 32, "")
	wantTake(t, p, "2001:db8:5::/48", false)
	wantFree(t, p, "2001:db8:5::/48", false)
	wantFree(t, p, "2001:db8::/32", true)
	wantFind(t, p, math.MaxUint64, 64, "2001:db8:ffff:ffff::/64")
}

func TestFindAllocatesNothing(t *testing.T) {
	p := Prefixes(px("2001:db8::/32"), 48, 64)
	for place := uint64(0); place < 5000; place++ {
		x, _ := p.Find(place*0x9e3779b97f4a7c15, 56+int(place%9))
		p.Take(x)
	}
	place := uint64(1)
	if n := testing.AllocsPerRun(1000, func() {
		place *= 0x9e3779b97f4a7c15
		x, ok := p.Find(place, 56+int(place>>60)%9)
		if !ok || !p.IsFree(x) {
			t.Fatal(x, ok)
		}
		p.Take(x)
		p.Free(x)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
