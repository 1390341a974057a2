package control

import (
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/core/hop"
)

// HopEvent makes an event from a note about the protection of a hop.
func HopEvent(n *hop.Note, at time.Time) api.Event {
	return api.Event{Time: at, Kind: api.EventProtection, Text: protectionText(n.Kind), Peer: n.Peer, Hop: n.Hop, Reason: n.Text}
}

func protectionText(k hop.NoteKind) string {
	switch k {
	case hop.NoteUp:
		return "protection up"
	case hop.NoteLost:
		return "protection lost"
	case hop.NoteFailed:
		return "negotiation failed"
	}
	return k.String()
}
