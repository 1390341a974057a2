package udp

import (
	"net"
	"net/netip"
)

// Path says how a datagram came in.
type Path uint8

const (
	// PathSocket is a UDP socket, which tells no link-layer address.
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
	// Link is the index of the interface that the datagram came in on; in a
	// VRF that is the enslaved interface, not the VRF device.
	Link int
	// Source has no zone; a link-local address belongs to Link. In IPv4 it may be
	// 0.0.0.0, of a client that has no address yet.
	Source netip.AddrPort
	// Dest is the destination address of the IP header.
	Dest netip.Addr
	// LocalPort is the destination port: that of Options, or another one that was given to
	// AddLocal (RFC 8357).
	LocalPort uint16
	// MAC holds MACLen octets of link-layer source address. MACLen is 0 when
	// none is known: on links without link-layer addresses, and on the socket path,
	// unless all fragments of a datagram to the group are known to come from one address.
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
	// Source is the address that frames come from: in IPv6 the link's own link-local
	// address, in IPv4 any of this host. While it is not valid, answers that say no source
	// of their own leave by the socket.
	Source netip.Addr
}

// Kind tells the two directions apart.
type Kind uint8

const (
	// ToClient is for a client or a downstream relay agent on a client link.
	ToClient Kind = iota
	// ToPeer is for a server or another relay agent; it never leaves as a
	// frame of our own making.
	ToPeer
)

// Outgoing is one message to be sent.
type Outgoing struct {
	Kind Kind
	// Link is the index of the interface to send on: always for ToClient; for
	// ToPeer only where Dest is link-local (IPv6), multicast or broadcast.
	Link int
	// VRF is the VRF device that a peer is reached in, for ToPeer only.
	VRF string
	// Source is the local address. The zero value lets the kernel choose
	// (ToPeer) or takes that of the link (ToClient).
	Source netip.Addr
	// SourcePort is the local port, for ToPeer only; 0 is the port of Options.
	SourcePort uint16
	// Dest is where the message goes; a zone is ignored, Link counts.
	Dest netip.AddrPort
	// MAC holds MACLen octets of link-layer address of a node that is on the
	// link itself and owns Dest; in IPv4 all ones where Dest is 255.255.255.255. With MACLen 0, or on a link without
	// link-layer addresses, the kernel finds the way.
	MAC    [8]byte
	MACLen uint8
	// HopLimit, in IPv4 the time to live, is 0 for the default: 8 for multicast to a peer
	// (RFC 8415 section 19.1), else that of the kernel, and 64 in frames.
	HopLimit uint8
	Payload  []byte
}

// Local is the place of a socket for the traffic with peers.
type Local struct {
	// Addr is a unicast address of this host; the unspecified one is a wildcard,
	// for a VRF or a port that has none yet.
	Addr netip.Addr
	// Index is that of Addr's interface where Addr is link-local (IPv6); else it is
	// ignored.
	Index int
	// VRF is the name of a VRF device, empty for the default VRF.
	VRF string
	// Port 0 is that of Options; another one is the source port of RFC 8357.
	Port uint16
	// Peer, if valid, is the only one that the socket is for. The kernel then
	// keeps the way to it, which makes what is sent there cheaper. Others need a
	// socket without Peer at the same place.
	Peer netip.AddrPort
}
