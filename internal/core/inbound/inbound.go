// Package inbound has what comes to a core from the network.
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

// From is the peer of a role that a packet is from, which came in on the link of a name;
// nil: it is from none. Protected is false where the packet, by where it was sent to and
// whether it was read from a packet socket, cannot have come under the protection that
// the peer requires. The security associations of RFC 8213 section 3 are between two
// addresses: what was sent to a group has come in none, and what a packet socket
// saw has passed neither XFRM nor the guard table. That the rest was protected is
// for those two to say.
func (p *Packet) From(peers *trust.Set, role trust.PeerRole, link string) (peer *trust.Peer, protected bool) {
	peer = peers.Find(role, p.Source.Addr(), link)
	return peer, peer == nil || peer.Protection != trust.ProtectionIPsec || !p.Framed && p.Dest == peer.Local
}
