package relay

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/nft"
)

// newComparerBench is a comparer of a running loop. Its kernel is read by read.
func newComparerBench(t *testing.T, read func() (*hoststate.Reading, error)) (*comparer, *played) {
	t.Helper()
	l := quietPlayed(t)
	l.run(t)
	d := &player{log: l.log, quiet: l.log, relay: l.relay, engine: l.Engine, feed: control.NewFeed(), cfg: relaying(config.Config{}), findings: map[string]uint64{}}
	return &comparer{
		d: d, version: func() (nft.Version, error) { return nft.Version{Others: 1}, nil },
		mend: func() (bool, error) { return false, nil }, actual: read,
		// A comparison that spares the filter, as the first one after the start may, finds none.
		routes: func() ([]hoststate.Route, error) { return nil, nil },
		due:    make(chan struct{}, 1), changed: make(chan struct{}, 1), late: make(chan struct{}, 1),
		own: newQuick(), quick: newQuick(), rules: newQuick(),
	}, l
}

func strayRoute(n int) hoststate.Route {
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0xee, byte(n >> 8), byte(n)}
	return hoststate.Route{Prefix: netip.PrefixFrom(netip.AddrFrom16(a), 56), Table: hoststate.MainTable, Metric: 1}
}

// What is asked of the kernel while it is read is on its way, and no finding.
// What nobody wants is one.
func TestComparisonUnderLoadReportsNoneThatIsOnItsWay(t *testing.T) {
	var a *comparer
	var l *played
	looks := 0
	a, l = newComparerBench(t, func() (*hoststate.Reading, error) {
		looks++
		err := l.Call(t.Context(), func(_ instant.Now, eff *effect.Effects) {
			l.Core.Reconfigure(&relay6.Config{Aggregates: []hoststate.Aggregate{{Prefix: netip.MustParsePrefix("2001:db8:aa::/48")}}}, eff)
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
	if n := a.d.findings[hoststate.LeftOver.String()]; n != 1 {
		t.Errorf("%d left over reported, want 1", n)
	}
	if last, n := a.state(); n != found || last.Before(began) {
		t.Errorf("state %v, %d; want %d found after %v", last, n, found, began)
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
		a.d.log = slog.New(slog.NewTextHandler(&out, nil))
		a.d.cfg.Host.Compare = time.Hour
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
		err := l.Call(t.Context(), func(instant.Now, *effect.Effects) { l.Core.CompareHost() })
		return hoststate.NewReading(), err
	})
	if _, err := a.once(t.Context(), true); !errors.Is(err, errUnsettled) || looks != tries {
		t.Errorf("after %d readings: %v; want %v after %d", looks, err, errUnsettled, tries)
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
		if err := l.Call(t.Context(), func(instant.Now, *effect.Effects) { *id = l.Core.LastChange() }); err != nil {
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

// The first comparison after a start is done while the relay serves: what comes while the
// kernel is read is forwarded, and so is what comes before all is compared. What the
// start had left to this comparison was restored; it is mended, and nobody is blamed for it.
func TestRelayServesDuringTheFirstComparison(t *testing.T) {
	const stray = 20_000
	var l *played
	serve := func() {
		t.Helper()
		forwarded := 0
		err := l.Call(t.Context(), func(now instant.Now, _ *effect.Effects) {
			var eff effect.Effects
			l.Core.Handle(now, solicit(linkA, 1), &eff)
			forwarded = len(eff.Sends)
		})
		if err != nil || forwarded != 1 {
			t.Errorf("a Solicit during the comparison was forwarded %d times, want once: %v", forwarded, err)
		}
	}
	a, l := newComparerBench(t, func() (*hoststate.Reading, error) {
		serve()
		r := hoststate.NewReading()
		for i := range stray {
			r.AddRoute(strayRoute(i))
		}
		return r, nil
	})
	var out strings.Builder
	a.d.log = slog.New(slog.NewTextHandler(&out, nil))
	a.d.quiet = a.d.log
	a.goesOn = true
	c, _, err := a.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	reading, err := a.readAll()
	if err != nil {
		t.Fatal(err)
	}
	parts, first := 0, 0
	for done := false; !done; parts++ {
		var found []hoststate.Finding
		err := l.Call(t.Context(), func(_ instant.Now, eff *effect.Effects) {
			found, done, _ = l.Core.ComparePart(c, reading, eff)
		})
		if err != nil {
			t.Fatal(err)
		}
		first += len(found)
		serve()
	}
	if parts < 4 || first != stray {
		t.Errorf("%d differences in %d parts, want %d in 4 or more", first, parts, stray)
	}

	for _, reported := range []int{0, stray} { // what the second finds, somebody has done
		if found, err := a.once(t.Context(), true); err != nil || found != stray {
			t.Fatalf("%d differences, %v; want %d", found, err, stray)
		}
		if n := a.d.findings[hoststate.LeftOver.String()]; n != uint64(reported) {
			t.Errorf("%d left over counted, want %d", n, reported)
		}
	}
	if log := out.String(); strings.Count(log, "filter brought to what was kept") != 1 || !strings.Contains(log, "differences=20000") {
		t.Errorf("of what the start had left to the comparison it is told:\n%s", log)
	}
	if _, _, err := a.begin(t.Context()); err != nil { // all is installed
		t.Fatal(err)
	}
	if removed := l.installed("2001:db8:ee"); removed != 3*stray {
		t.Errorf("%d routes removed, want %d each time", removed, stray)
	}
}
