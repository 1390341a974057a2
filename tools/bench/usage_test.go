package main

import (
	"os"
	"slices"
	"testing"
	"time"
)

// nobody is a process id that no process can have.
const nobody = 1 << 30

func TestUsageOfThisProcess(t *testing.T) {
	before, err := cpu(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for after := before; after <= before; { // it runs, so it must show
		if after, err = cpu(os.Getpid()); err != nil {
			t.Fatal(err)
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("a minute of work, and the CPU time is still %v", after)
		}
	}
	rss, err := resident(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if rss < 1<<20 || rss > 1<<40 {
		t.Errorf("resident memory of %d octets", rss)
	}
	if _, err := cpu(nobody); err == nil || err.Error() != "cpu time: process 1073741824 is not there" {
		t.Errorf("cpu time of nobody: error %v", err)
	}
	if _, err := resident(nobody); err == nil {
		t.Error("memory of nobody: no error")
	}
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		load load
		want []string
	}{
		{
			load{clients: 256, mix: plain, window: 64, length: 2 * time.Second},
			[]string{"load", "--json", "--interface", "g0", "--clients", "256", "--first", "0", "--mix", plain, "--window", "64", "--duration", "2s"},
		},
		{
			load{clients: 9, first: 5, prepare: 3, mix: "renew=1", window: 64, rate: 1e6, count: 7},
			[]string{"load", "--json", "--interface", "g0", "--clients", "9", "--first", "5", "--mix", "renew=1", "--prepare", "3", "--rate", "1000000", "--count", "7"},
		},
	} {
		if got := c.load.arguments("g0"); !slices.Equal(got, c.want) {
			t.Errorf("%+v:\n got %q\nwant %q", c.load, got, c.want)
		}
	}
}

func TestOptions(t *testing.T) {
	if got, want := list(" relay6-grants,flood,", "relay6-"), []string{"relay6-grants", "relay6-flood"}; !slices.Equal(got, want) {
		t.Errorf("bars %q, want %q", got, want)
	}
	good := options{rounds: 1, clients: 1, present: 1}
	for name, c := range map[string]struct {
		change func(*options)
		want   string
	}{
		"contender": {func(o *options) { o.only = []string{"kea"} }, `there is no contender "kea"`},
		"bar":       {func(o *options) { o.bars = []string{"relay6-beauty"} }, `there is no bar "relay6-beauty"`},
		"rounds":    {func(o *options) { o.rounds = 0 }, "rounds, clients and present must be at least 1"},
	} {
		o := good
		c.change(&o)
		if err := o.check(); err == nil || err.Error() != c.want {
			t.Errorf("%s: error %v, want %s", name, err, c.want)
		}
	}
	if err := good.check(); err != nil {
		t.Errorf("good options: %v", err)
	}
}

// Each bar is measured once: by turns, or on its own.
func TestEveryBarIsMeasured(t *testing.T) {
	measured := slices.Clone(comparisons)
	for _, s := range singles {
		measured = append(measured, s.name)
	}
	slices.Sort(measured)
	want := barNames()
	slices.Sort(want)
	if !slices.Equal(measured, want) {
		t.Errorf("measured %q\nwant %q", measured, want)
	}
}
