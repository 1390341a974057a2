package inject

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fairlead/internal/core/loadgen"
)

// RelayOptions says for which clients a relay agent speaks, and to which server.
type RelayOptions struct {
	Family      loadgen.Family
	Server      netip.Addr // a link-local address needs a zone
	Local       netip.Addr // DHCPv6: the address to send from; not valid: any
	LinkAddress netip.Addr // DHCPv4: giaddr, an address of this host
	InterfaceID string     // DHCPv4: the Agent Circuit ID; empty: none
	First       uint32     // index of the first client
	Clients     uint32     // how many
	Unsent      func(number uint32)
}

// Relay is a relay agent in front of the clients. Their messages go to one server. Answers may
// come from any address, because a server may have several.
type Relay struct {
	options  RelayOptions
	profile  *profile
	fd       int
	messages *batch
	head     int // octets in front of each message
	in       intake
}

const (
	maxInterfaceID = 253 // what fits into an option 82
	addedRoom      = 2 + 2 + maxInterfaceID
)

// ErrPortTaken says that another program on this address is a relay agent or a server.
var ErrPortTaken = errors.New("a relay agent or a server has this address already")

// OpenRelay opens the relay agent's socket.
func OpenRelay(o RelayOptions) (*Relay, error) {
	if len(o.InterfaceID) > maxInterfaceID {
		return nil, fmt.Errorf("relay: an interface-id of %d octets: want at most %d", len(o.InterfaceID), maxInterfaceID)
	}
	r := &Relay{options: o, profile: profileOf(o.Family)}
	to, err := nameOf(netip.AddrPortFrom(o.Server, r.profile.port))
	if err != nil {
		return nil, fmt.Errorf("relay: server %s: %w", o.Server, err)
	}
	if r.fd, err = unix.Socket(r.profile.domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("relay: socket: %w", err)
	}
	if err := r.prepare(); err != nil {
		r.Close()
		return nil, fmt.Errorf("relay: %w", err)
	}
	head := r.profile.head(&o)
	r.head = len(head)
	r.messages = newBatch(r.fd, append(head, make([]byte, loadgen.MaxMessage+addedRoom)...), to, o.Unsent)
	r.in.init()
	return r, nil
}

// prepare binds the socket, and makes its buffers large.
func (r *Relay) prepare() error {
	for _, buffer := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, buffer[0], sendBuffer) == nil {
			continue
		}
		if err := unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, buffer[1], sendBuffer); err != nil {
			return fmt.Errorf("socket buffer: %w", err)
		}
	}
	if err := unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("SO_TIMESTAMPNS: %w", err)
	}
	at := netip.AddrPortFrom(r.profile.local(&r.options), r.profile.port)
	to, err := sockaddr(at)
	if err != nil {
		return err
	}
	err = unix.Bind(r.fd, to)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("UDP port %d of %s: %w", at.Port(), at.Addr(), ErrPortTaken)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("UDP port %d: needs root or the capability CAP_NET_BIND_SERVICE", at.Port())
	case err != nil:
		return fmt.Errorf("bind to %s: %w", at.Addr(), err)
	}
	return nil
}

func sockaddr(a netip.AddrPort) (unix.Sockaddr, error) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, nil
	}
	zone, err := zoneOf(a.Addr())
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: zone}, err
}

// nameOf is a struct sockaddr for sendmmsg.
func nameOf(a netip.AddrPort) ([]byte, error) {
	port := networkOrder(a.Port())
	if a.Addr().Is4() {
		raw := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: a.Addr().As4()}
		return unsafe.Slice((*byte)(unsafe.Pointer(&raw)), unix.SizeofSockaddrInet4), nil
	}
	zone, err := zoneOf(a.Addr())
	raw := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: a.Addr().As16(), Scope_id: zone}
	return unsafe.Slice((*byte)(unsafe.Pointer(&raw)), unix.SizeofSockaddrInet6), err
}

func zoneOf(a netip.Addr) (uint32, error) {
	if a.Zone() == "" {
		return 0, nil
	}
	link, err := net.InterfaceByName(a.Zone())
	if err != nil {
		return 0, fmt.Errorf("interface %s: there is none", a.Zone())
	}
	return uint32(link.Index), nil
}

// Close closes the socket. No method may be called after it.
func (r *Relay) Close() { unix.Close(r.fd) }

// Room does what Port.Room does.
func (r *Relay) Room() []byte {
	b := r.messages.room()
	return b[r.head:r.head:len(b)]
}

// Queue does what Port.Queue does.
func (r *Relay) Queue(m loadgen.Message, message []byte) {
	b := r.messages.buffers[r.messages.n]
	r.messages.add(m.Number, r.profile.wrap(&r.options, b, r.head, m.Client, len(message)))
}

// Flush sends the queued messages.
func (r *Relay) Flush() { r.messages.flush() }

// Wait returns when there is something to receive, or after d.
func (r *Relay) Wait(d time.Duration) { wait(r.fd, d) }

// Receive does what Port.Receive does, with the messages inside the answers to the relay agent.
func (r *Relay) Receive(limit int, each func(client uint32, arrived int64, message []byte)) int {
	n := 0
	for n < limit {
		got := r.in.read(r.fd, min(limit-n, Batch))
		for i := range got {
			client, message, ok := r.profile.unwrap(r.in.octets(i))
			if ok && client-r.options.First < r.options.Clients {
				each(client, r.in.arrived(i), message)
			}
		}
		n += got
		if got < Batch {
			break
		}
	}
	return n
}

// Dropped is how many datagrams the kernel has discarded because the socket's buffer was full.
func (r *Relay) Dropped() uint64 {
	var info [unix.SK_MEMINFO_VARS]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(r.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return uint64(info[unix.SK_MEMINFO_DROPS])
}
