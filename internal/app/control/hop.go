package control

import (
	"fairlead/internal/app/api"
	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// HopOf is a hop as it stands now.
func HopOf(s *hop.State) api.Hop {
	return api.Hop{
		Name: s.Hop, Mode: s.Mode, Local: s.Local, Remote: s.Remote,
		Protected: s.Protected, Problem: s.Problem, Algorithms: s.Algorithms, Age: api.Lifetime(s.Age),
		HopFigures: api.HopFigures(s.Figures), DroppedAt: s.DroppedAt,
		LastError: s.LastError, LastErrorAt: s.LastErrorAt, Warnings: append([]string(nil), s.Warnings...),
	}
}

// ProtectionOf is a peer with those of all hops that are its own.
func ProtectionOf(p *trust.Peer, all []hop.State) api.PeerProtection {
	return api.PeerProtection{
		Name: p.Name, Role: p.Role.String(), Protection: p.Protection.String(),
		Protected: Protected(p, all), Hops: HopsOf(p.Name, all),
	}
}

// HopsOf are the hops of one peer among all, none if the peer has none.
func HopsOf(peer string, all []hop.State) []api.Hop {
	var hops []api.Hop
	for i := range all {
		if all[i].Peer == peer {
			hops = append(hops, HopOf(&all[i]))
		}
	}
	return hops
}

// Protected reports whether a peer's messages are protected: every one of its hops
// is. A peer whose hops nobody has looked at yet is not, nor is one that requires no
// protection: its messages are in clear.
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
