package relays

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

var update = flag.Bool("update", false, "write the golden file")

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

// did returns the lines of a contender that did rate exchanges per second and used us
// microseconds of CPU time for each. Of the three rounds, one was bad.
func did(name string, rate, us float64) (lines []string) {
	for _, worse := range []float64{1, 10, 1} {
		lines = append(lines, fmt.Sprintf("Plain/load=closed/relay=%s 1 %v exchanges/s %v cpu-sec/exchange", name, rate/worse, us*worse/1e6))
	}
	return lines
}

// The bars of relay4 are judged by its own figures, and it has no bar for the mix.
func TestComparisons4(t *testing.T) {
	s := new(Suite).relay4()
	var lines []string
	for _, who := range [][]string{did(ours, 80_000, 11), did(limit, 90_000, 10), did(isc, 12_000, 80), did(helper, 60_000, 20), mix(21, 1.5, 0.95)} {
		for _, line := range who {
			lines = append(lines, line, strings.NewReplacer("Plain/", "Plain4/", "Mix/", "Mix4/").Replace(line))
		}
	}
	r := read(t, append(lines, did("dibbler", 70_000, 1)...)...)
	var got []string
	for _, bar := range s.contest().Bars {
		got = append(got, harness.Judged{Bar: bar, Verdict: bar.Judge(r)}.String())
	}
	want := []string{
		"bar relay4-cpu-vs-blind-c: 1.10 times the blind forwarder's, wanted at most 1.2: met",
		"bar relay4-cpu-vs-best-peer: 0.55 times dhcp-helper's, wanted at most 0.75: met",
		"bar relay4-overload: 0.95 times the peak of 1000/s, with 1.50 times offered, wanted at least 0.9: met",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if v := new(Suite).relay4().vsPeer(read(t, did("dibbler", 70_000, 1)...)); v.Void == "" {
		t.Errorf("without a run: %v", v)
	}
}

// mix returns the lines of fairlead in the mix. In the closed loop it did half as much as in the
// wider one, because it waited for the disk.
func mix(us, offered, goodput float64) []string {
	return []string{
		"Mix/load=closed/relay=fairlead 1 500 exchanges/s 1 cpu-sec/exchange",
		fmt.Sprintf("Mix/load=peak/relay=fairlead 1 1000 exchanges/s %v cpu-sec/exchange", us/1e6),
		fmt.Sprintf("Mix/load=overload/relay=fairlead 1 %v exchanges/s %v offered/s", goodput*1000, offered*1000),
	}
}

func TestComparisons(t *testing.T) {
	us := append(did(ours, 80_000, 11), mix(21, 1.5, 0.95)...)
	blind, slow, quick := did(limit, 90_000, 10), did(isc, 12_000, 80), did("dnsmasq", 60_000, 20)
	bars := new(Suite).relay6().contest().Bars
	for name, c := range map[string]struct {
		lines [][]string
		want  []string
	}{
		"whole": {[][]string{blind, us, slow, quick}, []string{
			"bar relay6-cpu-vs-blind-c: 1.10 times the blind forwarder's, wanted at most 1.2: met",
			"bar relay6-cpu-vs-best-peer: 0.55 times dnsmasq's, wanted at most 0.75: met",
			"bar relay6-mix-vs-best-peer: 1.05 times dnsmasq's for plain, wanted at most 1: missed",
			"bar relay6-overload: 0.95 times the peak of 1000/s, with 1.50 times offered, wanted at least 0.9: met",
		}},
		"bound by the rig": {[][]string{did(limit, 41_000, 10), us, slow, quick}, []string{
			"bar relay6-cpu-vs-blind-c: 1.10 times the blind forwarder's, wanted at most 1.2: void (the blind forwarder did 3.4 times what ISC dhcrelay did, and 3.5 are needed)",
			"bar relay6-cpu-vs-best-peer: 0.55 times dnsmasq's, wanted at most 0.75: void (the blind forwarder did 3.4 times what ISC dhcrelay did, and 3.5 are needed)",
			"bar relay6-mix-vs-best-peer: 1.05 times dnsmasq's for plain, wanted at most 1: void (the blind forwarder did 3.4 times what ISC dhcrelay did, and 3.5 are needed)",
			"bar relay6-overload: 0.95 times the peak of 1000/s, with 1.50 times offered, wanted at least 0.9: met",
		}},
		"no peers": {[][]string{blind, us}, []string{
			"bar relay6-cpu-vs-blind-c: 1.10 times the blind forwarder's, wanted at most 1.2: void (the blind forwarder and ISC dhcrelay must take part)",
			"bar relay6-cpu-vs-best-peer: unknown, wanted at most 0.75: void (not everybody who is needed took part)",
			"bar relay6-mix-vs-best-peer: unknown, wanted at most 1: void (not everybody who is needed took part)",
			"bar relay6-overload: 0.95 times the peak of 1000/s, with 1.50 times offered, wanted at least 0.9: met",
		}},
	} {
		var lines []string
		for _, some := range c.lines {
			lines = append(lines, some...)
		}
		r := read(t, lines...)
		for i, bar := range bars {
			if got := (harness.Judged{Bar: bar, Verdict: bar.Judge(r)}).String(); got != c.want[i] {
				t.Errorf("%s:\n got %s\nwant %s", name, got, c.want[i])
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
		v := new(Suite).relay6().overload(read(t, mix(20, c.offered, c.goodput)...))
		if got := (harness.Judged{Bar: harness.Bar{Wanted: "x"}, Verdict: v}).Word(); got != c.want {
			t.Errorf("%v of the peak at %v times: %s, want %s", c.goodput, c.offered, got, c.want)
		}
	}
	if got := new(Suite).relay6().overload(&harness.Results{}); got.Void != "nothing was measured" {
		t.Errorf("without a run: %v", got)
	}
}

func TestSingles(t *testing.T) {
	s, four := new(Suite).relay6(), new(Suite).relay4()
	bars := map[string]harness.Bar{}
	for _, b := range []harness.Bench{
		s.allocations(), s.coldClients(), s.flood(), s.floodElsewhere(), s.slowDisk(), s.grants(),
		four.allocations(), four.flood(), four.manyAddresses(),
	} {
		bars[b.Bars[0].Name] = b.Bars[0]
	}
	cold := func(answered int, p99 float64) []string {
		return []string{
			"ColdClients/relay=fairlead 1 256 messages 256 answers 0.0009 p99-sec",
			fmt.Sprintf("ColdClients/relay=fairlead 1 256 messages %d answers %v p99-sec", answered, p99),
		}
	}
	flood := func(many, sent float64) []string {
		return []string{
			"Flood/beside=nobody 1 500 exchanges/s",
			"Flood/beside=one 1 485 exchanges/s 60000 flood-messages/s",
			fmt.Sprintf("Flood/beside=many 1 %v exchanges/s %v flood-messages/s", many*500, sent),
		}
	}
	elsewhere := func(with, without, sent int) []string {
		return []string{
			fmt.Sprintf("FloodElsewhere/served=yes 1 10000 messages %d answers 250000 thrown 1 throw-sec", with),
			fmt.Sprintf("FloodElsewhere/served=no 1 10000 messages %d answers %d thrown 1 throw-sec", without, sent),
		}
	}
	for _, c := range []struct {
		bar   string
		lines []string
		want  string
	}{
		{"cold-clients", cold(256, 0.0011), "512 of 512 answered, p99 1.0 ms, wanted all, under 20 ms: met"},
		{"cold-clients", cold(255, 0.0011), "511 of 512 answered, p99 1.0 ms, wanted all, under 20 ms: missed"},
		{"cold-clients", cold(256, 0.0391), "512 of 512 answered, p99 20.0 ms, wanted all, under 20 ms: missed"},
		{"flood", flood(0.93, 50_000), "0.93 times their rate (0.97 beside 60000/s from one address, 0.93 beside 50000/s from many), wanted at least 0.9: met"},
		{"flood", flood(0.5, 50_000), "0.50 times their rate (0.97 beside 60000/s from one address, 0.50 beside 50000/s from many), wanted at least 0.9: missed"},
		{"flood", flood(1, 4_999), "0.97 times their rate (0.97 beside 60000/s from one address, 1.00 beside 4999/s from many), wanted at least 0.9: void (the flood was under 5000/s)"},
		{"flood-elsewhere", elsewhere(9_951, 10_000, 150_000), "0.49 % more (0.49 % beside 250000/s on a link that is served, 0.00 % beside 150000/s on one that is not), wanted at most 0.5 %: met"},
		{"flood-elsewhere", elsewhere(9_700, 9_990, 150_000), "2.90 % more (3.00 % beside 250000/s on a link that is served, 0.10 % beside 150000/s on one that is not), wanted at most 0.5 %: missed"},
		{"flood-elsewhere", elsewhere(10_000, 10_000, 99_999), "0.00 % more (0.00 % beside 250000/s on a link that is served, 0.00 % beside 99999/s on one that is not), wanted at most 0.5 %: void (the flood was under 100000/s)"},
		{"flood-elsewhere", nil, "unknown, wanted at most 0.5 %: void (nothing was measured)"},
		{"allocs", []string{"Solicit-2 1 350 ns/op 0 B/op 0 allocs/op", "Advertise-2 1 2 ns/op 16 B/op 1 allocs/op"}, "0 for Solicit, 1 for Advertise, wanted 0 a message: missed"},
		{"allocs", []string{"Solicit 1 350 ns/op 0 B/op 0 allocs/op", "Advertise 1 2 ns/op 0 B/op 0 allocs/op"}, "0 for Solicit, 0 for Advertise, wanted 0 a message: met"},
		{"allocs", nil, "unknown, wanted 0 a message: void (not both benchmarks told)"},
		{"relay4-allocs", []string{"Discover 1 350 ns/op 0 B/op 0 allocs/op", "Offer 1 2 ns/op 16 B/op 2 allocs/op", "Solicit 1 1 ns/op 9 B/op 9 allocs/op"}, "0 for Discover, 2 for Offer, wanted 0 a message: missed"},
		{"relay4-flood", []string{
			"Flood4/beside=nobody 1 500 exchanges/s", "Flood4/beside=one 1 500 exchanges/s 60000 flood-messages/s", "Flood4/beside=many 1 450 exchanges/s 50000 flood-messages/s",
			"Flood/beside=one 1 1 exchanges/s 60000 flood-messages/s",
		}, "0.90 times their rate (1.00 beside 60000/s from one address, 0.90 beside 50000/s from many), wanted at least 0.9: met"},
		{"slow-disk", []string{"SlowDisk/disk=quick 1 0.002 p99-sec 5 syncs 9 grants", "SlowDisk/disk=slow 1 0.0026 p99-sec"}, "1.30 times the p99 of Solicits (2.60 ms, 2.00 ms without the delay), wanted at most 1.2: missed"},
		{"slow-disk", []string{"SlowDisk/disk=quick 1 0.002 p99-sec 0 syncs 9 grants", "SlowDisk/disk=slow 1 0.002 p99-sec"}, "1.00 times the p99 of Solicits (2.00 ms, 2.00 ms without the delay), wanted at most 1.2: void (the store did not sync)"},
		{"grants", []string{"Grants/relay=fairlead 1 15000 exchanges/s"}, "15000/s, wanted at least 15000/s: met"},
	} {
		bar, ok := bars[c.bar]
		if !ok {
			bar = bars["relay6-"+c.bar]
		}
		if got, want := (harness.Judged{Bar: bar, Verdict: bar.Judge(read(t, c.lines...))}).String(), "bar "+bar.Name+": "+c.want; got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}

// The document depends on the results alone.
func TestDocument(t *testing.T) {
	one := network.Result{
		Offered: 200_000, Answered: 199_000, AnsweredRate: 99_500, OfferedRate: 100_000,
		Latency: network.Latency{P50: 600, P99: 900}, CPU: 2 * time.Second, RSS: 50e6,
	}
	r := &harness.Run{Rounds: 5, Results: &harness.Results{}}
	for key, text := range map[string]string{
		"processor": "A processor", "cores": "2", "kernel": "Linux 6.18", "go": "go1.26", "file-system": "ext4", "fairlead": "fairlead 1",
	} {
		r.Results.Describe(key, text)
	}
	suite := &Suite{length: 2 * time.Second, clients: 4096, present: 100_000}
	six, four := suite.relay6(), suite.relay4()
	for _, who := range []string{limit, ours, "dnsmasq"} {
		for _, load := range []string{"closed", "open", "overload"} {
			one.AddTo(r.Results, six.named("Plain", load, who))
		}
		one.AddTo(r.Results, six.named("Crowd", "closed", who))
	}
	for _, load := range []string{"closed", "peak", "overload"} {
		one.AddTo(r.Results, six.named("Mix", load, ours))
	}
	one.CPU *= 2
	for _, who := range []string{limit, helper} {
		one.AddTo(r.Results, four.named("Plain", "closed", who))
	}
	r.Judged = []harness.Judged{
		{Bar: harness.Bar{Name: "relay6-grants", Wanted: "at least 15000/s"}, Verdict: harness.Verdict{Figure: "16000/s", Met: true}},
		{Bar: harness.Bar{Name: "relay6-restore", Wanted: "under 3 s"}, Verdict: harness.Verdict{Figure: "4.00 s"}},
		{
			Bar:     harness.Bar{Name: "relay6-slow-disk", Wanted: "at most 1.2"},
			Verdict: harness.Verdict{Figure: "1.00 times", Void: "the store did not sync", Notes: []string{"Synced to disk: never."}},
		},
	}
	got, err := suite.document(r, time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC), []string{"relay6: blind: looks at nothing", "relay6: fairlead: this tree", "relay6: dnsmasq: dnsmasq's relay, 2.90"})
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/performance.md"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A key is renamed where it is a key, and nowhere else.
func TestKeysOfAnotherRevision(t *testing.T) {
	got := renamed("    loop-drop: drop\n    x-loop-drop: loop-drop\n", "loop-drop=loop")
	if want := "    loop: drop\n    x-loop-drop: loop-drop\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
