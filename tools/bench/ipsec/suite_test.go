package ipsec

import (
	"strings"
	"testing"
	"time"

	"fairlead/tools/bench/harness"
)

// told is the output of the program in the virtual machine, with the figures in it.
const told = `esp: what somebody says
figures processor: Emulated 1
figures cores: 1
figures kernel: Linux 6.1.0
figures
figures BenchmarkStart 1 4 answered-sec
figures BenchmarkStart 1 6 answered-sec
figures BenchmarkStart 1 4.5 answered-sec
figures BenchmarkCut 1 2 noticed-sec 5 recovered-sec
figures BenchmarkCut 1 3.5 noticed-sec 9.9 recovered-sec
figures BenchmarkCut 1 3.2 noticed-sec 20 recovered-sec
figures BenchmarkThroughput/hop=clear 1 200 exchanges/s
figures BenchmarkThroughput/hop=clear 1 240 exchanges/s
figures BenchmarkThroughput/hop=clear 1 220 exchanges/s
figures BenchmarkThroughput/hop=esp 1 100 exchanges/s
figures BenchmarkThroughput/hop=esp 1 121 exchanges/s
figures BenchmarkThroughput/hop=esp 1 110 exchanges/s
bye
`

// measured returns a run on a machine with that kernel.
func measured(t *testing.T, kernel string) *harness.Run {
	t.Helper()
	r := &harness.Run{Results: &harness.Results{}}
	r.Results.Describe("kernel", kernel)
	r.Results.Describe("load-average", "0.10 0.20 0.30")
	var shown strings.Builder
	if err := read(strings.NewReader(told), &shown, r.Results); err != nil {
		t.Fatal(err)
	}
	if want := "esp: what somebody says\nbye\n"; shown.String() != want {
		t.Errorf("shown: %q, want %q", shown.String(), want)
	}
	benches, err := Suite{}.Benches(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, bar := range benches[0].Bars {
		r.Judged = append(r.Judged, harness.Judged{Bar: bar, Verdict: bar.Judge(r.Results)})
	}
	return r
}

func TestBars(t *testing.T) {
	want := []string{
		"bar ipsec-start: 4.5 s, wanted under 5 s: met",
		"bar ipsec-notice: 3.2 s, wanted under 3 s: missed",
		"bar ipsec-recover: 9.9 s, wanted under 10 s: met",
		"bar ipsec-throughput: 0.50, no bar",
	}
	got := measured(t, "Linux 6.18").Judged
	if len(got) != len(want) {
		t.Fatalf("%d bars, want %d", len(got), len(want))
	}
	for i, b := range got {
		if b.String() != want[i] {
			t.Errorf("%q, want %q", b, want[i])
		}
	}
}

func TestDocument(t *testing.T) {
	when := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	text, err := fill(measured(t, "Linux 6.18"), when, "1.00 0.50 0.30")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| when | 2026-11-22 |",
		"| load of the machine | 0.10 0.20 0.30 before, 1.00 0.50 0.30 after |",
		"| measured in | an emulated machine: Emulated 1, cores: 1, Linux 6.1.0 |",
		"| ipsec-notice | 3.2 s | under 3 s | missed |",
		"| ipsec-throughput | 0.50 | - | no bar |",
		"| start to the first answer, s | 4.50 | 4.00, 6.00, 4.50 |",
		"| exchanges a second in ESP | 110 | 100, 121, 110 |",
		"emulated in software",
		"fairlead load --json --interface g0 --clients 64",
		"`make bench-ipsec`",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the document has no %q:\n%s", want, text)
		}
	}
	if text, err = fill(measured(t, "Linux 6.1.0"), when, ""); err != nil || strings.Contains(text, "emulated") {
		t.Errorf("%v, and a machine that is not emulated is called so:\n%s", err, text)
	}
}

func TestNoFigures(t *testing.T) {
	var shown strings.Builder
	if err := read(strings.NewReader("start 1: 4.00 s\n"), &shown, &harness.Results{}); err == nil || err.Error() != "no figures came" {
		t.Errorf("%v, want no figures", err)
	}
}
