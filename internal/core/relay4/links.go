package relay4

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/core/trust"
)

// SetLink takes in that an interface appeared or changed, with its IPv4 addresses. One that
// has another name is the same link.
func (r *Relay) SetLink(h links.Link, eff *effect.Effects) {
	var ops []hoststate.Op
	elsewhere := false // the leases on the link were in another VRF
	if other := r.links.At(h.Index); other != nil && other.Name != h.Name {
		old := other.Name
		if taken := r.links.Named(h.Name); taken != nil {
			r.dropLink(taken, eff)
		}
		r.ledger.Rename(old, h.Name)
		r.table.Rename(old, h.Name)
		r.links.Rename(other, h.Name)
		ops, elsewhere = r.host.Rename(ops, old, h.Name), true
		r.resolveBorrowers(old)
		r.measureIf(old)
		eff.Note(effect.Note{Kind: effect.NoteLink, Link: h.Name, Text: "link renamed", Reason: "it was " + old})
	}
	l := r.links.Named(h.Name)
	elsewhere = elsewhere || l == nil || l.VRF != h.VRF
	if l == nil {
		l = &link{counters: r.gone.Take(h.Name)}
		eff.Note(effect.Note{Kind: effect.NoteLink, Link: h.Name, Text: "link appeared"})
	}
	r.links.Tell(l, &h)
	ops, l.line = r.ledger.SetLink(ops, l.Link, elsewhere)
	r.ledger.Install(r.applyRule(ops, l), eff)
	r.links.TakeOver(l, r.resolveAddress)
	r.measureIf(l.Name)
}

// RemoveLink takes in that an interface is gone. Leases on it stay on view.
func (r *Relay) RemoveLink(name string, eff *effect.Effects) {
	if l := r.links.Named(name); l != nil {
		r.dropLink(l, eff)
	}
}

func (r *Relay) dropLink(l *link, eff *effect.Effects) {
	r.links.Remove(l)
	r.ledger.Install(r.host.RemoveLink(nil, l.Name), eff)
	r.userless(l, l.Address())
	r.gone.Add(l.Name, l.counters)
	r.resolveBorrowers(l.Name)
	r.measureIf(l.Name)
	eff.Note(effect.Note{Kind: effect.NoteLink, Link: l.Name, Text: "link vanished"})
}

// applyRule works out what the configuration means for a link as it now is.
func (r *Relay) applyRule(ops []hoststate.Op, l *link) []hoststate.Op {
	l.rule, l.port = r.Rule(l.Name), Port{}
	id := ""
	if l.rule != nil {
		l.policy = delegation.Policy{ClientLimit: l.rule.Limits.Client, LinkLimit: l.rule.Limits.Link, HostLimit: l.rule.Limits.Host}
		l.policy.Resolve(true)
		l.port = l.rule.Ports[l.Name]
		if perClient := l.port.CircuitID == "" && l.rule.CircuitID.PerClient(); l.rule.AgentInformation != Off && !perClient {
			id = string(l.circuitID(nil, r.facts(l)))
		}
	}
	r.links.Identify(l, id)
	r.resolveAddress(l)
	r.resolveBorrowers(l.Name)
	return r.setPolicy(ops, l.Name)
}

// grade is how good an address is as giaddr. A broadcast address never is one (RFC 1542
// section 4.1.1), and to a link-local one no server on another link can send.
func grade(p netip.Prefix) links.Grade {
	switch a := p.Addr(); {
	case !isUnicast(a) || isBroadcastIn(p, a) || a.IsLinkLocalUnicast():
		return links.GradeNone
	case p.Bits() == 32:
		return links.GradeGlobalAlone
	}
	return links.GradeGlobal
}

// isUnicast reports whether an address may be that of one host.
func isUnicast(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != limitedBroadcast
}

// isHost reports whether an address may be that of one host, as far as the link's subnets
// tell.
func (l *link) isHost(a netip.Addr) bool {
	return isUnicast(a) && !slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return isBroadcastIn(p, a) })
}

// isBroadcastIn reports whether an address is a broadcast address of a subnet: its host bits
// are all one, or all zero as of old.
func isBroadcastIn(subnet netip.Prefix, a netip.Addr) bool {
	if !a.Is4() || !subnet.Contains(a) || subnet.Bits() > 30 {
		return false
	}
	octets := a.As4()
	mask := uint32(1)<<(32-subnet.Bits()) - 1
	host := binary.BigEndian.Uint32(octets[:]) & mask
	return host == 0 || host == mask
}

// chooses reports whether an address of the link is ever a giaddr that we have to choose.
func (r *Relay) chooses(l *link) bool {
	return l.rule != nil && !l.rule.GIAddr.IsValid() || r.lends(l.Name)
}

func (r *Relay) lends(name string) bool {
	return slices.ContainsFunc(r.cfg.Links, func(rule LinkRule) bool { return rule.Borrow == name })
}

// resolveAddress chooses the giaddr of clients on l: as configured, else an address of the
// link, else one that is borrowed from another interface. Of several addresses one is
// used for all messages (RFC 1542 section 4.1.1). Unlike in DHCPv6 one that is missing is of
// no use: it is where servers send replies, and by now it may be another host's.
func (r *Relay) resolveAddress(l *link) {
	l.own = r.links.PresentAddress(l)
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
		if giaddr = l.rule.GIAddr; !l.isHost(giaddr) {
			giaddr = netip.Addr{}
		}
	case !giaddr.IsValid() && l.rule.Borrow != "":
		if lender := r.links.Named(l.rule.Borrow); lender != nil {
			giaddr = r.links.PresentAddress(lender)
		}
	}
	r.userless(l, r.links.SetAddress(l, giaddr))
	if l.rule != nil && giaddr.IsValid() {
		r.use(giaddr, append(r.users[giaddr].links, l))
	}
}

// use says which links use a giaddr.
func (r *Relay) use(giaddr netip.Addr, all []*link) {
	if len(all) == 0 {
		delete(r.users, giaddr)
		return
	}
	r.users[giaddr] = users{all, slices.ContainsFunc(all, func(l *link) bool { return l.rule.Trusted && l.rule.AgentInformation != Replace })}
}

// userless takes a link out of those that use a giaddr.
func (r *Relay) userless(l *link, giaddr netip.Addr) {
	r.use(giaddr, slices.DeleteFunc(r.users[giaddr].links, func(x *link) bool { return x == l }))
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

// ipHeaders is what stands before a UDP payload in a packet without IP options.
const ipHeaders = 20 + 8

// maxPayload is the largest UDP payload over IPv4.
const maxPayload = 65535 - ipHeaders

// measureIf measures anew where servers are heard on the link of a name.
func (r *Relay) measureIf(name string) {
	if r.peers.HeardOn(trust.Server, name) {
		r.measure()
	}
}

// measure works out how large a message to a server may become. RFC 3046 section 2.1: "the
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
	r.room = min(mtu-ipHeaders, maxPayload)
}

// LinkView is what can be seen of a link.
type LinkView struct {
	links.Link
	ClientFacing bool
	Trusted      bool
	GIAddr       netip.Addr
	CircuitID    string
	Filter       hoststate.FilterMode
	LinkFigures
	Use      delegation.Use
	Counters LinkCounters
}

// LinkFigures are what clients have on a link, and may have.
type LinkFigures struct {
	Limit, ClientLimit int
	HostLimit          int // 0: there is none
	Leases             int
}

// Links are all links, by name.
func (r *Relay) Links() []LinkView {
	all := make([]LinkView, 0, r.links.Len())
	for _, name := range r.links.Names() {
		l := r.links.Named(name)
		v := LinkView{Link: *l.Link, ClientFacing: l.rule != nil, GIAddr: l.Address(), Counters: l.counters}
		v.Leases = r.table.LinkLen(name, binding.Address)
		if l.rule != nil {
			v.Limit, v.ClientLimit, v.HostLimit, v.Use = l.policy.LinkLimit, l.policy.ClientLimit, l.policy.HostLimit, r.table.Use(name, &l.policy)
			v.Trusted, v.CircuitID, v.Filter = l.rule.Trusted, l.Identifier(), l.rule.Host.Filter
		}
		all = append(all, v)
	}
	return all
}
