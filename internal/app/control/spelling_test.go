package control_test

import (
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control/controltest"
)

// Every field of every type that the control interface takes or answers is spelt in one way.
func TestSpellingOfTheAPI(t *testing.T) {
	n := controltest.Spelling(t,
		api.Status{}, []api.Link{}, []api.Peer{}, []api.Delegation{}, []api.HistoryEntry{}, []api.Block{},
		api.ClearRequest{}, api.ClearResult{}, api.ReloadRequest{}, api.ReloadResult{}, api.Failure{},
		api.Event{}, api.GuardStatus{}, []api.WhyLink{},
	)
	if n < 150 {
		t.Errorf("%d fields seen: too few for all there are", n)
	}
}
