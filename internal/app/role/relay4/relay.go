package relay4

import (
	"context"

	"fairlead/internal/app/engine"
	"fairlead/internal/app/network"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay4"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp4"
)

// relay is the role that the engine plays: it connects the relay's core with the network and the
// rest of the process.
type relay struct {
	network.Side[*relay4.Relay]
	build func(now instant.Now, eff *effect.Effects) (*relay4.Relay, error)
}

var _ engine.Role[*relay4.Relay] = (*relay)(nil)

// Build makes a core that knows the links and the leases.
func (r *relay) Build(now instant.Now, eff *effect.Effects) (*relay4.Relay, error) {
	return r.build(now, eff)
}

// Before tells the core which datagrams did not leave for peers, and which errors the network
// sent about messages to them.
func (r *relay) Before(now instant.Now, core *relay4.Relay, eff *effect.Effects) {
	r.Lost.Count(core)
	r.Refused.Tell(dhcp4.ServerPort, func(x udp.Refusal) {
		core.Unreachable(now, x.Dest.Addr(), x, eff)
	})
}

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

// Probe is never called.
func (r *relay) Probe(context.Context, effect.Probe) (answers, asked bool) { return false, false }

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
