package udp

import (
	"sync"
	"time"
)

// fragmentsFor is how long small copies are not skipped once a fragment to
// ff02::1:2 was seen.
const fragmentsFor = 10 * time.Minute

// copies is about datagrams that come by both paths. The kernel keeps back the copy of a
// small datagram that is for the socket path (smallCopies). This saves a sixth of what a
// client's message costs, and loses nothing, since the frame path has the datagram. There
// is one exception: a small datagram that came in fragments, although it need not, comes
// by the socket path alone. So once the frame path has seen a fragment, the socket path
// gets every copy for a while. The first such datagram may be lost; clients send again.
type copies struct {
	mu    sync.Mutex // guards all following fields
	timer *time.Timer
	seen  bool // the timer runs
	over  bool // closed
}

// hearFragments is called where a fragment to ff02::1:2 was seen. The caller
// holds c.mu for reading.
func (c *Conn) hearFragments() {
	c.copies.mu.Lock()
	defer c.copies.mu.Unlock()
	if c.copies.seen || c.copies.over {
		return
	}
	c.copies.seen = true
	c.skipCopies(false)
	c.copies.timer = time.AfterFunc(fragmentsFor, c.forgetFragments)
}

func (c *Conn) forgetFragments() {
	c.mu.RLock()
	defer c.mu.RUnlock()
	c.copies.mu.Lock()
	defer c.copies.mu.Unlock()
	if c.copies.seen = false; !c.copies.over {
		c.skipCopies(true)
	}
}

// skipCopies tells the kernel what becomes of small copies.
func (c *Conn) skipCopies(skip bool) {
	for _, s := range c.byFD {
		if !s.skipsCopies() {
			continue
		}
		if err := s.skipCopies(skip); err != nil {
			c.options.Logger.Warn("filter of a socket not changed", "socket", s.at.String(), "reason", err.Error())
		}
	}
}

func (m *copies) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
	if m.timer != nil {
		m.timer.Stop()
	}
}
