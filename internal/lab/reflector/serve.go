package reflector

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"fairlead/internal/wire/dhcp6"
)

const (
	batch       = 64      // datagrams a system call
	room        = 2048    // octets of one, either way
	queueOctets = 4 << 20 // of the socket
)

// Server is a UDP socket and what it needs to answer in batches.
type Server struct {
	fd     int
	closed atomic.Bool

	in, out [batch][room]byte
	names   [batch]unix.RawSockaddrInet6
	iovIn   [batch]unix.Iovec
	iovOut  [batch]unix.Iovec
	vecIn   [batch]unix.Mmsghdr
	vecOut  [batch]unix.Mmsghdr
}

// Listen opens the socket at an address of the server, port 547. Call it in the
// network namespace where the server shall be.
func Listen(at netip.Addr) (*Server, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reflector: socket: %w", err)
	}
	s := &Server{fd: fd}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queueOctets),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, queueOctets),
		unix.Bind(fd, &unix.SockaddrInet6{Port: dhcp6.ServerPort, Addr: at.As16()}),
	)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("reflector: port %d of %s: %w", dhcp6.ServerPort, at, err)
	}
	for i := range batch {
		s.iovIn[i].Base = &s.in[i][0]
		s.iovIn[i].SetLen(room)
		s.vecIn[i].Hdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&s.names[i])), Iov: &s.iovIn[i]}
		s.vecIn[i].Hdr.SetIovlen(1)
		s.vecOut[i].Hdr.SetIovlen(1)
	}
	return s, nil
}

// Run answers at an address for as long as the process lives: it is for programs
// that start themselves again in the namespace of the server.
func Run(address string) error {
	at, err := netip.ParseAddr(address)
	if err != nil {
		return fmt.Errorf("reflector: address: %w", err)
	}
	s, err := Listen(at)
	if err != nil {
		return err
	}
	return s.Serve()
}

// Close has Serve end, without an error.
func (s *Server) Close() {
	s.closed.Store(true)
	// It wakes the one that waits, although it reports that nobody is connected.
	_ = unix.Shutdown(s.fd, unix.SHUT_RDWR)
}

// Serve answers until Close, or until the socket fails, and closes the socket.
func (s *Server) Serve() error {
	defer unix.Close(s.fd)
	for {
		received, err := s.receive()
		if s.closed.Load() {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reflector: receive: %w", err)
		}
		s.send(s.answer(received))
	}
}

// receive waits for a datagram and takes what else is there.
func (s *Server) receive() (int, error) {
	for i := range s.vecIn {
		s.vecIn[i].Hdr.Namelen = unix.SizeofSockaddrInet6
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.vecIn[0])), batch, unix.MSG_WAITFORONE, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR, unix.ECONNREFUSED:
		default:
			return 0, errno
		}
	}
}

// answer prepares the answers to the first n datagrams, and returns how many
// there are.
func (s *Server) answer(n int) int {
	answers := 0
	for i := range n {
		b, ok := Append(s.out[answers][:0], s.in[i][:s.vecIn[i].Len])
		if !ok || len(b) > room {
			continue
		}
		s.iovOut[answers].Base = &s.out[answers][0]
		s.iovOut[answers].SetLen(len(b))
		h := &s.vecOut[answers].Hdr
		h.Iov = &s.iovOut[answers]
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&s.names[i])), unix.SizeofSockaddrInet6
		answers++
	}
	return answers
}

// send sends n answers. One that cannot be sent is lost, as in any network.
func (s *Server) send(n int) {
	for from := 0; from < n; {
		sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.vecOut[from])), uintptr(n-from), 0, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			from++
		default:
			from += int(sent)
		}
	}
}
