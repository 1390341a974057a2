package admission

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

const (
	second      = instant.Instant(time.Second)
	millisecond = instant.Instant(time.Millisecond)
)

// tally counts verdicts.
type tally [OverNewcomers + 1]int

// send lets a source send n messages at once.
func send(g *Gate, now instant.Instant, link int, s Source, n int) (got tally) {
	for range n {
		got[g.Admit(now, link, s)]++
	}
	return got
}

func gateWith(l Limits) *Gate {
	g := NewGate(testKey, 64)
	g.Set(1, l)
	return g
}

func TestLimits(t *testing.T) {
	open := Rate{1e6, 1e6}
	type step struct {
		at   instant.Instant
		from Source
		n    int
		want tally
	}
	a, b := number(1), number(2)
	for _, c := range []struct {
		name   string
		limits Limits
		steps  []step
	}{
		{"no limit", Limits{}, []step{{0, a, 1000, tally{Known: 1000}}}},
		{"a source: burst, then pace", Limits{Source: Rate{10, 5}}, []step{
			{second, a, 7, tally{Newcomer: 1, Known: 4, OverSource: 2}},
			{second + 99*millisecond, a, 1, tally{OverSource: 1}},
			{second + 100*millisecond, a, 2, tally{Known: 1, OverSource: 1}},
			{second + 350*millisecond, a, 3, tally{Known: 2, OverSource: 1}},
			{9 * second, a, 6, tally{Known: 5, OverSource: 1}},
			{9 * second, b, 6, tally{Newcomer: 1, Known: 4, OverSource: 1}},
		}},
		{"the link, whoever sends", Limits{Link: Rate{10, 4}}, []step{
			{0, a, 3, tally{Known: 3}},
			{0, b, 3, tally{Known: 1, OverLink: 2}},
			{100 * millisecond, a, 2, tally{Known: 1, OverLink: 1}},
		}},
		{"newcomers, who then are known", Limits{Newcomers: Rate{1, 2}}, []step{
			{0, number(10), 5, tally{Newcomer: 1, Known: 4}},
			{0, number(11), 5, tally{Newcomer: 1, Known: 4}},
			{0, number(12), 5, tally{OverNewcomers: 5}},
			{0, number(10), 5, tally{Known: 5}},
			{second, number(12), 5, tally{Newcomer: 1, Known: 4}},
			{second, number(13), 1, tally{OverNewcomers: 1}},
		}},
		{"a whole second at once, and a burst of one", Limits{Link: open, Source: Rate{1, 1}, Newcomers: open}, []step{
			{0, a, 2, tally{Newcomer: 1, OverSource: 1}},
			{second - 1, a, 1, tally{OverSource: 1}},
			{second, a, 2, tally{Known: 1, OverSource: 1}},
		}},
		{"who speaks for many has the link's limit alone", Limits{Link: Rate{10, 20}, Source: Rate{1, 1}, Newcomers: Rate{1, 1}}, []step{
			{0, a.ForMany(), 25, tally{Known: 20, OverLink: 5}},
		}},
	} {
		g := gateWith(c.limits)
		for _, s := range c.steps {
			if got := send(g, s.at, 1, s.from, s.n); got != s.want {
				t.Errorf("%s: %d messages at %v: %v, want %v", c.name, s.n, time.Duration(s.at), got, s.want)
			}
		}
	}
}

// Half of a link's bucket is for established sources.
func TestHalfIsForTheEstablished(t *testing.T) {
	g := gateWith(Limits{Link: Rate{1000, 101}, Source: Rate{10, 60}, Newcomers: Rate{1000, 1000}})
	old, young := number(1), number(2)
	if got, want := send(g, 0, 1, old, 4), (tally{Newcomer: 1, Known: 3}); got != want {
		t.Fatalf("the first: %v, want %v", got, want)
	}
	if got, want := send(g, 0, 1, young, 3), (tally{Newcomer: 1, Known: 2}); got != want {
		t.Fatalf("the second, one message short: %v, want %v", got, want)
	}
	now := 100 * second
	for n := range 51 { // the lower half is anybody's
		if v := g.Admit(now, 1, number(100+n)); v != Newcomer {
			t.Fatalf("newcomer %d: %v", n, v)
		}
	}
	if v := g.Admit(now, 1, number(99)); v != OverNewcomers {
		t.Errorf("a newcomer above the half: %v, want %v", v, OverNewcomers)
	}
	if v := g.Admit(now, 1, young); v != OverNewcomers {
		t.Errorf("one that is known and not established: %v, want %v", v, OverNewcomers)
	}
	if got, want := send(g, now, 1, old, 60), (tally{Known: 50, OverLink: 10}); got != want {
		t.Errorf("one that is established: %v, want %v", got, want)
	}
	if v := g.Admit(now, 1, young); v != OverLink {
		t.Errorf("after that: %v, want %v", v, OverLink)
	}
	// A millisecond brings one more to the link, 51 bring it to its half.
	if v := g.Admit(now+50*millisecond, 1, young); v != OverNewcomers {
		t.Errorf("above the half still: %v, want %v", v, OverNewcomers)
	}
	if v := g.Admit(now+51*millisecond, 1, young); v != Known {
		t.Errorf("at the half: %v, want %v", v, Known)
	}

	g.Set(1, Limits{Link: Rate{1000, 100}, Source: Rate{10, 60}})
	now += 100 * second
	for n := range 100 {
		if v := g.Admit(now, 1, number(200+n)); v != Newcomer {
			t.Fatalf("newcomer %d where they are without limit: %v", n, v)
		}
	}
}

// A message that is refused is no burden on any bucket.
func TestRefusalCostsNothing(t *testing.T) {
	a, b := number(1), number(2)
	g := gateWith(Limits{Link: Rate{100, 20}, Source: Rate{1, 2}, Newcomers: Rate{1, 4}})
	send(g, 0, 1, a, 1000) // 2 of the link's 20, 1 of the 4 newcomers
	if got, want := send(g, 0, 1, b, 1000), (tally{Newcomer: 1, Known: 1, OverSource: 998}); got != want {
		t.Errorf("another source: %v, want %v", got, want)
	}
	for n := range 2 {
		if v := g.Admit(0, 1, number(10+n)); v != Newcomer {
			t.Errorf("newcomer %d: %v", n, v)
		}
	}
	if got, want := send(g, 0, 1, a.ForMany(), 1000), (tally{Known: 14, OverLink: 986}); got != want {
		t.Errorf("what is left of the link: %v, want %v", got, want)
	}
}

// Links and sources do not touch one another, and the two kinds of addresses
// are told apart.
func TestWhoIsWho(t *testing.T) {
	one := Limits{Source: Rate{1, 1}}
	g := NewGate(testKey, 1024)
	g.Set(1, one)
	g.Set(2, one)
	seen := make(map[Source]bool)
	for _, s := range []Source{
		SourceOf(linkaddr.Addr{}, netip.Addr{}),
		SourceOf(linkaddr.Addr{}, netip.MustParseAddr("fe80::1")),
		SourceOf(linkaddr.Addr{}, netip.MustParseAddr("fe80::2")),
		SourceOf(linkaddr.Addr{}, netip.MustParseAddr("fe80::1:0:0:0")),
		SourceOf(linkaddr.From([]byte{0}), netip.Addr{}),
		SourceOf(linkaddr.From([]byte{0, 0}), netip.Addr{}),
		SourceOf(linkaddr.From([]byte{0, 0, 1}), netip.Addr{}),
		SourceOf(linkaddr.From([]byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0}), netip.Addr{}),
		SourceOf(linkaddr.From([]byte{2, 0, 0, 0, 0, 1}), netip.Addr{}),
		SourceOf(linkaddr.From([]byte{2, 0, 0, 0, 0, 1}), netip.Addr{}).ForMany(),
		Newcomers(),
	} {
		if seen[s] {
			t.Errorf("%v is another's", s)
		}
		seen[s] = true
		if s.many {
			continue
		}
		for link := 1; link <= 2; link++ {
			if got, want := send(g, 0, link, s, 2), (tally{Newcomer: 1, OverSource: 1}); got != want {
				t.Errorf("%v on link %d: %v, want %v", s, link, got, want)
			}
		}
	}
	if got, want := g.Sources(), 2*(len(seen)-2); got != want {
		t.Errorf("%d sources, want %d", got, want)
	}
	ll := linkaddr.From([]byte{2, 0, 0, 0, 0, 9})
	if SourceOf(ll, netip.MustParseAddr("fe80::1")) != SourceOf(ll, netip.MustParseAddr("fe80::2")) {
		t.Error("a host with two IP addresses is two sources")
	}
	if got, want := send(g, 0, 3, number(1), 100), (tally{Known: 100}); got != want {
		t.Errorf("a link without limits: %v, want %v", got, want)
	}
}

// New limits hold at once, and what was owed under the old ones is at most an
// empty bucket of the new.
func TestLimitsChange(t *testing.T) {
	a := number(1)
	g := gateWith(Limits{Link: Rate{1, 36000}, Source: Rate{1, 3600}})
	if got, want := send(g, 0, 1, a, 4000), (tally{Newcomer: 1, Known: 3599, OverSource: 400}); got != want {
		t.Fatalf("a burst of an hour: %v, want %v", got, want)
	}
	g.Set(1, Limits{Link: Rate{100, 10}, Source: Rate{10, 10}})
	if got, want := send(g, 0, 1, a, 1), (tally{OverSource: 1}); got != want {
		t.Errorf("right after: %v, want %v", got, want)
	}
	if got, want := send(g, second, 1, a, 20), (tally{Known: 10, OverSource: 10}); got != want {
		t.Errorf("a second later: %v, want %v", got, want)
	}
	g.Set(1, Limits{Source: Rate{10, 20}})
	if got, want := send(g, second, 1, a, 20), (tally{Known: 10, OverSource: 10}); got != want {
		t.Errorf("a larger burst: %v, want %v", got, want)
	}
	g.Set(1, Limits{})
	if got, want := send(g, second, 1, a, 20), (tally{Known: 20}); got != want {
		t.Errorf("no limits: %v, want %v", got, want)
	}
}

// A link that is gone takes what is known of it along, sooner or later, and
// links that come and go for ever cost no more than those there are.
func TestLinksComeAndGo(t *testing.T) {
	l := Limits{Link: Rate{1, 1}, Source: Rate{1, 1}, Newcomers: Rate{1, 1}}
	g := gateWith(l)
	send(g, 0, 1, number(1), 1)
	g.Remove(1)
	g.Remove(1)
	if got, want := send(g, 0, 1, number(1), 5), (tally{Known: 5}); got != want {
		t.Errorf("without its link: %v, want %v", got, want)
	}
	g.Set(1, l)
	if got, want := send(g, 0, 1, number(1), 2), (tally{Newcomer: 1, OverLink: 0, OverSource: 1}); got != want {
		t.Errorf("on the link made anew: %v, want %v", got, want)
	}

	g = NewGate(testKey, 1<<14)
	const sources = 3
	for i := range 50_000 {
		link := 1000 + i
		g.Set(link, Limits{Source: Rate{1, 1}})
		for n := range sources {
			if v := g.Admit(0, link, number(i%7+n)); v != Newcomer {
				t.Fatalf("link %d: %v, want %v", link, v, Newcomer)
			}
		}
		if i >= 10 {
			g.Remove(link - 10)
		}
		if len(g.links) > maxGone+20 || g.Sources() > sources*(maxGone+20) {
			t.Fatalf("after %d links: %d places and %d sources for 10 links", i, len(g.links), g.Sources())
		}
	}
	if got := len(g.places); got != 10 {
		t.Errorf("%d links, want 10", got)
	}
	checkTable(t, g)
}

// Entries of links that are gone make room one by one, and a link that has lost
// all its entries to another is still there.
func TestLinksWithoutSources(t *testing.T) {
	g := NewGate(testKey, 16)
	l := Limits{Source: Rate{1, 5}}
	for link := 1; link <= 3; link++ {
		g.Set(link, l)
		for n := range 4 {
			send(g, 0, link, number(n), 1)
		}
	}
	g.Remove(2)
	for n := range 1000 { // idle by then, and none of them is established
		send(g, 100*second+instant.Instant(n)*second, 3, number(100+n), 1)
		checkTable(t, g)
	}
	for p, at := range g.links {
		if gone := p == 1; at.entries > 0 != (p == 2) || (at == gateLink{}) != gone {
			t.Errorf("link %d: %+v", p+1, at)
		}
	}
	if got, want := send(g, 2000*second, 1, number(0), 6), (tally{Newcomer: 1, Known: 4, OverSource: 1}); got != want {
		t.Errorf("a link that had lost its sources: %v, want %v", got, want)
	}
}

// checkTable counts the entries anew.
func checkTable(t *testing.T, g *Gate) {
	t.Helper()
	held := make([]int, len(g.links))
	used := 0
	for _, e := range g.table.entries {
		if e.owner != 0 {
			used++
			held[e.owner.place()]++
		}
	}
	if used != g.table.used {
		t.Errorf("%d entries are used, %d are counted", used, g.table.used)
	}
	gone := 0
	for p, l := range g.links {
		if l.entries != held[p] {
			t.Errorf("place %d has %d entries, %d are counted", p, held[p], l.entries)
		}
		if l.gone {
			gone++
		}
		if slices.Contains(g.free, p) && (held[p] != 0 || l != gateLink{}) {
			t.Errorf("place %d is free, with %d entries: %+v", p, held[p], l)
		}
	}
	if gone != g.gone {
		t.Errorf("%d links are gone, %d are counted", gone, g.gone)
	}
}

// The memory of a gate is that of its entries.
func TestSizes(t *testing.T) {
	if got := reflect.TypeFor[entry]().Size(); got != 16 {
		t.Errorf("an entry has %d octets, want 16", got)
	}
	for _, c := range []struct{ least, want int }{{0, 8}, {8, 8}, {9, 16}, {1000, 1024}, {DefaultSources, DefaultSources}} {
		if got := len(NewGate(testKey, c.least).table.entries); got != c.want {
			t.Errorf("a gate for %d sources has %d entries, want %d", c.least, got, c.want)
		}
	}
}

func TestVerdicts(t *testing.T) {
	for v, want := range map[Verdict]struct {
		name     string
		admitted bool
	}{
		Known: {"known", true}, Newcomer: {"newcomer", true},
		OverLink: {"over-link", false}, OverSource: {"over-source", false}, OverNewcomers: {"over-newcomers", false},
	} {
		if v.String() != want.name || v.Admitted() != want.admitted {
			t.Errorf("verdict %d: %v, admitted %v; want %+v", v, v, v.Admitted(), want)
		}
	}
}
