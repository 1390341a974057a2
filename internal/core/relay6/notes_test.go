package relay6_test

import (
	"slices"
	"testing"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
)

// Notes of extensions, by far the most, may be left out. What is granted is told
// anyway, and nothing else changes.
func TestNotesOfExtensionsMayBeLeftOut(t *testing.T) {
	for _, omit := range []bool{false, true} {
		w := newWorld(t)
		w.eff.OmitExtensions = omit
		for range 3 {
			w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 3600)))
		}
		var got []binding.EventKind
		for _, n := range w.notes {
			if n.Kind == effect.NoteDelegation {
				got = append(got, n.Event.Kind)
			}
		}
		want := []binding.EventKind{binding.Granted, binding.Extended, binding.Extended}
		if omit {
			want = want[:1]
		}
		if !slices.Equal(got, want) {
			t.Errorf("left out %v: told of %v, want %v", omit, got, want)
		}
	}
}
