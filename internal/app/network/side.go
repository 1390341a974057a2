package network

import (
	"context"
	"net/netip"
	"slices"

	"fairlead/internal/app/notes"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/udp"
)

// Core is a core that serves clients on links.
type Core interface {
	SetLink(l links.Link, eff *effect.Effects)
	RemoveLink(name string, eff *effect.Effects)
	CountUnsent(to netip.Addr, n uint64)
	Unreachable(now instant.Now, address netip.Addr, index int, cause error, eff *effect.Effects)
}

// Side is the part of an engine.Role that lies between a core and its network, and is the same
// for all roles. A role embeds it, and has methods of its own where it differs.
type Side[C Core] struct {
	Net     *Network
	Lost    *Failures
	Refused Refusals
	Notes   *notes.Notes
	Prober  Prober
	Silent  func()                                                // called when a server has fallen silent
	Inlets  func(core C) Rules                                    // the links as the core's rules have them
	Make    func(now instant.Now, eff *effect.Effects) (C, error) // makes a core from the store
}

// Build makes a core from the store.
func (s *Side[C]) Build(now instant.Now, eff *effect.Effects) (C, error) { return s.Make(now, eff) }

// Before tells the core which datagrams did not leave for peers, and which errors the network sent
// about messages to them.
func (s *Side[C]) Before(now instant.Now, core C, eff *effect.Effects) {
	s.Lost.Count(core)
	s.Refused.Tell(s.Net.options.Family.ServerPort, func(x udp.Refusal) { core.Unreachable(now, x.Dest.Addr(), x.Link, x, eff) })
}

// Tell gives notes to those who want to know of them.
func (s *Side[C]) Tell(eff *effect.Effects) {
	if slices.ContainsFunc(eff.Notes, func(n effect.Note) bool { return n.Kind == effect.NotePeer && n.Reason != "" }) {
		s.Silent()
	}
	s.Notes.Take(eff)
}

// HearsExtensions reports whether anybody wants to hear of bindings that are extended.
func (s *Side[C]) HearsExtensions() bool { return s.Notes.HearExtensions() }

// LinkChanged brings a link event to the network and to the core.
func (s *Side[C]) LinkChanged(core C, e netlink.Event, eff *effect.Effects) {
	switch {
	case e.Link != nil:
		s.Net.Know(*e.Link)
		core.SetLink(*e.Link, eff)
	case e.Removed != "":
		s.Net.Forget(e.Removed)
		core.RemoveLink(e.Removed, eff)
	}
}

// LinksChanged opens and closes sockets.
func (s *Side[C]) LinksChanged(core C) { s.Net.Update(s.Inlets(core)) }

// Pass tries again to open sockets that are not open.
func (s *Side[C]) Pass(at instant.Instant, core C) { s.Net.Retry(at, s.Inlets(core)) }

// Outgoing makes the sockets' datagram from one of the core's.
func (s *Side[C]) Outgoing(o *effect.Send) udp.Outgoing { return s.Net.Outgoing(o) }

// Unsent logs a datagram that did not leave.
func (s *Side[C]) Unsent(o udp.Outgoing, err error) { s.Lost.Report(o, err) }

// Probe asks a next hop whether it is still there.
func (s *Side[C]) Probe(ctx context.Context, p effect.Probe) (answers, asked bool) {
	return s.Prober.Ask(ctx, p)
}
