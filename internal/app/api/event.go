package api

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Event is one thing that happened. Which fields are set depends on the kind.
type Event struct {
	Time time.Time `json:"time"`
	// Kind is an effect.NoteKind's word ("delegation", "limit", "link", "store",
	// "foreign", "trace", "clock", ...), EventProtection, EventTrouble, or EventLost.
	Kind   string     `json:"kind"`
	Text   string     `json:"text,omitempty"` // what happened: "granted", "link vanished"
	Link   string     `json:"link,omitempty"`
	Peer   string     `json:"peer,omitempty"`
	Hop    string     `json:"hop,omitempty"` // EventProtection: of the peer's, by name
	Client Identifier `json:"client,omitempty"`
	IAID   uint32     `json:"iaid,omitempty"`
	Type   string     `json:"type,omitempty"` // message type
	XID    XID        `json:"xid,omitempty"`
	Reason string     `json:"reason,omitempty"`
	Detail string     `json:"detail,omitempty"` // of a refused grant: what is in its way, "covers 2001:db8::/64 of up0"
	Error  string     `json:"error,omitempty"`

	Delegation *Delegation `json:"delegation,omitempty"` // what is, or what was refused or ended
	Previous   *Delegation `json:"previous,omitempty"`   // what was before it was extended or moved

	Carries *Carried `json:"carries,omitempty"` // a step of a trace: one thing that the message carries

	Lost uint64 `json:"lost,omitempty"` // EventLost: how many events are missing here
}

// XID is a transaction-id, of 24 bits in DHCPv6 (RFC 8415 section 8) and of 32 in DHCPv4
// (RFC 2131 section 2). It is written in one form everywhere,
// "0x00ab12", which is tshark's as well.
type XID uint32

func (x XID) String() string { return fmt.Sprintf("0x%06x", uint32(x)) }

// MarshalText is String.
func (x XID) MarshalText() ([]byte, error) { return []byte(x.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (x *XID) UnmarshalText(b []byte) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(string(b), "0x"), 16, 32)
	*x = XID(n)
	return err
}

// Carried is a prefix, an address or a status in a message. Without a prefix it is of
// the whole IA, and without an IA of the whole message.
type Carried struct {
	IA        string       `json:"ia,omitempty"`  // "IA_PD" or "IA_NA"
	IAID      IAID         `json:"iaid,omitzero"` // absent without an IA
	Prefix    netip.Prefix `json:"prefix,omitzero"`
	Preferred Lifetime     `json:"preferred"`
	Valid     Lifetime     `json:"valid"`
	Status    string       `json:"status,omitempty"` // "NoBinding"; none if there was none
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

// Prefix is what the event is about; invalid if it is about none.
func (e *Event) Prefix() netip.Prefix {
	if e.Delegation == nil {
		return netip.Prefix{}
	}
	return e.Delegation.Prefix
}
