package server6

import (
	"slices"
	"strings"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/ledger"
	"fairlead/internal/wire/dhcp6"
)

// What the server gives to clients on a link of this machine is in the kernel as what a relay
// learns is: a route to each prefix, and a filter that takes only sources which are leased there.
// Behind relay agents it is the relay agent that knows the link.

// isLocal reports whether leases of the link of a name are those of clients on a link of this
// machine.
func isLocal(link string) bool { return !strings.HasPrefix(link, relayedLink) }

// setPolicy has the kernel treat a link as its rule wants it. Without a rule, or where another
// machine routes for the link, the kernel has nothing of ours for it.
func (s *Server) setPolicy(ops []hoststate.Op, name string, rule *LinkRule) []hoststate.Op {
	if rule == nil || !rule.Router {
		return s.host.SetPolicy(ops, name, nil)
	}
	policy := rule.Host
	l := s.links.Named(name)
	policy.Shared = l == nil || !l.PointToPoint
	return s.host.SetPolicy(ops, name, &policy)
}

// setAbsentPolicies calls setPolicy for links that have leases and no interface now. The kernel
// goes on checking packets by the names of these links, and unreachable routes stand for the
// routes to what is delegated there.
func (s *Server) setAbsentPolicies(eff *effect.Effects) {
	for name := range s.table.Links() {
		if isLocal(name) && s.links.Named(name) == nil {
			s.ledger.Install(s.setPolicy(nil, name, s.Rule(name)), eff)
		}
	}
}

// forKernel is what a lease wants of the kernel.
func (s *Server) forKernel(d *binding.Binding) hoststate.Delegation {
	rule := s.Rule(d.Link)
	return hoststate.Delegation{
		Link: d.Link, Prefix: d.Prefix, NextHop: d.NextHop, LinkLayer: d.LinkLayer, Line: d.Line,
		LoopExempt: rule != nil && slices.ContainsFunc(rule.LoopExemptClient, func(id dhcp6.DUID) bool { return binding.DUID(id) == d.Client }),
	}
}

// stranded reports whether a lease's link is in another VRF, where the lease is another
// client's. It wants nothing of the kernel until the link is back.
func (s *Server) stranded(d *binding.Binding) bool {
	l := s.links.Named(d.Link)
	return l != nil && l.VRF != d.VRF
}

// putRestored wants in the kernel what was restored, silently: a comparison finds what the
// kernel lacks.
func (s *Server) putRestored(eff *effect.Effects) {
	s.ledger.Install(s.host.SetAggregates(nil, s.cfg.Aggregates), eff)
	s.setAbsentPolicies(eff)
	for d := range s.table.All() {
		if !isLocal(d.Link) {
			continue
		}
		if !s.stranded(&d) {
			s.host.PutSilently(s.forKernel(&d))
		}
		s.covering.Restored(&d)
	}
	for _, name := range s.covering.Links() {
		s.ledger.Install(s.covering.Update(nil, name), eff)
	}
}

// Unproved reports whether a lease on a point-to-point link waits for its client to ask
// again: another client may be there by now.
func (s *Server) Unproved(d *binding.Binding) bool {
	return isLocal(d.Link) && s.host.Unproved(s.forKernel(d))
}

// Kernel is what the server wants of the kernel.
func (s *Server) Kernel() ledger.Kernel { return s.ledger.Kernel() }
