package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

// did is a contender that did rate exchanges a second and used us microseconds of
// CPU time for each, in every one of three rounds but one, which was bad.
func did(name string, peer bool, rate, us float64) *entry {
	good := result{Answered: 1000, AnsweredRate: rate, CPU: time.Duration(1000 * us * 1000)}
	bad := result{Answered: 1000, AnsweredRate: rate / 10, CPU: 100 * good.CPU}
	return &entry{Name: name, Peer: peer, Plain: []turn{{Closed: good}, {Closed: bad}, {Closed: good}}}
}

func withMix(e *entry, us, offered, goodput float64) *entry {
	peak := result{Answered: 1000, AnsweredRate: 1000, CPU: time.Duration(1000 * us * 1000)}
	few := peak
	few.AnsweredRate /= 2 // it waits for the disk
	e.Mix = []turn{{Closed: few, Peak: peak, Overload: result{OfferedRate: offered * 1000, AnsweredRate: goodput * 1000}}}
	return e
}

func TestCompare(t *testing.T) {
	blind, slow, quick := did(limit, false, 90_000, 10), did(isc, true, 12_000, 80), did("dnsmasq", true, 60_000, 20)
	us := withMix(did(ours, false, 80_000, 11), 21, 1.5, 0.95)
	tied := did(limit, false, 41_000, 10)
	for _, c := range []struct {
		name    string
		entries []*entry
		want    []string
	}{
		{"whole", []*entry{blind, us, slow, quick}, []string{
			"bar relay6-cpu-vs-blind-c: 1.10 times the blind forwarder's, wanted at most 1.2: met",
			"bar relay6-cpu-vs-best-peer: 0.55 times dnsmasq's, wanted at most 0.75: met",
			"bar relay6-mix-vs-best-peer: 1.05 times dnsmasq's for plain, wanted at most 1: missed",
			"bar relay6-overload: 0.95 times the peak of 1000/s, with 1.50 times offered, wanted at least 0.9: met",
		}},
		{"bound by the rig", []*entry{tied, us, slow, quick}, []string{
			"bar relay6-cpu-vs-blind-c: 1.10 times the blind forwarder's, wanted at most 1.2: void (the blind forwarder did 3.4 times what ISC dhcrelay did, and 3.5 are needed)",
			"bar relay6-cpu-vs-best-peer: 0.55 times dnsmasq's, wanted at most 0.75: void (the blind forwarder did 3.4 times what ISC dhcrelay did, and 3.5 are needed)",
			"bar relay6-mix-vs-best-peer: 1.05 times dnsmasq's for plain, wanted at most 1: void (the blind forwarder did 3.4 times what ISC dhcrelay did, and 3.5 are needed)",
			"bar relay6-overload: 0.95 times the peak of 1000/s, with 1.50 times offered, wanted at least 0.9: met",
		}},
		{"no peers", []*entry{blind, us}, []string{
			"bar relay6-cpu-vs-blind-c: 1.10 times the blind forwarder's, wanted at most 1.2: void (the blind forwarder and ISC dhcrelay must take part)",
			"bar relay6-cpu-vs-best-peer: unknown, wanted at most 0.75: void (not everybody who is needed took part)",
			"bar relay6-mix-vs-best-peer: unknown, wanted at most 1: void (not everybody who is needed took part)",
			"bar relay6-overload: 0.95 times the peak of 1000/s, with 1.50 times offered, wanted at least 0.9: met",
		}},
	} {
		for i, b := range compare(c.entries) {
			if got := b.String(); got != c.want[i] {
				t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want[i])
			}
		}
	}
}

func TestOverload(t *testing.T) {
	for _, c := range []struct {
		offered, goodput float64
		want             string
	}{
		{1.5, 0.9, "met"},
		{1.4, 0.91, "met"},
		{1.5, 0.89, "missed"},
		{1.39, 1, "void"},
	} {
		if got := overload(withMix(&entry{}, 20, c.offered, c.goodput)).Verdict(); got != c.want {
			t.Errorf("%v of the peak at %v times: %s, want %s", c.goodput, c.offered, got, c.want)
		}
	}
	if got := overload(nil); got.Verdict() != "void" || got.Void != "nothing was measured" {
		t.Errorf("without a run: %v", got)
	}
}

func TestSingles(t *testing.T) {
	cold := func(answered int, p99 float64) bar {
		return judgeCold([]result{
			{Offered: 256, Answered: 256, Latency: latency{P99: 900}},
			{Offered: 256, Answered: answered, Latency: latency{P99: p99}},
		})
	}
	for _, c := range []struct {
		got  bar
		want string
	}{
		{cold(256, 1100), "bar relay6-cold-clients: 512 of 512 answered, p99 1.0 ms, wanted all, under 20 ms: met"},
		{cold(255, 1100), "bar relay6-cold-clients: 511 of 512 answered, p99 1.0 ms, wanted all, under 20 ms: missed"},
		{cold(256, 39_100), "bar relay6-cold-clients: 512 of 512 answered, p99 20.0 ms, wanted all, under 20 ms: missed"},
		{
			judgeFlood(0.97, 0.93, 60_000, 50_000),
			"bar relay6-flood: 0.93 times their rate (0.97 beside 60000/s from one address, 0.93 beside 50000/s from many), wanted at least 0.9: met",
		},
		{
			judgeFlood(0.97, 0.5, 60_000, 50_000),
			"bar relay6-flood: 0.50 times their rate (0.97 beside 60000/s from one address, 0.50 beside 50000/s from many), wanted at least 0.9: missed",
		},
		{
			judgeFlood(1, 1, 60_000, 4_999),
			"bar relay6-flood: 1.00 times their rate (1.00 beside 60000/s from one address, 1.00 beside 4999/s from many), wanted at least 0.9: void (the flood was under 5000/s)",
		},
		{
			judgeElsewhere(losses{10_000, 9_951, 250_000, time.Second}, losses{10_000, 10_000, 150_000, time.Second}),
			"bar relay6-flood-elsewhere: 0.49 % more (0.49 % beside 250000/s on a link that is served, 0.00 % beside 150000/s on one that is not), wanted at most 0.5 %: met",
		},
		{
			judgeElsewhere(losses{10_000, 9_700, 250_000, time.Second}, losses{10_000, 9_990, 150_000, time.Second}),
			"bar relay6-flood-elsewhere: 2.90 % more (3.00 % beside 250000/s on a link that is served, 0.10 % beside 150000/s on one that is not), wanted at most 0.5 %: missed",
		},
		{
			judgeElsewhere(losses{10_000, 10_000, 250_000, time.Second}, losses{10_000, 10_000, 99_999, time.Second}),
			"bar relay6-flood-elsewhere: 0.00 % more (0.00 % beside 250000/s on a link that is served, 0.00 % beside 99999/s on one that is not), wanted at most 0.5 %: void (the flood was under 100000/s)",
		},
		{judgeElsewhere(losses{}, losses{}), "bar relay6-flood-elsewhere: unknown, wanted at most 0.5 %: void (nothing was measured)"},
		{
			judgeAllocations("BenchmarkSolicit-2  \t 3000 \t 350 ns/op \t 0 B/op \t 0 allocs/op\nBenchmarkAdvertise-2 \t 1 \t 2 ns/op\t 16 B/op\t       1 allocs/op\nPASS\n"),
			"bar relay6-allocs: 0 for Solicit, 1 for Advertise, wanted 0 a message: missed",
		},
		{
			judgeAllocations("BenchmarkSolicit  \t 3000 \t 350 ns/op \t 0 B/op \t 0 allocs/op\nBenchmarkAdvertise \t 1 \t 2 ns/op\t 0 B/op\t       0 allocs/op\nPASS\n"),
			"bar relay6-allocs: 0 for Solicit, 0 for Advertise, wanted 0 a message: met",
		},
		{judgeAllocations("PASS\n"), "bar relay6-allocs: unknown, wanted 0 a message: void (0 of 2 benchmarks told)"},
	} {
		if got := c.got.String(); got != c.want {
			t.Errorf("\n got %s\nwant %s", got, c.want)
		}
	}
}

func TestEventsOfTheGenerator(t *testing.T) {
	const good = `{"event":"prepare","clients":4}
{"event":"measure"}
{"event":"progress","answered":1}
{"event":"result","seconds":2,"offered":10,"answered":8,"late":1,"lost":1,"offered_rate":5,"answered_rate":4,"latency_us":{"p50":90,"p99":250.5},"kinds":{"solicit":{"offered":10,"answered":8,"latency_us":{"p99":251}}}}
`
	measured := 0
	res, err := read(strings.NewReader(good), func() error { measured++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if measured != 1 {
		t.Errorf("measuring began %d times, want once", measured)
	}
	if res.Offered != 10 || res.Answered != 8 || res.AnsweredRate != 4 || res.Latency.P99 != 250.5 || res.Kinds["solicit"].Latency.P99 != 251 {
		t.Errorf("result %+v", res)
	}
	res.CPU = 90 * time.Microsecond
	if us := res.perExchange(); us != 10 {
		t.Errorf("%v us for each of 8 exchanges and a late one, want 10", us)
	}
	if loss := res.loss(); math.Abs(loss-0.2) > 1e-9 {
		t.Errorf("loss %v, want 0.2", loss)
	}
	for text, want := range map[string]string{
		"{\"event\":\"measure\"}\n":                   "no result",
		"{\"event\":\"result\",\"exhausted\":true}\n": "too few clients",
		"panic: oh\n": `event "panic: oh"`,
	} {
		if _, err := read(strings.NewReader(text), func() error { return nil }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}
