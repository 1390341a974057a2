// Package effect has the effects that a core may ask for: state to keep and to install,
// datagrams to send, probes, notes and drops. The shell carries them out in an order that
// is part of the types. All cores use these types, so that one shell serves all of them.
package effect

import (
	"net/netip"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/trust"
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
//   - A binding that ends without a message to its client (it expired, an operator
//     cleared it, it made room for another), or that is granted to another client at
//     the same time, is kept at once.
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

	// OmitExtensions leaves out the notes of extended delegations, which are by far the most
	// frequent. The shell sets it while there is no reader for them.
	OmitExtensions bool

	// Arena is memory for payloads of Sends, which the core appends to.
	Arena []byte
}

// Reset empties the Effects and keeps their memory, and what is to be left out.
func (e *Effects) Reset() {
	clear(e.Changes)
	clear(e.Notes)
	e.Changes, e.Sends, e.Probes, e.Notes, e.Drops = e.Changes[:0], e.Sends[:0], e.Probes[:0], e.Notes[:0], e.Drops[:0]
	e.Arena = e.Arena[:0]
}

// ChangeID numbers the changes, from 1, rising; 0 names none.
type ChangeID uint64

// Change is state to keep and to install. Every datagram that names it waits until both
// are done; if either fails, none of them leaves, except where keeping failed and
// Send.Extends is set.
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
type KeepOp struct {
	Key, Value []byte

	// Expect is what the record must be before, where others write into the store
	// too: Absent, or its value. Where it is not, nothing of the Change is kept, and
	// its Outcome is ErrTaken. nil: whatever it is.
	Expect []byte
}

// Absent is the expectation of a KeepOp that there is no record yet.
var Absent = []byte{}

// Send is one datagram to send.
type Send struct {
	After   ChangeID
	Extends bool // it only extends a durable binding: it may leave although keeping failed

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
// within binding.Claimed; the shell brings the result to Probed within a second or
// two. Where the filter cannot tell, a next hop that answers counts as one that was
// seen.
type Probe struct {
	binding.Question
	Index int // of the link; 0: the link is gone, nobody answers
}

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

// Rewind takes away the effects after the mark, where the decision on a packet panicked.
func (e *Effects) Rewind(m Mark) {
	e.Changes, e.Sends, e.Probes, e.Notes, e.Drops = e.Changes[:m.changes], e.Sends[:m.sends], e.Probes[:m.probes], e.Notes[:m.notes], e.Drops[:m.drops]
}

// Drop notes a datagram that is discarded.
func (e *Effects) Drop(d Dropped) { e.Drops = append(e.Drops, d) }

// Note tells of an event.
func (e *Effects) Note(n Note) { e.Notes = append(e.Notes, n) }

// NoteEvent is Note for what happened to a delegation, which comes often.
func (e *Effects) NoteEvent(ev *binding.Event, subject *binding.Binding) {
	if e.OmitExtensions && ev.Kind == binding.Extended {
		return
	}
	e.Notes = append(e.Notes, Note{})
	n := &e.Notes[len(e.Notes)-1]
	n.Kind, n.Text, n.Reason = NoteDelegation, ev.Kind.String(), ev.Reason.String()
	n.Link, n.Client, n.IAID, n.Event = subject.Link, subject.Client, subject.IAID, *ev
}
