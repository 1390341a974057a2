package relay6

import (
	"net/netip"
	"slices"
)

// byKey finds links by what names them: mostly one, seldom several.
type byKey[K comparable] map[K][]*link

func (m byKey[K]) add(k K, l *link) {
	if !slices.Contains(m[k], l) {
		m[k] = append(m[k], l)
	}
}

func (m byKey[K]) remove(k K, l *link) {
	left := slices.DeleteFunc(m[k], func(x *link) bool { return x == l })
	if len(left) > 0 {
		m[k] = left
	} else {
		delete(m, k)
	}
}

// only is the one link of several candidates, or the one of them that faces
// clients, or nil: a message is never sent to a link that was guessed.
func only(candidates []*link) *link {
	if len(candidates) == 1 {
		return candidates[0]
	}
	var facing *link
	for _, l := range candidates {
		if l.rule == nil {
			continue
		}
		if facing != nil {
			return nil
		}
		facing = l
	}
	return facing
}

// claim replaces the addresses that name a link.
func (r *Relay) claim(l *link, names []netip.Addr) {
	for _, a := range l.claims {
		r.byAddress.remove(a, l)
	}
	l.claims = names
	for _, a := range names {
		r.byAddress.add(a, l)
	}
}

// identified reports whether the link-address alone says which link is meant
// (RFC 8415 section 19.1.1).
func (r *Relay) identified(l *link) bool {
	return rank(l.address) < rankLinkLocal && len(r.byAddress[l.address]) == 1
}

// sentInterfaceID is what option 18 holds in messages from this link, empty
// where it is not sent.
func (r *Relay) sentInterfaceID(l *link) string {
	if l.idOptional && r.identified(l) {
		return ""
	}
	return l.interfaceID
}

// linkByAddress is the link that a Relay-reply's link-address names: by one of
// its addresses, else by one that was its link-address before, else by a prefix on
// it.
func (r *Relay) linkByAddress(a netip.Addr) *link {
	if named := r.byAddress[a]; len(named) > 0 {
		return only(named)
	}
	var had []*link
	for _, l := range r.byName {
		if s := r.settled[l.Name]; slices.Contains(l.former, a) || s != nil && s.Addr() == a {
			had = append(had, l)
		}
	}
	if len(had) > 0 {
		return only(had)
	}
	var inside *link
	for _, l := range r.byName {
		if l.rule == nil || !l.Covers(a) || a.IsLinkLocalUnicast() {
			continue
		}
		if inside != nil {
			return nil
		}
		inside = l
	}
	return inside
}

// goneCounters keep the counters of links that vanished, for their return; of
// the newest maxGone names.
type goneCounters struct {
	byName map[string]LinkCounters
	names  []string // oldest first
}

const maxGone = 4096

func (g *goneCounters) add(name string, c LinkCounters) {
	if g.byName == nil {
		g.byName = make(map[string]LinkCounters)
	}
	if len(g.names) == maxGone {
		delete(g.byName, g.names[0])
		g.names = slices.Delete(g.names, 0, 1)
	}
	g.byName[name] = c
	g.names = append(g.names, name)
}

func (g *goneCounters) restore(name string, c *LinkCounters) {
	old, ok := g.byName[name]
	if !ok {
		return
	}
	*c = old
	delete(g.byName, name)
	g.names = slices.DeleteFunc(g.names, func(n string) bool { return n == name })
}
