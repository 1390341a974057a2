// Package instant has the two clocks that every core is handed. Lifetimes run
// on CLOCK_BOOTTIME, which neither a clock step nor a suspend disturbs; the
// wall clock is for what outlives a boot and for people. Nothing here reads a
// clock: the shell captures a Now once per batch.
package instant

import (
	"math"
	"time"
)

// Instant is a point on CLOCK_BOOTTIME, in nanoseconds since boot.
type Instant int64

// Never is later than every other instant: the expiry of an infinite lifetime
// (RFC 8415 section 7.7).
const Never Instant = math.MaxInt64

// Now is one reading of both clocks.
type Now struct {
	Boot   Instant
	Wall   time.Time
	Synced bool // the wall clock is synchronised, as adjtimex tells
}

// After is the instant d later; it saturates at Never.
func (i Instant) After(d time.Duration) Instant {
	if i == Never || d == math.MaxInt64 || (d > 0 && int64(i) > math.MaxInt64-int64(d)) {
		return Never
	}
	return i + Instant(d)
}

// Until is the time left until i; at or below zero it has passed. An infinite
// time is math.MaxInt64.
func (n Now) Until(i Instant) time.Duration {
	if i == Never {
		return math.MaxInt64
	}
	return time.Duration(i - n.Boot)
}

// WallAt is the wall time at which i will be, as the wall clock stands now;
// the zero time stands for Never.
func (n Now) WallAt(i Instant) time.Time {
	if i == Never {
		return time.Time{}
	}
	return n.Wall.Add(time.Duration(i - n.Boot))
}
