package relay4

import (
	"net/netip"
	"slices"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/linkaddr"
)

// handleReply takes a message from a server. Only a configured server is believed, and
// only on its uplinks: a client-facing link never carries one.
func (r *Relay) handleReply(now instant.Now, l *link, p *inbound.Packet, m dhcp4.Message, eff *effect.Effects) {
	if l.rule != nil {
		r.drop(l, p, effect.DropReplyFromClientLink, eff)
		return
	}
	peer, protected := p.From(r.peers.Set, trust.Server, l.Name)
	if peer == nil {
		r.drop(l, p, effect.DropUntrustedServer, eff)
		return
	}
	if !protected {
		r.drop(l, p, effect.DropUnprotected, eff)
		return
	}
	r.peers.Heard(now, peer, m.Type(), eff)
	info, informed, err := m.AgentInformation(nil)
	informed = informed && err == nil
	to, began, d := r.addressee(now, m, info, informed)
	client := peers.Client{Address: m.CIAddr(), LinkLayer: linkaddr.From(m.CHAddr())}
	if to != nil {
		client.Link = to.Index
	}
	r.peers.Answered(peer, client)
	if to == nil {
		r.drop(l, p, d, eff)
		return
	}
	payload := p.Payload
	if added := r.added(to, began, info); added && !informed {
		to.counters.NotEchoed++
	} else if added {
		start := len(eff.Arena)
		eff.Arena = m.AppendWithoutAgentInformation(eff.Arena)
		payload = eff.Arena[start:len(eff.Arena):len(eff.Arena)]
		if _, ignored := info.First(dhcp4.SubOptionVSSControl); ignored && to.rule.VSS != nil {
			to.counters.VSSIgnored++
		}
	}
	r.countDelivered(to, m.Type())
	dest, host := to.destination(m)
	eff.Sends = append(eff.Sends, effect.Send{
		Link: to.Index, Source: to.override(), Dest: netip.AddrPortFrom(dest, dhcp4.ClientPort), LinkLayer: host, Payload: payload,
	})
}

// addressee is the link that a reply goes to. RFC 1542 section 4.1.2: giaddr identifies it,
// and a reply whose giaddr is not ours is discarded. Where several links use one giaddr, our
// circuit-id tells, which the server has echoed, else the transaction: a message is never
// sent to a link that was guessed.
func (r *Relay) addressee(now instant.Now, m dhcp4.Message, info dhcp4.AgentInformation, informed bool) (*link, *origin, effect.Drop) {
	var began *origin
	if o, ok := r.pending.find(m); ok {
		began = &o
	}
	users := r.users[m.GIAddr()]
	if len(users) == 0 {
		if l := r.links.ByAddress(m.GIAddr()); l != nil && l.rule != nil {
			return l, began, 0
		}
		return nil, nil, effect.DropNoLink
	}
	if len(users) == 1 {
		return users[0], began, 0
	}
	if id, ok := info.First(dhcp4.SubOptionCircuitID); informed && ok {
		if l, _ := r.links.ByIdentifier(now.Boot, id, m.GIAddr()); l != nil && slices.Contains(users, l) {
			return l, began, 0
		}
	}
	if began != nil {
		if l := r.links.At(began.link); l != nil && slices.Contains(users, l) {
			return l, began, 0
		}
	}
	return nil, nil, effect.DropAmbiguousGIAddr
}

// added reports whether the message that a reply answers went to the server with option 82
// of ours, which has to be removed then (RFC 3046 section 2.1). Where the transaction is
// not known, it did if the link adds one and nobody else on it may, or if what is in the
// reply has the circuit-id that we would add.
func (r *Relay) added(l *link, began *origin, info dhcp4.AgentInformation) bool {
	switch {
	case began != nil && began.link == l.Index:
		return began.added
	case l.rule.AgentInformation == Off:
		return false
	case !l.rule.Trusted || l.rule.AgentInformation == Replace:
		return true
	}
	var room [textRoom]byte
	id, ok := info.First(dhcp4.SubOptionCircuitID)
	return ok && !l.perClient() && len(id) > 0 && string(id) == string(l.circuitID(room[:0], r.facts(l)))
}

var (
	limitedBroadcast   = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	linkLayerBroadcast = linkaddr.From([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
)

// destination is where a reply goes on the link. RFC 1542 section 4.1.2: to the address
// that the client was given and its hardware address, or to the limited broadcast address
// where it has asked for that, has no address, or cannot be reached by what chaddr holds. A
// NAK is broadcast (RFC 2131 section 4.3.2). A client that has an address and got none is
// answered there. Without a link-layer address the kernel finds the way.
func (l *link) destination(m dhcp4.Message) (netip.Addr, linkaddr.Addr) {
	a := m.YIAddr()
	if a.IsUnspecified() {
		a = m.CIAddr()
	}
	host := m.CHAddr()
	ethernet := l.HardwareType == uint16(dhcp4.HardwareEthernet) && l.LinkLayer.Len() == linkLayerBroadcast.Len()
	reached := ethernet && m.HType() == dhcp4.HardwareEthernet && len(host) == l.LinkLayer.Len() && host[0]&1 == 0
	switch {
	case !m.Broadcast() && m.Type() != dhcp4.NAK && !a.IsUnspecified() && reached:
		return a, linkaddr.From(host)
	case ethernet:
		return limitedBroadcast, linkLayerBroadcast
	}
	return limitedBroadcast, linkaddr.Addr{}
}
