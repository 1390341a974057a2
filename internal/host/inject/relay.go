package inject

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/wire/dhcp6"
)

// RelayOptions says for whom a relay agent speaks, and to whom.
type RelayOptions struct {
	Server      netip.Addr // port 547; a link-local address needs a zone
	Local       netip.Addr // to send from; any if not valid
	LinkAddress netip.Addr
	InterfaceID string // none if empty
	First       uint32 // index of the first client
	Clients     uint32 // how many
	Unsent      func(number uint32)
}

// Relay is a relay agent in front of the clients: what they say goes to one
// server in Relay-forwards. Answers are taken from any address, as a server may
// have several.
type Relay struct {
	options  RelayOptions
	fd       int
	messages *batch
	payload  int // where in a buffer the client's message begins
	in       intake
}

const (
	maxInterfaceID = 255
	atPeer         = 2 + 16 // peer-address in a Relay-forward (RFC 8415 section 9)
	relayHeader    = 2 + 16 + 16
	optionHeader   = 4
)

// ErrPortTaken: something else is the relay agent or server of this address.
var ErrPortTaken = errors.New("UDP port 547 is in use: a relay agent or a server runs here, choose another --local")

// OpenRelay opens the relay agent's socket.
func OpenRelay(o RelayOptions) (*Relay, error) {
	if len(o.InterfaceID) > maxInterfaceID {
		return nil, fmt.Errorf("relay: an interface-id of %d octets: want at most %d", len(o.InterfaceID), maxInterfaceID)
	}
	to, err := nameOf(o.Server)
	if err != nil {
		return nil, fmt.Errorf("relay: server %s: %w", o.Server, err)
	}
	r := &Relay{options: o}
	if r.fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("relay: socket: %w", err)
	}
	if err := r.prepare(); err != nil {
		r.Close()
		return nil, fmt.Errorf("relay: %w", err)
	}
	head := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, o.LinkAddress, netip.IPv6Unspecified())
	if o.InterfaceID != "" {
		head = dhcp6.AppendInterfaceID(head, []byte(o.InterfaceID))
	}
	head = dhcp6.AppendOption(head, dhcp6.OptionRelayMessage, nil)
	r.payload = len(head)
	r.messages = newBatch(r.fd, append(head, make([]byte, loadgen.MaxMessage)...), to, o.Unsent)
	r.in.init()
	return r, nil
}

// prepare binds the socket and makes room in it.
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
	at := &unix.SockaddrInet6{Port: dhcp6.ServerPort}
	if a := r.options.Local; a.IsValid() {
		at.Addr = a.As16()
		zone, err := zoneOf(a)
		if err != nil {
			return err
		}
		at.ZoneId = zone
	}
	err := unix.Bind(r.fd, at)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return ErrPortTaken
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("UDP port %d: needs root or the capability CAP_NET_BIND_SERVICE", dhcp6.ServerPort)
	case err != nil:
		return fmt.Errorf("bind to %s: %w", r.options.Local, err)
	}
	return nil
}

// nameOf is a sockaddr_in6 with the server port.
func nameOf(a netip.Addr) ([]byte, error) {
	zone, err := zoneOf(a)
	if err != nil {
		return nil, err
	}
	name := make([]byte, unix.SizeofSockaddrInet6)
	binary.NativeEndian.PutUint16(name, unix.AF_INET6)
	binary.BigEndian.PutUint16(name[2:], dhcp6.ServerPort)
	octets := a.As16()
	copy(name[8:], octets[:])
	binary.NativeEndian.PutUint32(name[24:], zone)
	return name, nil
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

// Close closes the socket. No other method may be called any more.
func (r *Relay) Close() { unix.Close(r.fd) }

// Room is as Port.Room.
func (r *Relay) Room() []byte {
	b := r.messages.room()
	return b[r.payload:r.payload:len(b)]
}

// Queue is as Port.Queue.
func (r *Relay) Queue(client, number uint32, message []byte) {
	b := r.messages.buffers[r.messages.n]
	peer := loadgen.LinkLocal(client)
	copy(b[atPeer:], peer[:])
	binary.BigEndian.PutUint16(b[r.payload-2:], uint16(len(message)))
	r.messages.add(number, r.payload+len(message))
}

// Flush sends what is queued.
func (r *Relay) Flush() { r.messages.flush() }

// Wait returns when there is something to receive, or after d.
func (r *Relay) Wait(d time.Duration) { wait(r.fd, d) }

// Receive is as Port.Receive: what is in the Relay-replies.
func (r *Relay) Receive(limit int, each func(client uint32, arrived int64, message []byte)) int {
	n := 0
	for n < limit {
		got := r.in.read(r.fd, min(limit-n, Batch))
		for i := range got {
			reply, err := dhcp6.ParseRelay(r.in.octets(i))
			if err != nil || reply.Type() != dhcp6.RelayReply {
				continue
			}
			inner, ok := reply.Inner()
			peer := reply.PeerAddress().As16()
			client, known := loadgen.Index(peer[:])
			if ok && known && client-r.options.First < r.options.Clients {
				each(client, r.in.arrived(i), inner)
			}
		}
		n += got
		if got < Batch {
			break
		}
	}
	return n
}

// Dropped is how many datagrams the kernel could not hand over so far, because
// the socket's buffer was full.
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
