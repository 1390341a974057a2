package attack_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// allRelays is the link-layer address of ff02::1:2.
var allRelays = net.HardwareAddr{0x33, 0x33, 0, 1, 0, 2}

// thrower puts packets on a link that no socket would send.
type thrower struct{ *labtest.Thrower }

// thrower is throw for such packets.
func (r *network) thrower(d *rig.Host, name, to string) *thrower {
	r.T.Helper()
	return &thrower{d.Throw(name, r.Relay, to)}
}

// frame returns a frame for all relays on the link, with rest after the IPv6 header.
func (x *thrower) frame(source netip.Addr, next layers.IPProtocol, rest []byte) []byte {
	return frame(x.Own, source, next, rest)
}

// frame returns a frame from any link-layer address.
func frame(mac net.HardwareAddr, source netip.Addr, next layers.IPProtocol, rest []byte) []byte {
	buffer := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true},
		&layers.Ethernet{SrcMAC: mac, DstMAC: allRelays, EthernetType: layers.EthernetTypeIPv6},
		&layers.IPv6{
			Version: 6, NextHeader: next, HopLimit: 1,
			SrcIP: source.AsSlice(), DstIP: dhcp6.AllRelayAgentsAndServers.AsSlice(),
		},
		gopacket.Payload(rest))
	if err != nil {
		panic(err) // none of these values can be wrong
	}
	return slices.Clone(buffer.Bytes())
}

// segment returns the UDP segment of a client's message to all relays.
func segment(source netip.Addr, message []byte) []byte {
	ip := &layers.IPv6{SrcIP: source.AsSlice(), DstIP: dhcp6.AllRelayAgentsAndServers.AsSlice(), NextHeader: layers.IPProtocolUDP}
	udp := &layers.UDP{SrcPort: dhcp6.ClientPort, DstPort: dhcp6.ServerPort}
	buffer := gopacket.NewSerializeBuffer()
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		panic(err)
	}
	if err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, udp, gopacket.Payload(message)); err != nil {
		panic(err)
	}
	return slices.Clone(buffer.Bytes())
}

// fragment returns a frame with one fragment of a packet.
func (x *thrower) fragment(source netip.Addr, id uint32, at int, more bool, part []byte) []byte {
	head := make([]byte, 8, 8+len(part))
	head[0] = byte(layers.IPProtocolUDP)
	offset := uint16(at)
	if more {
		offset |= 1
	}
	binary.BigEndian.PutUint16(head[2:], offset)
	binary.BigEndian.PutUint32(head[4:], id)
	return x.frame(source, layers.IPProtocolIPv6Fragment, append(head, part...))
}

// fragments returns the frames of a message that is cut into parts of that size, which is a
// multiple of 8.
func fragments(x *thrower, source netip.Addr, message []byte, size int) (frames [][]byte) {
	all := segment(source, message)
	for at := 0; at < len(all); at += size {
		end := min(at+size, len(all))
		frames = append(frames, x.fragment(source, 0xf1a9, at, end < len(all), all[at:end]))
	}
	return frames
}

// serverID returns the Server Identifier option of a message.
func serverID(m dhcp6.Message) []byte {
	id, _ := m.ServerID()
	return script.ServerID(id)
}
