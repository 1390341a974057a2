package inject_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/host/inject"
	"fairlead/internal/lab"
	"fairlead/internal/wire/dhcp4"
)

// inUse is the address that a client of these tests uses: 192.0.2.100 and so on.
func inUse(client uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 0, 2, byte(client - 1000 + 100)})
}

// reply4 is a server's message for a client.
func reply4(client uint32, text string) []byte {
	mac := loadgen.MAC(client)
	b := dhcp4.AppendHeader(nil, dhcp4.Header{Op: dhcp4.BOOTReply, HType: dhcp4.HardwareEthernet, CHAddr: mac[:]})
	return dhcp4.AppendEnd(dhcp4.AppendOption(b, dhcp4.OptionHostName, []byte(text)), 0)
}

// text4 is the text that a message carries.
func text4(t *testing.T, message string) string {
	t.Helper()
	m, err := dhcp4.ParseMessage([]byte(message))
	need(t, err)
	text, _ := m.Options().First(dhcp4.OptionHostName)
	return string(text)
}

// The kernel accepts the clients' frames: it verifies both checksums, and tells who sent them. A
// client without an address sends from 0.0.0.0 to the broadcast address.
func TestFramesArrive4(t *testing.T) {
	c, s := cable(t)
	var u unsent
	p := openPort(t, c, loadgen.DHCPv4, &u)
	server := listen(t, s, "0.0.0.0:67")
	// Messages of all lengths, in buffers that held others before; more than one batch at a
	// time, and less than the server's buffer can hold.
	const some = inject.Batch + 10
	b := make([]byte, 2000)
	for length := 0; length <= loadgen.MaxMessage; length += some {
		want := map[string]netip.Addr{}
		for i := length; i < min(length+some, loadgen.MaxMessage+1); i++ {
			message := strings.Repeat(string(rune('a'+i%26)), i)
			m := loadgen.Message{Client: uint32(1000 + i)}
			want[message] = netip.IPv4Unspecified()
			if i%2 == 1 {
				m.From = inUse(m.Client % 100)
				want[message] = m.From
			}
			p.Queue(m, append(p.Room(), message...))
		}
		p.Flush()
		for range len(want) {
			n, from, err := server.ReadFromUDPAddrPort(b)
			need(t, err)
			if want := netip.AddrPortFrom(want[string(b[:n])], 68); from != want {
				t.Fatalf("%d octets from %s, want %s", n, from, want)
			}
		}
	}
	if len(u) != 0 {
		t.Errorf("%d messages were not sent", len(u))
	}
}

// A kernel that has a packet for a client's address sends an ARP request, and gets an answer if
// the client uses the address. What the client sends to that server alone then goes to no other.
func TestNeighbours4(t *testing.T) {
	c, s := cable(t)
	var u unsent
	p := openPort(t, c, loadgen.DHCPv4, &u)
	server := listen(t, s, "0.0.0.0:67")
	wire := tap(t, s, "s0", unix.ETH_P_IP)
	const some = 50
	say := func(m loadgen.Message) {
		p.Queue(m, append(p.Room(), reply4(m.Client, "any message")...))
	}
	for i := range uint32(some) {
		say(loadgen.Message{Client: 1000 + i, From: inUse(1000 + i)})
	}
	p.Flush()
	b := make([]byte, 2000)
	for range some {
		n, from, err := server.ReadFromUDPAddrPort(b)
		need(t, err)
		m, err := dhcp4.ParseMessage(b[:n])
		need(t, err)
		client, _ := loadgen.IndexOf([6]byte(m.CHAddr()))
		_, err = server.WriteToUDPAddrPort(reply4(client, fmt.Sprint("for ", client)), from)
		need(t, err)
	}
	seen := map[uint32]bool{}
	for _, h := range hear(t, p, some) {
		if got := text4(t, h.message); got != fmt.Sprint("for ", h.client) || seen[h.client] {
			t.Fatalf("client %d hears %q", h.client, got)
		}
		seen[h.client] = true
	}
	nextFrames(t, wire, 2*some) // in both directions
	say(loadgen.Message{Client: 1001, From: inUse(1001), To: netip.MustParseAddr("192.0.2.1")})
	say(loadgen.Message{Client: 1002, From: inUse(1002)})
	p.Flush()
	link, err := s.Interface("s0")
	need(t, err)
	const everybody = "ff:ff:ff:ff:ff:ff"
	got := nextFrames(t, wire, 2)
	want := []string{
		link.HardwareAddr.String() + " 192.0.2.101 > 192.0.2.1",
		everybody + " 192.0.2.102 > 255.255.255.255",
	}
	if !slices.Equal(got, want) {
		t.Errorf("frames %q, want %q", got, want)
	}
	if len(u) != 0 {
		t.Errorf("%d messages were not sent", len(u))
	}
}

// A message for one server goes to where that server's messages come from. For a server that is
// not on the link, it goes to where the last message came from.
func TestTwoServers4(t *testing.T) {
	c, s := cable(t)
	var u unsent
	p := openPort(t, c, loadgen.DHCPv4, &u)
	out, wire := rawSocket(t, s, "s0"), tap(t, s, "s0", unix.ETH_P_IP)
	for i := range byte(3) {
		f := packet4{client: 1001, message: reply4(1001, "heard")}
		f.source, f.from = []byte{2, 0, 0, 0, 0, i}, netip.AddrFrom4([4]byte{192, 0, 2, 10 + i})
		_, err := unix.Write(out, f.octets(t))
		need(t, err)
	}
	hear(t, p, 3)
	nextFrames(t, wire, 3) // sent by us
	var want []string
	for _, x := range []struct{ to, mac string }{
		{"192.0.2.10", "02:00:00:00:00:00"},
		{"192.0.2.11", "02:00:00:00:00:01"},
		{"203.0.113.1", "02:00:00:00:00:02"},
		{"192.0.2.10", "02:00:00:00:00:00"},
	} {
		p.Queue(loadgen.Message{Client: 1001, From: inUse(1001), To: netip.MustParseAddr(x.to)}, append(p.Room(), "renew"...))
		want = append(want, x.mac+" 192.0.2.101 > "+x.to)
	}
	p.Flush()
	if got := nextFrames(t, wire, len(want)); !slices.Equal(got, want) {
		t.Errorf("frames %q, want %q", got, want)
	}
}

// An ARP request is answered for addresses that clients use, and for no others. If there are many
// more addresses than clients, the old ones are forgotten.
func TestAddressResolution(t *testing.T) {
	c, s := cable(t)
	var u unsent
	var p *inject.Port
	need(t, c.Do(func() (err error) {
		p, err = inject.Open(inject.Options{Family: loadgen.DHCPv4, Interface: "c0", First: 1000, Clients: 2, Unsent: u.note})
		return err
	}))
	t.Cleanup(p.Close)
	out, wire := rawSocket(t, s, "s0"), tap(t, s, "s0", unix.ETH_P_ARP)
	use := func(client uint32, address string) {
		p.Queue(loadgen.Message{Client: client, From: netip.MustParseAddr(address)}, append(p.Room(), "x"...))
		p.Flush()
	}
	asker := []byte{2, 0, 0, 0, 0, 1}
	ask := func(operation uint16, address string) {
		b := gopacket.NewSerializeBuffer()
		need(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{},
			&layers.Ethernet{SrcMAC: asker, DstMAC: []byte{255, 255, 255, 255, 255, 255}, EthernetType: layers.EthernetTypeARP},
			&layers.ARP{
				AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
				Operation: operation, SourceHwAddress: asker, SourceProtAddress: []byte{192, 0, 2, 1},
				DstHwAddress: make([]byte, 6), DstProtAddress: netip.MustParseAddr(address).AsSlice(),
			}))
		_, err := unix.Write(out, b.Bytes())
		need(t, err)
		// The kernel has put the frame into the ring before the write returned.
		p.Receive(10, func(uint32, int64, []byte) { t.Error("a message") })
		p.Flush()
	}
	use(1000, "192.0.2.100")
	use(1001, "192.0.2.101")
	ask(1, "192.0.2.102") // nobody uses it
	ask(2, "192.0.2.100") // not a request
	ask(1, "192.0.2.100")
	ask(1, "192.0.2.101")
	use(1000, "192.0.2.103") // one more than there are clients
	ask(1, "192.0.2.101")
	ask(1, "192.0.2.103")
	var got []string
	for len(got) < 3 {
		f := gopacket.NewPacket(nextFrame(t, wire), layers.LayerTypeEthernet, gopacket.Default)
		e, a := f.Layer(layers.LayerTypeEthernet).(*layers.Ethernet), f.Layer(layers.LayerTypeARP).(*layers.ARP)
		if e.SrcMAC.String() == net.HardwareAddr(asker).String() {
			continue // our own requests
		}
		if e.DstMAC.String() != net.HardwareAddr(asker).String() || string(e.SrcMAC) != string(a.SourceHwAddress) || a.Operation != 2 ||
			a.AddrType != layers.LinkTypeEthernet || a.Protocol != layers.EthernetTypeIPv4 || a.HwAddressSize != 6 || a.ProtAddressSize != 4 ||
			string(a.DstHwAddress) != string(asker) || net.IP(a.DstProtAddress).String() != "192.0.2.1" {
			t.Errorf("answer %+v in %+v", a, e)
		}
		got = append(got, fmt.Sprint(net.IP(a.SourceProtAddress), " ", e.SrcMAC))
	}
	want := []string{"192.0.2.100 02:fa:00:00:03:e8", "192.0.2.101 02:fa:00:00:03:e9", "192.0.2.103 02:fa:00:00:03:e8"}
	if !slices.Equal(got, want) {
		t.Errorf("answers %q, want %q", got, want)
	}
}

// packet4 is a frame with UDP for a client, made by a foreign encoder.
type packet4 struct {
	client  uint32
	source  net.HardwareAddr // 02:00:00:00:00:01 if nil
	to      net.HardwareAddr // the client's if nil
	from    netip.Addr       // 192.0.2.1 if not valid
	port    uint16           // 68 if 0
	options []layers.IPv4Option
	next    layers.IPProtocol // UDP if 0
	flags   layers.IPv4Flag
	offset  uint16
	message []byte
}

func (p packet4) octets(t *testing.T) []byte {
	t.Helper()
	mac := loadgen.MAC(p.client)
	if p.source == nil {
		p.source = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	}
	if p.to == nil {
		p.to = mac[:]
	}
	if !p.from.IsValid() {
		p.from = netip.MustParseAddr("192.0.2.1")
	}
	if p.port == 0 {
		p.port = 68
	}
	if p.next == 0 {
		p.next = layers.IPProtocolUDP
	}
	ip := &layers.IPv4{
		Version: 4, TTL: 64, Protocol: p.next, SrcIP: p.from.AsSlice(), DstIP: inUse(1001).AsSlice(),
		Options: p.options, Flags: p.flags, FragOffset: p.offset,
	}
	segment := &layers.UDP{SrcPort: 67, DstPort: layers.UDPPort(p.port)}
	need(t, segment.SetNetworkLayerForChecksum(ip))
	b := gopacket.NewSerializeBuffer()
	need(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: p.source, DstMAC: p.to, EthernetType: layers.EthernetTypeIPv4}, ip, segment, gopacket.Payload(p.message)))
	return b.Bytes()
}

// A frame that is broken, or is not for one of our clients, is skipped, and the next one is read.
// A broadcast is for the client that it names.
func TestReceivePassesOver4(t *testing.T) {
	c, s := cable(t)
	var u unsent
	p := openPort(t, c, loadgen.DHCPv4, &u)
	out := rawSocket(t, s, "s0")
	everybody := net.HardwareAddr{255, 255, 255, 255, 255, 255}
	foreign := reply4(1001, "for no client of ours")
	foreign[28] ^= 1
	for1001 := func(text string) packet4 { return packet4{client: 1001, message: reply4(1001, text)} }
	server, other, tcp, first, rest, cut := for1001("to a server"), for1001("to another"), for1001("no UDP"), for1001("first fragment"), for1001("fragment"), for1001("cut")
	server.port, tcp.next, first.flags, rest.offset = 67, layers.IPProtocolTCP, layers.IPv4MoreFragments, 8
	otherMAC := loadgen.MAC(1002)
	other.to = otherMAC[:]
	cut.message = cut.message[:28+5]
	all, long := for1001("all hear it"), for1001("with options of IPv4")
	all.to, long.options = everybody, []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}}
	none := for1001("short").octets(t)
	none[14+20+5], none[14+20+4] = 7, 0 // the UDP length is less than its header
	for _, b := range [][]byte{
		packet4{client: 999, message: reply4(999, "before the first")}.octets(t),
		packet4{client: 5000, message: reply4(5000, "after the last")}.octets(t),
		packet4{client: 1001, to: everybody, message: foreign}.octets(t),
		server.octets(t), other.octets(t), tcp.octets(t), first.octets(t), rest.octets(t), cut.octets(t), none,
		all.octets(t), long.octets(t),
		for1001("good").octets(t),
	} {
		_, err := unix.Write(out, b)
		need(t, err)
	}
	var got []string
	for _, h := range hear(t, p, 3) {
		got = append(got, fmt.Sprint(h.client, " ", text4(t, h.message)))
	}
	if want := []string{"1001 all hear it", "1001 with options of IPv4", "1001 good"}; !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// tap is a socket that gets every frame of a protocol on an interface, in both directions.
func tap(t *testing.T, d *lab.Node, name string, protocol uint16) int {
	t.Helper()
	fd := rawSocket(t, d, name)
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 12},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(protocol), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	need(t, unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}))
	need(t, d.Do(func() error {
		link, err := linkIndex(name)
		if err != nil {
			return err
		}
		// Outgoing frames are seen only by a socket for all protocols.
		at := unix.SockaddrLinklayer{Ifindex: link, Protocol: unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8}
		return unix.Bind(fd, &at)
	}))
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	need(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit))
	return fd
}

func nextFrame(t *testing.T, fd int) []byte {
	t.Helper()
	b := make([]byte, 2000)
	n, _, err := unix.Recvfrom(fd, b, 0)
	need(t, err)
	return b[:n]
}

// nextFrames describes the next IPv4 frames: the link-layer address that each goes to, and both
// IP addresses.
func nextFrames(t *testing.T, fd, count int) (list []string) {
	t.Helper()
	for range count {
		f := gopacket.NewPacket(nextFrame(t, fd), layers.LayerTypeEthernet, gopacket.Default)
		e, ip := f.Layer(layers.LayerTypeEthernet).(*layers.Ethernet), f.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
		list = append(list, fmt.Sprintf("%s %s > %s", e.DstMAC, ip.SrcIP, ip.DstIP))
	}
	return list
}
