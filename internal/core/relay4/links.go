package relay4

import (
	"net/netip"
	"slices"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/links"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
)

// SetLink takes in that an interface appeared or changed, with its IPv4 addresses. One that
// has another name is the same link.
func (r *Relay) SetLink(h links.Link, eff *effect.Effects) {
	if other := r.links.At(h.Index); other != nil && other.Name != h.Name {
		if taken := r.links.Named(h.Name); taken != nil {
			r.dropLink(taken, eff)
		}
		r.links.Rename(other, h.Name)
		eff.Note(effect.Note{Kind: effect.NoteLink, Link: h.Name, Text: "link renamed"})
	}
	l := r.links.Named(h.Name)
	if l == nil {
		l = &link{counters: r.gone.Take(h.Name)}
		eff.Note(effect.Note{Kind: effect.NoteLink, Link: h.Name, Text: "link appeared"})
	}
	r.links.Tell(l, &h)
	r.applyRule(l)
	r.links.TakeOver(l, r.resolveAddress)
	r.measure()
}

// RemoveLink takes in that an interface is gone.
func (r *Relay) RemoveLink(name string, eff *effect.Effects) {
	if l := r.links.Named(name); l != nil {
		r.dropLink(l, eff)
		r.measure()
	}
}

func (r *Relay) dropLink(l *link, eff *effect.Effects) {
	r.links.Remove(l)
	r.userless(l, l.Address())
	r.gone.Add(l.Name, l.counters)
	r.resolveBorrowers(l.Name)
	eff.Note(effect.Note{Kind: effect.NoteLink, Link: l.Name, Text: "link vanished"})
}

// applyRule works out what the configuration means for a link as it now is.
func (r *Relay) applyRule(l *link) {
	l.rule, l.port = r.Rule(l.Name), Port{}
	id := l.Name
	if l.rule != nil {
		l.port = l.rule.Ports[l.Name]
		var room [textRoom]byte
		if text := l.circuitID(room[:0], r.facts(l)); len(text) > 0 && !l.perClient() {
			id = string(text)
		}
	}
	r.links.Identify(l, id)
	r.resolveAddress(l)
	r.resolveBorrowers(l.Name)
}

// perClient reports whether the circuit-id tells clients of the link apart, so that it does
// not name the link.
func (l *link) perClient() bool { return l.port.CircuitID == "" && l.rule.CircuitID.PerClient() }

// grade is how good an address is as giaddr.
func grade(p netip.Prefix) links.Grade {
	a := p.Addr()
	switch {
	case !a.Is4() || a.IsLoopback() || a.IsMulticast() || a.IsUnspecified():
		return links.GradeNone
	case a.IsLinkLocalUnicast():
		return links.GradeLinkLocal
	case p.Bits() == 32:
		return links.GradeGlobalAlone
	}
	return links.GradeGlobal
}

// chooses reports whether an address of the link is ever a giaddr that we have to choose.
func (r *Relay) chooses(l *link) bool {
	return l.rule != nil && !l.rule.GIAddr.IsValid() || r.lends(l.Name)
}

func (r *Relay) lends(name string) bool {
	return slices.ContainsFunc(r.cfg.Links, func(rule LinkRule) bool { return rule.Borrow == name })
}

// resolveAddress settles the giaddr of clients on l: as configured, else an address of the
// link, else one that is borrowed from another interface. Of several addresses one is
// used for all messages (RFC 1542 section 4.1.1).
func (r *Relay) resolveAddress(l *link) {
	l.own = r.links.OwnAddress(l)
	l.subnet = netip.Addr{}
	for _, p := range l.Addrs {
		if p.Addr() == l.own {
			l.subnet = p.Masked().Addr()
		}
	}
	giaddr := l.own
	switch {
	case l.rule == nil:
	case l.rule.GIAddr.IsValid():
		giaddr = l.rule.GIAddr
	case !giaddr.IsValid() && l.rule.Borrow != "":
		if lender := r.links.Named(l.rule.Borrow); lender != nil {
			giaddr = r.links.OwnAddress(lender)
		}
	}
	r.userless(l, r.links.SetAddress(l, giaddr))
	if l.rule != nil && giaddr.IsValid() {
		r.userless(l, giaddr)
		r.users[giaddr] = append(r.users[giaddr], l)
	}
}

// resolveBorrowers brings up to date whoever uses an address of a link.
func (r *Relay) resolveBorrowers(lender string) {
	if !r.lends(lender) {
		return
	}
	for l := range r.links.All() {
		if l.rule != nil && l.rule.Borrow == lender && l.Name != lender {
			r.resolveAddress(l)
		}
	}
}

// isOurs reports whether an address is a giaddr of ours, or on one of our interfaces.
func (r *Relay) isOurs(a netip.Addr) bool {
	if len(r.users[a]) > 0 {
		return true
	}
	l := r.links.ByAddress(a)
	return l != nil && l.Has(a)
}

// ipHeaders is what stands before a UDP payload in a packet without IP options.
const ipHeaders = 20 + 8

// measure works out how large a message to a server may be. RFC 3046 section 2.1: "the
// agent SHALL NOT increase a forwarded DHCP packet size to exceed the MTU of the interface
// on which it is forwarded".
func (r *Relay) measure() {
	const ethernet = 1500
	mtu := 0
	for l := range r.links.All() {
		if l.MTU > 0 && r.peers.HeardOn(trust.Server, l.Name) && (mtu == 0 || l.MTU < mtu) {
			mtu = l.MTU
		}
	}
	if mtu == 0 {
		mtu = ethernet
	}
	r.room = max(mtu-ipHeaders, dhcp4.MinMessageSize-ipHeaders)
}

// LinkView is what can be seen of a link.
type LinkView struct {
	links.Link
	ClientFacing bool
	Trusted      bool
	GIAddr       netip.Addr
	CircuitID    string
	Counters     LinkCounters
}

// Links are all links, by name.
func (r *Relay) Links() []LinkView {
	all := make([]LinkView, 0, r.links.Len())
	for _, name := range r.links.Names() {
		l := r.links.Named(name)
		v := LinkView{Link: *l.Link, ClientFacing: l.rule != nil, GIAddr: l.Address(), Counters: l.counters}
		if l.rule != nil {
			v.Trusted, v.CircuitID = l.rule.Trusted, l.Identifier()
		}
		all = append(all, v)
	}
	return all
}
