package control_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
	"fairlead/internal/core/hop"
)

func TestHopEvent(t *testing.T) {
	for kind, want := range map[hop.NoteKind]string{
		hop.NoteUp: "protection up", hop.NoteLost: "protection lost", hop.NoteRekeyed: "rekeyed",
		hop.NoteFailed: "negotiation failed", hop.NoteMended: "mended",
	} {
		got := control.HopEvent(&hop.Note{Kind: kind, Hop: "kea+1", Peer: "kea", Text: "why"}, wall)
		if diff := cmp.Diff(api.Event{Time: wall, Kind: "protection", Text: want, Peer: "kea", Hop: "kea+1", Reason: "why"}, got, values); diff != "" {
			t.Errorf("%v (-want +got):\n%s", kind, diff)
		}
	}
}
