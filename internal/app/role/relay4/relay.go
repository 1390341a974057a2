package relay4

import (
	"context"

	"fairlead/internal/app/engine"
	"fairlead/internal/app/network"
	"fairlead/internal/app/notes"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay4"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp4"
)

// relay is the role that the engine plays: what lies between the relay's core and the
// network and the rest of the process.
type relay struct {
	net     *network.Network
	lost    *network.Failures
	refused network.Refusals
	notes   *notes.Notes
	silent  func() // a server has fallen silent
	build   func(now instant.Now, eff *effect.Effects) (*relay4.Relay, error)
}

var _ engine.Role[*relay4.Relay] = (*relay)(nil)

// Build is a core that knows the links.
func (r *relay) Build(now instant.Now, eff *effect.Effects) (*relay4.Relay, error) {
	return r.build(now, eff)
}

// Before tells the core what did not leave for peers meanwhile, and what the network says
// of messages to them.
func (r *relay) Before(now instant.Now, core *relay4.Relay, eff *effect.Effects) {
	r.lost.Count(core)
	r.refused.Tell(dhcp4.ServerPort, func(x udp.Refusal) {
		core.Unreachable(now, x.Dest.Addr(), x, eff)
	})
}

// Tell takes notes where they are heard.
func (r *relay) Tell(eff *effect.Effects) {
	for i := range eff.Notes {
		if n := &eff.Notes[i]; n.Kind == effect.NotePeer && n.Reason != "" {
			r.silent()
		}
	}
	r.notes.Take(eff)
}

// HearsExtensions reports whether anybody hears of leases that are extended.
func (r *relay) HearsExtensions() bool { return r.notes.HearExtensions() }

// LinkChanged brings a link event to the network and to the core.
func (r *relay) LinkChanged(core *relay4.Relay, e netlink.Event, eff *effect.Effects) {
	switch {
	case e.Link != nil:
		l := e.Link.ForIPv4()
		r.net.Know(l)
		core.SetLink(l, eff)
	case e.Removed != "":
		r.net.Forget(e.Removed)
		core.RemoveLink(e.Removed, eff)
	}
}

// LinksChanged opens and closes sockets.
func (r *relay) LinksChanged(core *relay4.Relay) { r.net.Update(inlets(core)) }

// Pass tries again what could not be opened.
func (r *relay) Pass(at instant.Instant, core *relay4.Relay) { r.net.Retry(at, inlets(core)) }

// Outgoing is a datagram as the sockets take it.
func (r *relay) Outgoing(s *effect.Send) udp.Outgoing { return r.net.Outgoing(s) }

// Unsent logs a datagram that did not leave.
func (r *relay) Unsent(o udp.Outgoing, err error) { r.lost.Report(o, err) }

// Suspect is the hardware address of the client that an answer is for: what one client
// brings a server to answer must not mute the uplink for all others. Of other messages it
// is the link alone.
func (r *relay) Suspect(payload []byte) (of [16]byte) {
	if m, err := dhcp4.ParseMessage(payload); err == nil && fromServer(payload) {
		copy(of[:], m.CHAddr())
	}
	return of
}

// Probe is not asked for.
func (r *relay) Probe(context.Context, effect.Probe) (answers, asked bool) { return false, false }

// inlets are the links as a core's rules have them.
func inlets(core *relay4.Relay) network.Rules {
	return func(link string) network.Inlet {
		in := network.Inlet{Name: link}
		if rule := core.Rule(link); rule != nil {
			in.Clients, in.Trusted, in.Rate = true, rule.Trusted, rule.Rate
		}
		return in
	}
}
