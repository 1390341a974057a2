package relay6_test

import (
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
)

// Very many delegations end in one instant: each Tick deals with a bounded number
// of them, in bounded changes, and asks for the next at once until none is left,
// neither in the store nor in the kernel. RFC 8987 G-8.
func TestVeryManyExpireAtOnce(t *testing.T) {
	const many, atOnce, perChange = 20_000, 512, 256
	w := newWorld(t)
	w.cfg.Records.NoHistory = true
	for i := range many {
		d := binding.Binding{
			Link: "lan0", Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 1, byte(i >> 8), byte(i)}), 56),
			Client: binding.DUID(string([]byte{0, 3, 0, 1, 2, 0, 0, 0, byte(i >> 8), byte(i)})), IAID: 1, NextHop: addr(alice.addr), LinkLayer: alice.mac,
			Preferred: w.now.Boot.After(time.Minute), Valid: w.now.Boot.After(time.Hour), Lifetime: time.Hour, Server: "srv",
			Source: binding.FromReply, Granted: w.now.Wall, Changed: w.now.Wall,
		}
		w.store[string(binding.Key(nil, binding.Relay6, d.VRF, d.Prefix))] = binding.AppendRecord(nil, binding.Relay6, &d, w.now, w.bootID)
	}
	w.restart()
	if n := w.core.Totals().Prefixes; n != many || len(w.kernel.Actual().Routes) != many {
		t.Fatalf("%d restored, %d routed, want %d", n, len(w.kernel.Actual().Routes), many)
	}
	w.move(w.now.Boot + instant.Instant(time.Hour))
	ticks := 0
	for w.core.Totals().Prefixes > 0 {
		if at := w.core.Deadline(); at > w.now.Boot {
			t.Fatalf("%d are due, and the next Tick is wanted at %v; want at once", w.core.Totals().Prefixes, at)
		}
		before := w.core.Totals().Prefixes
		w.core.Tick(w.now, &w.eff)
		for _, c := range w.eff.Changes {
			if len(c.Keep) > perChange+1 { // and the clock
				t.Fatalf("a change of %d records, want %d at most", len(c.Keep), perChange+1)
			}
		}
		w.carryOut()
		if ended := before - w.core.Totals().Prefixes; ended > atOnce || ended == 0 {
			t.Fatalf("a Tick has ended %d, want up to %d", ended, atOnce)
		}
		ticks++
	}
	if want := (many + atOnce - 1) / atOnce; ticks != want {
		t.Errorf("%d Ticks, want %d", ticks, want)
	}
	for key := range w.store {
		if letter(key) == 'd' {
			t.Fatalf("%x is still kept", key)
		}
	}
	if n := len(w.kernel.Actual().Routes); n != 0 {
		t.Errorf("%d routes are left", n)
	}
}
