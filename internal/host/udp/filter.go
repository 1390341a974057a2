package udp

import "golang.org/x/sys/unix"

const (
	protocolUDP  = 17
	ipv6Header   = 40
	udpHeader    = 8
	frameHeaders = ipv6Header + udpHeader

	// From linux/filter.h: offsets that ask for metadata, or for octets from the
	// network header on, whatever the socket sees first.
	skfADPktType = 0xfffff000 + 4
	skfADHatype  = 0xfffff000 + 28
	skfNetOff    = 0xfff00000

	minimumMTU = 1280 // RFC 8200 section 5
)

// firstOfGroup has the first socket that was bound receive all unicast of those
// that share an endpoint by SO_REUSEPORT. Multicast goes to each of them.
var firstOfGroup = []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}

// smallCopies refuses what the frame path takes: to ff02::1:2 on links of type
// ARPHRD_ETHER, no extension header left in the packet, and so small that no
// node has reason to send it in fragments. In a VRF the type would be that of
// the VRF device.
func smallCopies() []unix.SockFilter {
	group := AllRelayAgentsAndServers.As16()
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN},
		{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, Jt: 8, K: minimumMTU - ipv6Header},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: skfNetOff + 24},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 6, K: word(group[0:4])},
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: skfNetOff + 6},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 4, K: protocolUDP},
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: skfADHatype},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 2, K: unix.ARPHRD_ETHER},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: skfNetOff + 36},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: word(group[12:16])},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
}

// clientFilter lets through what the frame path handles: UDP to port without
// extension headers to ff02::1:2, not sent by this host and not for another
// link-layer address. Each IPv6 packet that this host receives or forwards
// passes here, so the test that nearly all of them fail comes first. The socket
// is of type SOCK_DGRAM: offset 0 is the IPv6 header whatever the link.
func clientFilter(port uint16) []unix.SockFilter {
	group := AllRelayAgentsAndServers.As16()
	tests := []struct {
		load   uint16
		offset uint32
		want   uint32
	}{
		{unix.BPF_W, 24, word(group[0:4])},
		{unix.BPF_W, 36, word(group[12:16])},
		{unix.BPF_W, 28, word(group[4:8])},
		{unix.BPF_W, 32, word(group[8:12])},
		{unix.BPF_B, 6, protocolUDP},
		{unix.BPF_H, ipv6Header + 2, uint32(port)},
	}
	// After the tests: load the packet type, compare, accept, refuse.
	length := 2*len(tests) + 4
	var program []unix.SockFilter
	for _, t := range tests {
		program = append(program, unix.SockFilter{Code: unix.BPF_LD | t.load | unix.BPF_ABS, K: t.offset})
		toRefuse := uint8(length - 1 - (len(program) + 1))
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: toRefuse, K: t.want})
	}
	return append(program,
		unix.SockFilter{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: skfADPktType},
		// PACKET_OTHERHOST and PACKET_OUTGOING are above PACKET_MULTICAST.
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, Jt: 1, K: unix.PACKET_MULTICAST},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	)
}

func word(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
