package links

import (
	"encoding/binary"
	"net/netip"

	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

// Neighbours remembers the link-layer address that each client's messages came from, so
// that answers need no neighbour table. It is bounded: the addresses that were not heard
// for longest are forgotten, half of all at a time, so that invented addresses never
// displace a client that has just asked. The answer to a client whose address was
// forgotten goes by socket.
type Neighbours struct{ young, old map[Neighbour]use }

// Neighbour is an address on a link, without a pointer for the garbage collector:
// there may be very many.
type Neighbour struct {
	high, low uint64
	link      int
}

// NeighbourOf is an address on the link of an index.
func NeighbourOf(link int, a netip.Addr) Neighbour {
	b := a.As16()
	return Neighbour{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), link}
}

// Hash spreads neighbours over numbers. Whoever chooses addresses can choose two with the
// same number.
func (k Neighbour) Hash() uint64 {
	const odd = 0x9e3779b97f4a7c15
	h := (k.high ^ uint64(k.link)<<24) * odd
	h = (h ^ h>>32 ^ k.low) * odd
	return h ^ h>>32
}

// use has the hosts that have used an address lately. Any host can send with any source
// address, so an address that two hosts use proves nothing for either of them for a time.
type use struct {
	by    linkaddr.Addr   // the last
	other instant.Instant // when the last took over from another; 0: never
}

const (
	maxNeighbours = 1 << 16 // of both generations
	// For how long after two hosts have both used an address the kernel's neighbour discovery
	// decides which of them gets an answer.
	disputeFor = 30e9 // nanoseconds
	// For how long the last host must have been the only one before the address is its own
	// again: longer than most clients are silent.
	quiet = 24 * 3600e9
)

// NewNeighbours is empty.
func NewNeighbours() Neighbours { return Neighbours{young: make(map[Neighbour]use)} }

// Len is how many addresses are remembered.
func (n *Neighbours) Len() int { return len(n.young) + len(n.old) }

func (n *Neighbours) find(k Neighbour) (c use, ok bool) {
	if c, ok = n.young[k]; !ok {
		c, ok = n.old[k]
	}
	return c, ok
}

// Learn takes note that an address was used from a link-layer address, if that is known.
func (n *Neighbours) Learn(now instant.Instant, link int, a netip.Addr, l linkaddr.Addr) {
	if !l.IsValid() {
		return
	}
	k := NeighbourOf(link, a)
	c, ok := n.young[k]
	if ok && c.by == l {
		return
	}
	if !ok {
		c, ok = n.old[k]
	}
	if ok && c.by != l {
		c.other = now
	}
	if len(n.young) >= maxNeighbours/2 {
		n.young, n.old = make(map[Neighbour]use), n.young
	}
	c.by = l
	n.young[k] = c
}

// Lookup is the link-layer address for an answer; invalid where the answer goes by socket.
func (n *Neighbours) Lookup(now instant.Instant, link int, a netip.Addr) linkaddr.Addr {
	c, _ := n.find(NeighbourOf(link, a))
	if c.since(now, disputeFor) {
		return linkaddr.Addr{}
	}
	return c.by
}

// LastUsedBy is the link-layer address that an address was last used from, and
// whether another has used it lately.
func (n *Neighbours) LastUsedBy(now instant.Instant, link int, a netip.Addr) (by linkaddr.Addr, contested bool) {
	c, _ := n.find(NeighbourOf(link, a))
	return c.by, c.since(now, quiet)
}

// since reports whether the last host took over from another one less than d ago.
func (c use) since(now, span instant.Instant) bool { return c.other != 0 && now-c.other < span }
