package relay6

import (
	"cmp"
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// link is one interface of the host, client-facing if a rule matches it.
type link struct {
	links.Entry           // its identifier is what option 18 holds for this link
	rule        *LinkRule // nil: not client-facing
	policy      delegation.Policy
	idOptional  bool    // the identifier is sent only where the link-address does not tell the link
	linkLocal   bool    // the link has a link-local address
	stakes      []stake // the prefixes of the link, as they are reserved, in order
	kept        []stake // the stakes that the store has, or is to get
	gone        bool    // no interface has the name: the link only stands for the prefixes that it has lost
	counters    LinkCounters
	line        uint32   // the present line of a point-to-point link; see hoststate.State.Line
	spoke       speakers // clients that have spoken on this line
	victim      victim
}

// FacesClients reports whether clients are on the link.
func (l *link) FacesClients() bool { return l.rule != nil }

// SetLink takes in that an interface appeared or changed. An interface that has got another name
// is the same link.
func (r *Relay) SetLink(h links.Link, eff *effect.Effects) {
	var ops []hoststate.Op
	elsewhere := false // the delegations of the link were in another VRF
	if other := r.links.At(h.Index); other != nil && other.Name != h.Name {
		ops, elsewhere = r.rename(other, &h, eff)
	}
	l := r.links.Named(h.Name)
	elsewhere = elsewhere || l == nil || l.VRF != h.VRF
	if l == nil {
		l = &link{counters: r.gone.Take(h.Name)}
		eff.Note(effect.Note{Kind: effect.NoteLink, Link: h.Name, Text: "link appeared"})
	}
	r.links.Tell(l, &h)
	l.linkLocal = slices.ContainsFunc(h.Addrs, func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() })
	r.ledger.Rehome(l.Name, l.VRF)
	if elsewhere {
		ops = r.strand(ops, l)
	}
	ops = r.host.SetLink(ops, l.Link)
	r.onLine(l)
	r.resume(l)
	r.takeBack(l)
	if elsewhere {
		for d := range r.table.OnLink(l.Name) {
			if !r.host.IsElsewhere(l.Name, d.VRF) {
				ops = r.host.Put(ops, r.forKernel(&d))
			}
			ops = r.covering.Cover(ops, &d)
		}
	}
	ops = r.applyRule(l, ops, eff)
	r.ledger.Install(ops, eff)
	r.links.TakeOver(l, r.chooseAnew(eff))
}

// strand takes those delegations out of the host that the link has left behind in another VRF.
func (r *Relay) strand(ops []hoststate.Op, l *link) []hoststate.Op {
	for d := range r.table.OnLink(l.Name) {
		if d.VRF != l.VRF {
			ops = r.host.Delete(ops, l.Name, d.Prefix)
		}
	}
	return ops
}

// RemoveLink takes in that an interface is gone. The delegations of the link stay (RFC 8987 S-2).
func (r *Relay) RemoveLink(name string, eff *effect.Effects) {
	if l := r.links.Named(name); l != nil {
		r.dropLink(l, eff)
	}
}

func (r *Relay) dropLink(l *link, eff *effect.Effects) {
	r.links.Remove(l)
	r.gone.Add(l.Name, l.counters)
	r.ledger.Install(r.leave(r.host.RemoveLink(nil, l.Name), l), eff)
	r.resolveBorrowers(l.Name, eff)
	eff.Note(effect.Note{Kind: effect.NoteLink, Link: l.Name, Text: "link vanished"})
}

// Rule is the rule for the clients on the named link; nil if it has none.
func (r *Relay) Rule(name string) *LinkRule { return r.ruleUnder(r.cfg, r.peers.Set, name) }

// ruleUnder is Rule under a configuration with these peers.
func (r *Relay) ruleUnder(cfg *Config, peers *trust.Set, name string) *LinkRule {
	return links.Rule(r.links, peers, cfg.Links, func(rule *LinkRule) []string { return rule.Match }, name)
}

// applyRule works out what the configuration means for a link as it is now.
func (r *Relay) applyRule(l *link, ops []hoststate.Op, eff *effect.Effects) []hoststate.Op {
	l.rule = r.Rule(l.Name)
	id := l.Name
	l.idOptional = false
	if l.rule != nil {
		if text := l.rule.InterfaceID.Append(nil, links.Facts{Link: l.Link, Hostname: r.cfg.Hostname}); len(text) > 0 {
			id = string(text)
		} else {
			l.idOptional = true
		}
	}
	r.links.Identify(l, id)
	r.resolveAddress(l, eff)
	r.resolveBorrowers(l.Name, eff)
	if l.rule == nil {
		return r.restake(r.host.SetPolicy(ops, l.Name, nil), l)
	}
	host, policy := l.rule.resolve(l.Link)
	l.policy = policy
	return r.restake(r.host.SetPolicy(ops, l.Name, &host), l)
}

// resolve decides what the rule leaves open, by the kind of the link.
func (rule *LinkRule) resolve(h *links.Link) (hoststate.Policy, delegation.Policy) {
	host, policy := rule.Host, rule.Delegations
	host.Shared = rule.Shared
	if rule.SharedAuto {
		host.Shared = !h.PointToPoint
	}
	policy.Resolve(host.Shared)
	host.Routed = rule.PermitsRouted()
	host.Holders = policy.Move == delegation.MoveProbe
	return host, policy
}

// PermitsRouted reports whether a packet on a link of this rule may have a source address that
// routes of other programs lead to there. The addresses of clients on an unnumbered link are
// such. A link is unnumbered where the rule has it borrow its link-address.
func (rule *LinkRule) PermitsRouted() bool {
	wanted := rule.Host.Routed
	if rule.RoutedAuto {
		wanted = rule.Borrow != ""
	}
	return wanted && rule.Host.Filter != hoststate.FilterOff
}

// SetRouted takes in to which prefixes routes of other programs lead on a link that is up.
func (r *Relay) SetRouted(name string, routed []netip.Prefix, eff *effect.Effects) {
	if l := r.links.Named(name); l != nil {
		r.ledger.Install(r.host.SetRouted(nil, name, routed), eff)
	}
}

// resolveAddress chooses the link-address for clients on l.
func (r *Relay) resolveAddress(l *link, eff *effect.Effects) {
	a := r.chooseAddress(l)
	if before := r.links.SetAddress(l, a); before.IsValid() && before != a && r.leasesOn(l.Name) {
		r.tellAddress(l, before, eff)
	}
}

// chooseAnew returns a function that chooses the link-address of a link anew, and those of the
// links that borrow it.
func (r *Relay) chooseAnew(eff *effect.Effects) func(*link) {
	return func(l *link) {
		r.resolveAddress(l, eff)
		r.resolveBorrowers(l.Name, eff)
	}
}

// chooseAddress chooses the link-address for clients on l (RFC 8415 section 19.1.1): the
// configured one, else a global address of the link, then a unique local one, then one that is
// borrowed from another interface. A link-local address is the last resort.
func (r *Relay) chooseAddress(l *link) netip.Addr {
	own := r.links.OwnAddress(l)
	switch {
	case l.rule == nil:
		return own
	case l.rule.LinkAddress.IsValid():
		return l.rule.LinkAddress
	case rank(own) < rankLinkLocal || l.rule.Borrow == "":
		return own
	}
	if lender := r.links.Named(l.rule.Borrow); lender != nil {
		if a := r.links.OwnAddress(lender); rank(a) < rankLinkLocal {
			return a
		}
	}
	return own
}

// resolveBorrowers chooses anew the link-addresses of the links that borrow an address of lender.
func (r *Relay) resolveBorrowers(lender string, eff *effect.Effects) {
	if !slices.ContainsFunc(r.cfg.Links, func(rule LinkRule) bool { return rule.Borrow == lender }) {
		return
	}
	for l := range r.links.All() {
		if l.rule != nil && l.rule.Borrow == lender {
			r.resolveAddress(l, eff)
		}
	}
}

// identified reports whether the link-address alone tells the server which link is meant (RFC
// 8415 section 19.1.1).
func (r *Relay) identified(l *link) bool {
	return rank(l.Address()) < rankLinkLocal && r.links.IsUnique(l.Address())
}

// sentInterfaceID is what option 18 holds in messages from this link. It is empty where the
// option is not sent.
func (r *Relay) sentInterfaceID(l *link) string {
	if l.idOptional && r.identified(l) {
		return ""
	}
	return l.Identifier()
}

// LinkView is what operators see of a link.
type LinkView struct {
	links.Link
	ClientFacing bool
	Shared       bool
	LinkAddress  netip.Addr
	Missing      bool // LinkAddress is no longer on the link that had it
	InterfaceID  string
	Trusted      bool
	LinkFigures
	Use      delegation.Use
	Counters LinkCounters
}

// LinkFigures are how much clients have on a link, and how much they may have. Operators read
// them as api.LinkFigures, which has the same fields.
type LinkFigures struct {
	Limit, ClientLimit int
	HostLimit          int // 0: no limit
	Prefixes, Assigned int // live delegated prefixes and assigned addresses
}

// Links are all links, by name.
func (r *Relay) Links() []LinkView {
	all := make([]LinkView, 0, r.links.Len())
	for l := range r.links.All() {
		v := LinkView{
			Link: *l.Link, ClientFacing: l.rule != nil, LinkAddress: l.Address(), InterfaceID: r.sentInterfaceID(l), Missing: r.missing(l),
			LinkFigures: LinkFigures{Prefixes: r.table.LinkLen(l.Name, binding.Prefix), Assigned: r.table.LinkLen(l.Name, binding.Address)}, Counters: l.counters,
		}
		if l.rule != nil {
			host, policy := l.rule.resolve(l.Link)
			v.Shared, v.Trusted, v.Limit = host.Shared, l.rule.Trusted, policy.LinkLimit
			v.ClientLimit, v.HostLimit, v.Use = policy.ClientLimit, policy.HostLimit, r.table.Use(l.Name, &policy)
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b LinkView) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// loopExempt reports whether a client is exempt from the loop drop.
func (rule *LinkRule) loopExempt(client binding.Client) bool {
	return slices.ContainsFunc(rule.LoopExemptClient, func(d dhcp6.DUID) bool { return binding.DUID(d) == client })
}
