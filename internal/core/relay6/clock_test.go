package relay6_test

import (
	"testing"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/wire/dhcp6"
)

const leased = "lan0 2001:db8:100::/56 via fe80::a for "

func TestRebootWithAGoodClock(t *testing.T) {
	for _, tc := range []struct {
		away time.Duration
		want []string
	}{
		{time.Second, []string{leased + "59m59s"}},
		{59 * time.Minute, []string{leased + "1m0s"}},
		{time.Hour, nil},
		{24 * time.Hour, nil},
	} {
		w := newWorld(t)
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 3600)))
		w.reboot(w.now.Wall.Add(tc.away), true)
		w.tick()
		w.wants(tc.want...)
	}
}

// An unsynchronised clock, or one behind the last instant kept, ends nothing:
// what was restored gets its whole lifetime until the clock can be trusted.
func TestRebootWithABadClock(t *testing.T) {
	for name, tc := range map[string]struct {
		wall   time.Duration // against the true time
		synced bool
	}{
		"unsynchronised":               {0, false},
		"unsynchronised and far ahead": {10000 * time.Hour, false},
		"synchronised, but behind":     {-10000 * time.Hour, true},
		"1970":                         {-56 * 365 * 24 * time.Hour, true},
	} {
		w := newWorld(t)
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 3600)))
		right := w.now.Wall.Add(20 * time.Minute)
		w.reboot(right.Add(tc.wall), tc.synced)
		w.tick()
		w.wants(leased + "1h0m0s")
		if w.core.Totals().WaitForClock != 1 || len(w.noted(effect.NoteClock)) != 1 {
			t.Errorf("%s: %d held, notes %q", name, w.core.Totals().WaitForClock, w.noted(effect.NoteClock))
		}
		// The clock is set right ten minutes later: 30 of 60 minutes have passed.
		w.sleep(10 * time.Minute)
		w.now.Wall, w.now.Synced = right.Add(10*time.Minute), true
		w.tick()
		w.wants(leased + "30m0s")
		if n := w.core.Totals().WaitForClock; n != 0 {
			t.Errorf("%s: %d held although the clock is right", name, n)
		}
		w.sleep(30 * time.Minute)
		w.wants()
	}
}

// What is granted anew while the clock is bad has its lifetime by the boot clock
// and is not touched when the clock is set.
func TestGrantUnderABadClock(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	right := w.now.Wall.Add(24 * time.Hour)
	w.reboot(right, false)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 3600)))
	w.now.Synced = true
	w.tick()
	w.wants(leased + "1h0m0s")
}

// A lifetime that never ends needs no clock.
func TestInfiniteOverAReboot(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", dhcp6.Infinity)))
	for _, synced := range []bool{false, true} {
		w.reboot(w.now.Wall.Add(100000*time.Hour), synced)
		w.tick()
		w.wants(leased + "ever")
	}
}

// In the same boot the instants hold, whatever the wall clock did.
func TestSameBootIgnoresTheWallClock(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 3600)))
	for _, step := range []time.Duration{1000 * time.Hour, -5000 * time.Hour} {
		w.now.Wall = w.now.Wall.Add(step)
		w.tick()
		w.wants(leased + "1h0m0s")
		w.restart()
		w.wants(leased + "1h0m0s")
	}
	w.now.Boot += 10 * 60e9 // a suspend: the boot clock runs on
	w.tick()
	w.wants(leased + "50m0s")
}

// The preferred lifetime comes back as well.
func TestPreferredOverAReboot(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefixOf("2001:db8:100::/56", 1200, 3600)))
	w.reboot(w.now.Wall.Add(10*time.Minute), true)
	for d := range w.core.Delegations {
		if left := w.now.Until(d.Preferred); left != 10*time.Minute {
			t.Errorf("preferred for %v more, want 10m", left)
		}
	}
}

// Two reboots with a clock that is never right: nothing is lost.
func TestRebootTwiceWithoutAClock(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	for range 3 {
		w.reboot(time.Unix(0, 0), false)
		w.tick()
		w.wants(leased + "10m0s")
	}
}

// What was granted before the clock was set does not end by what the clock said
// then: after the next reboot it has its whole lifetime again, once, twice, and
// however good the clock has become.
func TestGrantUnderABadClockOverAReboot(t *testing.T) {
	w := newWorld(t)
	right := w.now.Wall
	w.now.Wall, w.now.Synced = right.Add(-6*365*24*time.Hour), false // as without a battery
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 3600)))
	for _, synced := range []bool{true, false} {
		w.reboot(right.Add(10*time.Minute), synced)
		w.wants(leased + "1h0m0s")
		w.now.Synced = true
		w.tick()
		w.wants(leased + "1h0m0s")
	}
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 3600))) // renewed by a clock that is right
	w.reboot(right.Add(40*time.Minute), true)
	w.wants(leased + "30m0s")
}

// A clock that was ten years ahead once, synchronised or not, is found out: what was
// kept by it gets its whole lifetime and no more, and a later boot by a clock that is
// right is in doubt for an hour at most, until something is kept.
func TestClockWasFarAheadOnce(t *testing.T) {
	const tenYears = 10 * 365 * 24 * time.Hour
	for _, synced := range []bool{false, true} {
		w := newWorld(t)
		right := w.now.Wall
		w.lease(bob, iaPD(1, prefix("2001:db8:200::/56", 4*3600)))
		w.now.Wall, w.now.Synced = right.Add(tenYears), synced
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 4*3600)))

		w.reboot(right.Add(10*time.Minute), true)
		if doubts := w.core.Totals().WaitForClock > 0; doubts != synced {
			t.Errorf("kept by a clock that says it is synchronised: %v; the right one is in doubt: %v", synced, doubts)
		}
		w.sleep(time.Hour)
		w.tick()
		if n := w.core.Totals().WaitForClock; n != 0 {
			t.Errorf("synchronised %v: %d still wait for a clock after an hour", synced, n)
		}
		w.wants(leased+"3h0m0s", "lan0 2001:db8:200::/56 via fe80::b for 2h50m0s")
		w.lease(bob, iaPD(1, prefix("2001:db8:200::/56", 4*3600)))

		w.reboot(right.Add(80*time.Minute), true) // ten minutes after that
		if n := w.core.Totals().WaitForClock; n != 0 {
			t.Errorf("synchronised %v: %d wait for a clock in the next boot", synced, n)
		}
		w.wants(leased+"4h0m0s", "lan0 2001:db8:200::/56 via fe80::b for 3h50m0s")
	}
}
