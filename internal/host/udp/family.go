package udp

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"fairlead/internal/wire/checksum"
)

// Family is the version of IP that a Conn carries.
type Family uint8

const (
	// IPv6 carries DHCPv6.
	IPv6 Family = iota
	// IPv4 carries DHCPv4.
	IPv4
	families
)

// String is "IPv6" or "IPv4".
func (f Family) String() string { return f.profile().name }

func (f Family) profile() *profile { return profiles[f] }

var profiles = [families]*profile{IPv6: &ipv6, IPv4: &ipv4}

// profile has all that differs between the families. Its functions allocate nothing, except those
// that open a socket.
type profile struct {
	name string
	// port is that of servers and relay agents.
	port        uint16
	unspecified netip.Addr
	// group is the address to which clients send when they know no server. The frame path takes
	// what is sent to it. If it is a multicast address, it has to be joined.
	group netip.Addr
	// minimumMTU: no node has a reason to send a packet of this length, or a shorter one, in
	// fragments.
	minimumMTU int
	maxPayload int
	// multicastHopLimit is the hop limit of multicast to peers; 0 leaves it to the kernel.
	multicastHopLimit uint8

	// The IP header. The destination follows the source in it.
	etherType         uint16
	header            int // octets without options
	addrLen, sourceAt int
	protocolAt        int
	checksumOptional  bool // a UDP checksum of 0 means that there is none

	// The sockets and their control messages.
	domain                    int
	level                     int
	packetInfo, packetInfoLen int
	hopLimit                  int
	nameLen, nameAt           int // length of struct sockaddr, and offset of the address in it
	receivedError             int
	errorOrigin               uint8

	// is reports whether an address belongs to the family, scoped whether an address means
	// nothing without an interface, and answerable whether a datagram can come from an address.
	is, scoped, answerable func(netip.Addr) bool
	// segment finds the UDP header and payload in a packet. Link layers may pad, so what follows
	// is ignored. If ok is false, flaw says why.
	segment func(packet []byte) (segment []byte, flaw Discard, ok bool)
	// isFragment reports whether a packet is a fragment. fragment reads a fragment of UDP.
	isFragment func(packet []byte) bool
	fragment   func(packet []byte) (fragment, bool)
	// putHeader writes the IP header for a UDP segment of this length.
	putHeader func(b []byte, source, dest netip.Addr, hopLimit uint8, length int)

	// takes accepts those packets to the group that the frame path handles: whole packets of UDP
	// to port that are no longer than frameRoom, and every fragment of UDP.
	takes func(p *program, port uint16)
	// unicastOnly is the filter of wildcard sockets that are not for the group; nil if the kernel
	// gives them nothing that is sent to the group.
	unicastOnly  []unix.SockFilter
	options      func(s *socket) []option
	sockaddr     func(a netip.AddrPort, link int) unix.Sockaddr
	fromSockaddr func(unix.Sockaddr) (a netip.AddrPort, link int, ok bool)
	readControl  func(oob []byte) hints
	// putName writes a struct sockaddr to octets that are zero.
	putName func(name []byte, to netip.AddrPort, link int)
	// putPacketInfo writes the source, if it is valid, and the interface, to octets that are
	// zero.
	putPacketInfo func(data []byte, source netip.Addr, link int)
	// tooBig reports whether an ICMP error is about a packet that was too long.
	tooBig func(kind, code uint8) bool
}

// option is a socket option of one bit.
type option struct {
	level, name int
	on          bool
}

// hints are what the control messages tell of a datagram.
type hints struct {
	ifindex int
	dest    netip.Addr
	// headers says that the frame path could not have taken the datagram: it came in fragments,
	// or with IPv6 extension headers.
	headers bool
	// broadcast says that dest is a broadcast address, as the kernel sees it.
	broadcast bool
	options   int // octets of IPv4 options
}

// headers are the octets of the IP header without options and of the UDP header.
func (p *profile) headers() int { return p.header + udpHeader }

// addr is the address at the beginning of b.
func (p *profile) addr(b []byte) netip.Addr {
	if p.addrLen == 4 {
		return netip.AddrFrom4([4]byte(b))
	}
	return netip.AddrFrom16([16]byte(b))
}

// addresses are the source and destination of a packet, in the order of the pseudo-header.
func (p *profile) addresses(packet []byte) []byte {
	return packet[p.sourceAt : p.sourceAt+2*p.addrLen]
}

// checksumRight verifies the UDP checksum (RFC 768, RFC 8200 section 8.1).
func (p *profile) checksumRight(packet, segment []byte) bool {
	if segment[6] == 0 && segment[7] == 0 {
		return p.checksumOptional
	}
	return checksum.Fold(checksum.Sum(segment, checksum.Pseudo(p.addresses(packet), len(segment), protocolUDP))) == 0xffff
}

// putFrameHeaders writes the IP and UDP headers of payload to b, which has room for them, and
// returns them.
func (p *profile) putFrameHeaders(b []byte, source, dest netip.AddrPort, hopLimit uint8, payload []byte) []byte {
	b = b[:p.headers()]
	length := udpHeader + len(payload)
	p.putHeader(b, source.Addr(), dest.Addr(), hopLimit, length)
	segment := b[p.header:]
	binary.BigEndian.PutUint16(segment, source.Port())
	binary.BigEndian.PutUint16(segment[2:], dest.Port())
	binary.BigEndian.PutUint16(segment[4:], uint16(length))
	segment[6], segment[7] = 0, 0
	c := ^checksum.Fold(checksum.Sum(payload, checksum.Sum(segment, checksum.Pseudo(p.addresses(b), length, protocolUDP))))
	if c == 0 {
		c = 0xffff // 0 would mean that there is no checksum
	}
	binary.BigEndian.PutUint16(segment[6:], c)
	return b
}
