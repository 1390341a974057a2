package server6

import (
	"context"

	"fairlead/internal/app/engine"
	"fairlead/internal/app/network"
	"fairlead/internal/app/notes"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/server6"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

// server is the role that the engine plays: what lies between the server's core and the network
// and the rest of the process.
type server struct {
	net     *network.Network
	lost    *network.Failures
	refused network.Refusals
	notes   *notes.Notes
	prober  network.Prober
	build   func(now instant.Now, eff *effect.Effects) (*server6.Server, error)
}

var _ engine.Role[*server6.Server] = (*server)(nil)

// Build is a core that knows the links and the leases.
func (s *server) Build(now instant.Now, eff *effect.Effects) (*server6.Server, error) {
	return s.build(now, eff)
}

// Before tells the core what did not leave for peers meanwhile, and what the network says of
// messages to them.
func (s *server) Before(now instant.Now, core *server6.Server, eff *effect.Effects) {
	s.lost.Count(core)
	s.refused.Tell(dhcp6.ServerPort, func(x udp.Refusal) {
		core.Unreachable(now, x.Dest.Addr(), x.Link, x, eff)
	})
}

// Tell takes notes where they are heard.
func (s *server) Tell(eff *effect.Effects) { s.notes.Take(eff) }

// HearsExtensions reports whether anybody hears of leases that are extended.
func (s *server) HearsExtensions() bool { return s.notes.HearExtensions() }

// LinkChanged brings a link event to the network and to the core.
func (s *server) LinkChanged(core *server6.Server, e netlink.Event, eff *effect.Effects) {
	switch {
	case e.Link != nil:
		s.net.Know(*e.Link)
		core.SetLink(*e.Link, eff)
	case e.Removed != "":
		s.net.Forget(e.Removed)
		core.RemoveLink(e.Removed, eff)
	}
}

// LinksChanged opens and closes sockets.
func (s *server) LinksChanged(core *server6.Server) { s.net.Update(inlets(core)) }

// Pass tries again what could not be opened.
func (s *server) Pass(at instant.Instant, core *server6.Server) { s.net.Retry(at, inlets(core)) }

// Outgoing is a datagram as the sockets take it.
func (s *server) Outgoing(o *effect.Send) udp.Outgoing { return s.net.Outgoing(o) }

// Unsent logs a datagram that did not leave.
func (s *server) Unsent(o udp.Outgoing, err error) { s.lost.Report(o, err) }

// Suspect is the link-address and the peer-address of a Relay-forward: what one client sends must
// not mute the relay agent for all others.
func (s *server) Suspect(payload []byte) (of [16]byte) {
	if len(payload) >= 34 && dhcp6.MessageType(payload[0]) == dhcp6.RelayForward {
		for i := range of {
			of[i] = payload[2+i] ^ payload[18+i]
		}
	}
	return of
}

// Probe asks a next hop.
func (s *server) Probe(ctx context.Context, p effect.Probe) (answers, asked bool) {
	return s.prober.Ask(ctx, p)
}

// inlets are the links as a core's rules have them.
func inlets(core *server6.Server) network.Rules {
	return func(link string) network.Inlet {
		in := network.Inlet{Name: link}
		if rule := core.Rule(link); rule != nil {
			in.Clients, in.Rate = true, rule.Rate
		}
		return in
	}
}
