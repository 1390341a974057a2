package engine

import (
	"errors"
	"fmt"
	"testing"

	"fairlead/internal/core/effect"
	"fairlead/internal/host/udp"
)

// Each discard has a counter on its link: for what was held back, by its reason, and for what a
// socket did not take.
func TestWhatDidNotLeaveIsCounted(t *testing.T) {
	l, q := newQuietLoop(t)
	told := 0
	q.unsent = func(udp.Outgoing, error) { told++ }
	for _, err := range []error{
		fmt.Errorf("%w: disk full", ErrNotKept), fmt.Errorf("%w: refused", ErrNotInstalled), fmt.Errorf("%w: refused", ErrNotInstalled), errors.New("no route"),
		&Withheld{effect.DropUnprotected, "the role says so"},
	} {
		l.unsent(udp.Outgoing{Link: linkA}, err)
	}
	l.carryOut(t.Context())
	l.carryOut(t.Context())
	want := map[effect.Drop]uint64{effect.DropNotKept: 1, effect.DropNotInstalled: 2, effect.DropSendFailed: 1, effect.DropUnprotected: 1}
	for _, v := range l.Core.Links() {
		for d, n := range v.Counters.Drops {
			expected := uint64(0)
			if v.Index == linkA {
				expected = want[effect.Drop(d)]
			}
			if n != expected {
				t.Errorf("link %s: %d drops for %s, want %d", v.Name, n, effect.Drop(d), expected)
			}
		}
	}
	if told != 5 {
		t.Errorf("the role was told of %d datagrams, want 5", told)
	}
}
