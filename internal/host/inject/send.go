package inject

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/wire/checksum"
)

const (
	// Batch is how many messages leave in one system call at most.
	Batch = 64

	nobody = 1<<32 - 1 // the number of a frame that is no message
)

// frame is an Ethernet frame, or room for one.
type frame []byte

// checksum writes the checksum of RFC 8200 section 8.1 and RFC 768 over length octets of the
// upper layer. The two addresses begin at source, and the upper layer follows them.
func (f frame) checksum(source, upper, at int, protocol uint8, length int) {
	f[at], f[at+1] = 0, 0
	s := checksum.Pseudo(f[source:upper], length, protocol)
	c := ^checksum.Fold(checksum.Sum(f[upper:upper+length], s))
	if c == 0 {
		c = 0xffff // the same sum; 0 would say that there is no checksum
	}
	binary.BigEndian.PutUint16(f[at:], c)
}

// batch are the messages that one socket sends together.
type batch struct {
	fd      int
	n       int
	buffers [Batch][]byte
	iovs    [Batch]unix.Iovec
	headers [Batch]unix.Mmsghdr
	numbers [Batch]uint32
	unsent  func(number uint32)
}

// newBatch has every buffer begin as a copy of like. name is the destination, for a socket that
// is not connected.
func newBatch(fd int, like, name []byte, unsent func(uint32)) *batch {
	b := &batch{fd: fd, unsent: unsent}
	for i := range b.buffers {
		b.buffers[i] = append([]byte(nil), like...)
		b.iovs[i].Base = &b.buffers[i][0]
		h := &b.headers[i].Hdr
		h.Iov = &b.iovs[i]
		h.SetIovlen(1)
		if len(name) > 0 {
			h.Name, h.Namelen = &name[0], uint32(len(name))
		}
	}
	return b
}

// room is the next free buffer. If there is none, all are sent first.
func (b *batch) room() []byte {
	if b.n == Batch {
		b.flush()
	}
	return b.buffers[b.n]
}

// add takes the next buffer as it is, with this length.
func (b *batch) add(number uint32, length int) {
	b.iovs[b.n].SetLen(length)
	b.numbers[b.n] = number
	b.n++
}

// flush sends all buffers. If one cannot be sent, it goes on with the next.
func (b *batch) flush() {
	for i := 0; i < b.n; {
		done, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(b.fd), uintptr(unsafe.Pointer(&b.headers[i])),
			uintptr(b.n-i), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			if b.numbers[i] != nobody {
				b.unsent(b.numbers[i])
			}
			i++
		default:
			i += int(done)
		}
	}
	b.n = 0
}

// Room is a buffer with room for a message of loadgen.MaxMessage octets, which is to be appended.
// If no buffer is free, all are sent first.
func (p *Port) Room() []byte {
	at := p.profile.payload()
	return p.messages.room()[at:at]
}

// Queue takes the message that was appended to Room.
func (p *Port) Queue(m loadgen.Message, message []byte) {
	f := frame(p.messages.buffers[p.messages.n])
	p.messages.add(m.Number, p.profile.address(p, f, m, len(message)))
}

// Flush sends the queued messages.
func (p *Port) Flush() {
	p.answers.flush()
	p.messages.flush()
}
