package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/engine"
	"fairlead/internal/app/privacy"
	"fairlead/internal/app/process"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/wire/linkaddr"
)

// What is asked of the kernel while it is read is on its way, and no finding.
// What nobody wants is one.
func TestComparisonUnderLoadReportsNoneThatIsOnItsWay(t *testing.T) {
	var a *comparer
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
	if n := a.findings[hoststate.LeftOver.String()]; n != 1 {
		t.Errorf("%d left over reported, want 1", n)
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
		var a *comparer
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

// A large comparison comes to the loop in parts, so that packets pass between them.
func TestComparisonComesInParts(t *testing.T) {
	const stray = 20_000
	a, l := newComparerBench(t, func() (*hoststate.Reading, error) {
		r := hoststate.NewReading()
		for i := range stray {
			r.AddRoute(strayRoute(i))
		}
		return r, nil
	})
	var before, after effect.ChangeID
	last := func(id *effect.ChangeID) {
		if err := l.Call(t.Context(), func(instant.Now, *effect.Effects) { *id = l.ledger.LastChange() }); err != nil {
			t.Fatal(err)
		}
	}
	last(&before)
	found, err := a.once(t.Context(), true)
	if err != nil || found != stray {
		t.Fatalf("%d differences, %v; want %d", found, err, stray)
	}
	last(&after)
	if parts := after - before; parts < 4 {
		t.Errorf("%d routes mended in %d parts, want 4 or more", stray, parts)
	}
	if _, _, err := a.begin(t.Context()); err != nil { // all is installed
		t.Fatal(err)
	}
	if removed := l.installed("2001:db8:ee"); removed != stray {
		t.Errorf("%d routes removed, want %d", removed, stray)
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
	if removed := l.installed("2001:db8:ee"); removed != 2*stray {
		t.Errorf("%d routes removed, want %d each time", removed, stray)
	}
}

// One reading of the kernel is for the parts of both families: each mends what is its own, and
// leaves to the other what is the other's. Where one is overtaken both are compared anew.
func TestComparisonOfBothFamilies(t *testing.T) {
	four := newPlayed()
	four.state = hoststate.NewIPv4()
	four.ledger = ledger.New(nil, four.state, ledger.Core{}, "", "boot")
	stray4 := hoststate.Route{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Table: hoststate.MainTable, Metric: 1, Link: 3}
	looks := 0
	a, six := newComparerBench(t, func() (*hoststate.Reading, error) {
		if looks++; looks == 1 {
			four.Kernel().Compare() // another one has come meanwhile
		}
		return hoststate.Read(hoststate.Actual{
			Routes: []hoststate.Route{strayRoute(1), stray4},
			Elements: []hoststate.Element{
				{Set: hoststate.Checked, Link: "d0"}, {Set: hoststate.CheckedIPv4, Link: "d0"},
			},
		}), nil
	})
	a.parts = append(a.parts, four)
	found, err := a.once(t.Context(), true)
	if err != nil || found != 4 || looks != 2 {
		t.Errorf("%d differences in %d readings, %v; want 4 in 2", found, looks, err)
	}
	for family, p := range map[string]*played{"IPv6": six, "IPv4": four} {
		for _, op := range p.done {
			ofIPv4 := op.Route != nil && op.Route.Prefix.Addr().Is4() || op.Element != nil && op.Element.IsIPv4()
			if !op.Remove || ofIPv4 != (p == four) {
				t.Errorf("the part of %s did %+v", family, op)
			}
		}
	}
	if len(four.done) != 2 {
		t.Errorf("%d operations of IPv4, want 2", len(four.done))
	}
}

// What an earlier process has left of a family that nobody speaks goes.
func TestNobodyWantsNothing(t *testing.T) {
	kernel := newPlayed()
	n := &nobody{ledger.New(nil, hoststate.NewIPv4(), ledger.Core{}, "", "boot"), []engine.Installer{applied{kernel}}}
	a, _ := newComparerBench(t, func() (*hoststate.Reading, error) {
		return hoststate.Read(hoststate.Actual{Elements: []hoststate.Element{{Set: hoststate.CheckedIPv4, Link: "d0"}, {Set: hoststate.Checked, Link: "d1"}}}), nil
	})
	a.parts = []compared{n}
	if found, err := a.once(t.Context(), true); err != nil || found != 1 {
		t.Errorf("%d differences, %v; want 1", found, err)
	}
	if len(kernel.done) != 1 || !kernel.done[0].Remove || kernel.done[0].Element.Set != hoststate.CheckedIPv4 {
		t.Errorf("done: %+v", kernel.done)
	}
	if n.ledger.Progress().Pending != 0 {
		t.Error("a change is under way for ever")
	}
}

// applied takes note of what is asked of the kernel.
type applied struct{ *played }

func (a applied) Apply(ops []hoststate.Op, _ func(int, error)) error {
	a.done = append(a.done, ops...)
	return nil
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
