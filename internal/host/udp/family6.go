package udp

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"fairlead/internal/wire/dhcp6"
)

const (
	ipv6Header       = 40
	protocolFragment = 44
	fragmentHeader   = 8
)

// ipv6 is RFC 8200 and RFC 3542.
var ipv6 = profile{
	name:              "IPv6",
	port:              dhcp6.ServerPort,
	unspecified:       netip.IPv6Unspecified(),
	group:             dhcp6.AllRelayAgentsAndServers,
	minimumMTU:        1280, // RFC 8200 section 5
	maxPayload:        65535 - udpHeader,
	multicastHopLimit: 8, // RFC 8415 section 19.1

	etherType: unix.ETH_P_IPV6, header: ipv6Header, addrLen: 16, sourceAt: 8, protocolAt: 6,

	domain: unix.AF_INET6, level: unix.IPPROTO_IPV6,
	packetInfo: unix.IPV6_PKTINFO, packetInfoLen: unix.SizeofInet6Pktinfo, hopLimit: unix.IPV6_HOPLIMIT,
	nameLen: unix.SizeofSockaddrInet6, nameAt: 8,
	receivedError: unix.IPV6_RECVERR, errorOrigin: unix.SO_EE_ORIGIN_ICMP6,

	is:         func(a netip.Addr) bool { return a.Is6() && !a.Is4In6() },
	scoped:     func(a netip.Addr) bool { return a.IsLinkLocalUnicast() || a.IsMulticast() },
	answerable: answerable6,
	segment:    segment6,
	isFragment: isFragment6, fragment: fragment6,
	putHeader: putHeader6,
	takes:     takes6,
	options:   options6,
	sockaddr: func(a netip.AddrPort, link int) unix.Sockaddr {
		return &unix.SockaddrInet6{Port: int(a.Port()), ZoneId: uint32(link), Addr: a.Addr().As16()}
	},
	fromSockaddr: func(s unix.Sockaddr) (netip.AddrPort, int, bool) {
		a, ok := s.(*unix.SockaddrInet6)
		if !ok {
			return netip.AddrPort{}, 0, false
		}
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)), int(a.ZoneId), true
	},
	readControl:   readControl6,
	putName:       putName6,
	putPacketInfo: putPacketInfo6,
	tooBig:        func(kind, _ uint8) bool { return kind == packetTooBig6 },
}

// answerable6 accepts the sources that the kernel accepts for its own sockets.
func answerable6(a netip.Addr) bool {
	return !a.IsMulticast() && !a.IsUnspecified() && !a.IsLoopback() && !a.Is4In6()
}

// segment6 accepts no extension headers.
func segment6(packet []byte) ([]byte, Discard, bool) {
	if len(packet) < ipv6Header+udpHeader || packet[0]>>4 != 6 {
		return nil, Malformed, false
	}
	inIP := int(binary.BigEndian.Uint16(packet[4:]))
	inUDP := int(binary.BigEndian.Uint16(packet[ipv6Header+4:]))
	if inUDP < udpHeader || inUDP > inIP || ipv6Header+inIP > len(packet) {
		return nil, Malformed, false
	}
	return packet[ipv6Header : ipv6Header+inUDP], 0, true
}

func isFragment6(packet []byte) bool { return len(packet) > 6 && packet[6] == protocolFragment }

// fragment6 is RFC 8200 section 4.5.
func fragment6(p []byte) (f fragment, ok bool) {
	if len(p) < ipv6Header+fragmentHeader || p[6] != protocolFragment || p[ipv6Header] != protocolUDP {
		return f, false
	}
	offset := int(binary.BigEndian.Uint16(p[ipv6Header+2:]))
	f = fragment{
		source: netip.AddrFrom16([16]byte(p[8:24])),
		id:     binary.BigEndian.Uint32(p[ipv6Header+4:]),
		offset: offset &^ 7, more: offset&1 != 0,
	}
	f.take(p, ipv6Header+fragmentHeader, ipv6Header+int(binary.BigEndian.Uint16(p[4:])))
	return f, true
}

func putHeader6(b []byte, source, dest netip.Addr, hopLimit uint8, length int) {
	binary.BigEndian.PutUint32(b, 6<<28)
	binary.BigEndian.PutUint16(b[4:], uint16(length))
	b[6], b[7] = protocolUDP, hopLimit
	from, to := source.As16(), dest.As16()
	copy(b[8:], from[:])
	copy(b[24:], to[:])
}

func takes6(p *program, port uint16) {
	p.load(unix.BPF_B, 6)
	p.branch(unix.BPF_JEQ, protocolFragment, accept, next)
	p.branch(unix.BPF_JEQ, protocolUDP, next, refuse)
	p.load(unix.BPF_H, ipv6Header+2)
	p.branch(unix.BPF_JEQ, uint32(port), next, refuse)
	p.load(unix.BPF_H, 4)
	p.branch(unix.BPF_JGT, frameRoom-ipv6Header, refuse, next)
}

func options6(s *socket) []option {
	return []option{
		{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, true},
		{unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, s.multicast},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, true},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVERR, s.hearsRefusals()},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVFRAGSIZE, s.multicast},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPOPTS, s.multicast},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVDSTOPTS, s.multicast},
	}
}

// readControl6 reads the interface and the destination (RFC 3542 section 6.2). Other control
// messages show that the packet had extension headers. Of the headers that are not shown, the
// kernel refuses routing headers in multicast.
func readControl6(oob []byte) (h hints) {
	for len(oob) >= unix.SizeofCmsghdr {
		header, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		oob = rest
		if header.Level != unix.IPPROTO_IPV6 {
			continue
		}
		switch header.Type {
		case unix.IPV6_PKTINFO:
			if len(data) >= unix.SizeofInet6Pktinfo {
				h.dest = netip.AddrFrom16([16]byte(data))
				h.ifindex = int(binary.NativeEndian.Uint32(data[16:]))
			}
		case unix.IPV6_RECVFRAGSIZE, unix.IPV6_HOPOPTS, unix.IPV6_DSTOPTS:
			h.headers = true
		}
	}
	return h
}

func putName6(name []byte, to netip.AddrPort, link int) {
	binary.NativeEndian.PutUint16(name, unix.AF_INET6)
	binary.BigEndian.PutUint16(name[2:], to.Port())
	addr := to.Addr().As16()
	copy(name[8:], addr[:])
	binary.NativeEndian.PutUint32(name[24:], uint32(link))
}

// putPacketInfo6 is RFC 3542 section 6.1.
func putPacketInfo6(data []byte, source netip.Addr, link int) {
	if source.IsValid() {
		a := source.As16()
		copy(data, a[:])
	}
	binary.NativeEndian.PutUint32(data[16:], uint32(link))
}
