package udp

import (
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"fairlead/internal/wire/dhcp6"
)

// tapped is an interface that a test writes IPv6 packets to and reads them
// from, as a foreign stack would.
type tapped struct {
	t       testing.TB
	in      *namespace
	fd      int
	ifindex int
}

// tap opens a packet socket on an interface. What it reads are all frames that
// come in, from then on.
func (n *namespace) tap(name string) *tapped {
	n.t.Helper()
	p := &tapped{t: n.t, in: n, ifindex: n.link(name).Index}
	n.do(func() (err error) {
		p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		timeout := unix.Timeval{Sec: int64(patience.Seconds())}
		if err := unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			return err
		}
		return unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_IPV6), Ifindex: p.ifindex})
	})
	n.t.Cleanup(func() { unix.Close(p.fd) })
	return p
}

// bypass sends without a queueing discipline. The kernel gives one only to a
// hundred new interfaces a second.
func (p *tapped) bypass() {
	p.t.Helper()
	if err := unix.SetsockoptInt(p.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		p.t.Fatal(err)
	}
}

// write sends a packet to the link-layer address of ff02::1:2.
func (p *tapped) write(packet []byte) {
	p.t.Helper()
	p.writeTo([6]byte{0x33, 0x33, 0, 1, 0, 2}, packet)
}

func (p *tapped) writeTo(mac [6]byte, packet []byte) {
	p.t.Helper()
	to := unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_IPV6), Ifindex: p.ifindex, Halen: 6}
	copy(to.Addr[:], mac[:])
	if err := unix.Sendto(p.fd, packet, 0, &to); err != nil {
		p.t.Fatalf("write a packet: %v", err)
	}
}

// writeFrom sends a packet under a link-layer source of choice.
func (p *tapped) writeFrom(mac [6]byte, packet []byte) {
	p.t.Helper()
	var fd int
	p.in.do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	defer unix.Close(fd)
	frame := append([]byte{0x33, 0x33, 0, 1, 0, 2}, mac[:]...)
	frame = append(append(frame, 0x86, 0xdd), packet...)
	if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: p.ifindex}); err != nil {
		p.t.Fatalf("write a frame: %v", err)
	}
}

// readUDP returns the next UDP packet that was sent to port.
func (p *tapped) readUDP(port uint16) (packet []byte, sender unix.SockaddrLinklayer) {
	p.t.Helper()
	b := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(p.fd, b, 0)
		if err != nil {
			p.t.Fatalf("read a packet: %v", err)
		}
		decoded := gopacket.NewPacket(b[:n], layers.LayerTypeIPv6, gopacket.Default)
		if u, ok := decoded.Layer(layers.LayerTypeUDP).(*layers.UDP); ok && uint16(u.DstPort) == port {
			return b[:n], *from.(*unix.SockaddrLinklayer)
		}
	}
}

// packet is UDP in IPv6 built by a foreign encoder, to ff02::1:2 port 547
// unless change says otherwise.
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
