package kernel

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/host/nft"
)

// watched is a filter whose readings are counted. Its kernel has nothing.
type watched struct {
	*played
	*comparer
	version            nft.Version
	whole, routes      int // readings
	versionErr, readIt error
	during             func() // a reading of all
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{version: nft.Version{Others: 1}, during: func() {}}
	b, p := newComparerBench(t, func() (*hoststate.Reading, error) {
		w.whole++
		w.during()
		return hoststate.NewReading(), w.readIt
	})
	w.comparer, w.played = b.comparer, p
	w.comparer.version = func() (nft.Version, error) { return w.version, w.versionErr }
	w.comparer.routes = func() ([]hoststate.Route, error) { w.routes++; return nil, w.readIt }
	return w
}

// reads compares once and wants so many readings of all, and of routes alone.
func (w *watched) reads(t *testing.T, what string, all bool, whole, routes int, want error) {
	t.Helper()
	w.whole, w.routes = 0, 0
	if _, err := w.once(t.Context(), all); !errors.Is(err, want) {
		t.Fatalf("%s: %v, want %v", what, err, want)
	}
	if w.whole != whole || w.routes != routes {
		t.Errorf("%s: %d readings of all and %d of routes, want %d and %d", what, w.whole, w.routes, whole, routes)
	}
}

// The filter is read again once for everything of which its Version tells, for
// whatever it does not know of, and now and then.
func TestComparisonSparesTheFilter(t *testing.T) {
	w := newWatched(t)
	quiet := func(after string) {
		t.Helper()
		w.reads(t, "after "+after, false, 0, 1, nil)
	}
	w.reads(t, "the first", false, 1, 0, nil)
	quiet("the first")
	quiet("the second")
	w.version.Others++
	w.reads(t, "somebody else changed nftables", false, 1, 0, nil)
	quiet("somebody else's change")
	w.version.Lapses++
	w.reads(t, "not all came about", false, 1, 0, nil)
	quiet("a lapse")
	w.reads(t, "asked for", true, 1, 0, nil)
	quiet("one that was asked for")

	w.played.panics++
	w.reads(t, "the core panicked", false, 1, 0, nil)
	quiet("a panic")

	const spared = 64 - 1
	for range spared - 1 {
		quiet("many")
	}
	w.reads(t, "the 64th", false, 1, 0, nil)
	quiet("the 64th")
}

// A comparison that did not come to its end spares none.
func TestComparisonThatFailedSparesNone(t *testing.T) {
	broken := errors.New("broken")
	w := newWatched(t)
	w.reads(t, "the first", false, 1, 0, nil)

	w.versionErr = broken
	w.reads(t, "no version", false, 0, 0, broken)
	w.versionErr = nil
	w.reads(t, "after no version", false, 0, 1, nil)

	w.version.Others++
	w.readIt = broken
	w.reads(t, "not read", false, 1, 0, broken)
	w.readIt = nil
	w.version.Others-- // not the same, but a comparison might take it for that
	w.reads(t, "after not read", false, 1, 0, nil)
	w.reads(t, "whole again", false, 0, 1, nil)

	w.version.Others++
	w.during = func() {
		if err := w.Call(t.Context(), func(instant.Now, *effect.Effects) { w.Kernel().Compare() }); err != nil {
			t.Error(err)
		}
	}
	w.reads(t, "overtaken", false, tries, 0, errChanging)
	w.during = func() {}
	w.reads(t, "after it was overtaken", false, 1, 0, nil)

	w.comparer.mend = func() (bool, error) { return false, broken }
	w.reads(t, "not mended", true, 0, 0, broken)
	w.comparer.mend = func() (bool, error) { return true, nil }
	w.reads(t, "after not mended", false, 1, 0, nil)
	w.reads(t, "whole once more", false, 0, 1, nil)
}

// Somebody's change between the Version and the reading is seen by the next
// comparison, even if this one missed it.
func TestComparisonTakesTheVersionFirst(t *testing.T) {
	w := newWatched(t)
	w.during = func() { w.version.Others++ }
	w.reads(t, "changed while it was read", false, 1, 0, nil)
	w.during = func() {}
	w.reads(t, "the next", false, 1, 0, nil)
	w.reads(t, "the one after that", false, 0, 1, nil)
}

// told is a kernel that tells of changes in the filter table.
type told struct {
	change chan bool // true: somebody else changed the table
	now    bool
}

func (k *told) Wait(ctx context.Context) error {
	select {
	case k.now = <-k.change:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *told) Read() bool   { return k.now }
func (k *told) Close() error { return nil }

// When somebody changes the filter, its rules are mended at once and a comparison is due;
// nothing is asked of the kernel meanwhile, nor where no comparisons are wanted.
func TestRulesAreWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t)
		every := time.Hour
		w.every = func() time.Duration { return every }
		kernel := &told{change: make(chan bool)}
		w.comparer.listen = func() (notices, error) { return kernel, nil }
		mends := 0
		var mendErr error
		w.comparer.mend = func() (bool, error) { mends++; return true, mendErr }
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error)
		go func() { ended <- w.watch(ctx) }()
		look := func(what string, changed bool, wantMends int) {
			t.Helper()
			mends = 0
			kernel.change <- changed
			synctest.Wait()
			due := 0
			select {
			case <-w.changed:
				due = 1
			default:
			}
			if mends != wantMends || due != wantMends {
				t.Errorf("%s: rules mended %d times, %d comparisons are due, want %d of each", what, mends, due, wantMends)
			}
		}
		look("others changed what is theirs", false, 0)
		look("others changed the filter", true, 1)
		mendErr = errors.New("no answer")
		look("the rules cannot be mended", true, 1)
		every = 0
		look("comparisons are not wanted", true, 0)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
