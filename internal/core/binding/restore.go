package binding

import (
	"maps"
	"slices"
	"time"

	"fairlead/internal/core/instant"
)

// maxDoubt is for how long a synchronised clock that is behind the last stored time is not
// believed. After that the stored time counts as wrong.
const maxDoubt = time.Hour

// Restore takes in stored bindings (RFC 8987 S-1), before any message is read. The
// instants of a record hold in the boot in which it was written. After a reboot the wall
// clock says how much of the lifetime is left. While that clock is not synchronised, or is
// behind lastWall, the last stored time, no binding ends: it gets its whole lifetime
// again, which is never too short, until the clock can be trusted and Expire sets its true
// end. A binding that was stored while the clock could not be trusted has its whole
// lifetime for good.
func (t *Table) Restore(now instant.Now, r Record, bootID string, lastWall time.Time) {
	b := r.Binding
	b.Source = FromStore
	waits := false
	if r.BootID != bootID && r.Valid != instant.Never {
		if known := !r.ValidWall.IsZero(); known && now.Synced && !now.Wall.Before(lastWall) {
			// No server grants more than the whole lifetime: the clock was wrong.
			left := min(r.ValidWall.Sub(now.Wall), r.Lifetime)
			early := time.Duration(r.Valid - r.Preferred)
			b.Valid = now.Boot.After(left)
			b.Preferred = now.Boot.After(left - early)
		} else {
			b.Preferred, b.Valid = Lifetimes(now, r.Lifetime, r.Lifetime)
			waits = known
		}
	}
	t.Remove(b.VRF, b.Prefix)
	s := t.insert(&b)
	if waits {
		t.waiting[s.ref] = r.ValidWall.UnixNano()
		t.minWall, t.doubtEnd = lastWall, now.Boot.After(maxDoubt)
	}
}

// endWaiting gives bindings that were restored under an untrusted wall clock
// their true end, once the clock can be trusted.
func (t *Table) endWaiting(now instant.Now) {
	if len(t.waiting) == 0 || !now.Synced || now.Wall.Before(t.minWall) && now.Boot < t.doubtEnd {
		return
	}
	for _, r := range slices.Sorted(maps.Keys(t.waiting)) {
		end := t.waiting[r]
		b := t.Take(t.slots.At(r))
		b.Valid = min(b.Valid, now.Boot.After(time.Unix(0, end).Sub(now.Wall)))
		b.Preferred = min(b.Preferred, b.Valid)
		t.insert(&b)
	}
	clear(t.waiting)
}

// Waiting is the number of restored bindings that wait for a trustworthy clock.
func (t *Table) Waiting() int { return len(t.waiting) }
