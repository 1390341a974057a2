package control

import (
	"log/slog"
	"net"
	"time"
)

// SetBounds shortens the times that a server gives.
func (s *Server) SetBounds(request, answer, write, beat time.Duration) {
	s.bounds.request, s.bounds.answer, s.bounds.write, s.bounds.beat = request, answer, write, beat
}

// NewBounded is the listener that counts connections.
func NewBounded(l net.Listener, log *slog.Logger) net.Listener { return newBounded(l, log) }

// TCPAddr is where the server listens for certificates.
func (s *Server) TCPAddr() net.Addr { return s.tcp.Addr() }

// The bounds, for tests that exceed them by one.
const (
	MaxBody     = maxBody
	MaxPerOwner = maxPerOwner
	MaxReaders  = maxReaders
	FeedQueue   = feedQueue
)
