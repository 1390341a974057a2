package traffic_test

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"fairlead/internal/lab"
	"fairlead/internal/wire/dhcp6"
)

// marks is the UDP port of test packets. Their payload names them.
const marks = 9999

// listener takes test packets that arrive at a node.
type listener struct {
	t    *testing.T
	file *os.File

	mu    sync.Mutex // guards all following fields
	names []string
}

// listen opens a socket for test packets on all addresses of a node.
func listen(t *testing.T, d *lab.Node) *listener {
	t.Helper()
	l := &listener{t: t}
	need(t, d.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		l.file = os.NewFile(uintptr(fd), "marks")
		return unix.Bind(fd, &unix.SockaddrInet6{Port: marks})
	}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 2048)
		for {
			n, err := l.file.Read(buffer)
			if err != nil {
				return
			}
			l.mu.Lock()
			l.names = append(l.names, string(buffer[:n]))
			l.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		l.file.Close()
		<-done
	})
	return l
}

// got are the names of the packets so far.
func (l *listener) got() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.names)
}

// forget drops them.
func (l *listener) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names = nil
}

// wait waits until a packet has arrived.
func (l *listener) wait(name string) {
	l.t.Helper()
	until(l.t, "packet "+name+" arrives", func() bool { return slices.Contains(l.got(), name) })
}

// thrower puts packets of any kind on a link.
type thrower struct {
	t     *testing.T
	fd    int
	index int
	own   net.HardwareAddr // nil: the link has no link-layer addresses
	peer  net.HardwareAddr
}

// throw prepares packets from a client's c0 towards the relay.
func (r *rig) throw(client int) *thrower {
	r.t.Helper()
	from, err := r.Client(client).Interface("c0")
	need(r.t, err)
	to, err := r.Relay.Interface(r.Downlink(client))
	need(r.t, err)
	x := &thrower{t: r.t, index: from.Index, own: from.HardwareAddr, peer: to.HardwareAddr}
	if r.Plan.Access == lab.PPP {
		x.own, x.peer = nil, nil
	}
	need(r.t, r.Client(client).Do(func() (err error) {
		x.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	}))
	r.t.Cleanup(func() { unix.Close(x.fd) })
	return x
}

// send puts a test packet on the link.
func (x *thrower) send(source, dest, name string) {
	x.t.Helper()
	x.sendFrom(x.own, source, dest, name)
}

// sendFrom is send with another link-layer source.
func (x *thrower) sendFrom(mac net.HardwareAddr, source, dest, name string) {
	x.t.Helper()
	at := func(a string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), marks) }
	x.datagram(mac, x.peer, at(source), at(dest), []byte(name))
}

// datagram puts a UDP datagram on the link.
func (x *thrower) datagram(from, to net.HardwareAddr, source, dest netip.AddrPort, payload []byte) {
	x.t.Helper()
	ip := &layers.IPv6{
		Version: 6, NextHeader: layers.IPProtocolUDP, HopLimit: 64,
		SrcIP: source.Addr().AsSlice(), DstIP: dest.Addr().AsSlice(),
	}
	udp := &layers.UDP{SrcPort: layers.UDPPort(source.Port()), DstPort: layers.UDPPort(dest.Port())}
	need(x.t, udp.SetNetworkLayerForChecksum(ip))
	parts := []gopacket.SerializableLayer{ip, udp, gopacket.Payload(payload)}
	if x.own != nil {
		ether := &layers.Ethernet{SrcMAC: from, DstMAC: to, EthernetType: layers.EthernetTypeIPv6}
		parts = append([]gopacket.SerializableLayer{ether}, parts...)
	}
	buffer := gopacket.NewSerializeBuffer()
	need(x.t, gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...))
	x.put(buffer.Bytes())
}

// toRelays puts a DHCPv6 message on the link for all relays on it.
func (x *thrower) toRelays(mac net.HardwareAddr, source netip.Addr, message []byte) {
	x.t.Helper()
	group := net.HardwareAddr{0x33, 0x33, 0, 1, 0, 2}
	x.datagram(mac, group, netip.AddrPortFrom(source, dhcp6.ClientPort),
		netip.AddrPortFrom(dhcp6.AllRelayAgentsAndServers, dhcp6.ServerPort), message)
}

// put puts a whole frame on the link.
func (x *thrower) put(frame []byte) {
	x.t.Helper()
	to := &unix.SockaddrLinklayer{Ifindex: x.index, Protocol: 0xdd86} // ETH_P_IPV6 in network order
	for {
		err := unix.Sendto(x.fd, frame, 0, to)
		if err == syscall.ENOBUFS || err == syscall.EINTR {
			continue
		}
		need(x.t, err)
		return
	}
}
