package control

import "time"

// Event is one thing that happened. Which fields are set depends on the kind.
type Event struct {
	Time time.Time `json:"time"`
	// Kind is a relay6.NoteKind's word ("delegation", "limit", "link", "store",
	// "foreign", "trace", "clock", ...), EventProtection, EventTrouble, or EventLost.
	Kind   string `json:"kind"`
	Text   string `json:"text,omitempty"` // what happened: "granted", "link vanished"
	Link   string `json:"link,omitempty"`
	Peer   string `json:"peer,omitempty"`
	Hop    string `json:"hop,omitempty"` // EventProtection: of the peer's, by name
	Client DUID   `json:"client,omitempty"`
	IAID   uint32 `json:"iaid,omitempty"`
	Type   string `json:"type,omitempty"` // message type
	XID    uint32 `json:"xid,omitempty"`
	Reason string `json:"reason,omitempty"`
	Error  string `json:"error,omitempty"`

	Delegation *Delegation `json:"delegation,omitempty"` // what is, or what was refused or ended
	Previous   *Delegation `json:"previous,omitempty"`   // what was before it was extended or moved

	Lost uint64 `json:"lost,omitempty"` // EventLost: how many events are missing here
}

// EventLost is the kind of an event that stands where others are missing,
// because the reader was too slow for them.
const EventLost = "lost"

// EventTrouble is the kind of an event about what goes wrong and has no kind of its
// own: what the log has as a warning or an error, and datagrams that are dropped.
const EventTrouble = "trouble"

// EventProtection is the kind of an event about the protection of a hop. Its
// text is one of "protection up", "protection lost", "rekeyed", "negotiation
// failed" and "mended", its reason says more.
const EventProtection = "protection"
