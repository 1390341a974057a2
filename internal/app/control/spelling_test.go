package control_test

import (
	"testing"

	"fairlead/internal/app/control"
	"fairlead/internal/app/control/controltest"
)

// TestSpellingOfTheAPI: every field of every type that the control interface takes
// or answers is spelt in one way.
func TestSpellingOfTheAPI(t *testing.T) {
	n := controltest.Spelling(t,
		control.Status{}, []control.Link{}, []control.Peer{}, []control.Delegation{}, []control.HistoryEntry{}, []control.Block{},
		control.ClearRequest{}, control.ClearResult{}, control.ReloadRequest{}, control.ReloadResult{}, control.Failure{},
		control.Event{}, control.GuardStatus{},
	)
	if n < 150 {
		t.Errorf("%d fields seen: too few for all there are", n)
	}
}
