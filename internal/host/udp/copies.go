package udp

import "time"

// fragmentsFor is how long small copies are not skipped after a fragment to the group was seen.
const fragmentsFor = 10 * time.Minute

// copies is about datagrams that come by both paths. The kernel does not give the socket path its
// copy of a small datagram (groupFilter). That saves a sixth of the cost of a client's message,
// and loses nothing, because the frame path has the datagram. There is one exception: a small
// datagram that came in fragments, although it need not have, comes only by the socket path. So
// once the frame path has seen a fragment, the socket path gets every copy for some time. The
// first such datagram may be lost; clients send again. Conn.filters guards all fields.
type copies struct {
	timer *time.Timer
	seen  bool // the timer is running
	over  bool // closed
}

// hearFragments is called when a fragment to the group was seen. The caller holds c.mu for
// reading.
func (c *Conn) hearFragments() {
	c.filters.Lock()
	defer c.filters.Unlock()
	if c.copies.seen || c.copies.over {
		return
	}
	c.copies.seen = true
	c.filterGroups()
	c.copies.timer = time.AfterFunc(fragmentsFor, c.forgetFragments)
}

func (c *Conn) forgetFragments() {
	c.mu.RLock()
	defer c.mu.RUnlock()
	c.filters.Lock()
	defer c.filters.Unlock()
	if c.copies.seen = false; !c.copies.over {
		c.filterGroups()
	}
}

// filterGroups tells the kernel whether to skip small copies.
func (c *Conn) filterGroups() {
	for _, s := range c.byFD {
		if s.multicast {
			c.filter(s)
		}
	}
}

// close stops the timer. The caller holds Conn.filters.
func (m *copies) close() {
	m.over = true
	if m.timer != nil {
		m.timer.Stop()
	}
}
