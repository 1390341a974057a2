package cli

import (
	"testing"

	"fairlead/internal/app/control/controltest"
)

// What a command prints by itself is spelt as the values of the control interface are.
func TestSpelling(t *testing.T) {
	if n := controltest.Spelling(t, []problem{}); n < 6 {
		t.Errorf("%d fields seen: too few for all there are", n)
	}
}
