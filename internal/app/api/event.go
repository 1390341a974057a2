package api

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Event is one thing that happened. The kind decides which fields are set.
type Event struct {
	Time time.Time `json:"time"`
	// Kind is an effect.NoteKind's word ("delegation", "limit", "link", "store",
	// "foreign", "trace", "clock", ...), EventProtection, EventTrouble, or EventLost.
	Kind   string     `json:"kind"`
	Text   string     `json:"text,omitempty"` // what happened: "granted", "link vanished"
	Link   string     `json:"link,omitempty"`
	Peer   string     `json:"peer,omitempty"`
	Hop    string     `json:"hop,omitempty"` // EventProtection: the name of the hop
	Client Identifier `json:"client,omitempty"`
	IAID   uint32     `json:"iaid,omitempty"`
	Type   string     `json:"type,omitempty"` // message type
	XID    XID        `json:"xid,omitempty"`
	Reason string     `json:"reason,omitempty"`
	Detail string     `json:"detail,omitempty"` // what is in the way of a refused grant, "covers 2001:db8::/64 of up0"
	Error  string     `json:"error,omitempty"`

	Delegation *Delegation `json:"delegation,omitempty"` // present state, or what was refused or ended
	Previous   *Delegation `json:"previous,omitempty"`   // state before it was extended or moved

	Carries *Carried `json:"carries,omitempty"` // a step of a trace: one thing that the message carries

	Pool *Server6Pool `json:"pool,omitempty"` // kind "pool": the pool that is nearly full, or has room again

	Lost uint64 `json:"lost,omitempty"` // EventLost: how many events are missing here
}

// XID is a transaction-id, of 24 bits in DHCPv6 (RFC 8415 section 8) and of 32 bits in DHCPv4
// (RFC 2131 section 2). Its text is the same everywhere, "0x00ab12", and is that of tshark.
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

// Carried is a prefix, an address or a status in a message. Without a prefix it is about the
// whole IA, and without an IA about the whole message.
type Carried struct {
	IA        string       `json:"ia,omitempty"`  // "IA_PD" or "IA_NA"
	IAID      IAID         `json:"iaid,omitzero"` // absent without an IA
	Prefix    netip.Prefix `json:"prefix,omitzero"`
	Preferred Lifetime     `json:"preferred"`
	Valid     Lifetime     `json:"valid"`
	Status    string       `json:"status,omitempty"` // such as "NoBinding"; empty: the message has no status
}

// EventLost is the kind of an event in the place of other events that are missing, because the
// reader was too slow.
const EventLost = "lost"

// EventTrouble is the kind of an event that tells of something wrong and has no kind of its own:
// what the log has as a warning or an error, and datagrams that are dropped.
const EventTrouble = "trouble"

// EventProtection is the kind of an event about the protection of a hop. Its text is one of
// "protection up", "protection lost", "rekeyed", "negotiation failed" and "mended". Its reason
// says more.
const EventProtection = "protection"

// Prefix is the prefix that the event is about; invalid if it is about none.
func (e *Event) Prefix() netip.Prefix {
	if e.Delegation == nil {
		return netip.Prefix{}
	}
	return e.Delegation.Prefix
}
