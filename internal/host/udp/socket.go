package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

func (e Local) String() string {
	s := netip.AddrPortFrom(e.Addr, e.Port).String()
	if e.Index != 0 {
		s += fmt.Sprintf(" on interface %d", e.Index)
	}
	if e.VRF != "" {
		s += " in VRF " + e.VRF
	}
	if e.Peer.IsValid() {
		s += " for " + e.Peer.String()
	}
	return s
}

// String is for the log.
func (s *socket) String() string {
	if s.frames {
		return "packet socket"
	}
	return s.at.String()
}

// socket is a descriptor that receives and sends.
type socket struct {
	fd       int
	frames   bool // a packet socket
	at       Local
	vrfIndex int  // index of the device of its VRF
	wanted   bool // AddLocal or Open has asked for it
	links    int  // number of client links that use it

	// The wildcard that serves clients is two sockets at one place, so that clients cannot fill
	// the queue in which answers of peers wait: one for unicast, and its twin for multicast,
	// which only receives. In the default VRF there are two more, for links that are apart.
	shared    bool // it is one of those sockets
	twin      *socket
	multicast bool

	refuses bool     // a filter refuses what is for its twin, which the kernel would give it
	apart   bool     // it is for links that are apart
	bound   bool     // it receives
	ring    *ring    // of a packet socket
	weights *weights // finds links that fill the queue
}

// packetSocket opens a packet socket to which nothing arrives, because its protocol is 0.
func packetSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	return &socket{fd: fd, frames: true, wanted: true}, nil
}

// openFrames opens the packet socket of the first ring.
func openFrames(o *Options) (*socket, error) {
	s, err := packetSocket()
	if err != nil {
		return nil, err
	}
	if s.ring, err = openRing(s.fd, mapRing); err == nil {
		err = s.prepareFrames(o)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// prepareFrames has a packet socket receive. It has its ring already.
func (s *socket) prepareFrames(o *Options) error {
	if err := attach(s.fd, unix.SO_ATTACH_FILTER, o.Family.profile().clientFilter(o.Port, nil, s.apart)); err != nil {
		return fmt.Errorf("packet socket: filter: %w", err)
	}
	if err := boundQueues(s.fd, o); err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	if err := unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(o.Family.profile().etherType)}); err != nil {
		return fmt.Errorf("packet socket: bind: %w", err)
	}
	s.bound = true
	return nil
}

func (s *socket) close() {
	if s.ring != nil {
		s.ring.close()
	}
	unix.Close(s.fd)
}

func networkOrder(v uint16) uint16 { return v<<8 | v>>8 }

// openUDP opens a socket at e. EADDRNOTAVAIL means that the host does not have the address, or
// not yet, because duplicate address detection is still running.
func openUDP(e Local, o *Options) (*socket, error) {
	s := &socket{at: e}
	if err := s.open(o); err != nil {
		return nil, err
	}
	return s, nil
}

// openTwins opens the two sockets at a wildcard, and returns the one for unicast.
func openTwins(e Local, o *Options) (*socket, error) {
	s, twin := &socket{at: e, shared: true}, &socket{at: e, shared: true, multicast: true}
	s.twin, twin.twin = twin, s
	s.weights, twin.weights = newWeights(), newWeights()
	if err := s.open(o); err != nil {
		return nil, err
	}
	if err := twin.open(o); err != nil {
		unix.Close(s.fd)
		return nil, err
	}
	return s, nil
}

func (s *socket) open(o *Options) error {
	if err := s.create(o.Family.profile()); err != nil {
		return err
	}
	if err := s.prepare(o); err != nil {
		unix.Close(s.fd)
		return err
	}
	return nil
}

// create makes a descriptor in the network namespace of this thread.
func (s *socket) create(p *profile) (err error) {
	s.fd, err = unix.Socket(p.domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	if err != nil {
		return fmt.Errorf("socket at %v: %w", s.at, err)
	}
	return nil
}

// prepare has the socket receive.
func (s *socket) prepare(o *Options) error {
	if err := s.set(o); err != nil {
		return fmt.Errorf("socket at %v: %w", s.at, err)
	}
	return nil
}

func (s *socket) set(o *Options) error {
	p := o.Family.profile()
	for _, opt := range append(p.options(s), []option{
		// Our sockets share a port among addresses, and other programs on this host may serve
		// other links on it.
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, true},
		{unix.SOL_SOCKET, unix.SO_REUSEPORT, s.shared},
	}...) {
		value := 0
		if opt.on {
			value = 1
		}
		if err := unix.SetsockoptInt(s.fd, opt.level, opt.name, value); err != nil {
			return fmt.Errorf("option %d: %w", opt.name, err)
		}
	}
	if err := boundQueues(s.fd, o); err != nil {
		return err
	}
	// The filter comes before the bind, so that nothing passes without it. The socket for links
	// that are apart gets no multicast until there are such links.
	if err := s.attach(p, nil, true); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	if s.refuses = p.unicastOnly != nil && !s.multicast && s.at.Addr.IsUnspecified(); s.refuses {
		if err := attach(s.fd, unix.SO_ATTACH_FILTER, p.unicastOnly); err != nil {
			return fmt.Errorf("filter: %w", err)
		}
	}
	if err := s.bindDevice(); err != nil {
		return err
	}
	if err := unix.Bind(s.fd, p.sockaddr(netip.AddrPortFrom(s.at.Addr, s.at.Port), s.at.Index)); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	s.bound = true
	if s.at.Addr.IsMulticast() {
		if err := unix.SetsockoptIPv6Mreq(s.fd, p.level, unix.IPV6_JOIN_GROUP, request(s.at.Addr, s.at.Index)); err != nil {
			return fmt.Errorf("join: %w", err)
		}
	}
	if !s.at.Peer.IsValid() {
		return nil
	}
	if err := unix.Connect(s.fd, p.sockaddr(s.at.Peer, 0)); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

// attach tells the kernel what a UDP socket gets, where several share a place.
func (s *socket) attach(p *profile, apart []int, skipCopies bool) error {
	switch {
	case s.multicast:
		return attach(s.fd, unix.SO_ATTACH_FILTER, p.groupFilter(apart, s.apart, skipCopies))
	case s.shared && !s.apart:
		return attach(s.fd, unix.SO_ATTACH_REUSEPORT_CBPF, steer(apart))
	}
	return nil
}

func attach(fd, option int, filter []unix.SockFilter) error {
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, option, &program)
}

// bindDevice has the socket receive only from its VRF, or only on the interface of its group.
func (s *socket) bindDevice() error {
	if s.at.Addr.IsMulticast() {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, s.at.Index); err != nil {
			return fmt.Errorf("bind to interface %d: %w", s.at.Index, err)
		}
		return nil
	}
	if s.at.VRF == "" {
		return nil
	}
	index, err := interfaceIndex(s.at.VRF)
	if err != nil {
		return fmt.Errorf("VRF %s: %w", s.at.VRF, err)
	}
	if err := unix.BindToDevice(s.fd, s.at.VRF); err != nil {
		return fmt.Errorf("bind to VRF %s: %w", s.at.VRF, err)
	}
	s.vrfIndex = index
	return nil
}

// boundQueues sets the kernel's memory for both queues of fd. The kernel doubles the number, for
// its own bookkeeping. Without the capability to exceed the system's maximum, the maximum is
// used.
func boundQueues(fd int, o *Options) error {
	for _, q := range []struct{ force, plain, size int }{
		{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, o.ReceiveBuffer},
		{unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, o.SendBuffer},
	} {
		err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, q.force, q.size/2)
		if errors.Is(err, unix.EPERM) {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, q.plain, q.size/2)
		}
		if err != nil {
			return fmt.Errorf("queue of %d octets: %w", q.size, err)
		}
	}
	return nil
}

// interfaceIndex asks the kernel for one name. net.InterfaceByName would list all interfaces.
func interfaceIndex(name string) (int, error) {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) // a kind of socket that every kernel has
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req); err != nil {
		return 0, err
	}
	return int(req.Uint32()), nil
}

// queueFull is how many datagrams found the queue of s full: for a packet socket since the last
// call, otherwise since it was opened.
func (s *socket) queueFull() uint64 {
	switch {
	case s.ring != nil:
		if stats, err := unix.GetsockoptTpacketStats(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			return uint64(stats.Drops)
		}
		return 0
	case s.multicast || s.refuses:
		return 0 // the kernel counts what the filter refuses as drops too
	}
	return uint64(s.memory()[unix.SK_MEMINFO_DROPS])
}

// memory is what the kernel tells of the queues of a UDP socket (SO_MEMINFO); zeros if it tells
// nothing.
func (s *socket) memory() (info [unix.SK_MEMINFO_VARS]uint32) {
	size := uint32(unsafe.Sizeof(info))
	_, _, _ = unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return info
}
