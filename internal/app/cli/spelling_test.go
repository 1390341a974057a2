package cli

import (
	"testing"

	"fairlead/internal/app/control/controltest"
)

// What a command prints of its own is spelt as what it prints of the control
// interface.
func TestSpelling(t *testing.T) {
	if n := controltest.Spelling(t, []problem{}); n < 6 {
		t.Errorf("%d fields seen: too few for all there are", n)
	}
}
