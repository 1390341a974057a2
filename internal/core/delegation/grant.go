package delegation

import (
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
)

// The relation of a grant to the delegation that exists for its prefix.

// complete fills in the IAID or DUID that one of grant and delegation lacks and the other
// has. A leasequery's answer has no IAID, and a server's notification beside an encrypted
// Reply has no DUID. The grant is for the old delegation's holder if link, next hop and,
// where known, link-layer address are the same; otherwise it is for another holder. old
// may be nil.
func (g *Grant) complete(old *entry) {
	if old == nil || g.Contested || g.Kind != old.Kind || !g.sameAddress(&old.Binding) || !mayBe(g.LinkLayer, old.LinkLayer) {
		return
	}
	switch {
	case g.Client == old.Client:
	case old.Client.Kind() == binding.ByAddress:
		old.Client, old.NoIAID = g.Client, true
	case g.Client.Kind() == binding.ByAddress:
		g.Client, g.NoIAID = old.Client, true
	default:
		return
	}
	switch {
	case old.NoIAID:
		old.IAID, old.NoIAID = g.IAID, g.NoIAID
	case g.NoIAID:
		g.IAID, g.NoIAID = old.IAID, false
	}
}

// isNew reports whether a grant adds a delegation to those of its client on the link.
func (g Grant) isNew(old *entry) bool {
	return old == nil || old.Link != g.Link || old.Client != g.Client || old.Kind != g.Kind
}

// ends reports whether the server takes the prefix back.
func (g Grant) ends() bool { return g.Lifetime == 0 && g.Preferred == 0 }

// isHolder reports whether a grant is for the holder of the old delegation.
func (g Grant) isHolder(old *entry) bool {
	return old.Link == g.Link && old.Client == g.Client && g.sameIA(&old.Binding)
}

// sameIA reports whether a grant and a delegation are of one IA, as far as is known. Where
// one of them lacks its IAID, complete has filled it in if they are of one IA.
func (g Grant) sameIA(old *binding.Binding) bool { return g.IAID == old.IAID && g.NoIAID == old.NoIAID }

func (g Grant) binding(now instant.Now) binding.Binding {
	b := binding.Binding{
		Link: g.Link, VRF: g.VRF, Prefix: g.Prefix, Kind: g.Kind,
		Client: g.Client, IAID: g.IAID, NoIAID: g.NoIAID, Reconfigures: g.Reconfigures, NextHop: g.NextHop, LinkLayer: g.LinkLayer, Line: g.Line, Exclude: g.Exclude,
		Lifetime: g.Lifetime, Server: g.Server, Source: g.Source,
		Granted: now.Wall, Changed: now.Wall,
	}
	b.Preferred, b.Valid = binding.Lifetimes(now, g.Preferred, g.Lifetime)
	return b
}

// sameAddress reports whether a grant goes to old's next hop, behind whatever
// link-layer address.
func (g Grant) sameAddress(old *binding.Binding) bool {
	return g.Link == old.Link && g.NextHop == old.NextHop
}

// movesFrom reports whether a grant would send traffic for old's prefix
// elsewhere, or let another link-layer address use it.
func (g Grant) movesFrom(old *binding.Binding) bool {
	return !g.sameAddress(old) ||
		g.LinkLayer.IsValid() && old.LinkLayer.IsValid() && g.LinkLayer != old.LinkLayer
}

// takesFrom reports whether a grant would send the traffic for old's prefix to a client
// that is not its holder. Where a delegation has a link-layer address, its holder is told
// by that with link, DUID and IAID, and not by the IPv6 address: a client may have
// several, and ask from any of them.
func (g Grant) takesFrom(old *binding.Binding) bool {
	holder := g.Link == old.Link && g.Client == old.Client && g.sameIA(old) && g.Kind == old.Kind &&
		g.LinkLayer.IsValid() && g.LinkLayer == old.LinkLayer && !g.Contested
	return !holder && g.movesFrom(old)
}

// mayTake reports whether old's holder has given the prefix up, and the grant is for a
// client with another DUID. A client with the holder's DUID may have copied it.
func (g Grant) mayTake(old *binding.Binding) bool {
	return old.Standing.GivenUp && g.Client != old.Client
}

// question is the probe that decides whether old's holder keeps the prefix against a
// grant. An answer is enough where the holder has just named the prefix in a Renew, where
// the new client uses the holder's DUID, and where another host has lately sent a Release
// for the prefix, which the server may have believed. Otherwise the holder must also have
// used the prefix; its traffic is recognised by its link-layer address.
func (g Grant) question(now instant.Now, old *binding.Binding) binding.Question {
	q := binding.Question{NextHop: old.Via()}
	renewed := old.Standing.Renewed != 0 && time.Duration(now.Boot-old.Standing.Renewed) < binding.Claimed
	if g.Client != old.Client && !old.Standing.Doubted && !renewed && old.LinkLayer.IsValid() {
		q.Prefix = old.Prefix
	}
	return q
}

// granted is the holder's standing after a grant or a renewal.
func granted(s binding.Standing) binding.Standing {
	s.GivenUp = false
	return s
}
