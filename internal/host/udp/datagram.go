package udp

import (
	"net"
	"net/netip"
)

// Path tells how a datagram came in.
type Path uint8

const (
	// PathSocket is a UDP socket. It does not tell the link-layer address.
	PathSocket Path = iota
	// PathFrame is the packet socket: the datagram came unfragmented, and
	// without extension headers of IPv6, from a node on the link itself.
	PathFrame
)

// String is "socket" or "frame".
func (p Path) String() string {
	if p == PathFrame {
		return "frame"
	}
	return "socket"
}

// Datagram is one received message. Payload is valid until the next Receive.
type Datagram struct {
	// Link is the index of the interface that the datagram came in on. In a VRF it is the
	// enslaved interface, not the device of the VRF.
	Link int
	// Source has no zone; a link-local address belongs to Link. In IPv4 it may be 0.0.0.0, from a
	// client that has no address yet.
	Source netip.AddrPort
	// Dest is the destination address of the IP header.
	Dest netip.Addr
	// LocalPort is the destination port: that of Options, or another one that was given to
	// AddLocal (RFC 8357).
	LocalPort uint16
	// MAC has MACLen octets of the link-layer source address. MACLen is 0 where the address is
	// not known: on links without link-layer addresses, and on the socket path, unless all
	// fragments of a datagram to the group are known to come from one address.
	MAC    [8]byte
	MACLen uint8
	// HardwareType is the ARPHRD number of the link, 0 where MACLen is 0.
	HardwareType uint16
	Path         Path
	Payload      []byte
}

// Link is a client-facing link.
type Link struct {
	Index int
	Name  string
	// MTU is that of the family on the link, in octets.
	MTU int
	MAC net.HardwareAddr
	// Ethernet says that the link has link-layer addresses of 6 octets and is
	// of type ARPHRD_ETHER.
	Ethernet bool
	// VRF is the name of the master VRF device, empty where there is none.
	VRF string
	// Source is the source address of frames: in IPv6 the link-local address of the link, in IPv4
	// any address of this host. While it is not valid, an answer without a source of its own
	// leaves by the socket.
	Source netip.Addr
}

// Kind is one of the two directions.
type Kind uint8

const (
	// ToClient is for a client or a downstream relay agent on a client link.
	ToClient Kind = iota
	// ToPeer is for a server or another relay agent. It never leaves in a frame that we made.
	ToPeer
)

// Outgoing is one message to be sent.
type Outgoing struct {
	Kind Kind
	// Link is the index of the interface to send on. It is set for ToClient, and for ToPeer only
	// if Dest is link-local (IPv6), multicast or broadcast.
	Link int
	// VRF is the device of the VRF in which a peer is reached, for ToPeer only.
	VRF string
	// Source is the local address. If it is not valid, the kernel chooses one (ToPeer), or it is
	// the link's (ToClient).
	Source netip.Addr
	// SourcePort is the local port, for ToPeer only; 0 is the port of Options.
	SourcePort uint16
	// Dest is the destination. A zone in it is ignored; Link is used.
	Dest netip.AddrPort
	// MAC has MACLen octets of the link-layer address of a node that is on the link and has Dest.
	// In IPv4 it is all ones where Dest is 255.255.255.255. With MACLen 0, or on a link without
	// link-layer addresses, the kernel finds the address.
	MAC    [8]byte
	MACLen uint8
	// HopLimit, in IPv4 the time to live, is 0 for the default: 8 for multicast to a peer
	// (RFC 8415 section 19.1), else that of the kernel, and 64 in frames.
	HopLimit uint8
	Payload  []byte
}

// Local says where a socket for the traffic with peers is bound.
type Local struct {
	// Addr is a unicast address of this host. The unspecified address means a wildcard socket,
	// for a VRF or a port that has none yet. A multicast address (IPv6) means a socket that only
	// receives what is sent to that group.
	Addr netip.Addr
	// Index is the index of Addr's interface if Addr is link-local or multicast (IPv6), and
	// otherwise ignored.
	Index int
	// VRF is the name of a VRF device, empty for the default VRF.
	VRF string
	// Port 0 is that of Options; another one is the source port of RFC 8357.
	Port uint16
	// Peer, if valid, is the only peer that the socket is for. The kernel then remembers the
	// route to it, which makes sending cheaper. Other peers need a socket without Peer at the
	// same place.
	Peer netip.AddrPort
}
