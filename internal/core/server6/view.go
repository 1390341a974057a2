package server6

import (
	"iter"
	"net/netip"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/links"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/traffic"
	"fairlead/internal/core/trust"
)

// Restore takes in the leases of the store. It is called once, after SetLink for each link and
// before any socket opens.
func (s *Server) Restore(now instant.Now, records iter.Seq[binding.Record], lastWall time.Time, eff *effect.Effects) {
	for rec := range records {
		s.table.Restore(now, rec, s.bootID, lastWall)
		s.networks.take(rec.Prefix)
	}
	s.ledger.Install(s.host.SetAggregates(nil, s.cfg.Aggregates), eff)
	s.ledger.Restored(s.setPolicy, eff)
	s.tellPools(eff)
}

// Leases are the live leases, link by link. Those of clients behind relay agents are on a link
// that is named "network/" and the network.
func (s *Server) Leases(yield func(binding.Binding) bool) { s.table.All()(yield) }

// Clear ends leases on an operator's command. Each call ends a bounded number and returns it; the
// caller repeats it until it is 0. The clients are not told. Others get the leases after the
// clients' own lifetimes (clearedFor at most); a client itself gets its lease again if it asks.
func (s *Server) Clear(now instant.Now, of delegation.Selection, eff *effect.Effects) int {
	s.events = s.table.Clear(s.events[:0], of)
	n := len(s.events)
	s.commit(now, eff)
	s.tellPools(eff)
	return n + s.ledger.EndOrphans(of.SelectsOrphan, eff)
}

// commit applies and keeps events that no answer tells of.
func (s *Server) commit(now instant.Now, eff *effect.Effects) {
	s.apply(now)
	s.keep(now, eff)
}

// keep makes the store keep the events that no answer tells of.
func (s *Server) keep(now instant.Now, eff *effect.Effects) {
	s.ledger.CommitAll(now, s.events, eff)
	s.events = s.events[:0]
}

// LimitsMet are the limits that a client has met and that still have no room.
func (s *Server) LimitsMet() []delegation.LimitMet {
	return s.table.LimitsMet(func(name string) *delegation.Policy {
		if l := s.links.Named(name); l != nil && l.rule != nil {
			return &l.policy
		}
		return &s.relayed
	})
}

// Totals are figures of the server's leases.
type Totals struct {
	Prefixes, Addresses int
	Declined            int    // addresses that nobody gets, because a client has declined them
	Untold              uint64 // how often a relay agent asked for assignments and was not told
	WaitForClock        int    // restored leases that wait for a clock that can be trusted
	ledger.Progress
	Events   map[string]uint64 // how many leases were granted, extended, moved and ended
	Ends     map[string]uint64 // how many have ended, by every binding.Reason of an end
	Refusals map[string]uint64 // how many were refused, by every binding.Reason of a refusal
}

// Totals are the figures now.
func (s *Server) Totals() Totals {
	t := Totals{
		Prefixes: s.table.Len(binding.Prefix), Addresses: s.table.Len(binding.Address), Declined: len(s.quarantine.declined), Untold: s.untold,
		WaitForClock: s.table.Waiting(), Progress: s.ledger.Progress(),
	}
	counts := s.counts
	counts.Refuse(binding.NotKept, s.ledger.TakenBack())
	t.Events, t.Ends, t.Refusals = counts.ByName()
	return t
}

// LinkView is a link with clients of the server.
type LinkView struct {
	Name, VRF           string
	Up                  bool
	Network             string // empty: the configuration has no subnet for it
	Prefixes, Addresses int
	Counters            traffic.Counts
}

// Links are the links with clients, and the interfaces on which relay agents are heard, by name.
func (s *Server) Links() (all []LinkView) {
	for _, name := range s.links.Names() {
		l := s.links.Named(name)
		if l.rule == nil && !s.peers.HeardOn(trust.Relay, name) {
			continue
		}
		v := LinkView{Name: name, VRF: l.VRF, Up: l.Passes(), Counters: l.counters, Prefixes: s.table.LinkLen(name, binding.Prefix), Addresses: s.table.LinkLen(name, binding.Address)}
		if l.subnet != nil {
			v.Network = l.subnet.network.Name
		}
		all = append(all, v)
	}
	return all
}

// Pools are all pools, in the order of the configuration.
func (s *Server) Pools() (all []effect.Pool) {
	for pl := range s.networks.pools {
		all = append(all, pl.view())
	}
	return all
}

// view is the pool as operators see it: how much is taken, without what is reserved.
func (p *leasePool) view() effect.Pool {
	return effect.Pool{
		Network: p.subnet.network.Name, Subnet: p.subnet.Prefix, First: p.first, Last: p.last, Prefix: p.prefix,
		Size: p.Size() - p.reserved, Taken: p.Taken() - p.reserved, NearlyFull: p.nearlyFull,
	}
}

// Unreachable takes in that the network has reported an error for a message to a peer. The index is
// that of the link on which a link-local address is.
func (s *Server) Unreachable(now instant.Now, address netip.Addr, index int, cause error, eff *effect.Effects) {
	s.peers.Unreachable(now, address, s.links.NameAt(index), cause, eff)
}

// Peers are all peers, in the order of the configuration.
func (s *Server) Peers(now instant.Now) []peers.View { return s.peers.Views(now.Boot, s.links.NameAt) }

// Prospects say what the configuration cfg would mean for each link. An orphan counts as a prefix of
// its link. They change nothing.
func (s *Server) Prospects(cfg *Config) []links.Prospect[LinkRule] {
	orphans := s.ledger.OrphansOn()
	peers := trust.NewSet(cfg.Peers)
	return links.Prospects(s.links, s.table.Links(), func(name string) links.Prospect[LinkRule] {
		return links.Prospect[LinkRule]{
			Link: name, Now: s.Rule(name), Then: s.ruleUnder(cfg, peers, name),
			Prefixes: s.table.LinkLen(name, binding.Prefix) + orphans[name], Addresses: s.table.LinkLen(name, binding.Address),
		}
	})
}
