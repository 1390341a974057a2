package udp

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"fairlead/internal/wire/dhcp6"
)

// tapped is an interface to which a test writes packets, and from which it reads them, as another
// host's stack would.
type tapped struct {
	t       testing.TB
	in      *namespace
	fd      int
	ifindex int
	ip      *profile
	group   [6]byte // the link-layer address of the group
}

// tap opens a packet socket on an interface. It reads all frames that come in from then on.
func (n *namespace) tap(name string) *tapped {
	n.t.Helper()
	p := &tapped{t: n.t, in: n, ifindex: n.link(name).Index, ip: n.family.profile(), group: [6]byte{0x33, 0x33, 0, 1, 0, 2}}
	if n.family == IPv4 {
		p.group = broadcastMAC
	}
	n.do(func() (err error) {
		p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		timeout := unix.Timeval{Sec: int64(patience.Seconds())}
		if err := unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			return err
		}
		return unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(p.ip.etherType), Ifindex: p.ifindex})
	})
	n.t.Cleanup(func() { unix.Close(p.fd) })
	return p
}

// bypass sends without a queueing discipline. The kernel gives one only to a hundred new
// interfaces in a second.
func (p *tapped) bypass() {
	p.t.Helper()
	if err := unix.SetsockoptInt(p.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		p.t.Fatal(err)
	}
}

// write sends a packet to the link-layer address of the group.
func (p *tapped) write(packet []byte) {
	p.t.Helper()
	p.writeTo(p.group, packet)
}

func (p *tapped) writeTo(mac [6]byte, packet []byte) {
	p.t.Helper()
	to := unix.SockaddrLinklayer{Protocol: networkOrder(p.ip.etherType), Ifindex: p.ifindex, Halen: 6}
	copy(to.Addr[:], mac[:])
	if err := unix.Sendto(p.fd, packet, 0, &to); err != nil {
		p.t.Fatalf("write a packet: %v", err)
	}
}

// writeFrom sends a packet with this link-layer source.
func (p *tapped) writeFrom(mac [6]byte, packet []byte) {
	p.t.Helper()
	var fd int
	p.in.do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	defer unix.Close(fd)
	frame := append(p.group[:], mac[:]...)
	frame = append(binary.BigEndian.AppendUint16(frame, p.ip.etherType), packet...)
	if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: p.ifindex}); err != nil {
		p.t.Fatalf("write a frame: %v", err)
	}
}

// readUDP returns the next UDP packet to port.
func (p *tapped) readUDP(port uint16) (packet []byte, sender unix.SockaddrLinklayer) {
	p.t.Helper()
	b := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(p.fd, b, 0)
		if err != nil {
			p.t.Fatalf("read a packet: %v", err)
		}
		decoded := gopacket.NewPacket(b[:n], layerType(b), gopacket.Default)
		if u, ok := decoded.Layer(layers.LayerTypeUDP).(*layers.UDP); ok && uint16(u.DstPort) == port {
			return b[:n], *from.(*unix.SockaddrLinklayer)
		}
	}
}

// layerType is the family of a packet.
func layerType(packet []byte) gopacket.LayerType {
	if packet[0]>>4 == 4 {
		return layers.LayerTypeIPv4
	}
	return layers.LayerTypeIPv6
}

// packet is UDP in IPv6, made by a foreign encoder, to ff02::1:2 port 547 unless change makes it
// otherwise.
func packet(t testing.TB, source netip.Addr, payload string, change func(*layers.IPv6, *layers.UDP)) []byte {
	t.Helper()
	ip := &layers.IPv6{
		Version: 6, NextHeader: layers.IPProtocolUDP, HopLimit: 1,
		SrcIP: source.AsSlice(), DstIP: dhcp6.AllRelayAgentsAndServers.AsSlice(),
	}
	udp := &layers.UDP{SrcPort: 546, DstPort: 547}
	if change != nil {
		change(ip, udp)
	}
	return encoded(t, ip, udp, payload)
}

// packet4 is the same in IPv4, to 255.255.255.255 port 67.
func packet4(t testing.TB, source netip.Addr, payload string, change func(*layers.IPv4, *layers.UDP)) []byte {
	t.Helper()
	ip := &layers.IPv4{
		Version: 4, Protocol: layers.IPProtocolUDP, TTL: 64, Id: 7,
		SrcIP: source.AsSlice(), DstIP: ipv4.group.AsSlice(),
	}
	udp := &layers.UDP{SrcPort: 68, DstPort: 67}
	if change != nil {
		change(ip, udp)
	}
	return encoded(t, ip, udp, payload)
}

func encoded(t testing.TB, ip interface {
	gopacket.NetworkLayer
	gopacket.SerializableLayer
}, udp *layers.UDP, payload string,
) []byte {
	t.Helper()
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		ip, udp, gopacket.Payload(payload))
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
