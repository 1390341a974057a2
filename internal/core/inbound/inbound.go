// Package inbound has the packets that a core receives from the network.
package inbound

import (
	"net/netip"

	"fairlead/internal/core/trust"
	"fairlead/internal/wire/linkaddr"
)

// Packet is one received datagram.
type Packet struct {
	Link         int // interface index
	Source       netip.AddrPort
	Dest         netip.Addr
	LinkLayer    linkaddr.Addr // of the sender; invalid: unknown
	HardwareType uint16
	Framed       bool // read from a packet socket, which has no IPsec
	Payload      []byte
}

// From is the peer with that role that has sent the packet, which came in on the link of
// that name; nil if no peer has. Protected is false where the packet cannot have come
// under the protection that the peer requires: its destination, or the packet socket that
// it was read from, rules that out. The security associations of RFC 8213 section 3 are
// between two addresses: a packet to a group has come in none, and a packet from a packet
// socket has passed neither XFRM nor the guard table. XFRM and the guard table check all
// other packets.
func (p *Packet) From(peers *trust.Set, role trust.PeerRole, link string) (peer *trust.Peer, protected bool) {
	peer = peers.Find(role, p.Source.Addr(), link)
	return peer, peer == nil || peer.Protection != trust.ProtectionIPsec || !p.Framed && p.Dest == peer.Local
}
