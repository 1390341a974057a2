package relay6

import (
	"net/netip"

	"fairlead/internal/core/effect"
)

// Traffic counts the messages that came from below, those that went down, and drops.
type Traffic struct {
	Received  [TypeCount]uint64 // by message type, from clients and relays below
	Delivered [TypeCount]uint64 // by message type, to clients and relays below
	Drops     [effect.DropCount]uint64
}

// LinkCounters are the counters of one link.
type LinkCounters struct {
	Traffic
	LinkCounts
}

// LinkCounts are the counters of a link that are one number each. Operators read them as
// api.LinkCounts, which has the same fields: the program does not compile until a new field
// is in both.
type LinkCounts struct {
	Refused uint64 // grants that were not learned

	// SensitiveOmitted counts Relay-forwards that went without options which only
	// a protected hop may carry (RFC 8213 section 3).
	SensitiveOmitted uint64

	// AssignmentsRefused counts Relay-replies whose word of what the server has assigned
	// was not believed: the server is not protected, or is not to tell it.
	AssignmentsRefused uint64
}

// TypeCount is the number of message types that are counted apart; slot 0 is
// all others.
const TypeCount = 38

func typeSlot(b byte) int {
	if b < TypeCount {
		return int(b)
	}
	return 0
}

// countReceived counts a message of type t that came from below on l.
func (r *Relay) countReceived(l *link, t byte) {
	l.counters.Received[typeSlot(t)]++
	r.sum.Received[typeSlot(t)]++
}

// countDelivered counts a message of type t that goes down on l.
func (r *Relay) countDelivered(l *link, t byte) {
	l.counters.Delivered[typeSlot(t)]++
	r.sum.Delivered[typeSlot(t)]++
}

// CountUnsent takes n datagrams back that the shell could not send to a peer.
func (r *Relay) CountUnsent(to netip.Addr, n uint64) {
	r.peers.CountUnsent(to, n)
}

// countDrop counts n datagrams that were discarded on l; l is nil for those of
// interfaces that are not known.
func (r *Relay) countDrop(l *link, d effect.Drop, n uint64) {
	r.sum.Drops[d] += n
	if l == nil {
		r.unknown[d] += n
		return
	}
	l.counters.Drops[d] += n
}
