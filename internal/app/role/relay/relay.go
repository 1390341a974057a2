package relay

import (
	"context"
	"slices"

	"fairlead/internal/app/engine"
	"fairlead/internal/app/network"
	"fairlead/internal/app/notes"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

// relay is the role that the engine plays: what lies between the relay's core and the
// network, the operators and the rest of the process.
type relay struct {
	net     *network.Network
	lost    *network.Failures
	refused network.Refusals
	notes   *notes.Notes

	build  func(now instant.Now, eff *effect.Effects) (*relay6.Relay, error)
	probe  func(ctx context.Context, p effect.Probe) (answers, asked bool)
	routed func(tables map[int]uint32, anew bool) // which links Routed tells of; anew: of some the core has forgotten it
	silent func()                                 // a server has fallen silent

	fell bool // a link went down or away: the core has forgotten what routes lead there
}

var _ engine.Role[*relay6.Relay] = (*relay)(nil)

// Build is a core from the store.
func (r *relay) Build(now instant.Now, eff *effect.Effects) (*relay6.Relay, error) {
	return r.build(now, eff)
}

// Before tells the core what did not leave for peers meanwhile, and what the network says
// of messages to them.
func (r *relay) Before(now instant.Now, core *relay6.Relay, eff *effect.Effects) {
	r.lost.Count(core)
	r.refused.Tell(dhcp6.ServerPort, func(x udp.Refusal) {
		core.Unreachable(now, x.Dest.Addr(), x.Link, x, eff)
	})
}

// Tell takes notes where they are heard.
func (r *relay) Tell(eff *effect.Effects) {
	if slices.ContainsFunc(eff.Notes, func(n effect.Note) bool { return n.Kind == effect.NotePeer && n.Reason != "" }) {
		r.silent()
	}
	r.notes.Take(eff)
}

// HearsExtensions reports whether anybody hears of delegations that are extended.
func (r *relay) HearsExtensions() bool { return r.notes.HearExtensions() }

// LinkChanged brings a link event to the network and to the core.
func (r *relay) LinkChanged(core *relay6.Relay, e netlink.Event, eff *effect.Effects) {
	switch {
	case e.Link != nil:
		r.net.Know(*e.Link)
		r.fell = r.fell || !e.Link.Up
		core.SetLink(*e.Link, eff)
	case e.Removed != "":
		r.net.Forget(e.Removed)
		r.fell = true
		core.RemoveLink(e.Removed, eff)
	}
}

// LinksChanged opens and closes sockets, and has the routes to links looked at.
func (r *relay) LinksChanged(core *relay6.Relay) {
	r.net.Update(inlets(core))
	r.routed(r.routedTables(core), r.fell)
	r.fell = false
}

// Pass tries again what could not be opened.
func (r *relay) Pass(at instant.Instant, core *relay6.Relay) { r.net.Retry(at, inlets(core)) }

// Outgoing is a datagram as the sockets take it.
func (r *relay) Outgoing(s *effect.Send) udp.Outgoing { return r.net.Outgoing(s) }

// Unsent logs a datagram that did not leave.
func (r *relay) Unsent(o udp.Outgoing, err error) { r.lost.Report(o, err) }

// Suspect is the link-address of a Relay-reply, which names the client link that it is
// for: what one client brings a server to answer must not mute the uplink for all
// others.
func (r *relay) Suspect(payload []byte) (of [16]byte) {
	if len(payload) >= 18 && dhcp6.MessageType(payload[0]) == dhcp6.RelayReply {
		copy(of[:], payload[2:18])
	}
	return of
}

// Probe asks a next hop.
func (r *relay) Probe(ctx context.Context, p effect.Probe) (answers, asked bool) {
	return r.probe(ctx, p)
}

// inlets are the links as a core's rules have them.
func inlets(core *relay6.Relay) network.Rules {
	return func(link string) network.Inlet {
		in := network.Inlet{Name: link}
		if rule := core.Rule(link); rule != nil {
			in.Clients, in.Trusted, in.Rate = true, rule.Trusted, rule.Rate
		}
		return in
	}
}
