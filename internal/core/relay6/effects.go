package relay6

import (
	"net/netip"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// Effects is what the core wants done, and the order is part of the type. After a
// crash at any point the store must not lack what a client was told that it has:
//
//   - What is granted or extended is kept, then installed, then told. A Send waits
//     for the Change that it names; a Send that names none leaves at once.
//   - What ends or is shortened is told, then kept, then taken out. A Change that
//     Follows is kept after the Sends of the same Effects that leave at once. What is
//     told by a Send that waits for a Change comes as another Change, out of the
//     Settle of the first: the shell settles a Change once the Sends of the same
//     Effects that name it have left or were given up.
//   - What ends without a word to its client (it expired, an operator cleared it, it
//     made room for another), or is granted to another at the same time, is kept at
//     once.
//
// Changes are carried out in the order of their IDs, so that of two changes of one
// prefix the later one is in the store. A Reply that both grants and ends is thus two
// changes around one Send.
//
// The shell owns the value and reuses it: Reset, let the core decide on a batch,
// carry it out. Payloads of Sends point into the received datagrams or into the
// Effects; they are good until the next Reset or Receive.
type Effects struct {
	Changes []Change
	Sends   []Send
	Probes  []Probe
	Notes   []Note
	Drops   []Dropped

	// OmitExtensions leaves out the notes of delegations that are extended, by far
	// the most of all: the shell sets it while nobody would hear them.
	OmitExtensions bool

	arena  []byte
	events []delegation.Event
}

// Reset empties the Effects and keeps their memory, and what is to be left out.
func (e *Effects) Reset() {
	clear(e.Changes)
	clear(e.Notes)
	e.Changes, e.Sends, e.Probes, e.Notes, e.Drops = e.Changes[:0], e.Sends[:0], e.Probes[:0], e.Notes[:0], e.Drops[:0]
	e.arena, e.events = e.arena[:0], e.events[:0]
}

// ChangeID numbers the changes, from 1, rising; 0 names none.
type ChangeID uint64

// Change is state to keep and to install. Every datagram that names it waits
// until both are done; if either fails, none of them leaves, but for those that
// need not be kept (Send.Extends).
//
// Host operations are carried out in the order of the changes even where keeping
// failed, so that the kernel follows the table; a change of its own then takes
// away what a grant that was not kept had brought.
type Change struct {
	ID      ChangeID
	Follows bool // it is kept after what leaves at once has left, or was given up
	Keep    []KeepOp
	Host    []hoststate.Op
}

// KeepOp is one record to keep; a nil Value deletes it.
type KeepOp struct{ Key, Value []byte }

// Send is one datagram to send.
type Send struct {
	After   ChangeID
	Extends bool // it only extends what is durable: it may leave although keeping failed

	ToPeer     bool // towards a server or relay: by socket, never as a frame
	Peer       *trust.Peer
	Link       int    // interface index; 0: by route
	VRF        string // that the route is looked up in, where neither Peer nor Link tells
	Source     netip.Addr
	SourcePort uint16
	Dest       netip.AddrPort
	LinkLayer  linkaddr.Addr // known: a frame, else by socket
	HopLimit   uint8         // 0: the kernel's
	Payload    []byte
}

// Probe asks whether a next hop still answers, and, if a prefix is set, whether the
// filter has seen a packet with a source in that and the next hop's link-layer source
// within delegation.Claimed; the shell brings the result to Probed within a second or
// two. Where the filter cannot tell, a next hop that answers counts as one that was
// seen.
type Probe struct {
	delegation.Question
	Index int // of the link; 0: the link is gone, nobody answers
}

// NoteKind is a kind of typed event for log, metrics, audit, watch and hooks.
type NoteKind uint8

// The notes.
const (
	NoteDelegation    NoteKind = iota + 1 // a delegation changed or was refused: Event is set
	NoteRelease                           // a Release did not match the delegation it named
	NoteServerUnicast                     // a server allows unicast, which passes the relay by
	NoteLimit                             // a Request was not forwarded: a limit is met
	NoteLink                              // a link appeared, changed or vanished
	NoteLinkAddress                       // the link-address of a link where clients hold leases changed
	NoteStore                             // what could not be kept or installed: Err is set
	NoteForeign                           // the kernel has another's route, or ours was changed
	NoteTrace                             // one step of a message that is traced
	NoteClock                             // delegations are held until the clock can be trusted
	NotePeer                              // a server fell silent, cannot be reached, answers again, or is chosen
)

var noteNames = [...]string{"", "delegation", "release-mismatch", "server-unicast", "limit", "link", "link-address", "store", "foreign", "trace", "clock", "peer"}

func (k NoteKind) String() string { return noteNames[k] }

// Note is one typed event. Which fields are set depends on the kind.
type Note struct {
	Kind   NoteKind
	Link   string
	Peer   string
	Client string // DUID, its octets
	IAID   uint32
	Type   dhcp6.MessageType
	XID    uint32
	Text   string // constant words: what happened
	Reason string
	Err    error
	Event  delegation.Event
	Lease  *TracedLease // NoteTrace: one of those that the message carries
}

// Drop is why a datagram was discarded. Every reason has a name, and every link
// a counter for it.
type Drop uint8

// The reasons.
const (
	DropEmpty Drop = iota
	DropMalformed
	DropUnknownLink
	DropNotClientLink
	DropBadSource
	DropServerMessage
	DropLeasequery
	DropUntrustedRelay
	DropHopLimit
	DropReplyFromClientLink
	DropUntrustedServer
	DropNoServer
	DropNoRelayMessage
	DropUnknownInterfaceID
	DropNoLink
	DropBadPeerAddress
	DropTooBig
	DropLimit
	DropProbing
	DropNotKept
	DropNotInstalled
	DropMuted
	DropRefusedFingerprint
	DropSendFailed
	DropRateLink
	DropRateSource
	DropRateNewcomers
	DropQueueFull
	DropUnprotected
	DropAmbiguousInterfaceID
	DropNoLinkLocal
	drops
)

var dropNames = [drops]string{
	"empty", "malformed", "unknown-link", "not-client-link", "bad-source", "server-message", "leasequery", "untrusted-relay", "hop-limit",
	"reply-from-client-link", "untrusted-server", "no-server", "no-relay-message", "unknown-interface-id", "no-link", "bad-peer-address", "too-big",
	"limit", "probing", "not-kept", "not-installed", "muted", "refused-fingerprint", "send-failed",
	"rate-link", "rate-source", "rate-newcomers", "queue-full", "unprotected", "ambiguous-interface-id", "no-link-local",
}

func (d Drop) String() string { return dropNames[d] }

// DropCount is the number of reasons.
const DropCount = int(drops)

// Dropped is one discarded datagram.
type Dropped struct {
	Reason Drop
	Link   string
	Source netip.Addr
}

// Mark is a place in Effects to go back to.
type Mark struct{ changes, sends, probes, notes, drops int }

// Mark remembers what there is now.
func (e *Effects) Mark() Mark {
	return Mark{len(e.Changes), len(e.Sends), len(e.Probes), len(e.Notes), len(e.Drops)}
}

// Rewind takes away what came after the mark: what a packet wanted whose
// deciding did not end well.
func (e *Effects) Rewind(m Mark) {
	e.Changes, e.Sends, e.Probes, e.Notes, e.Drops = e.Changes[:m.changes], e.Sends[:m.sends], e.Probes[:m.probes], e.Notes[:m.notes], e.Drops[:m.drops]
}
