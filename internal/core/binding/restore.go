package binding

import (
	"maps"
	"slices"
	"time"

	"fairlead/internal/core/instant"
)

// maxDoubt is how long a synchronised clock that is behind the last instant kept is
// not believed. After that it was the other one that was wrong.
const maxDoubt = time.Hour

// Restore takes in what was kept (RFC 8987 S-1), before any client speaks. In
// the boot that a record was written in its instants hold. After a reboot the
// wall clock says how much is left; while that clock is unsynchronised or
// behind lastWall, the last instant kept, nothing is ended: a binding then
// gets its whole lifetime again, which is never too short, until Expire finds
// the clock trustworthy and gives it its true end. So does, for good, one that
// was kept while the clock could not be trusted.
func (t *Table) Restore(now instant.Now, r Record, bootID string, lastWall time.Time) {
	b := r.Binding
	b.Source = FromStore
	held := false
	if r.BootID != bootID && r.Valid != instant.Never {
		if known := !r.ValidWall.IsZero(); known && now.Synced && !now.Wall.Before(lastWall) {
			// More than the whole lifetime was never granted: the clock that said so was wrong.
			left := min(r.ValidWall.Sub(now.Wall), r.Lifetime)
			early := time.Duration(r.Valid - r.Preferred)
			b.Valid = now.Boot.After(left)
			b.Preferred = now.Boot.After(left - early)
		} else {
			b.Preferred, b.Valid = Lifetimes(now, r.Lifetime, r.Lifetime)
			held = known
		}
	}
	t.Remove(b.VRF, b.Prefix)
	s := t.insert(&b)
	if held {
		t.held[s.ref] = r.ValidWall.UnixNano()
		t.minWall, t.doubtEnd = lastWall, now.Boot.After(maxDoubt)
	}
}

// settle gives bindings that were restored under an untrusted wall clock
// their true end, once the clock can be trusted.
func (t *Table) settle(now instant.Now) {
	if len(t.held) == 0 || !now.Synced || now.Wall.Before(t.minWall) && now.Boot < t.doubtEnd {
		return
	}
	for _, r := range slices.Sorted(maps.Keys(t.held)) {
		end := t.held[r]
		b := t.Take(t.slots.At(r))
		b.Valid = min(b.Valid, now.Boot.After(time.Unix(0, end).Sub(now.Wall)))
		b.Preferred = min(b.Preferred, b.Valid)
		t.insert(&b)
	}
	clear(t.held)
}

// Held is the number of restored bindings that wait for a trustworthy clock.
func (t *Table) Held() int { return len(t.held) }
