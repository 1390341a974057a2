package lifetime_test

import (
	"math"
	"testing"
	"time"

	"fairlead/internal/wire/lifetime"
)

func TestSeconds(t *testing.T) {
	for _, tc := range []struct {
		of       lifetime.Seconds
		text     string
		duration time.Duration
	}{
		{lifetime.Infinity, "infinity", math.MaxInt64},
		{0, "0s", 0},
		{0xfffffffe, "4294967294s", 4294967294 * time.Second},
	} {
		if got := tc.of.String(); got != tc.text {
			t.Errorf("String of %d = %q, want %q", uint32(tc.of), got, tc.text)
		}
		if got := tc.of.Duration(); got != tc.duration {
			t.Errorf("Duration of %v = %v, want %v", tc.of, got, tc.duration)
		}
	}
}
