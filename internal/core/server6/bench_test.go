package server6_test

import (
	"fmt"
	"testing"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// filled has a share of the two pools of lan0 leased to clients.
func filled(tb testing.TB, share float64) *world {
	w := newWorld(tb, func(c *server6.Config) { c.Links[0].Limits.LinkLimit = 1 << 20 }, lengths("2001:db8:4000::/40", 56, 56, 56))
	for n := range int(share * (1 << 16)) {
		c := somebody(n)
		p := c.from(c.message(dhcp6.Request, iaNA(1), iaPD(2)))
		w.core.Handle(w.now, &p, &w.eff)
		for _, change := range w.eff.Changes {
			w.core.Settle(w.now, effect.Outcome{ID: change.ID}, &w.eff)
		}
		w.eff.Reset()
	}
	return w
}

// BenchmarkSolicit is a Solicit for an address and a prefix, of another client each time, in pools that
// are full to a share. It may cost at most 1.5 times as much in full ones as in empty ones.
func BenchmarkSolicit(b *testing.B) {
	for _, share := range []float64{0, 0.5, 0.99} {
		b.Run(fmt.Sprintf("full=%.0f%%", 100*share), func(b *testing.B) {
			w := filled(b, share)
			packets := make([]inbound.Packet, 1024)
			for i := range packets {
				c := somebody(1<<20 + i)
				packets[i] = c.from(c.message(dhcp6.Solicit, iaNA(1), iaPD(2)))
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				w.eff.Reset()
				w.core.Handle(w.now, &packets[n%len(packets)], &w.eff)
				n++
			}
			if len(w.eff.Sends) != 1 {
				b.Fatal(w.eff.Drops)
			}
		})
	}
}

// BenchmarkSolicitAnswered is a Solicit that came through relay agents, and the Advertise to it.
func BenchmarkSolicitAnswered(b *testing.B) {
	w := newWorld(b, everything)
	p := solicits(w)["relayed, new"]
	b.ReportAllocs()
	for b.Loop() {
		w.eff.Reset()
		w.core.Handle(w.now, &p, &w.eff)
	}
	if len(w.eff.Sends) != 1 {
		b.Fatal(w.eff.Drops)
	}
}

// BenchmarkRenew is a Renew and its Reply, with the change that keeps it.
func BenchmarkRenew(b *testing.B) {
	w := newWorld(b)
	p := alice.from(alice.message(dhcp6.Renew, w.obtains(alice, iaNA(1), iaPD(2)).taken()...))
	w.eff.OmitExtensions = true
	b.ReportAllocs()
	for b.Loop() {
		w.eff.Reset()
		w.core.Handle(w.now, &p, &w.eff)
		for _, c := range w.eff.Changes {
			w.core.Settle(w.now, effect.Outcome{ID: c.ID}, &w.eff)
		}
	}
}
