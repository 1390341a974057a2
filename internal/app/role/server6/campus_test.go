package server6

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// hint is the IA_PD of a device that asks for a length of prefix; 0: for none.
func hint(bits int) []byte {
	if bits == 0 {
		return script.IAPD(1)
	}
	return script.IAPD(1, dhcp6.IAPrefix{Prefix: netip.PrefixFrom(netip.IPv6Unspecified(), bits)})
}

// With the configuration for a campus ten thousand devices on one link have a prefix each, of the length
// that they ask for where the pool permits it, and of the nearest one that it permits where not. Each has
// its route, and has the same prefix when the machine was switched off. RFC 8168 3.2a.
func TestCampus(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/reference/campus.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const devices = 10_000
	lengths := map[int]int{0: 64, 64: 64, 63: 63, 62: 62, 56: 62, 61: 62, 65: 64}
	order := []int{0, 64, 63, 62, 56, 61, 65}
	pool := netip.MustParsePrefix("2001:db8:4000::/46")
	disk := vfs.NewMem()
	if err := disk.MkdirAll("/var", 0o755); err != nil {
		t.Fatal(err)
	}
	wall := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s, err := boot(t, text, disk, wall)
	if err != nil {
		t.Fatal(err)
	}
	units := make(map[netip.Prefix]int) // which device has a /64
	held := make([]dhcp6.Message, devices)
	for n := range devices {
		bits := order[n%len(order)]
		offer := prefixes(s.asks(n, dhcp6.Solicit, hint(bits)))
		held[n] = s.asks(n, dhcp6.Request, hint(bits))
		got := prefixes(held[n])
		if len(got) != 1 || len(offer) != 1 || got[0] != offer[0] || got[0].Bits() != lengths[bits] || !pool.Contains(got[0].Addr()) {
			t.Fatalf("device %d asks for /%d, is offered %v and gets %v, want one /%d", n, bits, offer, got, lengths[bits])
		}
		for a, i := got[0].Addr().As16(), 0; i < 1<<(64-got[0].Bits()); i++ {
			unit := netip.PrefixFrom(netip.AddrFrom16(a), 64)
			if other, has := units[unit]; has {
				t.Fatalf("devices %d and %d both have %v", other, n, unit)
			}
			units[unit] = n
			a[7]++
		}
	}
	check := func(when string) {
		if p, pools := s.core.Totals().Prefixes, s.core.Pools(); p != devices || len(pools) != 1 || pools[0].Taken != uint64(len(units)) {
			t.Errorf("%s: %d leases, want %d; pools %+v, want %d units taken", when, p, devices, pools, len(units))
		}
		if n := s.core.Kernel().Counts().Routes; n != devices {
			t.Errorf("%s: %d routes, want %d", when, n, devices)
		}
		for reason, n := range s.core.Totals().Refusals {
			if n > 0 {
				t.Errorf("%s: %d refused because of %s, want none", when, n, reason)
			}
		}
	}
	check("at first")
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = boot(t, text, disk, wall.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	check("after the machine was switched off")
	for n := range devices {
		if got, want := prefixes(s.asks(n, dhcp6.Renew, taken(held[n]))), prefixes(held[n]); len(got) != 1 || got[0] != want[0] {
			t.Fatalf("device %d renews %v and gets %v", n, want, got)
		}
	}
	check("after all have renewed")
	s.sleep(5 * time.Hour)
	if n := s.core.Totals().Prefixes; n != 0 || s.core.Kernel().Counts().Routes != 0 {
		t.Errorf("after all devices have gone %d leases and %d routes, want none", n, s.core.Kernel().Counts().Routes)
	}
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
}
