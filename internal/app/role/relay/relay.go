package relay

import (
	"fairlead/internal/app/engine"
	"fairlead/internal/app/network"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/netlink"
	"fairlead/internal/wire/dhcp6"
)

// relay is the role that the engine plays: it connects the relay's core with the network, the
// operators and the rest of the process.
type relay struct {
	network.Side[*relay6.Relay]

	routed func(tables map[int]uint32, anew bool) // sets the links that Routed tells of; anew: the core has forgotten some of it

	fell bool // a link went down or away, and the core has forgotten which routes lead there
}

var _ engine.Role[*relay6.Relay] = (*relay)(nil)

// LinkChanged brings a link event to the network and to the core.
func (r *relay) LinkChanged(core *relay6.Relay, e netlink.Event, eff *effect.Effects) {
	r.fell = r.fell || e.Removed != "" || e.Link != nil && !e.Link.Up
	r.Side.LinkChanged(core, e, eff)
}

// LinksChanged opens and closes sockets, and has the routes to links looked at.
func (r *relay) LinksChanged(core *relay6.Relay) {
	r.Side.LinksChanged(core)
	r.routed(r.routedTables(core), r.fell)
	r.fell = false
}

// Suspect is the link-address of a Relay-reply, which names the client link that it is for. If
// one client causes such answers of a server, the uplink must not be muted for all others.
func (r *relay) Suspect(payload []byte) (of [16]byte) {
	if len(payload) >= 18 && dhcp6.MessageType(payload[0]) == dhcp6.RelayReply {
		copy(of[:], payload[2:18])
	}
	return of
}

// inlets are the links, as the rules of a core have them.
func inlets(core *relay6.Relay) network.Rules {
	return func(link string) network.Inlet {
		in := network.Inlet{Name: link}
		if rule := core.Rule(link); rule != nil {
			in.Clients, in.Trusted, in.Rate = true, rule.Trusted, rule.Rate
		}
		return in
	}
}
