package server6

import (
	"net/netip"

	"fairlead/internal/core/effect"
)

// The operator is told when a pool becomes nearly full (nine tenths are taken), and once more when
// it has room again (less than eight tenths are taken). The two bounds differ, so that a pool near
// one of them is not reported again and again while clients come and go.

// weigh finds out whether a pool has crossed one of the bounds, after something of it was taken or
// freed.
func (n *networks) weigh(pl *leasePool) {
	size, taken := pl.Size()-pl.reserved, pl.Taken()-pl.reserved
	if pl.nearlyFull && taken < size-size/5 || !pl.nearlyFull && size > 0 && taken >= size-size/10 {
		pl.nearlyFull = !pl.nearlyFull
		n.crossed = append(n.crossed, pl)
	}
}

// tellPools notes each pool that has become nearly full, or has room again, since the last call.
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

// succeed takes over from the former networks which pools operators have been told of.
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
