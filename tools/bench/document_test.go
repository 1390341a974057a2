package main

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden file")

// The document is a function of the report.
func TestDocument(t *testing.T) {
	one := result{
		Offered: 200_000, Answered: 199_000, AnsweredRate: 99_500, OfferedRate: 100_000,
		Latency: latency{P50: 600, P99: 900}, CPU: 2 * time.Second, RSS: 50e6,
	}
	r := &report{
		When:    time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC),
		Machine: machine{Processor: "A processor", Cores: 2, Kernel: "Linux 6.18", Go: "go1.26", FileSystem: "ext4", Fairlead: "fairlead 1"},
		Options: options{rounds: 5, length: 2 * time.Second, clients: 4096, present: 100_000},
		Entries: []*entry{
			{Name: limit, About: "looks at nothing", Many: []result{one}, Plain: []turn{{Closed: one, Open: one, Overload: one}}},
			{Name: ours, About: "this tree", Many: []result{one}, Plain: []turn{{Closed: one, Open: one, Overload: one}}, Mix: []turn{{Closed: one, Peak: one, Overload: one}}},
			{Name: "dnsmasq", About: "dnsmasq's relay", Version: "2.90", Peer: true, Many: []result{one}, Plain: []turn{{Closed: one, Open: one, Overload: one}}},
		},
		Bars: []bar{
			{Name: "relay6-grants", Figure: "16000/s", Wanted: "at least 15000/s", Met: true},
			{Name: "relay6-restore", Figure: "4.00 s", Wanted: "under 3 s"},
			{Name: "relay6-slow-disk", Figure: "1.00 times", Wanted: "at most 1.2", Void: "the store did not sync", Notes: []string{"Synced to disk: never."}},
		},
	}
	got, err := r.markdown()
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
