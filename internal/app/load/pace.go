package load

import "time"

// pace says when the next exchange may begin.
type pace struct {
	rate   float64 // a second; 0: as the window allows
	window int
	start  time.Duration
	begun  uint64
}

// allowed is how many exchanges may begin now.
func (p *pace) allowed(now time.Duration, underway int) int {
	if p.rate == 0 {
		return p.window - underway
	}
	if now < p.start {
		return 0
	}
	due := uint64((now-p.start).Seconds()*p.rate) + 1
	if due <= p.begun {
		return 0
	}
	return int(due - p.begun)
}

// intended is when the next exchange should begin. With a rate, it does not depend on delays of
// the generator or the network, so that a wait for one answer shows in the latencies of all
// exchanges that should have begun meanwhile.
func (p *pace) intended(now time.Duration) time.Duration {
	if p.rate == 0 {
		return now
	}
	return p.start + time.Duration(float64(p.begun)/p.rate*float64(time.Second))
}

const (
	// From these values on, the generator looks for answers after each nap, instead of being
	// woken by each answer.
	busyRate   = 20_000
	busyWindow = 16
	// With a rate, naps are shorter, because they delay the beginning of exchanges, which adds to
	// the latency.
	napInRate   = 50 * time.Microsecond
	napInWindow = 100 * time.Microsecond
)

// nap returns how long to sleep before looking again, if there is always something to do soon; 0
// means to wait until there is something.
func (p *pace) nap() time.Duration {
	switch {
	case p.rate >= busyRate:
		return napInRate
	case p.rate == 0 && p.window >= busyWindow:
		return napInWindow
	}
	return 0
}
