package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/privacy"
	"fairlead/internal/app/process"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/links"
	"fairlead/internal/wire/linkaddr"
)

// What is asked of the kernel while it is read is on its way, and no finding.
// What nobody wants is one.
func TestComparisonUnderLoadReportsNoneThatIsOnItsWay(t *testing.T) {
	var a *bench
	var l *played
	looks := 0
	a, l = newComparerBench(t, func() (*hoststate.Reading, error) {
		looks++
		err := l.Call(t.Context(), func(_ instant.Now, eff *effect.Effects) {
			l.ledger.Install(l.state.SetAggregates(nil, []hoststate.Aggregate{{Prefix: netip.MustParsePrefix("2001:db8:aa::/48")}}), eff)
		})
		return hoststate.Read(hoststate.Actual{Routes: []hoststate.Route{strayRoute(1)}}), err
	})
	began := time.Now()
	found, err := a.once(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if looks != 1 || found != 1 {
		t.Errorf("%d differences in %d readings, want 1 in 1", found, looks)
	}
	if n := a.findings[hoststate.LeftOver.String()]; n != 1 || len(a.out) != 1 {
		t.Errorf("%d left over reported, %d removed, want 1", n, len(a.out))
	}
	var c api.Counters
	a.count(&c)
	if c.Host.LastFindings != found || c.Host.LastComparison.Before(began) {
		t.Errorf("state %v, %d; want %d found after %v", c.Host.LastComparison, c.Host.LastFindings, found, began)
	}
}

// What another program does is mended within a second. One that undoes it again and
// again costs a comparison every quickEvery after the first few, and is in status until
// it gives up.
func TestAnotherProgramUndoesWhatIsMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a *bench
		var looks atomic.Int32
		var undoes atomic.Bool
		undoes.Store(true)
		a, _ = newComparerBench(t, func() (*hoststate.Reading, error) {
			look := int(looks.Add(1))
			if undoes.Load() {
				a.othersChanged()
			}
			return hoststate.Read(hoststate.Actual{Routes: []hoststate.Route{strayRoute(look)}}), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error)
		go func() { ended <- a.run(ctx) }()
		a.othersChanged()
		time.Sleep(time.Second)
		synctest.Wait()
		if looks.Load() == 0 || a.trouble() != "" {
			t.Errorf("%d comparisons within a second, trouble %q; want one at least, and none", looks.Load(), a.trouble())
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got, most := int(looks.Load()), quickAtOnce+int(10*time.Minute/quickEvery)+1; got > most || got < most-3 {
			t.Errorf("%d comparisons in ten minutes, want about %d", got, most)
		}
		if a.trouble() == "" {
			t.Error("it is not told")
		}
		undoes.Store(false)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := a.trouble(); got != "" {
			t.Errorf("after it has given up: %q", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// What we do ourselves has a comparison soon, however often it happens, and is not taken for
// another program: reloads, and a kernel whose word is lost again and again. What
// another program changes meanwhile is mended at once all the same.
func TestComparisonsOfOurOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, stray := 0, false
		a, _ := newComparerBench(t, func() (*hoststate.Reading, error) {
			looks++
			if stray {
				return hoststate.Read(hoststate.Actual{Routes: []hoststate.Route{strayRoute(looks)}}), nil
			}
			return hoststate.Read(hoststate.Actual{}), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error)
		go func() { ended <- a.run(ctx) }()
		for range 3 * quickAtOnce {
			a.soon()
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if got := a.trouble(); got != "" || looks < quickAtOnce || looks > quickAtOnce+2 {
			t.Errorf("%d comparisons, trouble %q; want about %d, and no word of another program", looks, got, quickAtOnce)
		}
		looks, stray = 0, true
		a.othersChanged()
		time.Sleep(time.Second)
		synctest.Wait()
		if looks != 1 {
			t.Errorf("%d comparisons within a second after another program's change, want 1", looks)
		}
		// Another program that changes what makes no difference is not blamed.
		stray = false
		for range 3 * quickAtOnce {
			a.othersChanged()
			time.Sleep(time.Second)
		}
		if got := a.trouble(); got != "" {
			t.Errorf("nothing differed: %q", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// othersAtWork is notices of a program that changes the filter all the time.
type othersAtWork struct{}

func (othersAtWork) Wait(ctx context.Context) error { return ctx.Err() }
func (othersAtWork) Read() bool                     { return true }
func (othersAtWork) Close() error                   { return nil }

// Rules that another program changes as often as they are mended are mended at once a
// few times, then every quickEvery; the log has a line for each time, and status
// tells of it.
func TestAnotherProgramChangesTheRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newComparerBench(t, func() (*hoststate.Reading, error) { return hoststate.NewReading(), nil })
		var out strings.Builder
		a.log = slog.New(slog.NewTextHandler(&out, nil))
		a.every = func() time.Duration { return time.Hour }
		var times atomic.Int32
		a.mend = func() (bool, error) { times.Add(1); return true, nil }
		a.listen = func() (notices, error) { return othersAtWork{}, nil }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.watch(ctx) }()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if mended := times.Load(); mended != quickAtOnce+1 || a.trouble() == "" {
			t.Errorf("mended %d times in 3 s, trouble %q; want %d times, and that it is told", mended, a.trouble(), quickAtOnce+1)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		mended := int(times.Load())
		if most := quickAtOnce + 2 + int(10*time.Minute/quickEvery); mended > most || mended < most-3 {
			t.Errorf("mended %d times in ten minutes, want about %d", mended, most)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if lines := strings.Count(out.String(), "filter rules were changed"); lines != mended {
			t.Errorf("%d lines for %d times:\n%s", lines, mended, out.String())
		}
	})
}

// A comparison that is overtaken each time gives up.
func TestComparisonThatIsOvertakenGivesUp(t *testing.T) {
	var l *played
	looks := 0
	a, l := newComparerBench(t, func() (*hoststate.Reading, error) {
		looks++
		err := l.Call(t.Context(), func(instant.Now, *effect.Effects) { l.Kernel().Compare() })
		return hoststate.NewReading(), err
	})
	if _, err := a.once(t.Context(), true); !errors.Is(err, errChanging) || looks != tries {
		t.Errorf("after %d readings: %v; want %v after %d", looks, err, errChanging, tries)
	}
}

// A large comparison comes to the loop in parts, so that packets pass between them, and what is
// left over is removed in parts, so that Changes do.
func TestComparisonComesInParts(t *testing.T) {
	const many = 20_000
	var a *bench
	a, l := newComparerBench(t, func() (*hoststate.Reading, error) {
		r := hoststate.NewReading()
		for i := range many {
			r.AddRoute(strayRoute(i))
		}
		return r, nil
	})
	l.state.SetLink(nil, &links.Link{Index: 1, Name: "d0", Up: true})
	l.state.SetPolicy(nil, "d0", &hoststate.Policy{NoRoutes: true, Filter: hoststate.FilterLink})
	for i := range many {
		l.state.PutSilently(hoststate.Delegation{Link: "d0", Prefix: strayRoute(i).Prefix, NextHop: netip.MustParseAddr("fe80::1")})
	}
	parts := 0
	takeOut := a.takeOut
	a.takeOut = func(gone []hoststate.Op) error { parts++; return takeOut(gone) }
	before := l.ledger.LastChange()
	found, err := a.once(t.Context(), true)
	if err != nil || found != 2*many+1 {
		t.Fatalf("%d differences, %v; want %d", found, err, 2*many+1)
	}
	if changes := l.ledger.LastChange() - before; changes < 4 || len(l.done) != many+1 {
		t.Errorf("%d elements installed in %d parts, want %d in 4 or more", len(l.done), changes, many+1)
	}
	if parts < 4 || len(a.out) != many {
		t.Errorf("%d routes removed in %d parts, want %d in 4 or more", len(a.out), parts, many)
	}
}

// The first comparison after a start is done while the role serves: its loop is free while the
// kernel is read, and between the pieces of the comparison. What the start had left to this
// comparison was restored; it is mended, and nobody is blamed for it.
func TestRoleServesDuringTheFirstComparison(t *testing.T) {
	const stray = 20_000
	var l *played
	a, l := newComparerBench(t, func() (*hoststate.Reading, error) {
		if err := l.Call(t.Context(), func(instant.Now, *effect.Effects) {}); err != nil {
			t.Error(err)
		}
		r := hoststate.NewReading()
		for i := range stray {
			r.AddRoute(strayRoute(i))
		}
		return r, nil
	})
	var out strings.Builder
	a.log = slog.New(slog.NewTextHandler(&out, nil))
	a.quiet = a.log
	a.goesOn = true
	for _, reported := range []int{0, stray} { // what the second finds, somebody has done
		l.calls = 0
		if found, err := a.once(t.Context(), true); err != nil || found != stray {
			t.Fatalf("%d differences, %v; want %d", found, err, stray)
		}
		if l.calls < 1+4 {
			t.Errorf("the loop was asked %d times, want once while the kernel was read, and for 4 pieces or more", l.calls)
		}
		if n := a.findings[hoststate.LeftOver.String()]; n != uint64(reported) {
			t.Errorf("%d left over counted, want %d", n, reported)
		}
	}
	if log := out.String(); strings.Count(log, "filter brought to what was kept") != 1 || !strings.Contains(log, "differences=20000") {
		t.Errorf("of what the start had left to the comparison it is told:\n%s", log)
	}
	if len(a.out) != 2*stray {
		t.Errorf("%d routes removed, want %d each time", len(a.out), stray)
	}
}

// One reading of the kernel is for all parts: each mends what is its own, and what none of them
// wants is removed, of whichever family it is. Where one part is overtaken all are compared anew.
func TestComparisonOfSeveralParts(t *testing.T) {
	four, server := newPlayed(), newPlayed()
	four.state = hoststate.NewIPv4()
	four.ledger = ledger.New(nil, four.state, ledger.Core{}, "", "boot")
	wants := func(p *played, link string, index int) {
		p.state.SetLink(nil, &links.Link{Index: index, Name: link, Up: true})
		p.state.SetPolicy(nil, link, &hoststate.Policy{Filter: hoststate.FilterLink})
	}
	stray4 := hoststate.Route{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Table: hoststate.MainTable, Metric: 1, Link: 3}
	looks := 0
	a, six := newComparerBench(t, func() (*hoststate.Reading, error) {
		if looks++; looks == 1 {
			four.Kernel().Compare() // another one has come meanwhile
		}
		return hoststate.Read(hoststate.Actual{
			Routes: []hoststate.Route{strayRoute(1), stray4},
			Elements: []hoststate.Element{
				{Set: hoststate.Checked, Link: "d0"}, {Set: hoststate.CheckedIPv4, Link: "d7"}, {Set: hoststate.Checked, Link: "d8"},
			},
		}), nil
	})
	a.parts = append(a.parts, four, server)
	wants(six, "d0", 1)
	wants(four, "d0", 1)
	wants(server, "d1", 2)
	found, err := a.once(t.Context(), true)
	if err != nil || found != 6 || looks != 2 {
		t.Errorf("%d differences in %d readings, %v; want 6 in 2", found, looks, err)
	}
	want := func(what string, ops []hoststate.Op, words ...string) {
		t.Helper()
		var got []string
		for _, f := range hoststate.LeftOvers(ops) {
			got = append(got, strings.TrimPrefix(f.String(), "left over "))
		}
		if !slices.Equal(got, words) {
			t.Errorf("%s: %q, want %q", what, got, words)
		}
	}
	want("the first of IPv6", six.done)
	want("IPv4", four.done, "element checked-ipv4 d0")
	want("the second of IPv6", server.done, "element checked d1")
	want("removed", a.out, "element checked d8", "element checked-ipv4 d7", "route 192.0.2.7/32 dev 3 table 254 metric 1", "route unreachable 2001:db8:ee00:100::/56 table 254 metric 1")
}

// Another part than the last begins to want what is left over, after it was compared: before it
// is asked about that, or after, so that it has it installed just before it is removed. It
// has it in the end, without another comparison.
func TestWhatIsWantedMeanwhileIsThereAgain(t *testing.T) {
	for name, late := range map[string]bool{"before it is asked": false, "after it was asked": true} {
		t.Run(name, func(t *testing.T) {
			there := true
			a, relay := newComparerBench(t, func() (*hoststate.Reading, error) {
				return hoststate.Read(hoststate.Actual{Routes: []hoststate.Route{strayRoute(1)}}), nil
			})
			begin := func() {
				relay.ledger.Install(relay.state.SetAggregates(nil, []hoststate.Aggregate{{Prefix: strayRoute(1).Prefix, Metric: 1}}), new(effect.Effects))
				there = true
			}
			server := newPlayed()
			a.parts = append(a.parts, server)
			removed := 0
			a.takeOut = func(gone []hoststate.Op) error {
				if late {
					begin()
				}
				if removed += len(gone); len(gone) > 0 {
					there = false
				}
				return nil
			}
			if !late {
				server.before = begin
			}
			found, err := a.once(t.Context(), true)
			if err != nil || found != removed || (removed > 0) != late {
				t.Errorf("%d found, %d removed, %v; it is removed: want %v", found, removed, err, late)
			}
			for _, op := range relay.done {
				there = !op.Remove
			}
			if !there {
				t.Error("it is not there, and nothing more is to come")
			}
		})
	}
}

const somebodysRoute, somebodysHop = "2001:db8:4000:5000::/56", "fe80::5054:ff:fe12:3456"

// Nobody's prefix and address are in the log of what was found, nor in what watches tell, where
// they are to be masked.
func TestNobodyIsInFindings(t *testing.T) {
	found := []hoststate.Finding{
		{Kind: hoststate.Missing, Route: &hoststate.Route{Prefix: netip.MustParsePrefix(somebodysRoute), Gateway: netip.MustParseAddr(somebodysHop), Link: 3}},
		{Kind: hoststate.LeftOver, Element: &hoststate.Element{Prefix: netip.MustParsePrefix(somebodysRoute), LinkLayer: linkaddr.From([]byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}), Link: "d1"}},
	}
	nobodyIn := func(what, text string) {
		t.Helper()
		if text == "" {
			t.Errorf("%s: nothing was written", what)
		}
		for _, trace := range []string{"4000:5000", "12:34:56", "12:3456"} {
			if strings.Contains(text, trace) {
				t.Errorf("%s: %q is in it:\n%s", what, trace, text)
			}
		}
	}
	for _, how := range []config.Identifiers{config.IdentifiersHashed, config.IdentifiersNone} {
		var out strings.Builder
		rules := privacy.New(privacy.NewKey(), config.Privacy{Log: how, History: how, Trace: how, Crash: how}, nil)
		a, _ := newComparerBench(t, nil)
		a.log = privacy.Logger(slog.New(slog.NewTextHandler(&out, nil)), rules)
		a.quiet = a.log
		ctx, cancel := context.WithCancel(t.Context())
		events, err := (&process.Process{Feed: a.feed, Privacy: rules}).Watch(ctx, api.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		a.report(found)
		nobodyIn("log", out.String())
		for range found {
			text, err := json.Marshal(<-events)
			if err != nil {
				t.Fatal(err)
			}
			nobodyIn("watch", string(text))
		}
		cancel()
	}
}
