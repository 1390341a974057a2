package links

import (
	"iter"
	"maps"
	"net/netip"
	"slices"

	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
)

// Entry is what a Registry knows of a link. A role's own type for a link embeds it.
type Entry struct {
	*Link      // as the host has told it last
	identifier string
	address    netip.Addr
	former     []netip.Addr // what address was before, the last first
	names      []netip.Addr // by which an answer may name the link
}

// Known is the link's Entry.
func (e *Entry) Known() *Entry { return e }

// Identifier names the link in messages beside its address: interface-id in DHCPv6,
// circuit-id in DHCPv4.
func (e *Entry) Identifier() string { return e.identifier }

// Address tells servers which link a client is on: link-address in DHCPv6, giaddr in
// DHCPv4. It is invalid where the link has none.
func (e *Entry) Address() netip.Addr { return e.address }

// Member is a pointer to a role's type for a link: a struct that embeds an Entry.
type Member interface {
	comparable
	Known() *Entry
	// FacesClients reports whether clients are on the link.
	FacesClients() bool
}

// Registry has all links. It finds them by index and name, and by the addresses and
// identifiers in answers. It belongs to a core and to its goroutine.
type Registry[L Member] struct {
	byIndex      map[int]L
	byName       map[string]L
	byIdentifier byKey[string, L]
	byAddress    byKey[netip.Addr, L]
	formerly     map[string]formerly[L] // by identifier

	role    Role[L]
	chosen  map[string]*chosen // by name, also of links that are gone
	lapseAt instant.Instant    // when Lapse has something to do
}

// NewRegistry has no links yet.
func NewRegistry[L Member](role Role[L]) *Registry[L] {
	return &Registry[L]{
		byIndex: make(map[int]L), byName: make(map[string]L),
		byIdentifier: make(byKey[string, L]), byAddress: make(byKey[netip.Addr, L]), formerly: make(map[string]formerly[L]),
		role: role, chosen: make(map[string]*chosen), lapseAt: instant.Never,
	}
}

// At is the link of an interface index; nil if there is none.
func (r *Registry[L]) At(index int) L { return r.byIndex[index] }

// NameAt is the name of the link of an interface index; empty if there is none.
func (r *Registry[L]) NameAt(index int) string {
	if l, there := r.byIndex[index]; there {
		return l.Known().Name
	}
	return ""
}

// Named is the link of a name; nil if there is none.
func (r *Registry[L]) Named(name string) L { return r.byName[name] }

// Len is how many links there are.
func (r *Registry[L]) Len() int { return len(r.byName) }

// All are the links, in any order.
func (r *Registry[L]) All() iter.Seq[L] { return maps.Values(r.byName) }

// Names are the names of all links, in order.
func (r *Registry[L]) Names() []string { return slices.Sorted(maps.Keys(r.byName)) }

// Tell takes in the present state of a link, which may be new.
func (r *Registry[L]) Tell(l L, now *Link) {
	e := l.Known()
	if e.Link != nil {
		delete(r.byIndex, e.Index)
	}
	e.Link = now
	r.byName[now.Name], r.byIndex[now.Index] = l, l
}

// Rename gives a link another name. Answers with the link's former identifier still find
// it for a while.
func (r *Registry[L]) Rename(l L, name string) {
	e := l.Known()
	delete(r.byName, e.Name)
	if s := r.chosen[e.Name]; s != nil {
		r.choose(name, s.Prefix)
		r.forget(e.Name)
	}
	e.Link = e.Renamed(name)
	r.byName[name] = l
	if len(r.formerly) < maxFormerly {
		r.formerly[e.identifier] = formerly[L]{link: l}
	}
}

// Remove forgets a link.
func (r *Registry[L]) Remove(l L) {
	e := l.Known()
	delete(r.byIndex, e.Index)
	delete(r.byName, e.Name)
	r.byIdentifier.remove(e.identifier, l)
	maps.DeleteFunc(r.formerly, func(_ string, f formerly[L]) bool { return f.link == l })
	r.callBy(l, nil)
}

// Identify says by which identifier answers name a link.
func (r *Registry[L]) Identify(l L, identifier string) {
	e := l.Known()
	r.byIdentifier.remove(e.identifier, l)
	e.identifier = identifier
	r.byIdentifier.add(identifier, l)
	if r.formerly[identifier].link == l {
		delete(r.formerly, identifier)
	}
}

// callBy replaces the addresses by which answers find a link.
func (r *Registry[L]) callBy(l L, names []netip.Addr) {
	e := l.Known()
	for _, a := range e.names {
		r.byAddress.remove(a, l)
	}
	e.names = names
	for _, a := range names {
		r.byAddress.add(a, l)
	}
}

// maxFormer bounds how many former addresses of a link still find it, for answers that
// come late.
const maxFormer = 4

// SetAddress sets the address that tells servers which link a client is on, and returns
// the former one. Answers find the link by its other addresses as well.
func (r *Registry[L]) SetAddress(l L, a netip.Addr) (before netip.Addr) {
	e := l.Known()
	before = e.address
	e.address = a
	if before.IsValid() && before != a {
		e.former = slices.DeleteFunc(e.former, func(f netip.Addr) bool { return f == before || f == a })
		e.former = slices.Insert(e.former, 0, before)
		e.former = e.former[:min(len(e.former), maxFormer)]
	}
	names := make([]netip.Addr, 0, len(e.Addrs)+1)
	if a.IsValid() {
		names = append(names, a)
	}
	for _, p := range e.Addrs {
		if !slices.Contains(names, p.Addr()) {
			names = append(names, p.Addr())
		}
	}
	r.callBy(l, names)
	return before
}

// IsUnique reports whether no other link is named by an address.
func (r *Registry[L]) IsUnique(a netip.Addr) bool { return len(r.byAddress[a]) == 1 }

// IsKnown reports whether any link has an address, or uses it towards servers.
func (r *Registry[L]) IsKnown(a netip.Addr) bool { return len(r.byAddress[a]) > 0 }

// IsCalled reports whether an answer may name a link by an address: one that the link has,
// or has used towards servers before.
func (r *Registry[L]) IsCalled(l L, a netip.Addr) bool {
	return slices.Contains(l.Known().names, a) || r.wasCalled(l, a)
}

func (r *Registry[L]) wasCalled(l L, a netip.Addr) bool {
	e := l.Known()
	s := r.chosen[e.Name]
	return slices.Contains(e.former, a) || s != nil && s.Addr() == a
}

// ByAddress is the link that an address in an answer names: the one with that address,
// else the one that has used it towards servers before, else the one with a prefix around
// it. It is nil where that is not clear.
func (r *Registry[L]) ByAddress(a netip.Addr) (found L) {
	if named := r.byAddress[a]; len(named) > 0 {
		return only(named)
	}
	var had []L
	for _, l := range r.byName {
		if r.wasCalled(l, a) {
			had = append(had, l)
		}
	}
	if len(had) > 0 {
		return only(had)
	}
	var none L
	for _, l := range r.byName {
		if !l.FacesClients() || !l.Known().Covers(a) || a.IsLinkLocalUnicast() {
			continue
		}
		if found != none {
			return none
		}
		found = l
	}
	return found
}

// ByIdentifier is the link that the identifier in an answer names: the one that has it, or
// that had it before it was renamed lately. Where these are two links, the address in the
// answer decides between them; if it does not, the answer is ambiguous.
func (r *Registry[L]) ByIdentifier(now instant.Instant, identifier []byte, address netip.Addr) (_ L, ambiguous bool) {
	have := r.byIdentifier[string(identifier)]
	if len(r.formerly) == 0 {
		return only(have), false
	}
	r.Age(now)
	f, had := r.formerly[string(identifier)]
	if !had {
		return only(have), false
	}
	if len(have) == 0 {
		return f.link, false
	}
	var none L
	if named := r.ByAddress(address); named != none && (named == f.link || slices.Contains(have, named)) {
		return named, false
	}
	return none, true
}

// formerly is the link that had an identifier before it was renamed: answers to messages
// from before still have that identifier.
type formerly[L Member] struct {
	link  L
	until instant.Instant // 0: the time has not begun yet
}

const (
	maxFormerly = 4096
	// How long answers may be under way. A client without an answer asks again (RFC 8415
	// section 7.6: a Request within 30 s), and its message is then forwarded with the new
	// identifier.
	formerlyFor = 120e9 // nanoseconds
)

// Age sets when former identifiers lapse, and forgets those that have.
func (r *Registry[L]) Age(now instant.Instant) {
	for id, f := range r.formerly {
		switch {
		case f.until == 0:
			f.until = now + formerlyFor
			r.formerly[id] = f
		case f.until <= now:
			delete(r.formerly, id)
		}
	}
}

// byKey finds links by an address, prefix or identifier: mostly one link, seldom several.
type byKey[K comparable, L Member] map[K][]L

func (m byKey[K, L]) add(k K, l L) {
	if !slices.Contains(m[k], l) {
		m[k] = append(m[k], l)
	}
}

func (m byKey[K, L]) remove(k K, l L) {
	left := slices.DeleteFunc(m[k], func(x L) bool { return x == l })
	if len(left) > 0 {
		m[k] = left
	} else {
		delete(m, k)
	}
}

// only is the single candidate, else the single one that faces clients, else nil: a
// message is never sent to a guessed link.
func only[L Member](candidates []L) (facing L) {
	if len(candidates) == 1 {
		return candidates[0]
	}
	var none L
	for _, l := range candidates {
		if !l.FacesClients() {
			continue
		}
		if facing != none {
			return none
		}
		facing = l
	}
	return facing
}

// Rule is the first of a role's rules whose globs match the name of a link; nil if the link has no
// clients of the role. An interface on which a server is heard has no rule: servers' answers come
// from it, and so a client must not be on it. An interface without anything at its other end has
// none either: a filter on the loopback device would drop what comes from this host, and a filter on
// the device of a VRF would drop what comes in by any link of the VRF.
func Rule[R any, L Member](of *Registry[L], peers *trust.Set, rules []R, globs func(*R) []string, name string) *R {
	if l, there := of.byName[name]; there && l.Known().IsHollow() {
		return nil
	}
	return trust.ClientRule(peers, rules, globs, name)
}
