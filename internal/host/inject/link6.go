package inject

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/wire/dhcp6"
)

// Offsets in an Ethernet frame with plain IPv6.
const (
	atNext6    = atIP + 6
	atHops6    = atIP + 7
	atSource6  = atIP + 8
	atDest6    = atIP + 24
	atUpper6   = atIP + 40                // UDP or ICMPv6
	atTarget6  = atUpper6 + 8             // of a neighbour solicitation
	minimum6   = atUpper6 + udpHeader + 4 // a frame with the shortest DHCPv6 message
	protoICMP6 = 58
	solicited  = 135 // Neighbor Solicitation, RFC 4861 section 4.3
)

var profile6 = profile{
	port: dhcp6.ServerPort,

	protocol: unix.ETH_P_IPV6, filter: toClients6(),
	upper: atUpper6, blank: blank6, address: address6, take: take6,

	domain: unix.AF_INET6, local: local6, head: head6, wrap: wrap6, unwrap: unwrap6,
}

// toClients6 lets UDP to the client port and Neighbor Solicitations pass.
func toClients6() []unix.SockFilter {
	return []unix.SockFilter{
		{Code: load8, K: atNext6},
		{Code: equal, K: protoUDP, Jf: 2},
		{Code: load16, K: atUpper6 + 2},
		{Code: equal, K: dhcp6.ClientPort, Jt: 3, Jf: 4},
		{Code: equal, K: protoICMP6, Jf: 3},
		{Code: load8, K: atUpper6},
		{Code: equal, K: solicited, Jf: 1},
		{Code: end, K: 0xffff},
		{Code: end, K: 0},
	}
}

// blank6 is the part that the frames of all clients have in common.
func blank6() frame {
	f := make(frame, atUpper6+udpHeader+loadgen.MaxMessage)
	copy(f, []byte{0x33, 0x33, 0, 1, 0, 2})
	binary.BigEndian.PutUint16(f[atType:], unix.ETH_P_IPV6)
	f[atIP] = 6 << 4
	f[atNext6], f[atHops6] = protoUDP, 1
	group := dhcp6.AllRelayAgentsAndServers.As16()
	copy(f[atDest6:], group[:])
	binary.BigEndian.PutUint16(f[atUpper6:], dhcp6.ClientPort)
	binary.BigEndian.PutUint16(f[atUpper6+2:], dhcp6.ServerPort)
	return f
}

func address6(_ *Port, f frame, m loadgen.Message, message int) int {
	mac, source := loadgen.MAC(m.Client), loadgen.LinkLocal(m.Client)
	copy(f[6:], mac[:])
	copy(f[atSource6:], source[:])
	length := udpHeader + message
	binary.BigEndian.PutUint16(f[atIP+4:], uint16(length))
	binary.BigEndian.PutUint16(f[atUpper6+4:], uint16(length))
	f.checksum(atSource6, atUpper6, atUpper6+6, protoUDP, length)
	return atUpper6 + length
}

func take6(p *Port, f frame) (client uint32, message []byte, ok bool) {
	if len(f) < minimum6 {
		return 0, nil, false
	}
	if f[atNext6] == protoICMP6 {
		p.solicitation(f)
		return 0, nil, false
	}
	client, ok = p.clientOf(f[atDest6 : atDest6+16])
	if !ok {
		return 0, nil, false
	}
	message, ok = f.datagram(atUpper6)
	return client, message, ok
}

// clientOf is the client with a link-local address.
func (p *Port) clientOf(address []byte) (uint32, bool) {
	n, ok := loadgen.Index(address)
	return n, ok && p.ours(n)
}

const (
	advertised  = 136 // Neighbor Advertisement, RFC 4861 section 4.4
	advertLen   = 32  // with the link-layer address
	ndHops      = 255 // RFC 4861 section 7.1.1: it has not passed a router
	flagAnswer  = 0x40
	flagReplace = 0x20
)

// solicitation queues the answer to a Neighbor Solicitation for a client's
// address (RFC 4861 section 7.2.4).
func (p *Port) solicitation(f []byte) {
	if len(f) < atTarget6+16 || f[atHops6] != ndHops {
		return
	}
	client, ok := p.clientOf(f[atTarget6 : atTarget6+16])
	if !ok {
		return
	}
	a := frame(p.answers.room())
	mac := loadgen.MAC(client)
	copy(a, f[6:12])
	copy(a[6:], mac[:])
	binary.BigEndian.PutUint16(a[atIP+4:], advertLen)
	a[atNext6], a[atHops6] = protoICMP6, ndHops
	copy(a[atSource6:], f[atTarget6:atTarget6+16])
	copy(a[atDest6:], f[atSource6:atSource6+16])
	flags := byte(flagAnswer | flagReplace)
	if [16]byte(f[atSource6:atSource6+16]) == [16]byte{} {
		// The sender asks whether the address is free: the answer goes to all nodes.
		copy(a, []byte{0x33, 0x33, 0, 0, 0, 1})
		copy(a[atDest6:], []byte{0: 0xff, 1: 0x02, 15: 1})
		flags = flagReplace
	}
	clear(a[atUpper6 : atUpper6+8])
	a[atUpper6], a[atUpper6+4] = advertised, flags
	copy(a[atTarget6:], f[atTarget6:atTarget6+16])
	a[atTarget6+16], a[atTarget6+17] = 2, 1 // Target Link-Layer Address, in units of 8 octets
	copy(a[atTarget6+18:], mac[:])
	a.checksum(atSource6, atUpper6, atUpper6+2, protoICMP6, advertLen)
	p.answers.add(nobody, atUpper6+advertLen)
}
