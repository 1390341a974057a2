package admission

import (
	"time"

	"fairlead/internal/core/instant"
)

// Rate is a token bucket: PerSecond messages a second in the long run, and
// Burst of them at once. The zero value sets no limit.
type Rate struct {
	PerSecond int // up to 1e9; 0: unlimited
	Burst     int // at least 1, where there is a limit
}

// Limits are the rates of one link: of the link as a whole, of each source on
// it, and of all sources together that are new there. The zero value sets none.
type Limits struct{ Link, Source, Newcomers Rate }

// pace is a Rate in the form that a bucket uses. A bucket is one instant, at which it will
// be full again. Each message moves that instant on by the interval; a message that would
// move it more than the slack ahead of now is refused.
type pace struct {
	interval time.Duration // between two messages in the long run; 0: unlimited
	slack    time.Duration // how far ahead of now the bucket may stand for one more
}

func paceOf(r Rate) pace {
	if r.PerSecond <= 0 {
		return pace{}
	}
	interval := max(1, time.Second/time.Duration(r.PerSecond))
	return pace{interval, time.Duration(max(1, r.Burst)-1) * interval}
}

// allows reports whether the bucket has room for one message.
func (p pace) allows(full, now instant.Instant) bool {
	return p.interval == 0 || full-now <= instant.Instant(p.slack)
}

// allowsHalf reports whether one message fits into the half of the bucket that is for all
// sources.
func (p pace) allowsHalf(full, now instant.Instant) bool {
	return p.interval == 0 || full-now <= instant.Instant(p.slack/2)
}

// charge is the bucket after one more message.
func (p pace) charge(full, now instant.Instant) instant.Instant {
	return max(full, now) + instant.Instant(p.interval)
}

// bound makes the bucket at most empty, as the other methods require. A bucket that was
// charged under former limits can be further ahead of now.
func (p pace) bound(full *instant.Instant, now instant.Instant) {
	*full = min(*full, now+instant.Instant(p.slack+p.interval))
}
