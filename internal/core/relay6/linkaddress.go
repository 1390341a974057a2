package relay6

import (
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/links"
	"fairlead/internal/core/trust"
)

const (
	rankGlobal = iota
	rankUniqueLocal
	rankLinkLocal
	rankNone
)

func rank(a netip.Addr) int {
	switch {
	case !a.IsValid() || !a.Is6() || a.IsLoopback() || a.IsMulticast() || a.IsUnspecified():
		return rankNone
	case a.IsLinkLocalUnicast():
		return rankLinkLocal
	case a.IsPrivate():
		return rankUniqueLocal
	}
	return rankGlobal
}

// grade is how good an address is as a link-address (RFC 8415 section 19.1.1: "a globally
// scoped unicast address (i.e., GUA or ULA) from a prefix assigned to the link").
func grade(p netip.Prefix) links.Grade {
	alone := p.Bits() == 128
	switch rank(p.Addr()) {
	case rankGlobal:
		if alone {
			return links.GradeGlobalAlone
		}
		return links.GradeGlobal
	case rankUniqueLocal:
		if alone {
			return links.GradeUniqueLocalAlone
		}
		return links.GradeUniqueLocal
	case rankLinkLocal: // the last resort that section 19.1.1 permits
		return links.GradeLinkLocal
	}
	return links.GradeNone
}

// choosesAddress reports whether an address of the link is ever a link-address that we
// have to choose.
func (r *Relay) choosesAddress(l *link) bool {
	return l.rule != nil && !l.rule.LinkAddress.IsValid() || l.rule == nil && r.peers.HeardOn(trust.Relay, l.Name) ||
		slices.ContainsFunc(r.cfg.Links, func(rule LinkRule) bool { return rule.Borrow == l.Name })
}

func (r *Relay) leasesOn(link string) bool {
	return r.table.LinkLen(link, binding.Prefix)+r.table.LinkLen(link, binding.Address) > 0
}

func (r *Relay) tellAddress(l *link, before netip.Addr, eff *effect.Effects) {
	now := "none"
	if l.Address().IsValid() {
		now = l.Address().String()
	}
	eff.Note(effect.Note{Kind: effect.NoteLinkAddress, Link: l.Name, Reason: "from " + before.String() + " to " + now, Text: "link-address changed while clients hold leases: the server may choose other pools for them"})
}

// tellAddressesSince tells of links whose link-address is not the one that was
// used in an earlier life of the process.
func (r *Relay) tellAddressesSince(eff *effect.Effects) {
	for l, before := range r.links.Readdressed {
		if r.leasesOn(l.Name) {
			r.tellAddress(l, before, eff)
		}
	}
}

// missing reports whether the link-address of l is that of a link which has lost
// it.
func (r *Relay) missing(l *link) bool {
	if l.rule == nil || !l.Up || !l.Address().IsValid() || l.Address() == l.rule.LinkAddress || l.Has(l.Address()) {
		return false
	}
	lender := r.links.Named(l.rule.Borrow)
	return lender == nil || !lender.Has(l.Address())
}
