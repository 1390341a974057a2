package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is the memory into which the kernel puts frames (PACKET_RX_RING). It is version 2, which
// shows each frame at once. Version 3 shows a block of frames when the block is full or a timer
// ends: on a quiet link, answers would be late.
//
// The kernel and we go through it frame by frame, and begin again at its end.
type ring struct {
	memory []byte
	next   int // index of the next frame
	// foreseen is how many frames, from next on, were looked at for fragments.
	foreseen int
}

const (
	ringFrames = 1024     // frames that wait when nobody reads
	ringFrame  = 2048     // room for one, with the kernel's header
	ringBlock  = 64 << 10 // contiguous memory, which the kernel has to find

	// From linux/if_packet.h, struct tpacket2_hdr: offsets of its fields, and of
	// the sockaddr_ll that follows it.
	ringStatus, ringSnapped, ringNetwork, ringName = 0, 8, 14, 32

	// ringHeaders is more than the kernel puts before an IP packet.
	ringHeaders = 96
	// frameRoom is the longest IP packet that the frame path takes; longer
	// ones, of links with a larger MTU, come by the socket path.
	frameRoom = ringFrame - ringHeaders
)

// mapRing maps the memory of a ring.
func mapRing(fd int) ([]byte, error) {
	return unix.Mmap(fd, 0, ringFrames*ringFrame, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

// openRing gives the packet socket fd its ring. After an error it has none, and can be given one
// later.
func openRing(fd int, mapped func(fd int) ([]byte, error)) (*ring, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		return nil, fmt.Errorf("packet socket: ring version: %w", err)
	}
	request := unix.TpacketReq{
		Block_size: ringBlock, Block_nr: ringFrames * ringFrame / ringBlock,
		Frame_size: ringFrame, Frame_nr: ringFrames,
	}
	if err := unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &request); err != nil {
		return nil, fmt.Errorf("packet socket: ring of %d frames: %w", ringFrames, err)
	}
	memory, err := mapped(fd)
	if err != nil {
		// A request for no frames frees the kernel's part.
		undone := unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq{})
		return nil, errors.Join(fmt.Errorf("packet socket: ring of %d frames: map: %w", ringFrames, err), undone)
	}
	return &ring{memory: memory}, nil
}

func (r *ring) close() { _ = unix.Munmap(r.memory) } // it can fail only for memory that is not mapped

// rawFrame is a view of one frame in the ring.
type rawFrame struct {
	pending bool   // its checksum was left to hardware, which it has not reached
	name    []byte // sockaddr_ll
	packet  []byte
}

// waits reports whether the frame at an index is ours to read.
func (r *ring) waits(at int) bool {
	return atomic.LoadUint32(statusOf(r.memory[at*ringFrame:]))&unix.TP_STATUS_USER != 0
}

// peek returns the next frame, if the kernel has put one there. It is ours until release.
func (r *ring) peek() (rawFrame, bool) { return r.ahead(0) }

// ahead returns the frame that comes n frames after the next one.
func (r *ring) ahead(n int) (f rawFrame, ok bool) {
	b := r.memory[(r.next+n)%ringFrames*ringFrame:][:ringFrame]
	status := atomic.LoadUint32(statusOf(b))
	if status&unix.TP_STATUS_USER == 0 {
		return f, false
	}
	// The kernel's values are believed, but not beyond the frame.
	start := min(ringFrame, int(binary.NativeEndian.Uint16(b[ringNetwork:])))
	length := int(binary.NativeEndian.Uint32(b[ringSnapped:]))
	return rawFrame{
		pending: status&unix.TP_STATUS_CSUMNOTREADY != 0,
		name:    b[ringName : ringName+nameRoom],
		packet:  b[start:min(ringFrame, start+length)],
	}, true
}

// release gives the frame that peek returned back to the kernel.
func (r *ring) release() {
	atomic.StoreUint32(statusOf(r.memory[r.next*ringFrame:]), unix.TP_STATUS_KERNEL)
	r.next = (r.next + 1) % ringFrames
	r.foreseen = max(0, r.foreseen-1)
}

// statusOf is the word that says whether a frame belongs to the kernel or to us. Frames begin at
// multiples of their size, in mapped pages.
func statusOf(frame []byte) *uint32 {
	return (*uint32)(unsafe.Pointer(&frame[ringStatus]))
}
