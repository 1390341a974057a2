package delegation

import (
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
)

// What a grant is to the delegation that its prefix has already.

// complete fills in what a grant tells and what is held does not, and the reverse.
// Leasequery tells no IAID, and what a server tells a relay beside an encrypted Reply
// has no DUID either. Both are of one delegation if they are of one link and next hop,
// and of one link-layer address where that is known. Any other grant is one to another
// holder. old may be nil.
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

// isNew reports whether a grant adds to what its client holds on its link.
func (g Grant) isNew(old *entry) bool {
	return old == nil || old.Link != g.Link || old.Client != g.Client || old.Kind != g.Kind
}

// ends reports whether the server takes the prefix back.
func (g Grant) ends() bool { return g.Lifetime == 0 && g.Preferred == 0 }

// isHolder reports whether a grant names what its client holds on its link.
func (g Grant) isHolder(old *entry) bool {
	return old.Link == g.Link && old.Client == g.Client && g.sameIA(&old.Binding)
}

// sameIA reports whether a grant and a delegation are of one IA, as far as is known. An
// IAID that one of them does not know is filled in by complete, or is another's.
func (g Grant) sameIA(old *binding.Binding) bool { return g.IAID == old.IAID && g.NoIAID == old.NoIAID }

func (g Grant) binding(now instant.Now) binding.Binding {
	b := binding.Binding{
		Link: g.Link, VRF: g.VRF, Prefix: g.Prefix, Kind: g.Kind,
		Client: g.Client, IAID: g.IAID, NoIAID: g.NoIAID, NextHop: g.NextHop, LinkLayer: g.LinkLayer, Line: g.Line, Exclude: g.Exclude,
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

// takesFrom reports whether a grant would send traffic for old's prefix to another
// than its holder. The holder of a delegation that has a link-layer address is who
// shows that one with link, DUID and IAID, from whatever IPv6 address: a client may
// have several, and ask from any of them.
func (g Grant) takesFrom(old *binding.Binding) bool {
	holder := g.Link == old.Link && g.Client == old.Client && g.sameIA(old) && g.Kind == old.Kind &&
		g.LinkLayer.IsValid() && g.LinkLayer == old.LinkLayer && !g.Contested
	return !holder && g.movesFrom(old)
}

// mayTake reports whether old's holder has given the prefix up to whom a grant is
// for: another client. One with the holder's own DUID may have copied it.
func (g Grant) mayTake(old *binding.Binding) bool {
	return old.Standing.GivenUp && g.Client != old.Client
}

// question is what decides whether old's holder keeps the prefix against a grant.
// That it answers is enough where it has just named the prefix in a Renew, where who
// asks uses its DUID, and where somebody else has lately sent a Release for the
// prefix: the server may have believed that. Otherwise it must use the prefix as
// well. What it sends is told by its link-layer address.
func (g Grant) question(now instant.Now, old *binding.Binding) binding.Question {
	q := binding.Question{NextHop: old.Via()}
	renewed := old.Standing.Renewed != 0 && time.Duration(now.Boot-old.Standing.Renewed) < binding.Claimed
	if g.Client != old.Client && !old.Standing.Doubted && !renewed && old.LinkLayer.IsValid() {
		q.Prefix = old.Prefix
	}
	return q
}

// granted is the standing after a grant or renewal to the holder.
func granted(s binding.Standing) binding.Standing {
	s.GivenUp = false
	return s
}
