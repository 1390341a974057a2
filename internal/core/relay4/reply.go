package relay4

import (
	"bytes"
	"net/netip"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/linkaddr"
)

// handleReply takes a message from a server (peers.Server).
func (r *Relay) handleReply(now instant.Now, l *link, p *inbound.Packet, m dhcp4.Message, eff *effect.Effects) {
	peer, why, ok := r.peers.Server(p, l.Name, l.rule != nil)
	if !ok {
		r.drop(l, p, why, eff)
		return
	}
	r.peers.Heard(now, peer, m.Type(), eff)
	info, informed, err := m.AgentInformation(r.joined)
	if err != nil {
		info = nil
	}
	began, known := r.pending.find(now.Boot, m)
	to, d := r.addressee(now, m, info, began, known)
	r.peers.Answered(peer, clientOf(to, m))
	if to == nil {
		r.drop(l, p, d, eff)
		return
	}
	payload := p.Payload
	if known = known && began.link == to.Index; r.added(to, m, info, began, known) {
		if to.rule.AgentInformation != Off && !informed {
			r.count(to, func(c *LinkCounts) { c.NotEchoed++ })
		}
		if to.isInWrongVPN(info) {
			r.count(to, func(c *LinkCounts) { c.VSSIgnored++ })
			r.drop(l, p, effect.DropWrongVPN, eff)
			return
		}
		if informed {
			payload = stripped(m, eff)
		}
	}
	asked := began.of(known)
	r.traceReply(eff, to, m, asked, peer, serverSays)
	r.refused(now, to, m, peer, asked, eff)
	dest, host := to.destination(m)
	send := effect.Send{
		Link: to.Index, Source: to.reachedAt(), Dest: netip.AddrPortFrom(dest, dhcp4.ClientPort), LinkLayer: host, Payload: payload,
	}
	if !send.Source.IsValid() {
		send.Source = m.GIAddr() // until lately one of the link
	}
	if r.learn(now, to, m, peer, began, known, &send, eff) {
		r.drop(to, p, effect.DropLimit, eff)
		return
	}
	r.traffic.Send(to.counts(), slot(m.Type()))
	eff.Sends = append(eff.Sends, send)
	r.traceReply(eff, to, m, asked, peer, "sent")
}

// addressee is the link that a reply goes to. RFC 1542 section 4.1.2: giaddr identifies it,
// and a reply whose giaddr is not ours is discarded. Where several links use one giaddr, or
// one had it before, our circuit-id tells, which the server has echoed, else the
// transaction: a message is never sent to a link that was guessed.
func (r *Relay) addressee(now instant.Now, m dhcp4.Message, info dhcp4.AgentInformation, began origin, known bool) (*link, effect.Drop) {
	giaddr := m.GIAddr()
	all := r.users[giaddr]
	id, _ := info.First(dhcp4.SubOptionCircuitID)
	if all.foreign {
		id = nil
	}
	if len(id) > 0 {
		if l, _ := r.links.ByIdentifier(now.Boot, id, giaddr); r.serves(l, giaddr) {
			return l, 0
		}
	}
	var l *link
	switch {
	case known && now.Boot < began.contested, !known && len(all.links) > 1:
		return nil, effect.DropAmbiguousGIAddr
	case known:
		l = r.links.At(began.link)
	case len(all.links) == 1:
		l = all.links[0]
		if len(id) > 0 && l.own != giaddr && !r.identifies(id, l, m) {
			l = nil // it is that of a link which used the giaddr too, and is gone
		}
	default:
		l = r.links.ByAddress(giaddr)
	}
	if !r.serves(l, giaddr) {
		return nil, effect.DropNoLink
	}
	return l, 0
}

// identifies reports whether a circuit-id is what we would add to a client's message.
func (r *Relay) identifies(id []byte, l *link, m dhcp4.Message) bool {
	f := r.facts(l)
	f.LinkLayer = linkaddr.From(m.CHAddr())
	var room [textRoom]byte
	return bytes.Equal(id, l.circuitID(room[:0], f))
}

// serves reports whether a giaddr may stand for clients on a link.
func (r *Relay) serves(l *link, giaddr netip.Addr) bool {
	return l != nil && l.rule != nil && r.links.IsCalled(l, giaddr)
}

// added reports whether option 82 in a reply is ours, and has to be removed (RFC 3046
// section 2.1). On a link where other devices may add one, it is ours if we remember adding
// it in this transaction, or else if it has the circuit-id that we would add.
func (r *Relay) added(l *link, m dhcp4.Message, info dhcp4.AgentInformation, began origin, known bool) bool {
	switch {
	case !l.rule.Trusted || l.rule.AgentInformation == Replace:
		return true
	case l.rule.AgentInformation == Off:
		return false
	case known:
		return began.added
	}
	id, _ := info.First(dhcp4.SubOptionCircuitID)
	return len(id) > 0 && r.identifies(id, l, m)
}

// isInWrongVPN reports whether a server has answered for another VPN than that of the link:
// it has not heeded the one that it was told, and says so by the VSS-Control sub-option or
// by echoing nothing, or it demands one (RFC 6607 sections 5 and 5.1). The client must not
// have an address from there (section 4.1).
func (l *link) isInWrongVPN(info dhcp4.AgentInformation) bool {
	vss, said := info.First(dhcp4.SubOptionVSS)
	_, ignored := info.First(dhcp4.SubOptionVSSControl)
	want := l.rule.VSS
	if want == nil || l.rule.AgentInformation == Off {
		return said
	}
	return !said || ignored || len(vss) == 0 || vss[0] != want.Type || !bytes.Equal(vss[1:], want.Information)
}

var (
	limitedBroadcast   = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	linkLayerBroadcast = linkaddr.From([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	noLinkLayer        = linkaddr.From(make([]byte, 6))
)

// destination is where a reply goes on the link. RFC 1542 section 4.1.2: to the address
// that the client was given and its hardware address, or to the limited broadcast address
// where the client has asked for that, or cannot be reached by its hardware address. A NAK is
// broadcast (RFC 2131 section 4.3.2). A client that has an address and was given none is
// answered there. Links without Ethernet's addresses have no frames: there, the kernel
// broadcasts, which on a point-to-point link reaches the one client.
func (l *link) destination(m dhcp4.Message) (netip.Addr, linkaddr.Addr) {
	a := m.YIAddr()
	if a.IsUnspecified() {
		a = m.CIAddr()
	}
	host := linkaddr.From(m.CHAddr())
	ethernet := l.HardwareType == uint16(dhcp4.HardwareEthernet) && l.LinkLayer.Len() == linkLayerBroadcast.Len()
	switch {
	case !ethernet:
		return limitedBroadcast, linkaddr.Addr{}
	case m.Broadcast() || m.Type() == dhcp4.NAK || !isUnicast(a) || m.HType() != dhcp4.HardwareEthernet || !isStation(host):
		return limitedBroadcast, linkLayerBroadcast
	}
	return a, host
}

// isStation reports whether an Ethernet address is that of one host.
func isStation(a linkaddr.Addr) bool {
	var room [linkaddr.MaxLen]byte
	octets := a.Append(room[:0])
	return len(octets) == linkLayerBroadcast.Len() && octets[0]&1 == 0 && a != noLinkLayer
}
