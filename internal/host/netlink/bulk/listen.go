package bulk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Listener hears the kernel's notices to groups of a netlink family. The kernel queues a notice
// before the call that makes the change returns: a reader knows of all changes that were made
// before it reads.
type Listener struct {
	file *os.File
	raw  syscall.RawConn

	mu  sync.Mutex // guards all following fields
	fd  int        // -1: closed
	buf []byte
}

// noticeRoom is room for notices that have not been read, in octets.
const noticeRoom = 8 << 20

// Listen begins to listen to groups of a family, by their numbers, in the network namespace of
// the calling thread.
func Listen(family int, groups ...int) (*Listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, family)
	if err != nil {
		return nil, fmt.Errorf("netlink: socket: %w", err)
	}
	var mask uint32
	for _, g := range groups {
		mask |= 1 << (g - 1)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: mask}); err != nil {
		return nil, errors.Join(fmt.Errorf("netlink: bind: %w", err), unix.Close(fd))
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, noticeRoom) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, noticeRoom) // the size only decides when notices are lost
	}
	l := &Listener{file: os.NewFile(uintptr(fd), "netlink notices"), fd: fd, buf: make([]byte, 64<<10)}
	if l.raw, err = l.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("netlink: %w", err), l.file.Close())
	}
	return l, nil
}

// Ignore keeps the kernel from queueing notices of changes that the socket with this netlink port
// asked for. One socket asks for all the changes of one notice.
func (l *Listener) Ignore(port uint32) error {
	const senderAt, all = 12, 1 << 18 // offset of nlmsg_pid; longer than any notice
	big := binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, port))
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: senderAt},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: big},
		{Code: unix.BPF_RET | unix.BPF_K},
		{Code: unix.BPF_RET | unix.BPF_K, K: all},
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := unix.SetsockoptSockFprog(l.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		return fmt.Errorf("netlink: filter: %w", err)
	}
	return nil
}

// Close ends Wait. After it, Read reads nothing.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		return nil
	}
	l.fd = -1
	return l.file.Close()
}

// Wait returns when there is something to read, or with an error: that of ctx when it has ended,
// or net.ErrClosed after Close. One goroutine at a time may wait, always with the same ctx.
func (l *Listener) Wait(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = l.file.SetReadDeadline(time.Unix(1, 0)) })()
	err := l.raw.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return net.ErrClosed // the socket fails for no other reason
	}
	return nil
}

// Read gives take the type and the body of each notice that has come, and does not wait. A body
// is valid until take returns. lost says that the kernel had no room for some notices, or that
// some could not be read.
func (l *Listener) Read(take func(kind uint16, body []byte)) (lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.fd >= 0 {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(l.fd), uintptr(unsafe.Pointer(&l.buf[0])), uintptr(len(l.buf)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			each(l.buf[:n], func(m message) bool {
				take(m.kind, m.body)
				return true
			})
		case unix.EAGAIN:
			return lost
		case unix.EINTR:
		case unix.ENOBUFS:
			lost = true
		default:
			return true
		}
	}
	return lost
}
