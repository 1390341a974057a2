package server6

import (
	"net/netip"

	"fairlead/internal/core/effect"
	"fairlead/internal/wire/dhcp6"
)

// TypeCount is the number of message types that are counted apart; slot 0 is all others.
const TypeCount = int(dhcp6.AddrRegReply) + 1

// Traffic counts what came in, went out and was discarded.
type Traffic struct {
	Received [TypeCount]uint64 // by type of the client's message
	Sent     [TypeCount]uint64 // by type of the answer
	Drops    [effect.DropCount]uint64
}

func typeSlot(t dhcp6.MessageType) int {
	if int(t) < TypeCount {
		return int(t)
	}
	return 0
}

func (s *Server) countReceived(l *link, t dhcp6.MessageType) {
	l.counters.Received[typeSlot(t)]++
	s.sum.Received[typeSlot(t)]++
}

func (s *Server) countSent(l *link, t dhcp6.MessageType) {
	l.counters.Sent[typeSlot(t)]++
	s.sum.Sent[typeSlot(t)]++
}

// countDrop counts n datagrams that were discarded on l; l is nil for those of interfaces that
// are not known.
func (s *Server) countDrop(l *link, d effect.Drop, n uint64) {
	s.sum.Drops[d] += n
	if l == nil {
		s.unknown[d] += n
		return
	}
	l.counters.Drops[d] += n
}

// CountDrop counts n datagrams that the shell discarded on a link.
func (s *Server) CountDrop(index int, d effect.Drop, n uint64) { s.countDrop(s.links.At(index), d, n) }

// CountUnsent takes n datagrams back that the shell could not send to a peer.
func (s *Server) CountUnsent(to netip.Addr, n uint64) { s.peers.CountUnsent(to, n) }

// Sum counts what happened on all links that ever were, and unknown what was discarded of
// interfaces that are not known.
func (s *Server) Sum() (sum Traffic, unknown [effect.DropCount]uint64) { return s.sum, s.unknown }
