package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// endpoint is what a UDP socket is bound to. The unspecified address is the
// wildcard; ifindex counts for link-local addresses only; vrf "" is the default
// VRF.
type endpoint struct {
	addr    netip.Addr
	ifindex int
	vrf     string
	port    uint16
}

func (e endpoint) String() string {
	s := netip.AddrPortFrom(e.addr, e.port).String()
	if e.ifindex != 0 {
		s += fmt.Sprintf(" on interface %d", e.ifindex)
	}
	if e.vrf != "" {
		s += " in VRF " + e.vrf
	}
	return s
}

// socket is a descriptor that receives and sends.
type socket struct {
	fd       int
	frames   bool // the packet socket
	at       endpoint
	vrfIndex int  // index of the VRF device that it is bound to
	wanted   bool // asked for by AddLocal, or by Open
	links    int  // client links that use it
	idle     bool // nothing left in this round of Receive
}

func openFrames(o *Options) (*socket, error) {
	// Protocol 0: nothing arrives before the filter is in place.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	filter := clientFilter(o.Port)
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1)
	}
	if err == nil {
		err = boundQueues(fd, o)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_IPV6)})
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	return &socket{fd: fd, frames: true, wanted: true}, nil
}

func networkOrder(v uint16) uint16 { return v<<8 | v>>8 }

// openUDP opens a socket at e. EADDRNOTAVAIL means that the host does not have
// the address, or not yet: duplicate address detection may still run.
func openUDP(e endpoint, o *Options) (*socket, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	if err != nil {
		return nil, fmt.Errorf("socket at %v: %w", e, err)
	}
	s := &socket{fd: fd, at: e}
	if err := s.prepare(o); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("socket at %v: %w", e, err)
	}
	return s, nil
}

func (s *socket) prepare(o *Options) error {
	for _, opt := range []struct{ level, name int }{
		// Ours share a port among addresses, and other daemons on this host
		// may serve other links on it.
		{unix.SOL_SOCKET, unix.SO_REUSEADDR},
		{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVFRAGSIZE},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPOPTS},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVDSTOPTS},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVRTHDR},
	} {
		if err := unix.SetsockoptInt(s.fd, opt.level, opt.name, 1); err != nil {
			return fmt.Errorf("option %d: %w", opt.name, err)
		}
	}
	if err := boundQueues(s.fd, o); err != nil {
		return err
	}
	if s.at.vrf != "" {
		index, err := interfaceIndex(s.at.vrf)
		if err != nil {
			return fmt.Errorf("VRF %s: %w", s.at.vrf, err)
		}
		if err := unix.BindToDevice(s.fd, s.at.vrf); err != nil {
			return fmt.Errorf("bind to VRF %s: %w", s.at.vrf, err)
		}
		s.vrfIndex = index
	}
	sa := unix.SockaddrInet6{Port: int(s.at.port), ZoneId: uint32(s.at.ifindex), Addr: s.at.addr.As16()}
	if err := unix.Bind(s.fd, &sa); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// boundQueues sets the kernel's memory for both queues of fd. The kernel
// doubles what it is told, for its own bookkeeping. Without the capability to
// go beyond the system's maximum, the maximum has to do.
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

// interfaceIndex asks the kernel for one name; net.InterfaceByName would list
// all interfaces.
func interfaceIndex(name string) (int, error) {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req); err != nil {
		return 0, err
	}
	return int(req.Uint32()), nil
}

// kernelDrops is how many datagrams found the queue of s full.
func (s *socket) kernelDrops() uint64 {
	var info [unix.SK_MEMINFO_VARS]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return uint64(info[unix.SK_MEMINFO_DROPS])
}

// receiveMany fills vec with what is queued on fd and does not wait.
func receiveMany(fd int, vec []unix.Mmsghdr) (int, unix.Errno) {
	return messages(unix.SYS_RECVMMSG, fd, vec)
}

// sendMany sends from vec until one fails; the error is told only when that is
// the first.
func sendMany(fd int, vec []unix.Mmsghdr) (int, unix.Errno) {
	return messages(unix.SYS_SENDMMSG, fd, vec)
}

func messages(call uintptr, fd int, vec []unix.Mmsghdr) (int, unix.Errno) {
	for {
		n, _, errno := unix.Syscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&vec[0])), uintptr(len(vec)),
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
