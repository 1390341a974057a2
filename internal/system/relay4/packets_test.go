package relay4_test

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"fairlead/internal/system/rig"
)

// everybody is the link-layer broadcast address.
var everybody = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// fromClient and toServers are source and destination of the messages of clients without an
// address.
var (
	fromClient = netip.MustParseAddrPort("0.0.0.0:68")
	toServers  = netip.MustParseAddrPort("255.255.255.255:67")
)

// message returns a DHCPv4 message of a client with that hardware address, or for it. The fields
// about a lease are empty.
func message(op layers.DHCPOp, kind layers.DHCPMsgType, client net.HardwareAddr, xid uint32, giaddr netip.Addr) []byte {
	none := net.IPv4zero
	return serialized(&layers.DHCPv4{
		Operation: op, HardwareType: layers.LinkTypeEthernet, HardwareLen: 6, Xid: xid, Flags: 0x8000,
		ClientIP: none, YourClientIP: none, NextServerIP: none, RelayAgentIP: giaddr.AsSlice(), ClientHWAddr: client,
		Options: layers.DHCPOptions{
			layers.NewDHCPOption(layers.DHCPOptMessageType, []byte{byte(kind)}),
			layers.NewDHCPOption(layers.DHCPOptServerID, netip.MustParseAddr(serverAddress).AsSlice()),
		}[:map[layers.DHCPOp]int{layers.DHCPOpRequest: 1, layers.DHCPOpReply: 2}[op]],
	})
}

// discover returns a client's Discover.
func discover(client net.HardwareAddr, xid uint32) []byte {
	return message(layers.DHCPOpRequest, layers.DHCPMsgTypeDiscover, client, xid, netip.IPv4Unspecified())
}

// datagram returns a frame with a UDP datagram.
func datagram(from, to net.HardwareAddr, source, dest netip.AddrPort, payload []byte) []byte {
	ip := &layers.IPv4{
		Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP,
		SrcIP: source.Addr().AsSlice(), DstIP: dest.Addr().AsSlice(),
	}
	udp := &layers.UDP{SrcPort: layers.UDPPort(source.Port()), DstPort: layers.UDPPort(dest.Port())}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		panic(err)
	}
	return serialized(ethernet(from, to), ip, udp, gopacket.Payload(payload))
}

func ethernet(from, to net.HardwareAddr) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: from, DstMAC: to, EthernetType: layers.EthernetTypeIPv4}
}

// serialized returns layers as octets.
func serialized(parts ...gopacket.SerializableLayer) []byte {
	buffer := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...); err != nil {
		panic(err) // none of these values can be wrong
	}
	return slices.Clone(buffer.Bytes())
}

// packets returns the IPv4 packets of a recording.
func packets(t *testing.T, c *rig.Capture) (all []*layers.IPv4) {
	t.Helper()
	text, err := os.ReadFile(c.File)
	if err != nil {
		t.Fatal(err)
	}
	file, err := pcapgo.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for {
		frame, _, err := file.ReadPacketData()
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if ip, ok := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default).Layer(layers.LayerTypeIPv4).(*layers.IPv4); ok {
			all = append(all, ip)
		}
	}
}
