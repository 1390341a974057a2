package inject

import (
	"encoding/binary"
	"net/netip"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/wire/dhcp6"
)

const atPeer = 2 + 16 // peer-address in a Relay-forward (RFC 8415 section 9)

func local6(o *RelayOptions) netip.Addr {
	if o.Local.IsValid() {
		return o.Local
	}
	return netip.IPv6Unspecified()
}

// head6 is the relay agent's header, its options, and the header of the option that holds the
// message.
func head6(o *RelayOptions) []byte {
	head := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, o.LinkAddress, netip.IPv6Unspecified())
	if o.InterfaceID != "" {
		head = dhcp6.AppendInterfaceID(head, []byte(o.InterfaceID))
	}
	return dhcp6.AppendOption(head, dhcp6.OptionRelayMessage, nil)
}

func wrap6(_ *RelayOptions, b []byte, head int, client uint32, message int) int {
	peer := loadgen.LinkLocal(client)
	copy(b[atPeer:], peer[:])
	binary.BigEndian.PutUint16(b[head-2:], uint16(message))
	return head + message
}

func unwrap6(datagram []byte) (client uint32, message []byte, ok bool) {
	reply, err := dhcp6.ParseRelay(datagram)
	if err != nil || reply.Type() != dhcp6.RelayReply {
		return 0, nil, false
	}
	peer := reply.PeerAddress().As16()
	if client, ok = loadgen.Index(peer[:]); !ok {
		return 0, nil, false
	}
	message, ok = reply.Inner()
	return client, message, ok
}
