package reflector

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/dhcp6"
)

const (
	batch       = 64      // datagrams per system call
	room        = 2048    // octets of one datagram, in either direction
	queueOctets = 4 << 20 // of the socket's queues
)

// Server is a UDP socket, with what is needed to answer in batches.
type Server struct {
	fd     int
	closed atomic.Bool
	append func(b, question []byte) ([]byte, bool)
	// back says where an answer goes; nil: to where the question came from.
	back func(to *unix.RawSockaddrInet6, answer []byte)

	in, out [batch][room]byte
	names   [batch]unix.RawSockaddrInet6
	iovIn   [batch]unix.Iovec
	iovOut  [batch]unix.Iovec
	vecIn   [batch]unix.Mmsghdr
	vecOut  [batch]unix.Mmsghdr
}

// Listen opens the socket of a DHCPv6 server at its address. It must be called in the network
// namespace of the server.
func Listen(at netip.Addr) (*Server, error) {
	s := &Server{append: Append, back: func(*unix.RawSockaddrInet6, []byte) {}}
	return s, s.listen(unix.AF_INET6, &unix.SockaddrInet6{Port: dhcp6.ServerPort, Addr: at.As16()})
}

// Listen4 is Listen for DHCPv4. Answers go to giaddr (RFC 2131 section 4.1).
func Listen4(of *Server4) (*Server, error) {
	s := &Server{append: of.Append, back: func(name *unix.RawSockaddrInet6, answer []byte) {
		const giaddr = 24
		to := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		to.Addr = [4]byte(answer[giaddr:])
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&to.Port))[:], dhcp4.ServerPort)
	}}
	return s, s.listen(unix.AF_INET, &unix.SockaddrInet4{Port: dhcp4.ServerPort, Addr: of.Address.As4()})
}

func (s *Server) listen(domain int, at unix.Sockaddr) error {
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("reflector: socket: %w", err)
	}
	s.fd = fd
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queueOctets),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, queueOctets),
		unix.Bind(fd, at),
	)
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("reflector: %w", err)
	}
	for i := range batch {
		s.iovIn[i].Base = &s.in[i][0]
		s.iovIn[i].SetLen(room)
		s.vecIn[i].Hdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&s.names[i])), Iov: &s.iovIn[i]}
		s.vecIn[i].Hdr.SetIovlen(1)
		s.vecOut[i].Hdr.SetIovlen(1)
	}
	return nil
}

// Close makes Serve end without an error.
func (s *Server) Close() {
	s.closed.Store(true)
	// Shutdown wakes a receiver that waits, although it returns the error that nobody is
	// connected.
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

// receive waits for a datagram, and takes all others that are there.
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
		b, ok := s.append(s.out[answers][:0], s.in[i][:s.vecIn[i].Len])
		if !ok || len(b) > room {
			continue
		}
		s.iovOut[answers].Base = &s.out[answers][0]
		s.iovOut[answers].SetLen(len(b))
		h := &s.vecOut[answers].Hdr
		h.Iov = &s.iovOut[answers]
		s.back(&s.names[i], b)
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&s.names[i])), s.vecIn[i].Hdr.Namelen
		answers++
	}
	return answers
}

// send sends n answers. An answer that cannot be sent is lost, as in any network.
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
