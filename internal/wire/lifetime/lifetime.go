// Package lifetime has the lifetimes of both families' messages.
package lifetime

import (
	"math"
	"strconv"
	"time"
)

// Seconds is a number of seconds in which the largest value is infinity (RFC 8415 section 7.7, RFC
// 2131 section 3.3).
type Seconds uint32

// Infinity is the lifetime that never ends.
const Infinity Seconds = 0xffffffff

// String returns seconds, such as "3600s", or "infinity".
func (s Seconds) String() string {
	if s == Infinity {
		return "infinity"
	}
	return strconv.FormatUint(uint64(s), 10) + "s"
}

// Duration returns the lifetime as a duration; Infinity is math.MaxInt64.
func (s Seconds) Duration() time.Duration {
	if s == Infinity {
		return math.MaxInt64
	}
	return time.Duration(s) * time.Second
}
