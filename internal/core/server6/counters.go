package server6

import (
	"net/netip"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/traffic"
)

// counts are the counters of the link. Without a link (l is nil) there are none, and they are nil.
func (l *link) counts() *traffic.Counts {
	if l == nil {
		return nil
	}
	return &l.counters
}

// CountDrop counts n datagrams that the engine discarded on the link of an index.
func (s *Server) CountDrop(index int, d effect.Drop, n uint64) {
	s.traffic.Drop(s.links.At(index).counts(), d, n)
}

// CountUnsent takes n datagrams out of the count of a peer, since they could not be sent to it.
func (s *Server) CountUnsent(to netip.Addr, n uint64) { s.peers.CountUnsent(to, n) }

// Traffic counts the messages and drops of all links, with those that are gone.
func (s *Server) Traffic() *traffic.Sum { return &s.traffic }
