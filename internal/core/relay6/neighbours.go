package relay6

import (
	"encoding/binary"
	"net/netip"

	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

// neighbours remembers the link-layer address that each client's messages came
// from, so that answers need no neighbour table. It is bounded: of addresses that
// were not heard for long the oldest go, half of all at a time, so that made-up
// ones never take the place of one that has just asked. An address that was
// crowded out costs its client an answer by socket.
type neighbours struct{ young, old map[neighbour]claim }

// neighbour is an address on a link, without a pointer for the garbage collector:
// there may be very many.
type neighbour struct {
	high, low uint64
	link      int
}

func neighbourOf(link int, a netip.Addr) neighbour {
	b := a.As16()
	return neighbour{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), link}
}

// claim is who says that an address is theirs. Anybody can write it into a
// message as the source, so one that two hosts use belongs to neither for a time.
type claim struct {
	by    linkaddr.Addr   // the last
	other instant.Instant // when the last took over from another; 0: never
}

const (
	maxNeighbours = 1 << 16 // of both generations
	// While two hosts use an address in turns, which of them is meant is for the
	// kernel's neighbour discovery to find out.
	inTurns = 30e9 // nanoseconds
	// How long it takes until the last is believed to be the only one: longer than
	// most clients are silent.
	settled = 24 * 3600e9
)

func newNeighbours() neighbours { return neighbours{young: make(map[neighbour]claim)} }

func (n *neighbours) find(k neighbour) (c claim, ok bool) {
	if c, ok = n.young[k]; !ok {
		c, ok = n.old[k]
	}
	return c, ok
}

func (n *neighbours) learn(now instant.Instant, link int, a netip.Addr, l linkaddr.Addr) {
	if !l.IsValid() {
		return
	}
	k := neighbourOf(link, a)
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
		n.young, n.old = make(map[neighbour]claim), n.young
	}
	c.by = l
	n.young[k] = c
}

// lookup is the link-layer address that an answer may be sent to; invalid: by
// socket.
func (n *neighbours) lookup(now instant.Instant, link int, a netip.Addr) linkaddr.Addr {
	c, _ := n.find(neighbourOf(link, a))
	if c.since(now, inTurns) {
		return linkaddr.Addr{}
	}
	return c.by
}

// claimed is the link-layer address that an address was last used from, and
// whether another has used it lately.
func (n *neighbours) claimed(now instant.Instant, link int, a netip.Addr) (by linkaddr.Addr, contested bool) {
	c, _ := n.find(neighbourOf(link, a))
	return c.by, c.since(now, settled)
}

// since reports whether the last took over from another so short a time ago.
func (c claim) since(now, span instant.Instant) bool { return c.other != 0 && now-c.other < span }
