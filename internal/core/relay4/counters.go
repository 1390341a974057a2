package relay4

import (
	"net/netip"

	"fairlead/internal/core/effect"
	"fairlead/internal/wire/dhcp4"
)

// Traffic counts what came from below, went down and was discarded.
type Traffic struct {
	Received  [TypeCount]uint64 // by message type, from clients and relays below
	Delivered [TypeCount]uint64 // by message type, to clients
	Drops     [effect.DropCount]uint64
}

// LinkCounters count what happened on one link.
type LinkCounters struct {
	Traffic
	LinkCounts
}

// LinkCounts are those of the counters of a link that are one number.
type LinkCounts struct {
	// AgentInformationOmitted counts messages that went to a server without option 82
	// because there was no room for it (RFC 3046 section 2.1), SensitiveOmitted those that went
	// without sub-options which only a protected hop may carry (RFC 8213 section 3).
	AgentInformationOmitted, SensitiveOmitted uint64
	// NotEchoed counts replies without the option that we had added.
	NotEchoed uint64
	// VSSIgnored counts replies that were dropped because the server did not heed the VPN
	// that it was told, or told us one (RFC 6607 sections 5 and 5.1).
	VSSIgnored uint64
}

// TypeCount is the number of message types that are counted apart; slot 0 is BOOTP, and
// all others.
const TypeCount = int(dhcp4.TLS) + 1

func typeSlot(t dhcp4.MessageType) int {
	if int(t) < TypeCount {
		return int(t)
	}
	return 0
}

func (r *Relay) countReceived(l *link, t dhcp4.MessageType) {
	l.counters.Received[typeSlot(t)]++
	r.sum.Received[typeSlot(t)]++
}

func (r *Relay) countDelivered(l *link, t dhcp4.MessageType) {
	l.counters.Delivered[typeSlot(t)]++
	r.sum.Delivered[typeSlot(t)]++
}

// count counts something that happened on a link.
func (r *Relay) count(l *link, one func(*LinkCounts)) {
	one(&l.counters.LinkCounts)
	one(&r.sum.LinkCounts)
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

// CountDrop counts n datagrams that the shell discarded on a link.
func (r *Relay) CountDrop(index int, d effect.Drop, n uint64) { r.countDrop(r.links.At(index), d, n) }

// CountUnsent takes n datagrams back that the shell could not send to a peer.
func (r *Relay) CountUnsent(to netip.Addr, n uint64) { r.peers.CountUnsent(to, n) }

// Sum counts what happened on all links that ever were, and unknown what was discarded of
// interfaces that are not known.
func (r *Relay) Sum() (sum LinkCounters, unknown [effect.DropCount]uint64) { return r.sum, r.unknown }
