package udp

import (
	"sync"
	"time"
)

// fragmentsFor is how long small copies are not skipped once a fragment to
// ff02::1:2 was seen.
const fragmentsFor = 10 * time.Minute

// copies is about what both paths see. The kernel keeps the socket path's copy of
// a small datagram back (smallCopies), which saves a sixth of what a client's
// message costs; but a small one that came in fragments, against all need, is
// none of which the frame path has the original. So when the frame path sees a
// fragment, the socket path gets every copy for a while. The datagram that showed
// it may be lost; clients send again.
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
