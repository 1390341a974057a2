package labtest

import (
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"fairlead/internal/lab"
	"fairlead/internal/wire/dhcp6"
)

// Thrower puts packets of any kind on a link, from a host that is on it.
type Thrower struct {
	Own  net.HardwareAddr // nil: the link has no link-layer addresses
	Peer net.HardwareAddr // the router that packets are for

	t     testing.TB
	fd    int
	index int
}

// Throw prepares the sending of packets from an interface of a node to a neighbour. The
// neighbour's link-layer address is nil if the link has none.
func Throw(t testing.TB, d *lab.Node, link string, peer net.HardwareAddr) *Thrower {
	t.Helper()
	from, err := d.Interface(link)
	Need(t, err)
	x := &Thrower{t: t, index: from.Index, Own: from.HardwareAddr, Peer: peer}
	if peer == nil {
		x.Own = nil
	}
	Need(t, d.Do(func() (err error) {
		x.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	}))
	t.Cleanup(func() { unix.Close(x.fd) })
	return x
}

// Send puts a test packet on the link.
func (x *Thrower) Send(source, dest, name string) {
	x.t.Helper()
	x.SendFrom(x.Own, source, dest, name)
}

// SendFrom is Send with another link-layer source.
func (x *Thrower) SendFrom(mac net.HardwareAddr, source, dest, name string) {
	x.t.Helper()
	at := func(a string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), MarkerPort) }
	x.Datagram(mac, x.Peer, at(source), at(dest), []byte(name))
}

// Datagram puts a UDP datagram on the link.
func (x *Thrower) Datagram(from, to net.HardwareAddr, source, dest netip.AddrPort, payload []byte) {
	x.t.Helper()
	x.Put(x.Packet(from, to, source, dest, payload))
}

// Packet returns the packet that Datagram puts on the link.
func (x *Thrower) Packet(from, to net.HardwareAddr, source, dest netip.AddrPort, payload []byte) []byte {
	x.t.Helper()
	ip := &layers.IPv6{
		Version: 6, NextHeader: layers.IPProtocolUDP, HopLimit: 64,
		SrcIP: source.Addr().AsSlice(), DstIP: dest.Addr().AsSlice(),
	}
	udp := &layers.UDP{SrcPort: layers.UDPPort(source.Port()), DstPort: layers.UDPPort(dest.Port())}
	Need(x.t, udp.SetNetworkLayerForChecksum(ip))
	parts := []gopacket.SerializableLayer{ip, udp, gopacket.Payload(payload)}
	if x.Own != nil {
		ether := &layers.Ethernet{SrcMAC: from, DstMAC: to, EthernetType: layers.EthernetTypeIPv6}
		parts = append([]gopacket.SerializableLayer{ether}, parts...)
	}
	buffer := gopacket.NewSerializeBuffer()
	Need(x.t, gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...))
	return buffer.Bytes()
}

// allRelays is the link-layer address of ff02::1:2.
var allRelays = net.HardwareAddr{0x33, 0x33, 0, 1, 0, 2}

// ToRelays puts a DHCPv6 message on the link for all relays on it.
func (x *Thrower) ToRelays(mac net.HardwareAddr, source netip.Addr, message []byte) {
	x.t.Helper()
	x.Datagram(mac, allRelays, netip.AddrPortFrom(source, dhcp6.ClientPort),
		netip.AddrPortFrom(dhcp6.AllRelayAgentsAndServers, dhcp6.ServerPort), message)
}

// Put puts a whole frame on the link.
func (x *Thrower) Put(frame []byte) {
	x.t.Helper()
	Need(x.t, x.TryPut(frame))
}

// TryPut is Put for goroutines other than the test's.
func (x *Thrower) TryPut(frame []byte) error {
	to := &unix.SockaddrLinklayer{Ifindex: x.index, Protocol: 0xdd86} // ETH_P_IPV6 in network order
	for {
		err := unix.Sendto(x.fd, frame, 0, to)
		if err != syscall.ENOBUFS && err != syscall.EINTR {
			return err
		}
	}
}
