package servers

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/wire/dhcp6"
	"fairlead/tools/bench/harness"
)

// read makes results from lines in the Go benchmark format, without the first word of each.
func read(t *testing.T, lines ...string) *harness.Results {
	t.Helper()
	var r harness.Results
	for _, line := range lines {
		if err := r.Read(strings.NewReader("Benchmark" + line + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	return &r
}

// did returns the line of a server under a load: CPU time in microseconds per exchange, exchanges
// per second, the share of them that was lost, and how busy the generator was.
func did(load, who string, us, rate, loss, share float64) string {
	return fmt.Sprintf("Server6/load=%s/server=%s 1 %v cpu-sec/exchange %v exchanges/s %v lost/exchange %v generator-share", load, who, us/1e6, rate, loss, share)
}

func TestBars(t *testing.T) {
	bars := map[string]harness.Bar{}
	for _, b := range New(nil, 0).Benches() {
		for _, bar := range b.Bars {
			bars[bar.Name] = bar
		}
	}
	for _, c := range []struct {
		bar   string
		lines []string
		want  string
	}{
		{"server6-cpu-vs-kea", []string{did("equal", ours, 20, 8000, 0, 0.4), did("equal", kea, 40, 8000, 0, 0.4)}, "0.50 times Kea's, wanted at most 0.5: met"},
		{"server6-cpu-vs-kea", []string{did("equal", ours, 30, 8000, 0, 0.4), did("equal", kea, 40, 8000, 0, 0.4)}, "0.75 times Kea's, wanted at most 0.5: missed"},
		{"server6-cpu-vs-kea", []string{did("equal", ours, 20, 8000, 0, 0.4), did("equal", kea, 40, 8000, 0, 0.91)}, "0.50 times Kea's, wanted at most 0.5: void (the generator's core was busy for 91 % of the time beside kea, and 90 are allowed)"},
		{"server6-cpu-vs-kea", []string{did("equal", ours, 20, 8000, 0.005, 0.4), did("equal", kea, 40, 8000, 0, 0.4)}, "0.50 times Kea's, wanted at most 0.5: void (fairlead lost 0.5 %, and 0.5 are allowed)"},
		{"server6-cpu-vs-kea", []string{did("equal", ours, 20, 8000, 0, 0.4)}, "unknown, wanted at most 0.5: void (nothing was measured)"},
		{"server6-rate-vs-kea", []string{did("peak", ours, 20, 30_000, 0.004, 0.4), did("peak", kea, 40, 20_000, 0.004, 0.4)}, "1.50 times Kea's (30000/s and 20000/s), wanted at least 1.5: met"},
		{"server6-rate-vs-kea", []string{did("peak", ours, 20, 29_000, 0, 0.4), did("peak", kea, 40, 20_000, 0, 0.4)}, "1.45 times Kea's (29000/s and 20000/s), wanted at least 1.5: missed"},
		{"server6-rate-vs-kea", nil, "unknown, wanted at least 1.5: void (nothing was measured)"},
		{"server6-memory", []string{"Server6Memory/leases=empty 1 100000000 rss-B", "Server6Memory/leases=full 1 800000000 rss-B"}, "674 octets each of 1037927 with a DUID (remote-id, relay-id and host name are not stored yet), wanted at most 700 octets a lease: met"},
		{"server6-memory", []string{"Server6Memory/leases=empty 1 100000000 rss-B", "Server6Memory/leases=full 1 900000000 rss-B"}, "771 octets each of 1037927 with a DUID (remote-id, relay-id and host name are not stored yet), wanted at most 700 octets a lease: missed"},
		{"server6-memory", []string{"Server6Memory/leases=empty 1 1 rss-B"}, "unknown, wanted at most 700 octets a lease: void (nothing was measured)"},
		{"server6-start", []string{"Server6Start 1 4 ready-sec 4.5 renewed-sec"}, "4.50 s for 1037927 (remote-id, relay-id and host name are not stored yet, so there is no index by relay-id), wanted under 5 s: met"},
		{"server6-start", []string{"Server6Start 1 4 ready-sec 5 renewed-sec"}, "5.00 s for 1037927 (remote-id, relay-id and host name are not stored yet, so there is no index by relay-id), wanted under 5 s: missed"},
		{"server6-start", nil, "unknown, wanted under 5 s: void (nothing was measured)"},
		{"server6-full-pool", []string{"Server6Pool/pool=empty 1 0.00001 cpu-sec/exchange", "Server6Pool/pool=full 1 0.000015 cpu-sec/exchange"}, "1.50 times the cost against an empty pool (15.0 and 10.0 us), wanted at most 1.5: met"},
		{"server6-full-pool", []string{"Server6Pool/pool=empty 1 0.00001 cpu-sec/exchange", "Server6Pool/pool=full 1 0.000016 cpu-sec/exchange"}, "1.60 times the cost against an empty pool (16.0 and 10.0 us), wanted at most 1.5: missed"},
		{"server6-allocs", []string{"SolicitAnswered-2 1 3334 ns/op 24 B/op 1 allocs/op"}, "1, wanted 0 for a Solicit and its Advertise: missed"},
		{"server6-allocs", []string{"SolicitAnswered 1 3334 ns/op 0 B/op 0 allocs/op"}, "0, wanted 0 for a Solicit and its Advertise: met"},
		{"server6-allocs", nil, "unknown, wanted 0 for a Solicit and its Advertise: void (the benchmark has told nothing)"},
	} {
		bar, ok := bars[c.bar]
		if !ok {
			t.Errorf("there is no bar %s", c.bar)
			continue
		}
		if got, want := (harness.Judged{Bar: bar, Verdict: bar.Judge(read(t, c.lines...))}).String(), "bar "+c.bar+": "+c.want; got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}

// The output of perfdhcp is read: the exchanges that it began, and those whose lease it accepted.
func TestPerfdhcp(t *testing.T) {
	const text = `***Rate statistics***
Rate: 1777.51 4-way exchanges/second, expected rate: 2000

***Statistics for: SOLICIT-ADVERTISE***
sent packets: 7999
received packets: 7990
rejected leases: 1

***Statistics for: REQUEST-REPLY***
sent packets: 7989
received packets: 7980
drops ratio: 0.000 %
rejected leases: 3
`
	begun, ended, err := parsePerfdhcp(text)
	if err != nil || begun != 7999 || ended != 7977 {
		t.Errorf("%d begun, %d ended, error %v, want 7999 and 7977", begun, ended, err)
	}
	if _, _, err := parsePerfdhcp("perfdhcp: no such interface\n"); err == nil {
		t.Error("nothing was printed: want an error")
	}
}

// Each lease in the store is a part of the pool, and no two leases overlap.
func TestPrefixes(t *testing.T) {
	pool := netip.MustParsePrefix(narrow)
	all := held()
	last := netip.Prefix{}
	for _, i := range all {
		p := prefixOf(i)
		if !pool.Overlaps(p) || p.Bits() != delegated || p != p.Masked() || last.IsValid() && !last.Addr().Less(p.Addr()) {
			t.Fatalf("the prefix of %d is %v, after %v", i, p, last)
		}
		last = p
	}
	if share := float64(len(all)) / poolSize; share < 0.9895 || share > 0.9905 {
		t.Errorf("%v of the pool is taken, want 0.99", share)
	}
}

// A Renew is answered by a Reply that extends the lease of the same client, and by nothing else.
func TestRenewal(t *testing.T) {
	const client = 7
	asked, err := renewal(client)
	if err != nil {
		t.Fatal(err)
	}
	if extends(asked, client) {
		t.Error("a Renew is no answer")
	}
	answer := func(kind dhcp6.MessageType, of uint32, valid dhcp6.Lifetime) []byte {
		b, err := relayed(dhcp6.RelayReply, kind, of, valid)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		datagram []byte
		want     bool
	}{
		{answer(dhcp6.Reply, client, 3000), true},
		{answer(dhcp6.Reply, client, 0), false},
		{answer(dhcp6.Reply, client+1, 3000), false},
		{answer(dhcp6.Advertise, client, 3000), false},
		{nil, false},
	} {
		if got := extends(c.datagram, client); got != c.want {
			t.Errorf("%x: %v, want %v", c.datagram, got, c.want)
		}
	}
}
