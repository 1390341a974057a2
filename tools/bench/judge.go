package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"fairlead/tools/bench/bars"
)

// bar is something that has to be reached, and what was.
type bar = bars.Bar

// limits of the bars, as the table of the issue has them.
const (
	wantVsBlind    = 1.2  // times the blind forwarder's CPU
	wantVsPeer     = 0.75 // times the best peer's
	wantMixVsPeer  = 1.0
	wantOverload   = 0.9 // of the peak
	wantColdP99    = 20 * time.Millisecond
	wantAddresses  = 0.9 // of the warm rate
	wantGrants     = 15_000
	wantGrowth     = 1.3
	wantSlowDisk   = 1.2
	wantRestore    = 3 * time.Second
	wantMemory     = 100e6 // octets
	wantFlood      = 0.9
	wantElsewhere  = 0.5 // per cent that are lost on account of it
	wantBlindVsISC = 3.5 // else the run is void
)

// standards are all bars, in the order in which they are told, with what is
// wanted of each.
var standards = []struct{ name, wanted string }{
	{"relay6-cpu-vs-blind-c", fmt.Sprintf("at most %g", wantVsBlind)},
	{"relay6-cpu-vs-best-peer", fmt.Sprintf("at most %g", wantVsPeer)},
	{"relay6-mix-vs-best-peer", fmt.Sprintf("at most %g", wantMixVsPeer)},
	{"relay6-overload", fmt.Sprintf("at least %g", wantOverload)},
	{"relay6-cold-clients", fmt.Sprintf("all, under %d ms", wantColdP99.Milliseconds())},
	{"relay6-4096-addresses", fmt.Sprintf("at least %g", wantAddresses)},
	{"relay6-allocs", "0 a message"},
	{"relay6-grants", fmt.Sprintf("at least %d/s", wantGrants)},
	{"relay6-grant-growth", fmt.Sprintf("at most %g", wantGrowth)},
	{"relay6-slow-disk", fmt.Sprintf("at most %g", wantSlowDisk)},
	{"relay6-restore", fmt.Sprintf("under %g s", wantRestore.Seconds())},
	{"relay6-memory", fmt.Sprintf("under %.0f MB", wantMemory/1e6)},
	{"relay6-flood", fmt.Sprintf("at least %g", wantFlood)},
	{"relay6-flood-elsewhere", fmt.Sprintf("at most %g %%", wantElsewhere)},
}

func barNames() (names []string) {
	for _, s := range standards {
		names = append(names, s.name)
	}
	return names
}

// judge makes a bar of what was measured.
func judge(name, figure string, met bool) bar {
	b := bar{Name: name, Figure: figure, Met: met}
	for _, s := range standards {
		if s.name == name {
			b.Wanted = s.wanted
		}
	}
	return b
}

// unknown is a bar about which nothing can be said.
func unknown(name, why string) bar {
	b := judge(name, "unknown", false)
	b.Void = why
	return b
}

// perExchange is the relay's CPU time for an exchange in microseconds, late ones
// counted as well: they are as much work.
func (r result) perExchange() float64 {
	return float64(r.CPU) / float64(r.Answered+r.Late) / float64(time.Microsecond)
}

// loss is the share of exchanges that were not answered in time.
func (r result) loss() float64 {
	if r.Offered == 0 {
		return 0
	}
	return 1 - float64(r.Answered)/float64(r.Offered)
}

func closedCPU(t turn) float64  { return t.Closed.perExchange() }
func closedRate(t turn) float64 { return t.Closed.AnsweredRate }

// peak is the most that was answered in a second in a closed loop.
func (t turn) peak() float64 { return max(t.Closed.AnsweredRate, t.Peak.AnsweredRate) }

// ratio is a bar of the form "at most N times" or "at least N times".
func ratio(name string, figure, wanted float64, atLeast bool, of string) bar {
	if math.IsNaN(figure) || math.IsInf(figure, 0) {
		return unknown(name, "nothing was measured")
	}
	met := figure <= wanted
	if atLeast {
		met = figure >= wanted
	}
	return judge(name, fmt.Sprintf("%.2f times %s", figure, of), met)
}

// compare makes the bars that hold fairlead against the others.
func compare(entries []*entry) []bar {
	blind, our, peer := find(entries, limit), find(entries, ours), best(entries)
	void := func(b bar, needed ...*entry) bar {
		if why := voidRun(entries); why != "" {
			b.Void = why
		}
		if slices.Contains(needed, nil) {
			b.Void = "not everybody who is needed took part"
		}
		return b
	}
	name := "the best peer's"
	if peer != nil {
		name = peer.Name + "'s"
	}
	return []bar{
		void(ratio("relay6-cpu-vs-blind-c", our.plainCPU()/blind.plainCPU(), wantVsBlind, false, "the blind forwarder's"), our, blind),
		void(ratio("relay6-cpu-vs-best-peer", our.plainCPU()/peer.plainCPU(), wantVsPeer, false, name), our, peer),
		void(ratio("relay6-mix-vs-best-peer", our.mixCPU()/peer.plainCPU(), wantMixVsPeer, false, name+" for plain"), our, peer),
		overload(our),
	}
}

func find(entries []*entry, name string) *entry {
	i := slices.IndexFunc(entries, func(e *entry) bool { return e.Name == name })
	if i < 0 {
		return nil
	}
	return entries[i]
}

// best is the peer with the least CPU time for a plain exchange.
func best(entries []*entry) *entry {
	var peers []*entry
	for _, e := range entries {
		if e.Peer {
			peers = append(peers, e)
		}
	}
	if len(peers) == 0 {
		return nil
	}
	return slices.MinFunc(peers, func(a, b *entry) int { return cmp.Compare(a.plainCPU(), b.plainCPU()) })
}

// plainCPU is NaN for nobody.
func (e *entry) plainCPU() float64 {
	if e == nil {
		return math.NaN()
	}
	return bars.MedianOf(e.Plain, closedCPU)
}

// mixCPU is of the wider closed loop: with few exchanges under way the relay has
// little to do but to wait for its disk, and each group of commits holds little.
func (e *entry) mixCPU() float64 {
	if e == nil {
		return math.NaN()
	}
	return bars.MedianOf(peaks(e.Mix), closedCPU)
}

// voidRun says why nothing can be said about a run: a blind forwarder that is not
// far ahead of ISC dhcrelay shows that something else than relays was measured.
func voidRun(entries []*entry) string {
	blind, slow := find(entries, limit), find(entries, isc)
	if blind == nil || slow == nil {
		return "the blind forwarder and ISC dhcrelay must take part"
	}
	if times := bars.MedianOf(blind.Plain, closedRate) / bars.MedianOf(slow.Plain, closedRate); !(times >= wantBlindVsISC) {
		return fmt.Sprintf("the blind forwarder did %.1f times what ISC dhcrelay did, and %g are needed", times, wantBlindVsISC)
	}
	return ""
}

// overload is the bar of goodput above the peak, round by round.
func overload(e *entry) bar {
	const name = "relay6-overload"
	if e == nil || len(e.Mix) == 0 {
		return unknown(name, "nothing was measured")
	}
	peak := bars.MedianOf(e.Mix, turn.peak)
	offered := bars.MedianOf(e.Mix, func(t turn) float64 { return t.Overload.OfferedRate / t.peak() })
	b := ratio(name, bars.MedianOf(e.Mix, func(t turn) float64 { return t.Overload.AnsweredRate / t.peak() }), wantOverload, true, "the peak")
	b.Figure += fmt.Sprintf(" of %.0f/s, with %.2f times offered", peak, offered)
	if offered < enoughOverload {
		b.Void = fmt.Sprintf("only %.2f times the peak was sent, and %g are needed", offered, enoughOverload)
	}
	return b
}
