package inject

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Receive hands over the frames that have come, at most limit: each time the client that the
// frame is for, its time of arrival (by the wall clock, in nanoseconds since 1970), and its
// message. It does not wait, and returns how many frames there were. Requests for a client's
// link-layer address are answered by the next Flush.
func (p *Port) Receive(limit int, each func(client uint32, arrived int64, message []byte)) int {
	n := 0
	for ; n < limit; n++ {
		place := p.ring[p.next*ringFrame : (p.next+1)*ringFrame]
		h := (*unix.Tpacket2Hdr)(unsafe.Pointer(&place[0]))
		if atomic.LoadUint32(&h.Status)&unix.TP_STATUS_USER == 0 {
			break
		}
		octets := place[h.Mac : uint32(h.Mac)+h.Snaplen]
		if client, message, ok := p.profile.take(p, octets); ok {
			each(client, int64(h.Sec)*1e9+int64(h.Nsec), message)
		}
		atomic.StoreUint32(&h.Status, unix.TP_STATUS_KERNEL)
		if p.next++; p.next == ringFrames {
			p.next = 0
		}
	}
	return n
}

// datagram is the payload of the frame's UDP datagram, whose header begins at upper; false if it
// is not one.
func (f frame) datagram(upper int) ([]byte, bool) {
	payload := upper + udpHeader
	if len(f) < payload {
		return nil, false
	}
	length := int(binary.BigEndian.Uint16(f[upper+4:]))
	return f[payload:max(payload, min(upper+length, len(f)))], length >= udpHeader
}

// Dropped is how many frames the kernel has discarded because the ring was full.
func (p *Port) Dropped() uint64 {
	if s, err := unix.GetsockoptTpacketStats(p.receiver, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		p.dropped += uint64(s.Drops) // reading the counter sets it to 0
	}
	return p.dropped
}
