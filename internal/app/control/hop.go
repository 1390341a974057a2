package control

import (
	"fairlead/internal/app/api"
	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// HopOf makes the present state of a hop.
func HopOf(s *hop.State) api.Hop {
	return api.Hop{
		Name: s.Hop, Mode: s.Mode, Local: s.Local, Remote: s.Remote,
		Protected: s.Protected, Problem: s.Problem, Algorithms: s.Algorithms, Age: api.Lifetime(s.Age),
		HopFigures: api.HopFigures(s.Figures), DroppedAt: s.DroppedAt,
		LastError: s.LastError, LastErrorAt: s.LastErrorAt, Warnings: append([]string(nil), s.Warnings...),
	}
}

// ProtectionOf makes a peer's protection, from those of all hops that are its own.
func ProtectionOf(p *trust.Peer, all []hop.State) api.PeerProtection {
	return api.PeerProtection{
		Name: p.Name, Role: p.Role.String(), Protection: p.Protection.String(),
		Protected: Protected(p, all), Hops: HopsOf(p.Name, all),
	}
}

// HopsOf are those of all hops that belong to one peer; none if the peer has none.
func HopsOf(peer string, all []hop.State) []api.Hop {
	var hops []api.Hop
	for i := range all {
		if all[i].Peer == peer {
			hops = append(hops, HopOf(&all[i]))
		}
	}
	return hops
}

// Protected reports whether every hop of a peer is protected. A peer whose hops nobody has looked
// at yet is not protected. A peer that requires no protection is not either: its messages are in
// clear.
func Protected(p *trust.Peer, all []hop.State) bool {
	if p.Protection == trust.ProtectionNone {
		return false
	}
	found := false
	for i := range all {
		if all[i].Peer != p.Name {
			continue
		}
		if !all[i].Protected {
			return false
		}
		found = true
	}
	return found
}
