package relay6_test

import (
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/relay6"
)

// BenchmarkRestore is the core's part of a start with 100 000 delegations of as many
// clients: their records are read, and the table and the wanted state of the kernel are
// filled.
func BenchmarkRestore(b *testing.B) {
	const n = 100_000
	w := newWorld(b)
	records := make([][]byte, n)
	for i := range records {
		d := binding.Binding{
			Link: "lan0", Prefix: cidr("2001:db8::/56"), Client: binding.DUID([]byte{0, 3, 0, 1, 2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}),
			IAID: 1, NextHop: addr(alice.addr), LinkLayer: alice.mac, Preferred: w.now.Boot.After(time.Hour), Valid: w.now.Boot.After(time.Hour),
			Lifetime: time.Hour, Server: "kea", Source: binding.FromReply, Granted: w.now.Wall, Changed: w.now.Wall,
		}
		a := d.Prefix.Addr().As16()
		a[4], a[5], a[6] = byte(i>>16), byte(i>>8), byte(i)
		d.Prefix = netip.PrefixFrom(netip.AddrFrom16(a), 56)
		records[i] = binding.AppendRecord(nil, binding.Relay6, &d, w.now, w.bootID)
	}
	b.ReportAllocs()
	for b.Loop() {
		var eff effect.Effects
		core := relay6.New(w.cfg, w.bootID)
		for _, l := range w.links {
			core.SetLink(l, &eff)
		}
		var reader binding.Reader
		core.Restore(w.now, func(yield func(binding.Record) bool) {
			for _, v := range records {
				rec, err := reader.Parse(v)
				if err != nil {
					b.Fatal(err)
				}
				if !yield(rec) {
					return
				}
			}
		}, nil, w.now.Wall, &eff)
		if got := core.Totals().Prefixes; got != n {
			b.Fatalf("%d delegations, want %d", got, n)
		}
	}
}
