package server6

import (
	"net/netip"
	"slices"
	"strings"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/ledger"
	"fairlead/internal/wire/dhcp6"
)

// For clients on a link of this machine, the kernel has what it has in a relay: a route to each
// delegated prefix, and a filter that accepts only sources that are leased there. For clients
// behind relay agents the kernel has nothing of ours: the relay agents route and filter.

// isLocal reports whether a link is one of this machine, by the name of the link that leases have.
func isLocal(link string) bool { return !strings.HasPrefix(link, relayedLink) }

// setPolicy makes the kernel treat a link as its rule says. Without a rule, or where another
// machine routes for the link, the kernel has nothing of ours for it.
func (s *Server) setPolicy(ops []hoststate.Op, name string) []hoststate.Op {
	rule := s.Rule(name)
	if rule == nil || !rule.Router {
		return s.host.SetPolicy(ops, name, nil)
	}
	policy := rule.Host
	l := s.links.Named(name)
	policy.Shared = l == nil || !l.PointToPoint
	return s.host.SetPolicy(ops, name, &policy)
}

// forKernel is what the kernel is to have for a lease.
func (s *Server) forKernel(d *binding.Binding) hoststate.Delegation {
	rule := s.Rule(d.Link)
	return hoststate.Delegation{
		Link: d.Link, Prefix: d.Prefix, NextHop: d.NextHop, LinkLayer: d.LinkLayer, Line: d.Line,
		LoopExempt: rule != nil && slices.ContainsFunc(rule.LoopExemptClient, func(id dhcp6.DUID) bool { return binding.DUID(id) == d.Client }),
	}
}

// Unproved reports whether a lease on a point-to-point link has not been confirmed since its line
// came up. Another client may be there by now.
func (s *Server) Unproved(d *binding.Binding) bool {
	return isLocal(d.Link) && s.host.Unproved(s.forKernel(d))
}

// isAnothersOrphan reports whether a prefix overlaps with an orphan. The store does not say whose that
// is, so the only client that gets it is one at the orphan's next hop.
func (s *Server) isAnothersOrphan(r *request, p netip.Prefix) bool {
	if r.relay == nil {
		if o := s.host.Orphan(r.link, p); o != nil && o.NextHop == r.source {
			return false
		}
	}
	return s.host.OverlapsOrphan(r.vrf, p)
}

// Kernel is what the server wants of the kernel.
func (s *Server) Kernel() ledger.Kernel { return s.ledger.Kernel() }
