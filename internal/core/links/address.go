package links

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/core/instant"
)

// The address of a link tells the server which link a client is on, and so which pools
// serve it. An address that somebody adds to the link must not change it, nor may
// an address that is away for a moment.

// Role has the questions that a registry asks its role.
type Role[L Member] struct {
	// Grade is how good an address of a link is, with its on-link prefix length.
	Grade func(netip.Prefix) Grade
	// Chooses reports whether an address of the link is ever one that the role has to
	// choose.
	Chooses func(L) bool
	// Leased reports whether clients hold anything on the link of a name.
	Leased func(name string) bool
	// Changed is called when the stored record of the link of a name has to be written again.
	Changed func(name string)
}

// Grade is how good an address is as the one that tells servers which link a client is
// on: the less the better.
type Grade int

// The grades. An address of full length is not from a prefix that the link's clients
// share.
const (
	GradeGlobal Grade = iota
	GradeUniqueLocal
	GradeGlobalAlone
	GradeUniqueLocalAlone
	GradeLinkLocal // the last resort
	GradeNone
)

// chosen is the address that was chosen to name a link to servers. It is preferred to others
// of the same grade. It is kept, because the kernel lists addresses in another order after a reboot.
type chosen struct {
	netip.Prefix                 // the address, with its on-link prefix length
	missing      bool            // it is not on the link, which is up
	lapses       instant.Instant // when a missing one is given up; 0: the next Lapse says
	instead      netip.Prefix    // of the same grade, used last while this one is missing
	last         netip.Addr      // used last by the process before
}

// MissingFor is how long an address that is no longer on its link is still used:
// an interface that goes down loses its addresses, and whoever set them may take
// as long to set them again.
const MissingFor = time.Hour

// best is the best address of a link: by its grade, then one that is not deprecated, then
// the one that was chosen before, then the oldest, which the kernel lists last. A
// temporary address is never chosen: it changes by itself.
func (r *Registry[L]) best(l *Link, before netip.Addr) (best netip.Prefix, grade Grade) {
	least := [3]int{int(GradeNone)}
	for _, p := range l.Addrs {
		if slices.Contains(l.Temporary, p.Addr()) {
			continue
		}
		is := [3]int{int(r.role.Grade(p)), truth(slices.Contains(l.Deprecated, p.Addr())), truth(p.Addr() != before)}
		if is[0] < int(GradeNone) && slices.Compare(is[:], least[:]) <= 0 {
			best, least = p, is
		}
	}
	return best, Grade(least[0])
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// OwnAddress is the address by which a link makes itself known to servers: the best of its
// addresses. If the chosen address is missing, it is still used until an address of the
// same grade is there.
func (r *Registry[L]) OwnAddress(l L) netip.Addr {
	e := l.Known()
	s := r.chosen[e.Name]
	if s == nil {
		s = &chosen{}
	}
	best, grade := r.best(e.Link, s.Addr())
	if !r.role.Chooses(l) {
		return best.Addr()
	}
	if away := s.IsValid() && !e.Has(s.Addr()); !away {
		s.missing, s.lapses = false, 0
		r.use(e.Name, s, netip.Prefix{})
		if grade < GradeLinkLocal && best != s.Prefix {
			r.choose(e.Name, best)
		}
		return best.Addr()
	}
	// A link that goes down loses its addresses: the time of a missing address begins when the
	// link is up again.
	if s.missing = e.Up; !s.missing {
		s.lapses = 0
	} else if s.lapses == 0 {
		r.lapseAt = 0
	}
	if grade <= r.role.Grade(s.Prefix) {
		r.use(e.Name, s, best)
		return best.Addr()
	}
	for _, used := range [...]netip.Prefix{s.instead, s.Prefix} { // the last one that was used first
		if used.IsValid() && !r.isElsewhere(l, used.Addr()) {
			return used.Addr()
		}
	}
	return best.Addr()
}

// PresentAddress is OwnAddress for a role in which an address that is missing is of no use:
// the best of those that the link has is used instead.
func (r *Registry[L]) PresentAddress(l L) netip.Addr {
	e := l.Known()
	if own := r.OwnAddress(l); e.Has(own) {
		return own
	}
	best, _ := r.best(e.Link, e.address)
	return best.Addr()
}

// use remembers the address that is used instead of the chosen one.
func (r *Registry[L]) use(name string, s *chosen, instead netip.Prefix) {
	if s.instead != instead {
		s.instead = instead
		r.role.Changed(name)
	}
}

// maxChosen bounds the names of links whose chosen addresses are remembered. Beyond it,
// names are forgotten that no interface has and that have no leases.
const maxChosen = 8192

func (r *Registry[L]) choose(name string, p netip.Prefix) {
	var none L
	if r.chosen[name] == nil && len(r.chosen) >= maxChosen {
		for other := range r.chosen {
			if r.byName[other] == none && !r.role.Leased(other) {
				r.forget(other)
			}
		}
	}
	now := &chosen{Prefix: p}
	if before := r.chosen[name]; before != nil {
		now.last = before.last
	}
	r.chosen[name] = now
	r.role.Changed(name)
}

func (r *Registry[L]) forget(name string) {
	delete(r.chosen, name)
	r.role.Changed(name)
}

// Chosen is the chosen address of the link of a name, and the address that is used while
// that is missing. Both are for the store. They may be invalid.
func (r *Registry[L]) Chosen(name string) (address, instead netip.Prefix) {
	if s := r.chosen[name]; s != nil {
		address, instead = s.Prefix, s.instead
	}
	return address, instead
}

// Restore takes in what Chosen returned to the process before.
func (r *Registry[L]) Restore(name string, address, instead netip.Prefix) {
	s := &chosen{Prefix: address, instead: instead, last: address.Addr()}
	if instead.IsValid() {
		s.last = instead.Addr()
	}
	r.chosen[name] = s
}

// Succeed takes over the chosen addresses of the registry of a core that panicked.
func (r *Registry[L]) Succeed(old *Registry[L]) {
	var none L
	r.lapseAt = old.lapseAt
	for name, s := range old.chosen {
		same := *s
		if l := old.byName[name]; l != none {
			same.last = l.Known().address
		}
		r.chosen[name] = &same
	}
}

// Readdressed yields the names of the links with clients whose address differs from the
// one that the process before used, and that former address.
func (r *Registry[L]) Readdressed(yield func(l L, before netip.Addr) bool) {
	var none L
	for _, name := range slices.Sorted(maps.Keys(r.chosen)) {
		s, l := r.chosen[name], r.byName[name]
		if s.last.IsValid() && l != none && l.FacesClients() && l.Known().address != s.last && !yield(l, s.last) {
			return
		}
	}
}

// isElsewhere reports whether an address is now in a prefix of another link with clients,
// so that it cannot stand for this link any more.
func (r *Registry[L]) isElsewhere(l L, a netip.Addr) bool {
	for _, other := range r.byName {
		if o := other.Known(); other != l && other.FacesClients() && o.VRF == l.Known().VRF && o.Covers(a) {
			return true
		}
	}
	return false
}

// TakeOver chooses new addresses for the links whose missing address is now in a prefix of
// l.
func (r *Registry[L]) TakeOver(l L, choose func(L)) {
	if r.lapseAt == instant.Never || !l.FacesClients() {
		return
	}
	var none L
	for _, name := range slices.Sorted(maps.Keys(r.chosen)) {
		s, other := r.chosen[name], r.byName[name]
		if s.missing && other != none && other != l && l.Known().Covers(s.Addr()) {
			choose(other)
		}
	}
}

// LapseAt is when Lapse has something to do.
func (r *Registry[L]) LapseAt() instant.Instant { return r.lapseAt }

// Lapse gives up addresses that have been missing for too long, and chooses others. The
// address that was used instead of a missing one is then the chosen one; if it is missing
// as well, it has the same time again.
func (r *Registry[L]) Lapse(now instant.Now, choose func(L)) {
	var none L
	next := instant.Never
	for _, name := range slices.Sorted(maps.Keys(r.chosen)) {
		s, l := r.chosen[name], r.byName[name]
		if l == none || !s.missing {
			continue
		}
		if s.lapses == 0 {
			s.lapses = now.Boot.After(MissingFor)
		}
		if s.lapses > now.Boot {
			next = min(next, s.lapses)
			continue
		}
		if s.instead.IsValid() {
			r.choose(name, s.instead)
		} else {
			r.forget(name)
		}
		choose(l)
		if s := r.chosen[name]; s != nil && s.missing {
			s.lapses = now.Boot.After(MissingFor)
			next = min(next, s.lapses)
		}
	}
	r.lapseAt = next
}
