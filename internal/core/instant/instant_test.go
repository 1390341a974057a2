package instant_test

import (
	"math"
	"testing"
	"time"

	"fairlead/internal/core/instant"
)

func TestAfterSaturates(t *testing.T) {
	for _, tc := range []struct {
		from instant.Instant
		d    time.Duration
		want instant.Instant
	}{
		{0, 0, 0},
		{5, 7, 12},
		{5, -7, -2}, // an end that lies before this boot
		{instant.Never, -7, instant.Never},
		{instant.Never, 7, instant.Never},
		{0, math.MaxInt64, instant.Never},
		{1, math.MaxInt64 - 1, instant.Never},
		{2, math.MaxInt64 - 1, instant.Never},
		{instant.Never - 1, 1, instant.Never},
		{instant.Never - 1, time.Hour, instant.Never},
	} {
		if got := tc.from.After(tc.d); got != tc.want {
			t.Errorf("%d.After(%d) = %d, want %d", tc.from, tc.d, got, tc.want)
		}
	}
}

func TestUntilAndWallAt(t *testing.T) {
	n := instant.Now{Boot: instant.Instant(time.Hour), Wall: time.Unix(1_700_000_000, 0)}
	for at, want := range map[instant.Instant]time.Duration{
		instant.Instant(time.Hour):               0,
		instant.Instant(time.Hour + time.Minute): time.Minute,
		instant.Instant(time.Hour - time.Second): -time.Second,
		instant.Instant(-2 * time.Hour):          -3 * time.Hour,
	} {
		if got := n.Until(at); got != want {
			t.Errorf("Until(%d) = %v, want %v", at, got, want)
		}
		if got := n.WallAt(at); !got.Equal(time.Unix(1_700_000_000, 0).Add(want)) {
			t.Errorf("WallAt(%d) = %v, want %v from now", at, got, want)
		}
	}
	if got := n.Until(instant.Never); got != math.MaxInt64 {
		t.Errorf("Until(Never) = %v, want the longest duration", got)
	}
	if got := n.WallAt(instant.Never); !got.IsZero() {
		t.Errorf("WallAt(Never) = %v, want the zero time", got)
	}
}
