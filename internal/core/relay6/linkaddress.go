package relay6

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/trust"
)

// The link-address tells the server which link a client is on, and so which pools
// serve it. An address that somebody adds to the link must not change it, nor may
// an address that is away for a moment.

// settledAddress is the address of a link that is preferred to others as good. It
// outlives the process: the order in which the kernel lists addresses is not the
// same after a reboot.
type settledAddress struct {
	netip.Prefix                 // the address, with its on-link prefix length
	missing      bool            // it is not on the link, which is up
	lapses       instant.Instant // when a missing one is given up; 0: the next Tick says
	instead      netip.Prefix    // used last, of those as good, while this one is missing
	last         netip.Addr      // used last in an earlier life of the process
}

// missingFor is how long an address that is no longer on its link is still used:
// an interface that goes down loses its addresses, and whoever set them may take
// as long to set them again.
const missingFor = time.Hour

// How good an address is as a link-address (RFC 8415 section 19.1.1: "a globally
// scoped unicast address (i.e., GUA or ULA) from a prefix assigned to the link").
const (
	gradeGlobal           = iota
	gradeUniqueLocal      //
	gradeGlobalAlone      // an address of full length is from no prefix of the link
	gradeUniqueLocalAlone //
	gradeLinkLocal        // the last resort that section 19.1.1 permits
	gradeNone
)

func grade(p netip.Prefix) int {
	alone := 0
	if p.Bits() == 128 {
		alone = gradeGlobalAlone - gradeGlobal
	}
	switch rank(p.Addr()) {
	case rankGlobal:
		return gradeGlobal + alone
	case rankUniqueLocal:
		return gradeUniqueLocal + alone
	case rankLinkLocal:
		return gradeLinkLocal
	}
	return gradeNone
}

// bestAddress is the best address of a link: by its grade, then one that is not
// deprecated, then the one before, then the one that has been there longest, which
// the kernel lists last. A temporary one is none: it changes by itself.
func bestAddress(h *links.Link, before netip.Addr) netip.Prefix {
	var best netip.Prefix
	least := [3]int{gradeNone}
	for _, p := range h.Addrs {
		if slices.Contains(h.Temporary, p.Addr()) {
			continue
		}
		is := [3]int{grade(p), truth(slices.Contains(h.Deprecated, p.Addr())), truth(p.Addr() != before)}
		if is[0] < gradeNone && slices.Compare(is[:], least[:]) <= 0 {
			best, least = p, is
		}
	}
	return best
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ownAddress is the link-address that l has of itself: the best of its addresses,
// or the settled one for as long as that is missing and nothing as good is there.
func (r *Relay) ownAddress(l *link) netip.Addr {
	s := r.settled[l.Name]
	if s == nil {
		s = &settledAddress{}
	}
	best := bestAddress(l.Link, s.Addr())
	if !r.settles(l) {
		return best.Addr()
	}
	if away := s.IsValid() && !l.Has(s.Addr()); !away {
		s.missing, s.lapses = false, 0
		r.use(l.Name, s, netip.Prefix{})
		if grade(best) < gradeLinkLocal && best != s.Prefix {
			r.settle(l.Name, best)
		}
		return best.Addr()
	}
	// The addresses of a link go with it when it goes down: the time of the missing
	// one begins when it is up again.
	if s.missing = l.Up; !s.missing {
		s.lapses = 0
	} else if s.lapses == 0 {
		r.lapseAt = 0
	}
	if grade(best) <= grade(s.Prefix) {
		r.use(l.Name, s, best)
		return best.Addr()
	}
	for _, held := range [...]netip.Prefix{s.instead, s.Prefix} { // the last one that was used first
		if held.IsValid() && !r.isElsewhere(l, held.Addr()) {
			return held.Addr()
		}
	}
	return best.Addr()
}

// use takes note of the address that is used instead of the settled one.
func (r *Relay) use(link string, s *settledAddress, instead netip.Prefix) {
	if s.instead != instead {
		s.instead = instead
		r.ledger.LackRecord(LinkKey(link))
	}
}

// settles reports whether an address of the link is ever a link-address that we
// have to choose.
func (r *Relay) settles(l *link) bool {
	return l.rule != nil && !l.rule.LinkAddress.IsValid() || l.rule == nil && r.trust.HeardOn(trust.Relay, l.Name) ||
		slices.ContainsFunc(r.cfg.Links, func(rule LinkRule) bool { return rule.Borrow == l.Name })
}

// maxSettled bounds the names of links whose settled addresses are remembered: of
// too many, those are forgotten that no interface has and where nothing is leased.
const maxSettled = 8192

func (r *Relay) settle(link string, p netip.Prefix) {
	if r.settled[link] == nil && len(r.settled) >= maxSettled {
		for name := range r.settled {
			if r.byName[name] == nil && !r.leasesOn(name) {
				r.unsettle(name)
			}
		}
	}
	now := &settledAddress{Prefix: p}
	if before := r.settled[link]; before != nil {
		now.last = before.last
	}
	r.settled[link] = now
	r.ledger.LackRecord(LinkKey(link))
}

func (r *Relay) unsettle(link string) {
	delete(r.settled, link)
	r.ledger.LackRecord(LinkKey(link))
}

// renameAddress gives what is settled for a link to its new name.
func (r *Relay) renameAddress(old, name string) {
	if s := r.settled[old]; s != nil {
		r.settle(name, s.Prefix)
		r.unsettle(old)
	}
}

func (r *Relay) leasesOn(link string) bool {
	return r.table.LinkLen(link, binding.Prefix)+r.table.LinkLen(link, binding.Address) > 0
}

// isElsewhere reports whether an address is by now in a prefix of another link
// with clients: it cannot stand for this one any more.
func (r *Relay) isElsewhere(l *link, a netip.Addr) bool {
	for _, other := range r.byName {
		if other != l && other.rule != nil && other.VRF == l.VRF && other.Covers(a) {
			return true
		}
	}
	return false
}

// takeOver settles anew the link-addresses of links whose missing address is in a
// prefix of l by now.
func (r *Relay) takeOver(l *link, eff *effect.Effects) {
	if r.lapseAt == instant.Never || l.rule == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(r.settled)) {
		s, other := r.settled[name], r.byName[name]
		if s.missing && other != nil && other != l && l.Covers(s.Addr()) {
			r.resolveAddress(other, eff)
			r.resolveBorrowers(name, eff)
		}
	}
}

// lapse gives up addresses that have been missing for too long. What was used in the
// place of one stays, for as long again if it is missing too.
func (r *Relay) lapse(now instant.Now, eff *effect.Effects) {
	next := instant.Never
	for _, name := range slices.Sorted(maps.Keys(r.settled)) {
		s, l := r.settled[name], r.byName[name]
		if l == nil || !s.missing {
			continue
		}
		if s.lapses == 0 {
			s.lapses = now.Boot.After(missingFor)
		}
		if s.lapses > now.Boot {
			next = min(next, s.lapses)
			continue
		}
		if s.instead.IsValid() {
			r.settle(name, s.instead)
		} else {
			r.unsettle(name)
		}
		r.resolveAddress(l, eff)
		r.resolveBorrowers(name, eff)
		if s := r.settled[name]; s != nil && s.missing {
			s.lapses = now.Boot.After(missingFor)
			next = min(next, s.lapses)
		}
	}
	r.lapseAt = next
}

// maxFormer bounds how many addresses that a link no longer has are understood in
// Relay-replies that come late.
const maxFormer = 4

// noteAddress takes note that the link-address of l was another before.
func (r *Relay) noteAddress(l *link, before netip.Addr, eff *effect.Effects) {
	if !before.IsValid() || before == l.address {
		return
	}
	l.former = slices.DeleteFunc(l.former, func(a netip.Addr) bool { return a == before || a == l.address })
	l.former = slices.Insert(l.former, 0, before)
	l.former = l.former[:min(len(l.former), maxFormer)]
	if r.leasesOn(l.Name) {
		r.tellAddress(l, before, eff)
	}
}

func (r *Relay) tellAddress(l *link, before netip.Addr, eff *effect.Effects) {
	now := "none"
	if l.address.IsValid() {
		now = l.address.String()
	}
	eff.Note(effect.Note{Kind: effect.NoteLinkAddress, Link: l.Name, Reason: "from " + before.String() + " to " + now, Text: "link-address changed while clients hold leases: the server may choose other pools for them"})
}

// tellAddressesSince tells of links whose link-address is not the one that was
// used in an earlier life of the process.
func (r *Relay) tellAddressesSince(eff *effect.Effects) {
	for _, name := range slices.Sorted(maps.Keys(r.settled)) {
		if s, l := r.settled[name], r.byName[name]; s.last.IsValid() && l != nil && l.rule != nil && l.address != s.last && r.leasesOn(name) {
			r.tellAddress(l, s.last, eff)
		}
	}
}

// missing reports whether the link-address of l is that of a link which has lost
// it.
func (r *Relay) missing(l *link) bool {
	if l.rule == nil || !l.Up || !l.address.IsValid() || l.address == l.rule.LinkAddress || l.Has(l.address) {
		return false
	}
	lender := r.byName[l.rule.Borrow]
	return lender == nil || !lender.Has(l.address)
}
