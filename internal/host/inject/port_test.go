package inject_test

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/host/inject"
	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/wire/dhcp6"
)

// The kernel accepts the clients' frames: it verifies the checksum, and tells who sent them.
func TestFramesArrive(t *testing.T) {
	c, s := cable(t)
	var u unsent
	p := openPort(t, c, loadgen.DHCPv6, &u)
	server := listen(t, s, "[::]:547", dhcp6.AllRelayAgentsAndServers)
	// Messages of all lengths, in buffers that held others before; more than one batch at a
	// time, and less than the server's buffer can hold.
	const some = inject.Batch + 10
	b := make([]byte, 2000)
	for length := 0; length <= loadgen.MaxMessage; length += some {
		want := map[string]uint32{}
		for i := length; i < min(length+some, loadgen.MaxMessage+1); i++ {
			message := strings.Repeat(string(rune('a'+i%26)), i)
			p.Queue(loadgen.Message{Client: uint32(1000 + i), Number: 0}, append(p.Room(), message...))
			want[message] = uint32(1000 + i)
		}
		p.Flush()
		for range len(want) {
			n, from, err := server.ReadFromUDPAddrPort(b)
			need(t, err)
			from = netip.AddrPortFrom(from.Addr().WithZone(""), from.Port())
			if from != at(want[string(b[:n])], 546, "") {
				t.Fatalf("%d octets from %s, want %s", n, from, at(want[string(b[:n])], 546, ""))
			}
		}
	}
	if len(u) != 0 {
		t.Errorf("%d messages were not sent", len(u))
	}
}

// A checksum of 0 would say that there is none, and the kernel would refuse the frame (RFC 8200
// section 8.1).
func TestChecksumZero(t *testing.T) {
	c, s := cable(t)
	var u unsent
	p := openPort(t, c, loadgen.DHCPv6, &u)
	server := listen(t, s, "[::]:547", dhcp6.AllRelayAgentsAndServers)
	// With two octets of zero the checksum has some value. With that value in the place of the
	// two octets, the checksum is 0.
	source := loadgen.LinkLocal(1000)
	ip := &layers.IPv6{Version: 6, NextHeader: 17, HopLimit: 1, SrcIP: source[:], DstIP: dhcp6.AllRelayAgentsAndServers.AsSlice()}
	segment := &layers.UDP{SrcPort: 546, DstPort: 547}
	need(t, segment.SetNetworkLayerForChecksum(ip))
	b := gopacket.NewSerializeBuffer()
	need(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, segment, gopacket.Payload{0, 0}))
	message := []byte{byte(segment.Checksum >> 8), byte(segment.Checksum)}
	p.Queue(loadgen.Message{Client: 1000, Number: 0}, append(p.Room(), message...))
	p.Flush()
	got := make([]byte, 10)
	n, _, err := server.ReadFromUDPAddrPort(got)
	if err != nil || string(got[:n]) != string(message) {
		t.Errorf("got %x, %v, want %x", got[:n], err, message)
	}
}

// The time of arrival is the kernel's, not the time at which we look.
func TestArrival(t *testing.T) {
	c, s := cable(t)
	var u unsent
	p := openPort(t, c, loadgen.DHCPv6, &u)
	out := rawSocket(t, s, "s0")
	packet := frame(t, 1001, 17, udp(546), gopacket.Payload("a message"))
	wantArrival(t, p, func() error {
		_, err := unix.Write(out, packet)
		return err
	})
}

// wantArrival sends messages until one has arrived before we looked for it. The kernel begins to
// take time stamps a moment after it was asked to.
func wantArrival(t *testing.T, p receiver, send func() error) {
	t.Helper()
	need(t, lab.Until(patience, "a message has the time of its arrival", func() bool {
		before := time.Now()
		need(t, send())
		p.Wait(patience)
		after := time.Now()
		var arrived time.Time
		if n := p.Receive(1, func(_ uint32, at int64, _ []byte) { arrived = time.Unix(0, at) }); n != 1 {
			t.Fatalf("%d messages, want 1", n)
		}
		return !arrived.Before(before) && !arrived.After(after)
	}))
}

// A kernel that has a packet for a client sends a Neighbor Solicitation first, and gets an
// answer. For an address that is no client's it gets none.
func TestNeighbours(t *testing.T) {
	c, s := cable(t)
	var u unsent
	p := openPort(t, c, loadgen.DHCPv6, &u)
	tap, err := capture.Start(s, "s0", "icmp6")
	need(t, err)
	server := listen(t, s, "[::]:0")
	link, err := s.Interface("s0")
	need(t, err)
	zone := strconv.Itoa(link.Index)
	before := time.Now()
	const some = inject.Batch + 10 // few enough for the neighbour table, which all namespaces share
	for i := range uint32(some) {
		_, err := server.WriteToUDPAddrPort(fmt.Appendf(nil, "for %d", 1000+i*20), at(1000+i*20, 546, zone))
		need(t, err)
	}
	_, err = server.WriteToUDPAddrPort([]byte("for nobody"), at(5000, 546, zone))
	need(t, err)
	seen := map[uint32]bool{}
	for _, h := range hear(t, p, some) {
		if h.message != fmt.Sprint("for ", h.client) || seen[h.client] {
			t.Fatalf("client %d hears %q", h.client, h.message)
		}
		seen[h.client] = true
		if h.arrived.Before(before) || h.arrived.After(time.Now()) {
			t.Errorf("arrived at %s, sent after %s", h.arrived, before)
		}
	}
	_, err = tap.Wait(patience, "icmpv6.type == 136", "frame.number")
	need(t, err)
	need(t, tap.Stop())
	rows, err := tap.Fields("icmpv6.type == 136", "eth.src", "eth.dst", "ipv6.src", "ipv6.dst", "ipv6.hlim",
		"icmpv6.nd.na.target_address", "icmpv6.opt.linkaddr", "icmpv6.nd.na.flag.s", "icmpv6.nd.na.flag.o", "icmpv6.checksum.status")
	need(t, err)
	told := 0
	for _, row := range rows {
		n, ok := loadgen.Index(netip.MustParseAddr(row[5]).AsSlice())
		if !ok {
			continue // about the node's own address
		}
		told++
		mac := loadgen.MAC(n)
		text := fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5])
		if row[0] != text || row[1] != link.HardwareAddr.String() || row[2] != row[5] || row[4] != "255" || row[6] != text || row[7] != "1" || row[8] != "1" || row[9] != "1" || !seen[n] {
			t.Errorf("advertisement %q for client %d", row, n)
		}
	}
	// The capture may have lost some answers; the kernel has heard all of them.
	if told == 0 {
		t.Error("no advertisement was recorded")
	}
}

// frame is a frame for a client, made by a foreign encoder.
func frame(t *testing.T, client uint32, next layers.IPProtocol, upper ...gopacket.SerializableLayer) []byte {
	t.Helper()
	mac, address := loadgen.MAC(client), loadgen.LinkLocal(client)
	ip := &layers.IPv6{Version: 6, NextHeader: next, HopLimit: 255, SrcIP: netip.MustParseAddr("fe80::1").AsSlice(), DstIP: address[:]}
	for _, l := range upper {
		switch l := l.(type) {
		case *layers.UDP:
			need(t, l.SetNetworkLayerForChecksum(ip))
		case *layers.ICMPv6:
			need(t, l.SetNetworkLayerForChecksum(ip))
		}
	}
	b := gopacket.NewSerializeBuffer()
	all := append([]gopacket.SerializableLayer{
		&layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: mac[:], EthernetType: layers.EthernetTypeIPv6}, ip,
	}, upper...)
	need(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...))
	return b.Bytes()
}

func udp(port uint16) *layers.UDP {
	return &layers.UDP{SrcPort: 547, DstPort: layers.UDPPort(port)}
}

// A frame that is broken, or is not for one of our clients, is skipped, and the next one is read.
func TestReceivePassesOver(t *testing.T) {
	c, s := cable(t)
	var u unsent
	p := openPort(t, c, loadgen.DHCPv6, &u)
	out := rawSocket(t, s, "s0")
	good := func(text string) []byte { return frame(t, 1001, 17, udp(546), gopacket.Payload(text)) }
	short, long, cut := good("short"), good("long"), good("cut")
	short[14+40+5] = 7                        // the UDP length is less than its header
	long[14+40+4], long[14+40+5] = 0xff, 0xff // more octets than there are
	for _, b := range [][]byte{
		frame(t, 999, 17, udp(546), gopacket.Payload("before the first")),
		frame(t, 5000, 17, udp(546), gopacket.Payload("after the last")),
		frame(t, 1001, 17, udp(547), gopacket.Payload("to a server")),
		frame(t, 1001, 6, gopacket.Payload("is no UDP but as long as it")),
		cut[:14+40+8],
		short,
		long,
		good("good"),
	} {
		_, err := unix.Write(out, b)
		need(t, err)
	}
	got := hear(t, p, 2)
	if got[0].message != "long" || got[1].message != "good" || got[0].client != 1001 {
		t.Errorf("heard %+v", got)
	}
}

// rawSocket sends whole frames on an interface.
func rawSocket(t *testing.T, d interface{ Do(func() error) error }, name string) int {
	t.Helper()
	fd := -1
	need(t, d.Do(func() error {
		var err error
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		link, err := linkIndex(name)
		if err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link})
	}))
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// The ring holds a fixed number of frames, counts those for which there is no room, and begins
// again at its start.
func TestRing(t *testing.T) {
	const room = 4096
	c, s := cable(t)
	var u unsent
	p := openPort(t, c, loadgen.DHCPv6, &u)
	out := rawSocket(t, s, "s0")
	b := frame(t, 1001, 17, udp(546), gopacket.Payload("again"))
	for range room + 10 {
		_, err := unix.Write(out, b)
		need(t, err)
	}
	if n := len(hear(t, p, room)); n != room {
		t.Errorf("%d messages, want %d", n, room)
	}
	if d := p.Dropped(); d != 10 {
		t.Errorf("%d dropped, want 10", d)
	}
	for range 3 {
		for range room/2 + 1 {
			_, err := unix.Write(out, b)
			need(t, err)
		}
		hear(t, p, room/2+1)
	}
	if d := p.Dropped(); d != 10 {
		t.Errorf("%d dropped in all, want 10", d)
	}
}

// On a link that is down nothing is sent, and Unsent is called for each message.
func TestUnsent(t *testing.T) {
	c, _ := cable(t)
	var u unsent
	p := openPort(t, c, loadgen.DHCPv6, &u)
	_, err := c.IP("link set c0 down")
	need(t, err)
	for i := range uint32(inject.Batch + 3) {
		p.Queue(loadgen.Message{Client: 1000, Number: 7 + i}, append(p.Room(), "lost"...))
	}
	p.Flush()
	if len(u) != inject.Batch+3 || u[0] != 7 || u[inject.Batch+2] != 7+inject.Batch+2 {
		t.Errorf("not sent: %v", u)
	}
}

// An error of Open says why.
func TestOpenRefused(t *testing.T) {
	c, _ := cable(t)
	_, err := c.IP("link add d0 type veth peer name d1")
	need(t, err)
	for name, want := range map[string]string{
		"none0": "interface none0: there is none",
		"lo":    "interface lo: is not Ethernet",
		"d0":    "interface d0: is down",
	} {
		err := c.Do(func() error {
			_, err := inject.Open(inject.Options{Interface: name, Clients: 1})
			return err
		})
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	// This thread loses its capabilities, and is not used again.
	refused := make(chan error)
	go func() {
		runtime.LockOSThread()
		refused <- func() error {
			if err := enter(c.Namespace); err != nil {
				return err
			}
			header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var none [2]unix.CapUserData
			if err := unix.Capset(&header, &none[0]); err != nil {
				return err
			}
			_, err := inject.Open(inject.Options{Interface: "c0", Clients: 1})
			return err
		}()
	}()
	if err := <-refused; !errors.Is(err, inject.ErrForbidden) {
		t.Errorf("without capabilities: %v, want %v", err, inject.ErrForbidden)
	}
}

func enter(namespace string) error {
	fd, err := unix.Open("/run/netns/"+namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, unix.CLONE_NEWNET)
}

// Duplicate address detection is answered by a message to all nodes.
func TestDuplicateAddressDetection(t *testing.T) {
	c, s := cable(t)
	var u unsent
	p := openPort(t, c, loadgen.DHCPv6, &u)
	tap, err := capture.Start(s, "s0", "icmp6")
	need(t, err)
	address := loadgen.LinkLocal(1234)
	group := netip.MustParseAddr("ff02::1:ff00:4d2").AsSlice() // of client 1234: 0x4d2
	ip := &layers.IPv6{Version: 6, NextHeader: layers.IPProtocolICMPv6, HopLimit: 255, SrcIP: netip.IPv6Unspecified().AsSlice(), DstIP: group}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(135, 0)}
	need(t, icmp.SetNetworkLayerForChecksum(ip))
	b := gopacket.NewSerializeBuffer()
	need(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{0x33, 0x33, 0xff, 0, 4, 0xd2}, EthernetType: layers.EthernetTypeIPv6},
		ip, icmp, &layers.ICMPv6NeighborSolicitation{TargetAddress: address[:]}))
	out := rawSocket(t, s, "s0")
	routed := append([]byte(nil), b.Bytes()...)
	routed[14+7] = 64 // it came from another link: it is not answered
	for _, f := range [][]byte{routed, b.Bytes()} {
		_, err = unix.Write(out, f)
		need(t, err)
	}
	_, err = unix.Write(out, frame(t, 1001, 17, udp(546), gopacket.Payload("done")))
	need(t, err)
	hear(t, p, 1)
	filter := "icmpv6.type == 136 && icmpv6.nd.na.target_address == " + netip.AddrFrom16(address).String()
	_, err = tap.Wait(patience, filter, "frame.number")
	need(t, err)
	need(t, tap.Stop())
	rows, err := tap.Fields(filter, "eth.dst", "ipv6.dst", "icmpv6.nd.na.flag.s", "icmpv6.checksum.status")
	need(t, err)
	if got := fmt.Sprint(rows); got != "[[33:33:00:00:00:01 ff02::1 0 1]]" {
		t.Errorf("answers: %s", got)
	}
}
