package harness_test

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"fairlead/tools/bench/harness"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		all  []float64
		want float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{8, 1, 4, 2}, 3},
	} {
		if got := harness.Median(c.all); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.all, got, c.want)
		}
	}
	if got := harness.Median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v, want NaN", got)
	}
}

func TestBar(t *testing.T) {
	reached := harness.Verdict{Figure: "3 s", Met: true}
	bar := harness.Bar{Name: "x", Wanted: "under 5 s"}
	for _, c := range []struct {
		judged harness.Judged
		want   string
	}{
		{harness.Judged{Bar: bar, Verdict: reached}, "bar x: 3 s, wanted under 5 s: met"},
		{harness.Judged{Bar: bar, Verdict: harness.Verdict{Figure: "6 s"}}, "bar x: 6 s, wanted under 5 s: missed"},
		{harness.Judged{Bar: bar, Verdict: harness.Unknown("a core short")}, "bar x: unknown, wanted under 5 s: void (a core short)"},
		{harness.Judged{Bar: harness.Bar{Name: "x"}, Verdict: reached}, "bar x: 3 s, no bar"},
		{harness.Judged{Bar: bar, Verdict: harness.AtMost(1.2, 1.2, "theirs")}, "bar x: 1.20 times theirs, wanted under 5 s: met"},
		{harness.Judged{Bar: bar, Verdict: harness.AtMost(1.2, 1.21, "theirs")}, "bar x: 1.21 times theirs, wanted under 5 s: missed"},
		{harness.Judged{Bar: bar, Verdict: harness.AtLeast(0.9, 0.89, "theirs")}, "bar x: 0.89 times theirs, wanted under 5 s: missed"},
		{harness.Judged{Bar: bar, Verdict: harness.AtLeast(0.9, math.Inf(1), "theirs")}, "bar x: unknown, wanted under 5 s: void (nothing was measured)"},
	} {
		if got := c.judged.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// What was written can be read: the machine, names, figures and rounds.
func TestResults(t *testing.T) {
	var written strings.Builder
	there := harness.NewResults(&written)
	there.Describe("kernel", "Linux 6.1")
	for _, rate := range []float64{100, 300, 250} {
		there.Add("Plain/relay=a", 10, harness.Of(rate, "exchanges/s"), harness.Of(0.5, "p99-sec"))
		there.Add("Plain/relay=b", 10, harness.Of(rate/2, "exchanges/s"))
	}
	var here harness.Results
	here.Describe("kernel", "Linux 6.18")
	if err := here.Read(strings.NewReader(written.String() + "BenchmarkSolicit-2  \t 3000 \t 350 ns/op \t 0 B/op \t 2 allocs/op\nPASS\n")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ got, want float64 }{
		{here.Median("Plain/relay=a", "exchanges/s"), 250},
		{here.Sum("Plain/relay=a", "exchanges/s"), 650},
		{harness.Median(here.Shares("Plain/relay=a", "Plain/relay=b", "exchanges/s")), 2},
		{here.Median("Solicit", "allocs/op"), 2},
		{float64(len(here.Values("Plain/relay=b", "p99-sec"))), 0},
	} {
		if c.got != c.want {
			t.Errorf("%v, want %v, in\n%s", c.got, c.want, written.String())
		}
	}
	if got := here.Described("kernel"); got != "Linux 6.1" {
		t.Errorf("the figures are from %q, want Linux 6.1", got)
	}
	if got := here.Machine("kernel"); got != "Linux 6.18" {
		t.Errorf("this machine has %q, want Linux 6.18", got)
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	const nobody = 1 << 30 // a process id that no process can have
	before, err := harness.CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for after := before; after <= before; { // the process runs, so its time must grow
		if after, err = harness.CPU(os.Getpid()); err != nil {
			t.Fatal(err)
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("a minute of work, and the CPU time is still %v", after)
		}
	}
	rss, err := harness.Resident(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if rss < 1<<20 || rss > 1<<40 {
		t.Errorf("resident memory of %d octets", rss)
	}
	if _, err := harness.CPU(nobody); err == nil || err.Error() != "cpu time: process 1073741824 is not there" {
		t.Errorf("cpu time of nobody: error %v", err)
	}
	if _, err := harness.Resident(nobody); err == nil {
		t.Error("memory of nobody: no error")
	}
}
