package udp

import "time"

// fragmentsFor is how long small copies are not skipped once a fragment to
// the group was seen.
const fragmentsFor = 10 * time.Minute

// copies is about datagrams that come by both paths. The kernel keeps back the copy of a
// small datagram that is for the socket path (groupFilter). This saves a sixth of what a
// client's message costs, and loses nothing, since the frame path has the datagram. There
// is one exception: a small datagram that came in fragments, although it need not, comes
// by the socket path alone. So once the frame path has seen a fragment, the socket path
// gets every copy for a while. The first such datagram may be lost; clients send again.
// Conn.filters guards all fields.
type copies struct {
	timer *time.Timer
	seen  bool // the timer runs
	over  bool // closed
}

// hearFragments is called where a fragment to the group was seen. The caller
// holds c.mu for reading.
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

// filterGroups tells the kernel what becomes of small copies.
func (c *Conn) filterGroups() {
	for _, s := range c.byFD {
		if s.multicast {
			c.filter(s)
		}
	}
}

// close ends the timer. The caller holds Conn.filters.
func (m *copies) close() {
	m.over = true
	if m.timer != nil {
		m.timer.Stop()
	}
}
