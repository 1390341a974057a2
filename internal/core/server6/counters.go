package server6

import (
	"net/netip"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/traffic"
)

// counts are the counters of the link; nil for no link.
func (l *link) counts() *traffic.Counts {
	if l == nil {
		return nil
	}
	return &l.counters
}

// CountDrop counts n datagrams that the shell discarded on a link.
func (s *Server) CountDrop(index int, d effect.Drop, n uint64) {
	s.traffic.Drop(s.links.At(index).counts(), d, n)
}

// CountUnsent takes n datagrams back that the shell could not send to a peer.
func (s *Server) CountUnsent(to netip.Addr, n uint64) { s.peers.CountUnsent(to, n) }

// Traffic is what has passed on all links that ever were.
func (s *Server) Traffic() *traffic.Sum { return &s.traffic }
