// Package server6 is the DHCPv6 server's decisions: what becomes of each datagram and of
// each link event (RFC 8415, RFC 9915). It is a function of (state, event, now) to Effects:
// it opens no socket, reads no clock and logs nothing.
//
// Handle decides on a message in these steps. It takes the relay layers off and finds the network
// of the client (request.go, network.go). For each IA it decides what the client gets, from what
// the client has, its reservation, its hints and the pools (assign.go, pick.go). The answer goes
// back through the same relay agents (reply.go). A Reply that grants a lease leaves after the
// store has kept the lease. The answer to a Solicit keeps nothing and takes no memory, unless it
// grants (Rapid Commit).
//
// A Server belongs to one goroutine.
package server6

import (
	"math"

	"github.com/gaissmai/bart"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/links"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/probing"
	"fairlead/internal/core/traffic"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// Server is the server's state.
type Server struct {
	cfg      *Config
	peers    peers.Peers
	links    *links.Registry[*link]
	gone     links.Gone[traffic.Counts]
	networks *networks
	onLink   map[string]*bart.Lite // the prefixes of all interfaces, by VRF; nil: to be collected anew

	bootID       string
	table        *delegation.Table
	ledger       *ledger.Ledger
	host         *hoststate.State
	covering     *ledger.Covering
	quarantine   quarantine
	reconfigures reconfigures
	agents       agents
	relayed      delegation.Policy // for clients behind relay agents
	unlimited    delegation.Policy // for leases that have passed the limits already
	waiting      probing.Messages
	others       probing.Addresses
	counts       binding.Counts
	events       []binding.Event // of one decision, reused
	request      request         // reused
	trace        *effect.Trace

	untold  uint64 // how often a relay agent asked for assignments and may not be told (tellAssigned)
	traffic traffic.Sum
}

// link is one interface of the host. The server has clients on it if a rule matches it.
type link struct {
	links.Entry
	rule     *LinkRule
	policy   delegation.Policy
	line     uint32  // the present line of a point-to-point link (hoststate.State.Line)
	subnet   *subnet // of its clients; nil: the configuration has none for the link
	counters traffic.Counts
}

// FacesClients reports whether clients are on the link.
func (l *link) FacesClients() bool { return l.rule != nil }

// New is a server with a validated configuration, before it knows any link.
func New(cfg *Config, bootID string) *Server {
	s := &Server{bootID: bootID, table: delegation.New(), host: hoststate.New(), quarantine: newQuarantine(), reconfigures: newReconfigures(), agents: newAgents()}
	s.unlimited = delegation.Policy{ClientLimit: math.MaxInt, LinkLimit: math.MaxInt}
	s.covering = ledger.NewCovering(s.table.Table, s.host, ledger.Parts{})
	s.ledger = ledger.New(s.table.Table, s.host, ledger.Core{
		ForKernel: s.forKernel, InKernel: isLocal, Covering: s.covering, Record: s.record, TakenBack: s.takenBack, Stays: s.stays,
	}, binding.Server6, bootID)
	s.links = links.NewRegistry(links.Role[*link]{}) // the server chooses no address of a link
	s.configure(cfg)
	return s
}

func (s *Server) configure(cfg *Config) {
	s.cfg = cfg
	s.peers.Configure(cfg.Peers, peers.All)
	s.ledger.Configure(cfg.Records)
	s.relayed = cfg.Relayed
	s.relayed.Resolve(true)
	before := s.networks
	if s.networks = newNetworks(cfg); before != nil {
		s.networks.succeed(before)
	}
	for b := range s.table.All() {
		s.networks.take(b.Prefix)
	}
	s.quarantine.take(s.networks)
}

// Reconfigure replaces the configuration. A lease stays as it is until its client asks again. What
// the new configuration changes in the kernel becomes Changes.
func (s *Server) Reconfigure(cfg *Config, eff *effect.Effects) {
	s.configure(cfg)
	s.ledger.Install(s.host.SetAggregates(nil, cfg.Aggregates), eff)
	for _, name := range s.links.Names() {
		s.ledger.Install(s.applyRule(nil, s.links.Named(name)), eff)
	}
	s.ledger.SetAbsentPolicies(s.setPolicy, eff)
	s.ledger.PutAnew(eff)
	s.tellPools(eff)
}

// Succeed makes s, which knows neither links nor leases yet, the successor of a server that
// panicked. The leases come from the store.
func (s *Server) Succeed(old *Server) {
	s.ledger.Succeed(old.ledger)
	s.table.Succeed(old.table)
	s.counts, s.traffic, s.untold, s.reconfigures, s.agents = old.counts, old.traffic, old.untold, old.reconfigures, old.agents
	s.peers.Succeed(&old.peers)
	s.networks.succeed(old.networks)
	s.gone.Succeed(&old.gone, old.links.Names(), func(name string) traffic.Counts { return old.links.Named(name).counters })
}

// SetLink takes in that an interface appeared or changed. An interface that was renamed stays the
// same link.
func (s *Server) SetLink(h links.Link, eff *effect.Effects) {
	var ops []hoststate.Op
	elsewhere := false // the leases on the link were in another VRF
	if other := s.links.At(h.Index); other != nil && other.Name != h.Name {
		old := other.Name
		if taken := s.links.Named(h.Name); taken != nil {
			s.dropLink(taken, eff)
		}
		s.ledger.Rename(old, h.Name)
		s.table.Rename(old, h.Name)
		s.waiting.Rename(old, h.Name)
		s.links.Rename(other, h.Name)
		ops, elsewhere = s.covering.Update(s.host.Rename(ops, old, h.Name), h.Name), true
		eff.Note(effect.Note{Kind: effect.NoteLink, Link: h.Name, Text: "link renamed", Reason: "it was " + old})
	}
	l := s.links.Named(h.Name)
	elsewhere = elsewhere || l == nil || l.VRF != h.VRF
	if l == nil {
		l = &link{counters: s.gone.Take(h.Name)}
		eff.Note(effect.Note{Kind: effect.NoteLink, Link: h.Name, Text: "link appeared"})
	}
	s.links.Tell(l, &h)
	s.onLink = nil
	s.links.SetAddress(l, l.Address())
	ops, l.line = s.ledger.SetLink(ops, l.Link, elsewhere)
	s.ledger.Install(s.applyRule(ops, l), eff)
}

// RemoveLink takes in that an interface is gone. The leases on it stay.
func (s *Server) RemoveLink(name string, eff *effect.Effects) {
	if l := s.links.Named(name); l != nil {
		s.dropLink(l, eff)
	}
}

func (s *Server) dropLink(l *link, eff *effect.Effects) {
	s.links.Remove(l)
	s.onLink = nil
	s.ledger.Install(s.host.RemoveLink(nil, l.Name), eff)
	s.gone.Add(l.Name, l.counters)
	eff.Note(effect.Note{Kind: effect.NoteLink, Link: l.Name, Text: "link vanished"})
}

// applyRule finds the rule and the subnet of a link as it is now. It appends to ops what changes in
// the kernel.
func (s *Server) applyRule(ops []hoststate.Op, l *link) []hoststate.Op {
	l.rule, l.subnet = s.Rule(l.Name), nil
	if l.rule != nil {
		l.policy = l.rule.Limits
		l.policy.Resolve(!l.PointToPoint)
		l.subnet = s.networks.ofLink(l)
	}
	return s.setPolicy(ops, l.Name)
}

// Rule is the rule for the clients on the named link; nil if the server has no clients there.
func (s *Server) Rule(name string) *LinkRule { return s.ruleUnder(s.cfg, s.peers.Set, name) }

func (s *Server) ruleUnder(cfg *Config, peers *trust.Set, name string) *LinkRule {
	return links.Rule(s.links, peers, cfg.Links, func(rule *LinkRule) []string { return rule.Match }, name)
}

// Handle decides on one received datagram.
func (s *Server) Handle(now instant.Now, p *inbound.Packet, eff *effect.Effects) {
	s.handle(now, p, nil, eff)
}

// handle decides on a datagram. The map answered has the answers to the probes that the datagram
// has waited for; nil: it has not waited.
func (s *Server) handle(now instant.Now, p *inbound.Packet, answered map[binding.Question]bool, eff *effect.Effects) {
	l := s.links.At(p.Link)
	if l == nil {
		s.traffic.Discard(nil, "", p, effect.DropUnknownLink, eff)
		return
	}
	r := &s.request
	r.reset(p, l)
	r.answered = answered
	if why, ok := s.read(now, r, eff); !ok {
		s.drop(r, why, eff)
		return
	}
	if answered == nil {
		s.traffic.Receive(l.counts(), byte(r.m.Type()))
		s.traceStep(r, "received", "", eff)
		s.heardFrom(r)
	}
	if why, ok := s.answer(now, r, eff); !ok {
		s.drop(r, why, eff)
	}
	s.tellPools(eff)
}

func (s *Server) drop(r *request, d effect.Drop, eff *effect.Effects) {
	s.traffic.Discard(r.at.counts(), r.at.Name, r.p, d, eff)
	s.traceStep(r, "dropped: ", d.String(), eff)
}

// answer decides on a message that read has accepted.
func (s *Server) answer(now instant.Now, r *request, eff *effect.Effects) (effect.Drop, bool) {
	t := r.m.Type()
	switch t {
	case dhcp6.Solicit, dhcp6.Request, dhcp6.Renew, dhcp6.Rebind:
		return s.assign(now, r, eff)
	case dhcp6.Confirm:
		return s.confirm(now, r, eff)
	case dhcp6.Release, dhcp6.Decline:
		return s.giveBack(now, r, eff)
	case dhcp6.InformationRequest:
		s.send(now, r, dhcp6.Reply, eff)
		return 0, true
	case dhcp6.AddrRegInform:
		return s.register(now, r, eff)
	}
	return effect.DropUnknownType, false
}

// Settle takes in what became of a Change. Where another server with the same store has given a
// lease first, this server gives that lease to nobody for a while. The client here has had no
// answer, so it asks again and gets another lease.
func (s *Server) Settle(now instant.Now, o effect.Outcome, eff *effect.Effects) {
	for _, at := range s.ledger.Settle(now, o, eff) {
		s.giveWay(now, at.Prefix)
	}
	s.tellPools(eff)
}

// Unkept is how many leases are not in the store as they are now.
func (s *Server) Unkept() int { return s.ledger.Progress().Unkept }

// Deadline is when Tick has something to do.
func (s *Server) Deadline() instant.Instant {
	return min(s.table.Deadline(), s.ledger.Deadline(), s.quarantine.deadline(), s.reconfigures.deadline())
}

// Tick does what is due. It ends leases that have expired, takes leases out of quarantine, tries
// again to keep what the store does not have, and sends Reconfigures again. Each call does a
// bounded part; while more is due, Deadline is not after now.
func (s *Server) Tick(now instant.Now, eff *effect.Effects) {
	s.events = s.table.Expire(s.events[:0], now)
	s.commit(now, eff)
	s.endQuarantine(now, eff)
	s.ledger.Tick(now, eff)
	s.sendReconfigures(now, eff)
	s.tellPools(eff)
}
