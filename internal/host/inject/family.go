package inject

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"fairlead/internal/core/loadgen"
)

// profile is all that differs between the families: on a link, and in front of a server.
type profile struct {
	port uint16 // of servers and relay agents

	// On a link.
	protocol uint16 // whose frames are received
	filter   []unix.SockFilter
	upper    int // where UDP begins in a frame of ours
	blank    func() frame
	// address writes who sends a message to whom, and the checksums; the message is in its
	// place already. It returns the length of the frame.
	address func(p *Port, f frame, m loadgen.Message, message int) int
	// take handles one frame that passed the filter: it answers who asks for a client's
	// link-layer address, and returns a message and whom it is for.
	take func(p *Port, f frame) (client uint32, message []byte, ok bool)

	// In front of a server.
	domain int
	local  func(o *RelayOptions) netip.Addr // what the socket is bound to
	// head is what stands in front of each message; wrap writes what a relay agent adds to
	// one that is behind it, and returns the length of all; unwrap is the way back.
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

// payload is where a message begins in a frame of ours.
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
