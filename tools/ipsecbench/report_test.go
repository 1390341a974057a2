package main

import (
	"strings"
	"testing"
	"time"
)

var sample = report{
	Figures: figures{
		Processor: "Emulated 1", Cores: 1, Kernel: "Linux 6.1.0",
		Clear: []float64{200, 240, 220}, Protected: []float64{100, 121, 110},
		Start: []float64{4, 6, 4.5}, Notice: []float64{2, 3.5, 3.2}, Recover: []float64{5, 9.9, 20},
	},
	Host: host{
		When: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), Processor: "Real 2", Kernel: "Linux 6.18",
		Fairlead: "fairlead 1.0", Before: "0.10 0.20 0.30", After: "1.00 0.50 0.30",
	},
}

func TestBars(t *testing.T) {
	want := []string{
		"bar ipsec-start: 4.5 s, wanted under 5 s: met",
		"bar ipsec-notice: 3.2 s, wanted under 3 s: missed",
		"bar ipsec-recover: 9.9 s, wanted under 10 s: met",
		"bar ipsec-throughput: 0.50, no bar",
	}
	got := sample.bars()
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
	text, err := sample.markdown()
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
		"`make bench-ipsec`",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the document has no %q:\n%s", want, text)
		}
	}
	native := sample
	native.Figures.Kernel = native.Host.Kernel
	if text, err = native.markdown(); err != nil || strings.Contains(text, "emulated") {
		t.Errorf("%v, and a machine that is not emulated is called so:\n%s", err, text)
	}
}

// What is said meanwhile is passed on, and the figures are taken out.
func TestRead(t *testing.T) {
	var shown strings.Builder
	f, err := read(strings.NewReader("start 1: 4.00 s\nfigures {\"Cores\":1,\"Start\":[4]}\nbye\n"), &shown)
	if err != nil || f.Cores != 1 || len(f.Start) != 1 || f.Start[0] != 4 {
		t.Errorf("%+v, %v", f, err)
	}
	if want := "start 1: 4.00 s\nbye\n"; shown.String() != want {
		t.Errorf("shown: %q, want %q", shown.String(), want)
	}
	for text, want := range map[string]string{"start 1: 4.00 s\n": "no figures came", "figures {": "unexpected end of JSON input"} {
		if _, err := read(strings.NewReader(text), &shown); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestResult(t *testing.T) {
	got, err := result("{\"event\":\"measure\"}\n{\"event\":\"result\",\"answered\":300,\"answered_rate\":100.5}\n")
	if err != nil || got != 100.5 {
		t.Errorf("%v, %v, want 100.5", got, err)
	}
	for told, want := range map[string]string{
		"":                                      "no result",
		"{\"event\":\"measure\"}\n":             "no result",
		"{\"event\":\"result\",\"answered\":0}": "nothing was answered",
		"killed\n":                              "invalid character",
	} {
		if _, err := result(told); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", told, err, want)
		}
	}
}
