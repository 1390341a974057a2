package inject

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	datagramRoom = 2048 // a longer answer is cut, and ignored
	controlRoom  = 64   // one time stamp
)

// intake is room for the datagrams that one system call reads from a UDP socket.
type intake struct {
	buffers [Batch][datagramRoom]byte
	control [Batch][controlRoom]byte
	iovs    [Batch]unix.Iovec
	headers [Batch]unix.Mmsghdr
	now     int64
}

func (in *intake) init() {
	for i := range in.headers {
		in.iovs[i].Base = &in.buffers[i][0]
		in.iovs[i].SetLen(datagramRoom)
		h := &in.headers[i].Hdr
		h.Iov, h.Control = &in.iovs[i], &in.control[i][0]
		h.SetIovlen(1)
	}
}

// read returns how many datagrams it has read, at most limit. It does not wait.
func (in *intake) read(fd, limit int) int {
	for i := range limit {
		in.headers[i].Hdr.SetControllen(controlRoom)
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&in.headers[0])),
		uintptr(limit), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	in.now = time.Now().UnixNano()
	return int(n)
}

// octets are those of datagram i.
func (in *intake) octets(i int) []byte { return in.buffers[i][:in.headers[i].Len] }

// arrived is when datagram i arrived, in nanoseconds since 1970: by the kernel's time stamp, or
// now where there is none.
func (in *intake) arrived(i int) int64 {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&in.control[i][0]))
	if int(in.headers[i].Hdr.Controllen) < unix.CmsgLen(int(unsafe.Sizeof(unix.Timespec{}))) ||
		h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_TIMESTAMPNS {
		return in.now
	}
	return (*unix.Timespec)(unsafe.Pointer(&in.control[i][unix.CmsgLen(0)])).Nano()
}
