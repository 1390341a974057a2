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

// Protected reports whether a datagram, by where it was sent to and whether it was
// read from a packet socket, can have come under the protection that the peer
// requires. The security associations of RFC 8213 section 3 are between two
// addresses: what was sent to a group has come in none, and what a packet socket
// saw has passed neither XFRM nor the guard table. That the rest was protected is
// for those two to say.
func Protected(peer *trust.Peer, dest netip.Addr, framed bool) bool {
	return peer.Protection != trust.ProtectionIPsec || !framed && dest == peer.Local
}
