package inject

import (
	"errors"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"

	"fairlead/internal/core/loadgen"
)

// Options says which clients speak, and on which link.
type Options struct {
	Family    loadgen.Family
	Interface string // an Ethernet link that is up
	First     uint32 // index of the first client
	Clients   uint32 // number of clients; messages for others are ignored
	// Unsent is called by Flush with the number of a message that could not be sent.
	Unsent func(number uint32)
}

// Port is the end of the link at which the clients are.
type Port struct {
	options  Options
	profile  *profile
	receiver int // packet sockets
	sender   int
	ring     []byte // shared with the kernel
	next     int    // the frame of ring that the kernel fills next
	dropped  uint64
	messages *batch
	answers  *batch // answers to requests for link-layer addresses

	// For DHCPv4: from which neighbour messages of each address came, and the last one; and which
	// client uses an address.
	neighbours map[[4]byte][6]byte
	last       [6]byte
	owners     map[[4]byte]uint32
}

// ErrForbidden: the process may not send raw frames.
var ErrForbidden = errors.New("raw frames need root or the capability CAP_NET_RAW")

// Open opens a Port on a link. Other programs on the link are not disturbed, but the interface
// receives all frames while the Port is open.
func Open(o Options) (*Port, error) {
	link, err := net.InterfaceByName(o.Interface)
	if err != nil {
		return nil, fmt.Errorf("interface %s: there is none", o.Interface)
	}
	switch {
	case link.Flags&net.FlagLoopback != 0 || len(link.HardwareAddr) != 6:
		return nil, fmt.Errorf("interface %s: is not Ethernet", o.Interface)
	case link.Flags&net.FlagUp == 0:
		return nil, fmt.Errorf("interface %s: is down", o.Interface)
	}
	p := &Port{options: o, profile: profileOf(o.Family), receiver: -1, sender: -1}
	if o.Family == loadgen.DHCPv4 {
		p.neighbours = make(map[[4]byte][6]byte, maxNeighbours)
		p.owners = make(map[[4]byte]uint32, o.Clients)
	}
	if err := errors.Join(p.openReceiver(link.Index), p.openSender(link.Index)); err != nil {
		p.Close()
		if errors.Is(err, unix.EPERM) {
			err = ErrForbidden
		}
		return nil, fmt.Errorf("interface %s: %w", o.Interface, err)
	}
	p.messages = newBatch(p.sender, p.profile.blank(), nil, o.Unsent)
	p.answers = newBatch(p.sender, p.profile.blank(), nil, o.Unsent)
	return p, nil
}

// Close closes the Port. No method may be called after it.
func (p *Port) Close() {
	if p.ring != nil {
		unix.Munmap(p.ring) // cannot fail for what Mmap returned
	}
	for _, fd := range []int{p.receiver, p.sender} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

const sendBuffer = 8 << 20

// openSender makes a socket that receives nothing, and sends past the queueing discipline. If the
// link cannot take a frame at once, sending fails; it is not delayed, because a delay would look
// like one of the network's.
func (p *Port) openSender(ifindex int) (err error) {
	p.sender, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	if err := unix.SetsockoptInt(p.sender, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		return fmt.Errorf("packet socket: PACKET_QDISC_BYPASS: %w", err)
	}
	if err := unix.SetsockoptInt(p.sender, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer); err != nil {
		// Without CAP_NET_ADMIN the limit of the system holds.
		if err := unix.SetsockoptInt(p.sender, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer); err != nil {
			return fmt.Errorf("packet socket: SO_SNDBUF: %w", err)
		}
	}
	if err := unix.Bind(p.sender, &unix.SockaddrLinklayer{Ifindex: ifindex}); err != nil {
		return fmt.Errorf("packet socket: bind: %w", err)
	}
	return nil
}

// The ring: 8 MB, of which only what arrives is ever touched.
const (
	ringFrame  = 2048
	ringFrames = 4096
	ringBlock  = 1 << 16
)

// openReceiver makes the ring into which the kernel puts the frames that pass the filter, at once
// and with the time of arrival. That is TPACKET_V2; the third version hands frames over in
// blocks, later.
func (p *Port) openReceiver(ifindex int) (err error) {
	p.receiver, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	program := p.profile.filter
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.SetsockoptSockFprog(p.receiver, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &filter); err != nil {
		return fmt.Errorf("packet socket: filter: %w", err)
	}
	if err := unix.SetsockoptInt(p.receiver, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		return fmt.Errorf("packet socket: TPACKET_V2: %w", err)
	}
	ring := unix.TpacketReq{
		Block_size: ringBlock, Block_nr: ringFrame * ringFrames / ringBlock,
		Frame_size: ringFrame, Frame_nr: ringFrames,
	}
	if err := unix.SetsockoptTpacketReq(p.receiver, unix.SOL_PACKET, unix.PACKET_RX_RING, &ring); err != nil {
		return fmt.Errorf("packet socket: ring: %w", err)
	}
	p.ring, err = unix.Mmap(p.receiver, 0, ringFrame*ringFrames, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("packet socket: map the ring: %w", err)
	}
	if err := unix.SetsockoptInt(p.receiver, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return fmt.Errorf("packet socket: PACKET_IGNORE_OUTGOING: %w", err)
	}
	at := unix.SockaddrLinklayer{Ifindex: ifindex, Protocol: networkOrder(p.profile.protocol)}
	if err := unix.Bind(p.receiver, &at); err != nil {
		return fmt.Errorf("packet socket: bind: %w", err)
	}
	// The link-layer addresses of the clients are not those of the card.
	all := unix.PacketMreq{Ifindex: int32(ifindex), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(p.receiver, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &all); err != nil {
		return fmt.Errorf("packet socket: promiscuous mode: %w", err)
	}
	return nil
}

// networkOrder is v in the order of octets in memory that the kernel expects.
func networkOrder(v uint16) uint16 {
	b := [2]byte{byte(v >> 8), byte(v)}
	return *(*uint16)(unsafe.Pointer(&b))
}

// ours reports whether the client of this index is one of the Port's.
func (p *Port) ours(index uint32) bool { return index-p.options.First < p.options.Clients }
