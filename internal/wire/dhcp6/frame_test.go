package dhcp6_test

import (
	"encoding/binary"
	"net/netip"

	"fairlead/internal/wire/dhcp6"
)

// frame puts Ethernet, IPv6 and UDP headers in front of a DHCPv6 packet.
func frame(payload []byte) []byte {
	be := binary.BigEndian
	source, group := netip.MustParseAddr("fe80::c1"), dhcp6.AllRelayAgentsAndServers
	udpLen := 8 + len(payload)

	f := []byte{0x33, 0x33, 0, 1, 0, 2, 2, 0, 0, 0, 0, 0xc1, 0x86, 0xdd}
	f = be.AppendUint32(f, 6<<28)
	f = be.AppendUint16(f, uint16(udpLen))
	f = append(f, 17, 1) // UDP, hop limit
	f = append(f, source.AsSlice()...)
	f = append(f, group.AsSlice()...)
	pseudo := append(append(source.AsSlice(), group.AsSlice()...), 0, 0, byte(udpLen>>8), byte(udpLen), 0, 0, 0, 17)

	udp := be.AppendUint16(nil, dhcp6.ClientPort)
	udp = be.AppendUint16(udp, dhcp6.ServerPort)
	udp = be.AppendUint16(udp, uint16(udpLen))
	udp = append(append(udp, 0, 0), payload...)
	be.PutUint16(udp[6:], checksum(append(pseudo, udp...)))
	return append(f, udp...)
}

// checksum is the Internet checksum as UDP sends it (RFC 768): never 0.
func checksum(b []byte) uint16 {
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	if sum == 0xffff {
		return 0xffff
	}
	return ^uint16(sum)
}
