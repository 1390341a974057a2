package relay4

import (
	"net/netip"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/linkaddr"
)

// What servers say to clients, and clients to servers, is read in passing: who has which
// address until when. Where nothing but the limits depends on it, no message waits until it is
// kept (ledger.Told). Where the kernel is to know of it, ACKs wait (kernel.go). A client renews
// by unicast, which passes a relay agent by that does not override the server identifier (RFC
// 5107): a lease may live on that was seen to end.

// leased is the address that a server gives a client by a message, and for how long (RFC 2131
// section 3.1). The answer to an INFORM gives none (section 4.3.5), and BOOTP knows no leases.
func leased(m dhcp4.Message) (a netip.Addr, lifetime time.Duration, ok bool) {
	if m.Type() != dhcp4.ACK || m.YIAddr().IsUnspecified() {
		return a, 0, false
	}
	b, there := m.Options().Value(dhcp4.OptionLeaseTime, nil)
	if !there {
		return a, 0, false
	}
	t, err := dhcp4.ParseLifetime(dhcp4.OptionLeaseTime, b)
	return m.YIAddr(), t.Duration(), err == nil
}

// named is the address that a client's message is about; unspecified: it names none. RFC 2131
// section 4.4.1, table 5: a client that uses an address has it in ciaddr, any other one asks
// for it by an option.
func named(m dhcp4.Message) netip.Addr {
	if a := m.CIAddr(); !a.IsUnspecified() {
		return a
	}
	if b, ok := m.Options().Value(dhcp4.OptionRequestedAddress, nil); ok {
		if a, err := dhcp4.ParseAddress(dhcp4.OptionRequestedAddress, b); err == nil {
			return a
		}
	}
	return netip.IPv4Unspecified()
}

// single is an address as a binding has it.
func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// clientIDOf is the client identifier in a message (RFC 2132 section 9.14); without octets
// there is none.
func clientIDOf(m dhcp4.Message) []byte {
	b, ok := m.Options().Value(dhcp4.OptionClientID, nil)
	if !ok {
		return nil
	}
	id, err := dhcp4.ParseClientID(b)
	if err != nil {
		return nil
	}
	return id
}

// clientBy is who a client is. RFC 2131 section 4.2: by its client identifier, else by its
// hardware address. Without either it is nobody.
func clientBy(id []byte, m dhcp4.Message) binding.Client {
	switch {
	case len(id) > 0:
		return binding.ClientID(id)
	case len(m.CHAddr()) > 0:
		return binding.Hardware(m.HType(), m.CHAddr())
	}
	return binding.Client{}
}

// hostOf is the link-layer address that the client of a message has by its own word; invalid
// where the link has none.
func (l *link) hostOf(m dhcp4.Message) linkaddr.Addr {
	if !l.LinkLayer.IsValid() {
		return linkaddr.Addr{}
	}
	return linkaddr.From(m.CHAddr())
}

// isOwn reports whether a client's message shows that it is of whose hardware address it has.
// One that is sent to our own address does not show where it came from: then its source has
// to be the address that it is about.
func (l *link) isOwn(p *inbound.Packet, m dhcp4.Message, about netip.Addr) bool {
	switch {
	case p.LinkLayer.IsValid():
		return p.LinkLayer == l.hostOf(m)
	case l.LinkLayer.IsValid():
		return p.Source.Addr() == about
	}
	return true // nothing tells the link's hosts apart
}

// whose is the client that an answer is for. A server that does not echo the client identifier
// (RFC 6842) leaves it to the client's message to tell; if that is forgotten, one who has the
// address already stays who it is.
func (r *Relay) whose(l *link, m dhcp4.Message, asked *asked) binding.Client {
	id := clientIDOf(m)
	switch {
	case len(id) > 0:
	case asked != nil:
		id = asked.id()
	default:
		if s := r.table.At(l.VRF, single(m.YIAddr())); s != nil && r.table.Link(s) == l.Name && s.LinkLayer() == l.hostOf(m) {
			return r.table.Client(s)
		}
	}
	return clientBy(id, m)
}

// learn takes in the lease that an ACK gives a client on a link, and says what the ACK waits for
// before it is sent. It reports whether a limit refuses the lease. began is where the
// transaction began, if that is known.
func (r *Relay) learn(now instant.Now, l *link, m dhcp4.Message, server *trust.Peer, began origin, known bool, send *effect.Send, eff *effect.Effects) (excess bool) {
	a, lifetime, ok := leased(m)
	if !ok {
		return false
	}
	asked := began.of(known)
	g := delegation.Grant{
		Link: l.Name, VRF: l.VRF, Prefix: single(a), Kind: binding.Address, Client: r.whose(l, m, asked), NoIAID: true,
		NextHop: a, LinkLayer: l.hostOf(m), Preferred: lifetime, Lifetime: lifetime, Server: server.Name, Source: binding.FromReply,
	}
	if g.Client.IsZero() {
		return false
	}
	terms := delegation.Terms{Policy: &l.policy, Reserved: r.mayNot}
	// RFC 2131 section 2.1: a client has one address on a subnet. What it had before it has
	// no more, if it has asked for this one itself.
	var before []*binding.Slot
	if lifetime > 0 && asked != nil && asked.own && (asked.address == a.As4() || asked.address == [4]byte{}) {
		for s := range r.table.SlotsOf(l.Name, g.Client) {
			if s.Prefix() != g.Prefix && s.LinkLayer() == g.LinkLayer {
				before = append(before, s)
			}
		}
	}
	terms.Ending[binding.Address] = len(before)
	r.events = r.table.Learn(r.events[:0], now, r.proof(g, l, began, known), terms)
	for i := range r.events {
		if e := &r.events[i]; e.Kind == binding.Refused {
			excess, before = e.Reason.IsLimit(), nil
		}
	}
	for _, s := range before {
		r.events = append(r.events, r.table.End(s, binding.Replaced))
	}
	r.tell(now, l, g.Client, send, eff)
	r.traceEvents(eff, l, m, g.Client, server)
	return excess
}

// told has the store keep what has happened to leases, of which their clients know.
func (r *Relay) told(now instant.Now, eff *effect.Effects) {
	r.counts.Add(r.events)
	r.ledger.Told(now, r.events, eff)
}

// reservedFor reports whether no client on a link may have an address: it is ours or a peer's,
// or that of no host.
func (r *Relay) reservedFor(g *delegation.Grant) bool {
	a, l := g.Prefix.Addr(), r.links.Named(g.Link)
	return l == nil || !l.isHost(a) || r.links.IsKnown(a) || r.peers.FindAddress(trust.Server, a) != nil || r.peers.FindAddress(trust.Relay, a) != nil
}

// refused takes in a NAK. A client that gets one stops to use the address that it has asked for
// (RFC 2131 sections 3.2 and 4.4.5). It ends the lease if the client has asked for that itself,
// and the server is who gave it: others may know nothing of it (section 3.2, 2.).
func (r *Relay) refused(now instant.Now, l *link, m dhcp4.Message, server *trust.Peer, asked *asked, eff *effect.Effects) {
	if m.Type() != dhcp4.NAK || asked == nil || !asked.own {
		return
	}
	s := r.table.At(l.VRF, single(netip.AddrFrom4(asked.address)))
	if s == nil || r.table.Link(s) != l.Name || r.table.Server(s) != server.Name || s.LinkLayer() != l.hostOf(m) ||
		r.table.Client(s) != clientBy(asked.id(), m) {
		return
	}
	r.events = append(r.events[:0], r.table.End(s, binding.Withdrawn))
	r.told(now, eff)
	r.traceEvents(eff, l, m, r.events[0].Old.Client, server)
}

// released takes in a RELEASE or a DECLINE: what its client had it has no more, if the message
// shows that it is the holder's. RFC 2131 section 4.4.4: a DECLINE is broadcast by a client that
// has no address.
func (r *Relay) released(now instant.Now, l *link, p *inbound.Packet, m dhcp4.Message, eff *effect.Effects) {
	t, a := m.Type(), m.CIAddr()
	if t != dhcp4.Release && t != dhcp4.Decline {
		return
	}
	if t == dhcp4.Decline {
		a = named(m)
	}
	if r.table.At(l.VRF, single(a)) == nil {
		return
	}
	n := delegation.Named{
		Link: l.Name, VRF: l.VRF, Client: clientBy(clientIDOf(m), m), Kind: binding.Address,
		Source: p.Source.Addr(), Prefixes: []netip.Prefix{single(a)},
	}
	if t == dhcp4.Decline && n.Source.IsUnspecified() {
		n.Source = a
	}
	if l.isOwn(p, m, a) {
		n.LinkLayer = l.hostOf(m)
	}
	var mismatched int
	if r.events, mismatched = r.table.Release(r.events[:0], n); mismatched > 0 {
		r.counts.Refuse(binding.ReleaseMismatch, uint64(mismatched))
		eff.Note(effect.Note{Kind: effect.NoteRelease, Link: l.Name, Client: n.Client, Type: t.String(), XID: m.XID(), Text: "release does not match the lease: ignored"})
	}
	r.told(now, eff)
}

// exceeds is the limit for which a REQUEST goes no further: the server would give what its
// client does not get. One who has an address already renews it, or gets another in its place.
func (r *Relay) exceeds(now instant.Now, l *link, m dhcp4.Message, eff *effect.Effects) binding.Reason {
	host := l.hostOf(m)
	reason := r.table.Room(l.Name, binding.Client{}, host, binding.Address, 1, 0, &l.policy)
	if reason == binding.NoReason {
		return reason
	}
	who := clientBy(clientIDOf(m), m)
	if r.table.First(r.table.Holder(l.Name, who)) != nil {
		return binding.NoReason
	}
	r.table.MeetLimit(now, reason, l.Name, who, host, binding.Address)
	eff.Note(effect.Note{
		Kind: effect.NoteLimit, Link: l.Name, Client: who, Type: m.Type().String(), XID: m.XID(), Reason: reason.String(),
		Text: "request not forwarded: limit met",
	})
	return reason
}
