package script

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab"
)

// Packet is a datagram as it was received.
type Packet struct {
	At   time.Time
	From netip.AddrPort // a link-local address has its interface's index as zone
	Data []byte
}

// socket is a UDP socket in a node. (The net package has no such socket: it knows the interfaces
// of one namespace only, and would confuse the zones.)
type socket struct {
	file *os.File
	raw  syscall.RawConn
	once sync.Once
	err  error
}

// tentative is how long an address may take to become usable after its link came up. The kernel
// does this in one queue for all namespaces.
const tentative = 60 * time.Second

// listen opens a socket that is bound to an address and port, once the address can be used. The
// zone is an interface index in digits.
func listen(d *lab.Node, local netip.AddrPort) (*socket, error) {
	var s *socket
	var err error
	late := lab.Until(tentative, d.Name+" can use "+local.Addr().String(), func() bool {
		s, err = bind(d, local)
		return !errors.Is(err, unix.EADDRNOTAVAIL)
	})
	if err != nil {
		return nil, errors.Join(err, late)
	}
	d.Net.OnClose(s.close)
	return s, nil
}

func bind(d *lab.Node, local netip.AddrPort) (*socket, error) {
	s := &socket{}
	err := d.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20) // tests send bursts
		if err := unix.Bind(fd, sockaddr(local)); err != nil {
			unix.Close(fd)
			return err
		}
		s.file = os.NewFile(uintptr(fd), "udp "+local.String())
		s.raw, err = s.file.SyscallConn()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("script: listen on %s in %s: %w", local, d.Name, err)
	}
	return s, nil
}

// send sends one datagram as soon as the kernel accepts it.
func (s *socket) send(to netip.AddrPort, data []byte) error {
	return lab.Insist(func() error { return s.try(to, data) })
}

// try sends one datagram, or returns why the kernel does not accept it now.
func (s *socket) try(to netip.AddrPort, data []byte) error {
	var sent error
	err := s.raw.Write(func(fd uintptr) bool {
		sent = unix.Sendto(int(fd), data, 0, sockaddr(to))
		return sent != unix.EAGAIN
	})
	if err == nil {
		err = sent
	}
	if err != nil {
		return fmt.Errorf("script: send %d octets to %s: %w", len(data), to, err)
	}
	return nil
}

// receive waits for one datagram. The error is os.ErrDeadlineExceeded if none comes in time. With
// the zero time it waits for ever.
func (s *socket) receive(until time.Time) (Packet, error) {
	if err := s.file.SetReadDeadline(until); err != nil {
		return Packet{}, err
	}
	buffer := make([]byte, 1<<16)
	var (
		size   int
		from   unix.Sockaddr
		failed error
	)
	err := s.raw.Read(func(fd uintptr) bool {
		size, from, failed = unix.Recvfrom(int(fd), buffer, 0)
		return failed != unix.EAGAIN
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return Packet{}, err
	}
	return Packet{At: time.Now(), From: addrPort(from), Data: buffer[:size:size]}, nil
}

func (s *socket) close() error {
	s.once.Do(func() { s.err = s.file.Close() })
	return s.err
}

func sockaddr(a netip.AddrPort) *unix.SockaddrInet6 {
	zone, _ := strconv.ParseUint(a.Addr().Zone(), 10, 32)
	return &unix.SockaddrInet6{Port: int(a.Port()), ZoneId: uint32(zone), Addr: a.Addr().As16()}
}

func addrPort(s unix.Sockaddr) netip.AddrPort {
	v6, ok := s.(*unix.SockaddrInet6)
	if !ok {
		return netip.AddrPort{}
	}
	a := netip.AddrFrom16(v6.Addr)
	if v6.ZoneId != 0 {
		a = a.WithZone(strconv.FormatUint(uint64(v6.ZoneId), 10))
	}
	return netip.AddrPortFrom(a, uint16(v6.Port))
}
