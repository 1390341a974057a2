package server6

import (
	"net/netip"

	"fairlead/internal/core/effect"
)

// An operator is told when a pool becomes nearly full, so that there is time to do something, and
// once more when it has room again. Between the two lies a tenth of the pool, so that clients that
// come and go do not make the same thing be told again and again.

// weigh looks at a pool of which something was taken or freed.
func (n *networks) weigh(pl *leasePool) {
	size, taken := pl.Size()-pl.reserved, pl.Taken()-pl.reserved
	if pl.nearlyFull && taken < size-size/5 || !pl.nearlyFull && size > 0 && taken >= size-size/10 {
		pl.nearlyFull = !pl.nearlyFull
		n.crossed = append(n.crossed, pl)
	}
}

// tellPools tells of pools that have become nearly full or have room again.
func (s *Server) tellPools(eff *effect.Effects) {
	for _, pl := range s.networks.crossed {
		if pl.nearlyFull == pl.told {
			continue
		}
		pl.told = pl.nearlyFull
		text := "pool has room again"
		if pl.nearlyFull {
			text = "pool is nearly full"
		}
		v := pl.view()
		eff.Note(effect.Note{Kind: effect.NotePool, Text: text, Pool: &v})
	}
	s.networks.crossed = s.networks.crossed[:0]
}

// succeed takes over from the networks before what operators have been told.
func (n *networks) succeed(old *networks) {
	type span struct {
		first, last netip.Addr
		prefix      netip.Prefix
	}
	spanOf := func(pl *leasePool) span { return span{pl.first, pl.last, pl.prefix} }
	told := make(map[span]bool)
	for pl := range old.pools {
		told[spanOf(pl)] = pl.told
	}
	for pl := range n.pools {
		if told[spanOf(pl)] {
			pl.told = true
			n.crossed = append(n.crossed, pl)
		}
	}
}
