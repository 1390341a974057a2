package udp

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"fairlead/internal/wire/checksum"
	"fairlead/internal/wire/dhcp4"
)

const (
	ipv4Header = 20 // without options

	// The flags of RFC 791 section 3.1; the offset of a fragment follows them.
	dontFragment  = 0x4000
	moreFragments = 0x2000
	offsetMask    = 0x1fff

	broadcast4 = 0xffffffff // ipv4Group
)

// ipv4 is RFC 791, and ip(7) for the sockets.
//
// Clients broadcast. There is nothing to join, and the kernel gives each broadcast to every
// socket that is bound to no address. A filter keeps them from the sockets for unicast. Of the
// broadcast addresses, the frame path takes only 255.255.255.255, which a filter can recognise.
// Datagrams to the others come by the socket path, because only the kernel knows these addresses.
var ipv4 = profile{
	name:        "IPv4",
	port:        dhcp4.ServerPort,
	unspecified: netip.IPv4Unspecified(),
	group:       ipv4Group,
	minimumMTU:  576, // not the smallest MTU that a link may have, but what every host accepts (RFC 791 section 3.1)
	maxPayload:  65535 - ipv4Header - udpHeader,

	etherType: unix.ETH_P_IP, header: ipv4Header, addrLen: 4, sourceAt: 12, protocolAt: 9, checksumOptional: true,

	domain: unix.AF_INET, level: unix.IPPROTO_IP,
	packetInfo: unix.IP_PKTINFO, packetInfoLen: unix.SizeofInet4Pktinfo, hopLimit: unix.IP_TTL,
	nameLen: unix.SizeofSockaddrInet4, nameAt: 4,
	receivedError: unix.IP_RECVERR, errorOrigin: unix.SO_EE_ORIGIN_ICMP,

	is:         netip.Addr.Is4,
	scoped:     func(a netip.Addr) bool { return a.IsMulticast() || a == ipv4Group },
	answerable: answerable4,
	segment:    segment4,
	isFragment: isFragment4, fragment: fragment4,
	putHeader:   putHeader4,
	takes:       takes4,
	unicastOnly: unicastOnly4(),
	options:     options4,
	sockaddr: func(a netip.AddrPort, _ int) unix.Sockaddr {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	},
	fromSockaddr: func(s unix.Sockaddr) (netip.AddrPort, int, bool) {
		a, ok := s.(*unix.SockaddrInet4)
		if !ok {
			return netip.AddrPort{}, 0, false
		}
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), 0, true
	},
	readControl:   readControl4,
	putName:       putName4,
	putPacketInfo: putPacketInfo4,
	tooBig:        func(kind, code uint8) bool { return kind == unreachable4 && code == fragmentationNeeded4 },
}

// ipv4Group is the limited broadcast address (RFC 919 section 7).
var ipv4Group = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// answerable4 accepts 0.0.0.0, from clients that have no address yet: their messages say where to
// send the answer (RFC 1542 section 4.1.1, RFC 2131 section 4.1).
func answerable4(a netip.Addr) bool {
	return !a.IsMulticast() && !a.IsLoopback() && a != ipv4Group
}

// segment4 verifies the checksum of the header too: a packet socket gets packets before the
// kernel has verified it.
func segment4(packet []byte) ([]byte, Discard, bool) {
	if len(packet) < ipv4Header || packet[0]>>4 != 4 {
		return nil, Malformed, false
	}
	header, inIP := headerLength4(packet), int(binary.BigEndian.Uint16(packet[2:]))
	if header < ipv4Header || header+udpHeader > inIP || inIP > len(packet) {
		return nil, Malformed, false
	}
	if checksum.Fold(checksum.Sum(packet[:header], 0)) != 0xffff {
		return nil, BadChecksum, false
	}
	inUDP := int(binary.BigEndian.Uint16(packet[header+4:]))
	if inUDP < udpHeader || header+inUDP > inIP {
		return nil, Malformed, false
	}
	return packet[header : header+inUDP], 0, true
}

func headerLength4(packet []byte) int { return int(packet[0]&0x0f) * 4 }

func isFragment4(packet []byte) bool {
	return len(packet) >= ipv4Header && binary.BigEndian.Uint16(packet[6:])&(moreFragments|offsetMask) != 0
}

// fragment4 is RFC 791 section 3.2.
func fragment4(p []byte) (f fragment, ok bool) {
	if !isFragment4(p) || p[9] != protocolUDP || headerLength4(p) < ipv4Header {
		return f, false
	}
	offset := int(binary.BigEndian.Uint16(p[6:]))
	f = fragment{
		source: netip.AddrFrom4([4]byte(p[12:16])),
		id:     uint32(binary.BigEndian.Uint16(p[4:])),
		offset: offset & offsetMask * 8, more: offset&moreFragments != 0,
	}
	f.take(p, headerLength4(p), int(binary.BigEndian.Uint16(p[2:])))
	return f, true
}

// putHeader4 writes what the kernel would write. A packet that must not be fragmented needs no
// identification (RFC 6864 section 4.1).
func putHeader4(b []byte, source, dest netip.Addr, hopLimit uint8, length int) {
	clear(b[:ipv4Header])
	b[0] = 4<<4 | ipv4Header/4
	binary.BigEndian.PutUint16(b[2:], uint16(ipv4Header+length))
	binary.BigEndian.PutUint16(b[6:], dontFragment)
	b[8], b[9] = hopLimit, protocolUDP
	from, to := source.As4(), dest.As4()
	copy(b[12:], from[:])
	copy(b[16:], to[:])
	binary.BigEndian.PutUint16(b[10:], ^checksum.Fold(checksum.Sum(b[:ipv4Header], 0)))
}

func takes4(p *program, port uint16) {
	p.load(unix.BPF_B, 9)
	p.branch(unix.BPF_JEQ, protocolUDP, next, refuse)
	p.load(unix.BPF_H, 6)
	p.branch(unix.BPF_JSET, moreFragments|offsetMask, accept, next)
	p.load(unix.BPF_H, 2)
	p.branch(unix.BPF_JGT, frameRoom, refuse, next)
	// The index register gets the length of the header.
	p.add(unix.SockFilter{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH})
	p.add(unix.SockFilter{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: 2})
	p.branch(unix.BPF_JEQ, uint32(port), next, refuse)
}

// unicastOnly4 refuses packets whose link-layer destination is not this host alone, as RFC 1122
// section 3.3.6 asks, and packets that are broadcast on links without such destinations.
func unicastOnly4() []unix.SockFilter {
	var p program
	p.load(unix.BPF_B, skfADPktType)
	p.branch(unix.BPF_JEQ, unix.PACKET_HOST, next, refuse)
	p.load(unix.BPF_W, skfNetOff+16)
	p.branch(unix.BPF_JEQ, broadcast4, refuse, accept)
	p.result(accept, 0xffffffff)
	p.result(refuse, 0)
	return p.whole()
}

func options4(s *socket) []option {
	return []option{
		{unix.SOL_SOCKET, unix.SO_BROADCAST, true},
		{unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, false},
		{unix.IPPROTO_IP, unix.IP_PKTINFO, true},
		{unix.IPPROTO_IP, unix.IP_RECVERR, s.hearsRefusals()},
		{unix.IPPROTO_IP, unix.IP_RECVFRAGSIZE, s.multicast},
		{unix.IPPROTO_IP, unix.IP_RECVOPTS, s.multicast},
	}
}

// readControl4 reads struct in_pktinfo of ip(7). The address from which the kernel would answer
// is the destination itself, unless that is a broadcast address.
func readControl4(oob []byte) (h hints) {
	for len(oob) >= unix.SizeofCmsghdr {
		header, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		oob = rest
		if header.Level != unix.IPPROTO_IP {
			continue
		}
		switch header.Type {
		case unix.IP_PKTINFO:
			if len(data) >= unix.SizeofInet4Pktinfo {
				h.ifindex = int(binary.NativeEndian.Uint32(data))
				h.dest = netip.AddrFrom4([4]byte(data[8:]))
				h.broadcast = [4]byte(data[4:]) != [4]byte(data[8:])
			}
		case unix.IP_RECVFRAGSIZE:
			h.headers = true
		case unix.IP_RECVOPTS:
			h.options = len(data)
		}
	}
	return h
}

func putName4(name []byte, to netip.AddrPort, _ int) {
	binary.NativeEndian.PutUint16(name, unix.AF_INET)
	binary.BigEndian.PutUint16(name[2:], to.Port())
	addr := to.Addr().As4()
	copy(name[4:], addr[:])
}

// putPacketInfo4 writes struct in_pktinfo: its ipi_spec_dst is the source.
func putPacketInfo4(data []byte, source netip.Addr, link int) {
	binary.NativeEndian.PutUint32(data, uint32(link))
	if source.IsValid() {
		a := source.As4()
		copy(data[4:], a[:])
	}
}
