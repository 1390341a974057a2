package load

import (
	"testing"

	"fairlead/internal/app/control/controltest"
)

// The lines of JSON are spelt as those of all other commands.
func TestSpelling(t *testing.T) {
	if n := controltest.Spelling(t, resultJSON{}, progressJSON{}); n < 20 {
		t.Errorf("%d fields seen: too few for all there are", n)
	}
}
