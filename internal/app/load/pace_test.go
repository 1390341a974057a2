package load

import (
	"testing"
	"time"
)

// An open loop begins exactly the exchanges that should have begun by now, however late it is
// asked.
func TestPaceRate(t *testing.T) {
	for _, rate := range []float64{0.5, 1, 3, 2000, 77_777, 1_000_000} {
		p := pace{rate: rate, start: 5 * time.Second}
		gap := time.Duration(float64(time.Second) / rate)
		for k := range 1000 {
			at := p.intended(0)
			if want := p.start + time.Duration(k)*gap; at < want-time.Duration(k+1) || at > want+time.Duration(k+1) {
				t.Fatalf("%g/s: exchange %d should begin at %s, want %s", rate, k, at, want)
			}
			if gap > 2 && p.allowed(at-2, 1000) != 0 {
				t.Fatalf("%g/s: exchange %d may begin before %s", rate, k, at)
			}
			if n := p.allowed(at+2, 1000); n < 1 {
				t.Fatalf("%g/s: exchange %d may not begin at %s", rate, k, at)
			}
			p.begun++
		}
		// This is after a second in which nobody asked.
		if late := p.allowed(p.intended(0)+time.Second, 0); late < int(rate)-1 || late > int(rate)+2 {
			t.Errorf("%g/s: %d are due after a second", rate, late)
		}
	}
}

// A closed loop begins as many exchanges as the window has room for, and begins them now.
func TestPaceWindow(t *testing.T) {
	p := pace{window: 10}
	if n := p.allowed(time.Hour, 3); n != 7 {
		t.Errorf("%d may begin, want 7", n)
	}
	if n := p.allowed(time.Hour, 10); n != 0 {
		t.Errorf("%d may begin, want 0", n)
	}
	if at := p.intended(time.Minute); at != time.Minute {
		t.Errorf("should begin at %s", at)
	}
}

// A generator that is always busy is not woken for each answer; one that is not busy is.
func TestPaceNap(t *testing.T) {
	for p, want := range map[pace]time.Duration{
		{rate: 2000, window: 64}:   0,
		{rate: 20_000, window: 64}: 50 * time.Microsecond,
		{window: 1}:                0,
		{window: 64}:               100 * time.Microsecond,
	} {
		if got := p.nap(); got != want {
			t.Errorf("%+v: a nap of %s, want %s", p, got, want)
		}
	}
}
