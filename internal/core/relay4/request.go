package relay4

import (
	"net/netip"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/linkaddr"
)

// handleRequest takes a message from a client, or from a relay agent below us.
func (r *Relay) handleRequest(now instant.Now, l *link, p *inbound.Packet, m dhcp4.Message, eff *effect.Effects) {
	if m.GIAddr().IsUnspecified() {
		r.handleClient(now, l, p, m, eff)
	} else {
		r.handleRelayed(now, l, p, m, eff)
	}
}

// handleClient takes a message whose first relay agent we are.
func (r *Relay) handleClient(now instant.Now, l *link, p *inbound.Packet, m dhcp4.Message, eff *effect.Effects) {
	if l.rule == nil {
		r.drop(l, p, effect.DropNotClientLink, eff)
		return
	}
	t := m.Type()
	r.traffic.Receive(l.counts(), slot(t))
	r.traceArrival(eff, l, p, m)
	informed := has(m, dhcp4.OptionAgentInformation)
	adds := l.rule.AgentInformation
	giaddr := l.Address()
	switch {
	case t == 0 && has(m, dhcp4.OptionMessageType):
		// Servers differ in which of two types they obey: one may be a type that must not pass.
		r.drop(l, p, effect.DropMalformed, eff)
		return
	case !validSource(p.Source.Addr()):
		r.drop(l, p, effect.DropBadSource, eff)
		return
	case fromServerOnly(t):
		r.drop(l, p, effect.DropServerMessage, eff)
		return
	case isLeasequery(t) && !l.rule.AllowLeasequery:
		r.drop(l, p, effect.DropLeasequery, eff)
		return
	case m.Hops() > l.rule.HopCount:
		r.drop(l, p, effect.DropHopLimit, eff)
		return
	case m.Secs() < l.rule.Secs:
		r.drop(l, p, effect.DropTooEarly, eff)
		return
	case informed && !l.rule.Trusted && adds != Replace: // RFC 3046 section 2.1
		r.drop(l, p, effect.DropAgentInformation, eff)
		return
	case !giaddr.IsValid():
		r.drop(l, p, effect.DropNoGIAddr, eff)
		return
	}
	if informed && adds == Replace {
		var err error
		if m, err = dhcp4.ParseMessage(stripped(m, eff)); err != nil {
			panic(err) // whole options were taken out of a message that was whole
		}
		if has(m, dhcp4.OptionAgentInformation) { // in the file or sname field
			r.drop(l, p, effect.DropAgentInformation, eff)
			return
		}
	}
	if t == dhcp4.Request && r.exceeds(now, l, m, eff) != binding.NoReason {
		r.drop(l, p, effect.DropLimit, eff)
		return
	}
	// A client has stopped to use what it gives back, even if no server can be reached.
	r.released(now, l, p, m, eff)
	r.forward(now, &wrapping{link: l, packet: p, message: m, giaddr: giaddr, inform: adds == Replace || adds == Add && !informed}, eff)
}

// has reports whether there is an option in any field that holds options.
func has(m dhcp4.Message, c dhcp4.OptionCode) bool {
	_, ok := m.Options().First(c)
	return ok
}

// stripped is a message without the option 82 of its options field.
func stripped(m dhcp4.Message, eff *effect.Effects) []byte {
	start := len(eff.Arena)
	eff.Arena = m.AppendWithoutAgentInformation(eff.Arena)
	return eff.Arena[start:len(eff.Arena):len(eff.Arena)]
}

// handleRelayed takes a message that another relay agent was the first to forward: one
// that is configured, or any on a link that is trusted. Its giaddr and its options are
// left as they are (RFC 3046 section 2.1.1).
func (r *Relay) handleRelayed(now instant.Now, l *link, p *inbound.Packet, m dhcp4.Message, eff *effect.Effects) {
	r.traffic.Receive(l.counts(), slot(m.Type()))
	peer, protected := p.From(r.peers.Set, trust.Relay, l.Name)
	hops := uint8(MaxHopCount)
	if l.rule != nil {
		hops = l.rule.HopCount
	}
	switch {
	case !validSource(p.Source.Addr()):
		r.drop(l, p, effect.DropBadSource, eff)
		return
	case r.links.IsKnown(m.GIAddr()) || !l.isHost(m.GIAddr()):
		r.drop(l, p, effect.DropSpoofedGIAddr, eff)
		return
	case peer == nil && (l.rule == nil || !l.rule.Trusted):
		r.drop(l, p, effect.DropUntrustedRelay, eff)
		return
	case !protected || peer == nil && r.isProtected(p.Source.Addr()):
		// A link that trusts every relay trusts none in the name of a protected one.
		r.drop(l, p, effect.DropUnprotected, eff)
		return
	case m.Hops() > hops:
		r.drop(l, p, effect.DropHopLimit, eff)
		return
	}
	if peer != nil {
		r.peers.Heard(now, peer, m.Type(), eff)
	}
	r.forward(now, &wrapping{link: l, packet: p, message: m}, eff)
}

// isProtected reports whether an address is that of a relay which IPsec protects.
func (r *Relay) isProtected(a netip.Addr) bool {
	named := r.peers.FindAddress(trust.Relay, a)
	return named != nil && named.Protection == trust.ProtectionIPsec
}

// validSource reports whether a client or a relay agent may send from an address. One
// without an address yet sends from 0.0.0.0 (RFC 1542 section 4.1).
func validSource(a netip.Addr) bool { return isUnicast(a) || a == netip.IPv4Unspecified() }

// fromServerOnly reports whether only servers send messages of a type.
func fromServerOnly(t dhcp4.MessageType) bool {
	switch t {
	case dhcp4.Offer, dhcp4.ACK, dhcp4.NAK, dhcp4.ForceRenew, dhcp4.LeaseUnassigned, dhcp4.LeaseUnknown, dhcp4.LeaseActive, dhcp4.LeaseQueryDone, dhcp4.LeaseQueryStatus:
		return true
	}
	return false
}

// isLeasequery reports whether a message asks a server for leases.
func isLeasequery(t dhcp4.MessageType) bool {
	return t == dhcp4.LeaseQuery || t == dhcp4.BulkLeaseQuery || t == dhcp4.ActiveLeaseQuery || t == dhcp4.TLS
}

// owesAnswer reports whether a server has to answer a message of that type.
func owesAnswer(t dhcp4.MessageType) bool {
	return t == dhcp4.Discover || t == dhcp4.Request || t == dhcp4.Inform
}

// clientOf is who waits for an answer, or gets one: a hardware address on a link.
func clientOf(l *link, m dhcp4.Message) peers.Client {
	c := peers.Client{LinkLayer: linkaddr.From(m.CHAddr())}
	if l != nil {
		c.Link = l.Index
	}
	return c
}

// forward sends a message towards the servers.
func (r *Relay) forward(now instant.Now, w *wrapping, eff *effect.Effects) {
	l, p, m := w.link, w.packet, w.message
	w.private = w.inform && l.sensitive()
	targets := r.peers.Targets(now.Boot)
	owed := owesAnswer(m.Type())
	namesServer := has(m, dhcp4.OptionServerID)
	client := clientOf(l, m)
	sent := false
	for i := range r.cfg.Peers {
		if !targets.Has(i) {
			continue
		}
		peer := &r.cfg.Peers[i]
		b := r.wrapFor(w, peer, eff)
		if b.payload == nil {
			continue
		}
		send := effect.Send{ToPeer: true, Peer: peer, Source: peer.Local, Dest: netip.AddrPortFrom(peer.Address, dhcp4.ServerPort), Payload: b.payload}
		if b.informed { // RFC 8357 section 5.1: a server that is not told answers to the ordinary port
			send.SourcePort = r.cfg.SourcePort
		}
		eff.Sends = append(eff.Sends, send)
		r.peers.Asked(now.Boot, peer)
		if owed && (!namesServer || r.peers.OnlyServer(peer)) {
			r.peers.Owes(now.Boot, peer, client)
		}
		r.traceStep(eff, l, p, m, "forwarded", peer.Name)
		sent = true
	}
	switch {
	case sent:
		if w.giaddr.IsValid() {
			began := origin{link: l.Index, line: l.line, added: w.added}
			began.asked, began.asks = l.askedBy(p, m)
			if began.asks || w.giaddr != l.own || len(r.users[w.giaddr].links) > 1 || l.rule.Trusted && l.rule.AgentInformation == Add {
				r.pending.note(now.Boot, m, w.giaddr, began)
			}
		}
		if w.omitted {
			r.count(l, func(c *LinkCounts) { c.AgentInformationOmitted++ })
		}
	case w.omitted:
		r.drop(l, p, effect.DropTooBig, eff)
	default:
		r.drop(l, p, effect.DropNoServer, eff)
	}
}
