package relay4

import (
	"fairlead/internal/app/engine"
	"fairlead/internal/app/network"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/relay4"
	"fairlead/internal/host/netlink"
	"fairlead/internal/wire/dhcp4"
)

// relay is the role that the engine plays: it connects the relay's core with the network and the
// rest of the process.
type relay struct {
	network.Side[*relay4.Relay]
}

var _ engine.Role[*relay4.Relay] = (*relay)(nil)

// LinkChanged brings a link event to the network and to the core, with the IPv4 addresses of the
// link.
func (r *relay) LinkChanged(core *relay4.Relay, e netlink.Event, eff *effect.Effects) {
	if e.Link != nil {
		l := e.Link.ForIPv4()
		e.Link = &l
	}
	r.Side.LinkChanged(core, e, eff)
}

// Suspect is the hardware address of the client that an answer is for. If one client causes such
// answers of a server, the uplink must not be muted for all others. For other messages only the
// link counts.
func (r *relay) Suspect(payload []byte) (of [16]byte) {
	if m, err := dhcp4.ParseMessage(payload); err == nil && fromServer(payload) {
		copy(of[:], m.CHAddr())
	}
	return of
}

// inlets are the links, as the rules of a core have them.
func inlets(core *relay4.Relay) network.Rules {
	return func(link string) network.Inlet {
		in := network.Inlet{Name: link}
		if rule := core.Rule(link); rule != nil {
			in.Clients, in.Trusted, in.Rate = true, rule.Trusted, rule.Rate
		}
		return in
	}
}
