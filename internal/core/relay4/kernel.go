package relay4

import (
	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
)

// Where a rule says so, the kernel takes from a link only the packets whose sources are leased
// there, and has a route to each leased address. Such rules override the server identifier (RFC
// 5107), so that renewals come by and no lease ends here that lives on. On these links an ACK
// leaves once the kernel has been told: its client may send at once.

// WantsKernel reports whether leases on links of this rule want anything of the kernel. On a
// link without a rule they want nothing.
func (rule *LinkRule) WantsKernel() bool {
	return rule != nil && (rule.Host.Filter != hoststate.FilterOff || rule.HostRoutes)
}

// setPolicy makes the kernel treat a link as the link's rule says. Without a rule the kernel has
// nothing of ours for the link.
func (r *Relay) setPolicy(ops []hoststate.Op, name string) []hoststate.Op {
	rule := r.Rule(name)
	if !rule.WantsKernel() {
		return r.host.SetPolicy(ops, name, nil)
	}
	policy := rule.Host
	policy.NoRoutes = !rule.HostRoutes
	return r.host.SetPolicy(ops, name, &policy)
}

// forKernel is what a lease wants of the kernel. Its client is a neighbour on the link.
func forKernel(d *binding.Binding) hoststate.Delegation {
	return hoststate.Delegation{Link: d.Link, Prefix: d.Prefix, LinkLayer: d.LinkLayer, Line: d.Line}
}

// tell has the store and the kernel take in what an ACK has changed. Where the kernel is to know
// of leases, the ACK (send) waits until both have done so.
func (r *Relay) tell(now instant.Now, l *link, who binding.Client, send *effect.Send, eff *effect.Effects) {
	if !l.rule.WantsKernel() {
		r.told(now, eff)
		return
	}
	r.counts.Add(r.events)
	send.Extends = !binding.Grants(r.events)
	send.After = r.ledger.Tell(now, ledger.Client{Link: l.Name, ID: who}, r.events, &send.Extends, eff)
}

// proof is g with the line on which it is proved, where the link is a point-to-point one
// (hoststate.State.Line). That is the line on which the client has asked. If the client has
// asked on an earlier line, it is the line of the lease that the client has already.
func (r *Relay) proof(g delegation.Grant, l *link, began origin, known bool) delegation.Grant {
	switch {
	case l.line == 0:
	case known && began.line == l.line:
		g.Line = l.line
	default:
		if d, ok := r.table.Lookup(g.VRF, g.Prefix); ok && d.Link == g.Link && d.Client == g.Client {
			g.Line = d.Line
		}
	}
	return g
}

// Unproved reports whether a lease on a point-to-point link waits for the server's word that
// it is still that client's.
func (r *Relay) Unproved(d *binding.Binding) bool { return r.host.Unproved(forKernel(d)) }

// Kernel is what the relay wants of the kernel.
func (r *Relay) Kernel() ledger.Kernel { return r.ledger.Kernel() }
