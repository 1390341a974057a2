package relay4

import (
	"net/netip"

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
	r.countReceived(l, t)
	_, informed, err := m.AgentInformation(nil)
	giaddr := l.Address()
	switch {
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
	case (informed || err != nil) && !l.rule.Trusted && l.rule.AgentInformation != Replace: // RFC 3046 section 2.1
		r.drop(l, p, effect.DropAgentInformation, eff)
		return
	case !giaddr.IsValid():
		r.drop(l, p, effect.DropNoGIAddr, eff)
		return
	}
	w := wrapping{link: l, packet: p, message: m, giaddr: giaddr}
	w.strip = informed && l.rule.AgentInformation == Replace
	w.inform = l.rule.AgentInformation == Replace || l.rule.AgentInformation == Add && !informed
	r.forward(now, &w, eff)
}

// handleRelayed takes a message that another relay agent was the first to forward: one
// that is configured, or any on a link that is trusted. Its giaddr and its options are
// left as they are (RFC 3046 section 2.1.1).
func (r *Relay) handleRelayed(now instant.Now, l *link, p *inbound.Packet, m dhcp4.Message, eff *effect.Effects) {
	r.countReceived(l, m.Type())
	peer, protected := p.From(r.peers.Set, trust.Relay, l.Name)
	hops := uint8(MaxHopCount)
	if l.rule != nil {
		hops = l.rule.HopCount
	}
	switch {
	case !validSource(p.Source.Addr()):
		r.drop(l, p, effect.DropBadSource, eff)
		return
	case r.isOurs(m.GIAddr()):
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
func validSource(a netip.Addr) bool {
	return a.Is4() && !a.IsMulticast() && !a.IsLoopback() && a != limitedBroadcast
}

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

// forward sends a message towards the servers.
func (r *Relay) forward(now instant.Now, w *wrapping, eff *effect.Effects) {
	l, p, m := w.link, w.packet, w.message
	w.private = w.inform && l.sensitive()
	targets := r.peers.Targets(now.Boot)
	owed := owesAnswer(m.Type())
	_, namesServer := m.Options().First(dhcp4.OptionServerID)
	client := peers.Client{Link: l.Index, Address: m.CIAddr(), LinkLayer: linkaddr.From(m.CHAddr())}
	sent := false
	for i := range r.cfg.Peers {
		if !targets.Has(i) {
			continue
		}
		peer := &r.cfg.Peers[i]
		payload := r.wrapFor(w, peer, eff)
		if payload == nil {
			continue
		}
		eff.Sends = append(eff.Sends, effect.Send{
			ToPeer: true, Peer: peer, Source: peer.Local, SourcePort: r.cfg.SourcePort,
			Dest: netip.AddrPortFrom(peer.Address, dhcp4.ServerPort), Payload: payload,
		})
		r.peers.Asked(now.Boot, peer)
		if owed && (!namesServer || r.peers.OnlyServer(peer)) {
			r.peers.Owes(now.Boot, peer, client)
		}
		sent = true
	}
	switch {
	case sent:
		if w.inform && (l.rule.Trusted || len(r.users[w.giaddr]) > 1) || w.giaddr.IsValid() && len(r.users[w.giaddr]) > 1 {
			r.pending.note(m, origin{link: l.Index, added: w.inform && !w.omitted})
		}
		if w.omitted {
			l.counters.AgentInformationOmitted++
		}
	case w.tooBig:
		r.drop(l, p, effect.DropTooBig, eff)
	default:
		r.drop(l, p, effect.DropNoServer, eff)
	}
}
