package udp

import (
	"golang.org/x/sys/unix"

	"fairlead/internal/wire/dhcp6"
)

const (
	protocolUDP      = 17
	protocolFragment = 44
	ipv6Header       = 40
	udpHeader        = 8
	frameHeaders     = ipv6Header + udpHeader

	// From linux/filter.h: offsets that ask for metadata, or for octets from the
	// network header on, whatever the socket sees first.
	skfADPktType = 0xfffff000 + 4
	skfADIfindex = 0xfffff000 + 8
	skfADHatype  = 0xfffff000 + 28
	skfNetOff    = 0xfff00000

	minimumMTU = 1280 // RFC 8200 section 5
)

// firstOfGroup has the first socket that was bound receive all unicast of those
// that share an endpoint by SO_REUSEPORT. Multicast goes to each of them.
var firstOfGroup = []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}

// smallCopies refuses what the frame path takes: to ff02::1:2 on links of type
// ARPHRD_ETHER, no extension header left in the packet, and so small that no
// node has reason to send it in fragments (copies.go is about those that do). In
// a VRF the type would be that of the VRF device.
func smallCopies() []unix.SockFilter {
	group := dhcp6.AllRelayAgentsAndServers.As16()
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
// extension headers to ff02::1:2, no longer than frameRoom, not sent by this host
// and not for another link-layer address. Beside that, fragments to that group,
// which show that somebody sends such. Of the links that are apart it takes nothing,
// or theirs says that it is for these alone. Each IPv6 packet that this host receives
// or forwards passes here, so the test that nearly all of them fail comes first.
// The socket is of type SOCK_DGRAM: offset 0 is the IPv6 header whatever the
// link.
func clientFilter(port uint16, apart []int, theirs bool) []unix.SockFilter {
	if theirs && len(apart) == 0 {
		return []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	}
	const group, rest = 8, 9 // instructions of the group, and of what comes after the links
	links := 0
	if len(apart) > 0 {
		links = 1 + len(apart)
	}
	ours := group + links
	accept, refuse := ours+rest, ours+rest+1
	var program []unix.SockFilter
	load := func(size uint16, offset uint32) {
		program = append(program, unix.SockFilter{Code: unix.BPF_LD | size | unix.BPF_ABS, K: offset})
	}
	// branch compares what was loaded and goes to an instruction by its number; 0
	// is the next one.
	branch := func(test uint16, value uint32, yes, no int) {
		after := len(program) + 1
		program = append(program, unix.SockFilter{
			Code: unix.BPF_JMP | test | unix.BPF_K, K: value,
			Jt: uint8(max(0, yes-after)), Jf: uint8(max(0, no-after)),
		})
	}
	to := dhcp6.AllRelayAgentsAndServers.As16()
	for _, w := range []int{0, 12, 4, 8} {
		load(unix.BPF_W, uint32(24+w))
		branch(unix.BPF_JEQ, word(to[w:]), 0, refuse)
	}
	if links > 0 {
		load(unix.BPF_W, skfADIfindex)
		found, notFound := refuse, ours
		if theirs {
			found, notFound = ours, refuse
		}
		for i, link := range apart {
			otherwise := 0
			if i == len(apart)-1 {
				otherwise = notFound
			}
			branch(unix.BPF_JEQ, uint32(link), found, otherwise)
		}
	}
	load(unix.BPF_B, skfADPktType)
	// PACKET_OTHERHOST and PACKET_OUTGOING are above PACKET_MULTICAST.
	branch(unix.BPF_JGT, unix.PACKET_MULTICAST, refuse, 0)
	load(unix.BPF_B, 6)
	branch(unix.BPF_JEQ, protocolFragment, accept, 0)
	branch(unix.BPF_JEQ, protocolUDP, 0, refuse)
	load(unix.BPF_H, ipv6Header+2)
	branch(unix.BPF_JEQ, uint32(port), 0, refuse)
	load(unix.BPF_H, 4)
	branch(unix.BPF_JGT, frameRoom-ipv6Header, refuse, 0)
	return append(program,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: frameRoom},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	)
}

func word(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
