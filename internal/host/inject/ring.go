package inject

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"fairlead/internal/wire/dhcp6"
)

// Offsets in an Ethernet frame with plain IPv6.
const (
	ethernet   = 14
	ipv6       = 40
	udp        = 8
	atIP       = ethernet
	atNext     = atIP + 6
	atHops     = atIP + 7
	atSource   = atIP + 8
	atDest     = atIP + 24
	atUpper    = atIP + ipv6 // UDP or ICMPv6
	atPayload  = atUpper + udp
	atTarget   = atUpper + 8   // of a neighbour solicitation
	minimum    = atPayload + 4 // a DHCPv6 message has no less
	protoUDP   = 17
	protoICMP6 = 58
	solicited  = 135 // Neighbor Solicitation, RFC 4861 section 4.3
)

// toClients lets pass UDP to the client port and Neighbor Solicitations.
func toClients() []unix.SockFilter {
	const (
		load8  = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
		load16 = unix.BPF_LD | unix.BPF_H | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		end    = unix.BPF_RET | unix.BPF_K
	)
	return []unix.SockFilter{
		{Code: load8, K: atNext},
		{Code: equal, K: protoUDP, Jf: 2},
		{Code: load16, K: atUpper + 2},
		{Code: equal, K: dhcp6.ClientPort, Jt: 3, Jf: 4},
		{Code: equal, K: protoICMP6, Jf: 3},
		{Code: load8, K: atUpper},
		{Code: equal, K: solicited, Jf: 1},
		{Code: end, K: 0xffff},
		{Code: end, K: 0},
	}
}

// Receive hands over what has come, up to limit frames: the client that it is
// for, when it arrived (the wall clock, in nanoseconds since 1970), and the
// message. It does not wait, and returns how many frames there were. Neighbor
// Solicitations are answered by the next Flush.
func (p *Port) Receive(limit int, each func(client uint32, arrived int64, message []byte)) int {
	n := 0
	for ; n < limit; n++ {
		place := p.ring[p.next*ringFrame : (p.next+1)*ringFrame]
		h := (*unix.Tpacket2Hdr)(unsafe.Pointer(&place[0]))
		if atomic.LoadUint32(&h.Status)&unix.TP_STATUS_USER == 0 {
			break
		}
		octets := place[h.Mac : uint32(h.Mac)+h.Snaplen]
		p.take(octets, int64(h.Sec)*1e9+int64(h.Nsec), each)
		atomic.StoreUint32(&h.Status, unix.TP_STATUS_KERNEL)
		if p.next++; p.next == ringFrames {
			p.next = 0
		}
	}
	return n
}

// take handles one frame that passed the filter.
func (p *Port) take(f []byte, arrived int64, each func(uint32, int64, []byte)) {
	if len(f) < minimum {
		return
	}
	if f[atNext] == protoICMP6 {
		p.solicitation(f)
		return
	}
	client, ok := p.clientOf(f[atDest : atDest+16])
	length := int(binary.BigEndian.Uint16(f[atUpper+4:]))
	if !ok || length < udp {
		return
	}
	each(client, arrived, f[atPayload:max(atPayload, min(atUpper+length, len(f)))])
}

// Dropped is how many frames the kernel could not hand over so far, because the
// ring was full.
func (p *Port) Dropped() uint64 {
	if s, err := unix.GetsockoptTpacketStats(p.receiver, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		p.dropped += uint64(s.Drops) // reading it clears it
	}
	return p.dropped
}
