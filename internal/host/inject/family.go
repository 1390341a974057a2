package inject

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"fairlead/internal/core/loadgen"
)

// profile has all that differs between the families, on a link and in front of a server.
type profile struct {
	port uint16 // of servers and relay agents

	// On a link.
	protocol uint16 // the protocol whose frames are received
	filter   []unix.SockFilter
	upper    int // offset of the UDP header in our frames
	blank    func() frame
	// address writes the source and the destination of a message, and the checksums, into a frame
	// that has the message already. It returns the length of the frame.
	address func(p *Port, f frame, m loadgen.Message, message int) int
	// take handles one frame that passed the filter. It answers a request for a client's
	// link-layer address, and returns a message with the client that it is for.
	take func(p *Port, f frame) (client uint32, message []byte, ok bool)

	// In front of a server.
	domain int
	local  func(o *RelayOptions) netip.Addr // the address that the socket is bound to
	// head is written once in front of each message. wrap adds what a relay agent writes around
	// the message that follows it, and returns the whole length. unwrap is the reverse.
	head   func(o *RelayOptions) []byte
	wrap   func(o *RelayOptions, b []byte, head int, client uint32, message int) int
	unwrap func(datagram []byte) (client uint32, message []byte, ok bool)
}

func profileOf(f loadgen.Family) *profile {
	if f == loadgen.DHCPv4 {
		return &profile4
	}
	return &profile6
}

// payload is the offset of the message in our frames.
func (p *profile) payload() int { return p.upper + udpHeader }

// Offsets in an Ethernet frame, and lengths.
const (
	atType    = 12
	atIP      = 14
	udpHeader = 8
	protoUDP  = 17
)

// Instructions of filters.
const (
	load8  = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
	load16 = unix.BPF_LD | unix.BPF_H | unix.BPF_ABS
	equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	end    = unix.BPF_RET | unix.BPF_K
)
