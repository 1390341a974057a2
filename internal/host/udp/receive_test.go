package udp

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"
)

// A client's message comes by the frame path with its link-layer address. The socket path drops
// its copy.
func TestMulticastComesOnceAsFrame(t *testing.T) { both(t, multicastComesOnceAsFrame) }

func multicastComesOnceAsFrame(t *testing.T, f Family) {
	l := newLabWith(t, Options{Family: f})
	l.host.multicast(l.clientEnd.Index, []byte("solicit"))
	got := l.in.next()
	want := Datagram{
		Link: l.c0.Index, Source: netip.AddrPortFrom(l.clientEnd.Source, l.clientPort),
		Dest: f.profile().group, LocalPort: l.port,
		MAC: clientMAC, MACLen: 6, HardwareType: 1, Path: PathFrame,
	}
	if payload := string(got.Payload); payload != "solicit" {
		t.Errorf("payload %q, want %q", payload, "solicit")
	}
	got.Payload = nil
	if !equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	l.onlyOnce()
	if s := l.conn.Stats(); s.Received["frame"] != 2 || s.Received["socket"] != 1 || s.OtherPath != 0 || s.Drops["bad-checksum"] != 0 {
		t.Errorf("frames %d, sockets %d, bad checksums %d, want 2, 1, 0 with the two of onlyOnce", s.Received["frame"], s.Received["socket"], s.Drops["bad-checksum"])
	}
}

func equal(a, b Datagram) bool {
	a.Payload, b.Payload = nil, nil
	return a.Link == b.Link && a.Source == b.Source && a.Dest == b.Dest && a.LocalPort == b.LocalPort &&
		a.MAC == b.MAC && a.MACLen == b.MACLen && a.HardwareType == b.HardwareType && a.Path == b.Path
}

// Unicast comes by the socket path.
func TestUnicastComesBySocket(t *testing.T) { both(t, unicastComesBySocket) }

func unicastComesBySocket(t *testing.T, f Family) {
	l := newLabWith(t, Options{Family: f})
	server := l.server.udp(l.site.server.String(), 0, l.port)
	server.send(l.second, 0, l.port, []byte("relay-reply"))
	got := l.in.next()
	want := Datagram{
		Link: l.u0.Index, Source: netip.AddrPortFrom(l.site.server, l.port),
		Dest: l.second, LocalPort: l.port, Path: PathSocket,
	}
	if !equal(got, want) || string(got.Payload) != "relay-reply" {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// A client's unicast is received too. The caller decides what to do with it.
	l.host.send(l.c0.Source, l.clientEnd.Index, l.port, []byte("unicast"))
	if got := l.in.next(); got.Path != PathSocket || got.Dest != l.c0.Source || got.Link != l.c0.Index || got.MACLen != 0 {
		t.Errorf("unicast from a client: got %+v", got)
	}
}

// A message that is fragmented, or has extension headers, cannot come by the frame path: it comes
// by the socket path, once.
func TestFragmentsAndExtensionHeadersComeOnceBySocket(t *testing.T) {
	padding := []byte{0, 0, 1, 4, 0, 0, 0, 0} // an options header with one PadN
	for _, test := range []struct {
		name   string
		option int
		size   int
	}{
		{"fragments", 0, 3000},
		{"fragments just above the MTU", 0, 1500},
		{"largest", 0, 65527},
		{"hop-by-hop options", unix.IPV6_HOPOPTS, 20},
		{"destination options", unix.IPV6_DSTOPTS, 20},
		{"destination options in fragments", unix.IPV6_DSTOPTS, 3000},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t)
			if test.option != 0 {
				l.host.option(test.option, padding)
			}
			payload := strings.Repeat("x", test.size)
			l.host.multicast(l.clientEnd.Index, []byte(payload))
			if got := l.in.next(); got.Path != PathSocket || got.Link != l.c0.Index || string(got.Payload) != payload {
				t.Errorf("by %v on link %d with %d octets, want by socket on %d with %d",
					got.Path, got.Link, len(got.Payload), l.c0.Index, test.size)
			}
			l.onlyOnce()
		})
	}
}

// What the frame path took does not come by the socket path, if it is no longer than what every
// node accepts.
func TestSmallCopiesSkipped(t *testing.T) { both(t, smallCopiesSkipped) }

func smallCopiesSkipped(t *testing.T, f Family) {
	l := newLabWith(t, Options{Family: f})
	most := f.profile().minimumMTU - f.profile().headers()
	for copies, size := range []int{most, most + 1} {
		l.host.multicast(l.clientEnd.Index, make([]byte, size))
		if got := l.in.next(); got.Path != PathFrame || len(got.Payload) != size {
			t.Errorf("%d octets: got %d by %v", size, len(got.Payload), got.Path)
		}
		l.onlyOnce()
		eventually(t, "the copies are counted", func() bool { return l.conn.Stats().OtherPath == uint64(copies) })
	}
	if s := l.conn.Stats(); s.Drops["queue-full"] != 0 {
		t.Errorf("what was skipped is counted as lost: %+v", s)
	}
}

// Messages are fragmented although they need not be: an atomic fragment (RFC 6946), and fragments
// that would have fitted into one packet. After the first such datagram the relay listens for
// them: from the next one on they are heard.
func TestNeedlessFragmentsComeOnceBySocket(t *testing.T) { both(t, needlessFragmentsComeOnceBySocket) }

func needlessFragmentsComeOnceBySocket(t *testing.T, f Family) {
	for name, cut := range map[string]int{"atomic": 0, "two small ones": 16} {
		if f == IPv4 && cut == 0 {
			continue // in IPv4, a fragment that has everything is no fragment
		}
		t.Run(name, func(t *testing.T) {
			l := newLabWith(t, Options{Family: f})
			send := func(message string) {
				for _, f := range fragments(l.packet(message), cut) {
					l.packets.write(f)
				}
			}
			send("lost, perhaps")
			eventually(t, "the fragments are seen", func() bool { return l.conn.Stats().Fragments > 0 })
			send("needlessly fragmented")
			got := l.in.next()
			if string(got.Payload) == "lost, perhaps" {
				got = l.in.next()
			}
			if got.Path != PathSocket || string(got.Payload) != "needlessly fragmented" {
				t.Errorf("got %q by %v", got.Payload, got.Path)
			}
			l.onlyOnce()
			l.host.multicast(l.clientEnd.Index, []byte("whole"))
			if got := l.in.next(); got.Path != PathFrame || string(got.Payload) != "whole" {
				t.Errorf("got %q by %v", got.Payload, got.Path)
			}
			eventually(t, "the copy is dropped", func() bool { return l.conn.Stats().OtherPath > 0 })
			l.onlyOnce()
			l.conn.forgetFragments()
			before := l.conn.Stats().OtherPath
			l.host.multicast(l.clientEnd.Index, []byte("whole"))
			l.in.next()
			l.onlyOnce()
			if after := l.conn.Stats().OtherPath; after != before {
				t.Errorf("copies are not kept back again: %d, before %d", after, before)
			}
		})
	}
}

// A whole datagram that is longer than a frame of the ring comes by the socket path, once, with
// all its octets.
func TestLongFramesComeOnceBySocket(t *testing.T) { both(t, longFramesComeOnceBySocket) }

func longFramesComeOnceBySocket(t *testing.T, f Family) {
	l := newLabWith(t, Options{Family: f})
	l.relay.ip("link set c0 mtu 9000")
	l.client.ip("link set h0 mtu 9000")
	headers := f.profile().headers()
	for size, path := range map[int]Path{frameRoom - headers: PathFrame, frameRoom - headers + 1: PathSocket, 8000: PathSocket} {
		payload := strings.Repeat("x", size)
		l.host.multicast(l.clientEnd.Index, []byte(payload))
		if got := l.in.next(); got.Path != path || string(got.Payload) != payload {
			t.Errorf("%d octets: got %d by %v, want them by %v", size, len(got.Payload), got.Path, path)
		}
		l.onlyOnce()
	}
}

// The kernel refuses routing headers in multicast. So the paths need not know them, and neither
// may deliver such a packet.
func TestRoutingHeader(t *testing.T) {
	l := newLab(t)
	plain := packet(t, l.clientEnd.Source, "routed", nil)
	routed := append([]byte(nil), plain[:40]...)
	routed[5], routed[6] = plain[5]+8, 43
	routed = append(routed, 17, 0, 253, 0, 0, 0, 0, 0) // experimental type, no segments left
	l.packets.write(append(routed, plain[40:]...))
	l.onlyOnce()
}

// fragments cuts the UDP segment of a packet at an offset; 0: it is not cut.
func fragments(packet []byte, cut int) [][]byte {
	if packet[0]>>4 == 4 {
		return fragments4(7, packet, cut)
	}
	fragment := func(offset int, more byte, data []byte) []byte {
		f := append([]byte(nil), packet[:40]...)
		f[4], f[5], f[6] = 0, byte(8+len(data)), 44
		f = append(f, 17, 0, byte(offset>>8), byte(offset)|more, 0, 0, 0, 7)
		return append(f, data...)
	}
	segment := packet[40:]
	if cut == 0 {
		return [][]byte{fragment(0, 0, segment)}
	}
	return [][]byte{fragment(0, 1, segment[:cut]), fragment(cut, 0, segment[cut:])}
}

// onlyOnce sends one more message by each path. When both have come, everything before them in
// the queues has been handled.
func (l *lab) onlyOnce() {
	l.t.Helper()
	last := l.client.udp(l.clientEnd.Source.String(), l.clientEnd.Index, 0)
	last.multicast(l.clientEnd.Index, []byte("last"))
	last.send(l.c0.Source, l.clientEnd.Index, l.port, []byte("last"))
	for range 2 {
		if got := l.in.next(); string(got.Payload) != "last" {
			l.t.Errorf("one datagram too many: %d octets by %v", len(got.Payload), got.Path)
		}
	}
	l.in.empty()
}

// Frames are checked: one that was damaged on the way must not pass, and in IPv6 each message has
// a checksum.
func TestBadFramesAreCounted(t *testing.T) {
	damage := func(at int, xor byte) func([]byte) { return func(p []byte) { p[at] ^= xor } }
	for _, test := range []struct {
		name   string
		source string
		damage func(p []byte)
		count  func(Stats) uint64
	}{
		{"wrong checksum", "fe80::c1", damage(50, 1), func(s Stats) uint64 { return s.Drops["bad-checksum"] }},
		{"no checksum", "fe80::c1", func(p []byte) { p[46], p[47] = 0, 0 }, func(s Stats) uint64 { return s.Drops["bad-checksum"] }},
		{"another source", "fe80::c1", damage(23, 1), func(s Stats) uint64 { return s.Drops["bad-checksum"] }},
		{"UDP longer than IPv6", "fe80::c1", damage(45, 0x40), func(s Stats) uint64 { return s.Drops["malformed"] }},
		{"UDP without room for its header", "fe80::c1", func(p []byte) { p[44], p[45] = 0, 7 }, func(s Stats) uint64 { return s.Drops["malformed"] }},
		{"IPv6 longer than the frame", "fe80::c1", damage(4, 1), func(s Stats) uint64 { return s.Drops["malformed"] }},
		{"multicast source", "ff02::1", damage(0, 0), func(s Stats) uint64 { return s.Drops["bad-source"] }},
		{"no source", "::", damage(0, 0), func(s Stats) uint64 { return s.Drops["bad-source"] }},
		{"loopback source", "::1", damage(0, 0), func(s Stats) uint64 { return s.Drops["bad-source"] }},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t)
			p := packet(t, netip.MustParseAddr(test.source), "some payload", nil)
			test.damage(p)
			l.packets.write(p)
			l.packets.write(packet(t, netip.MustParseAddr("fe80::c1"), "good", nil))
			if got := l.in.next(); string(got.Payload) != "good" {
				t.Errorf("got %q by %v, want only the good one", got.Payload, got.Path)
			}
			if n := test.count(l.conn.Stats()); n != 1 {
				t.Errorf("counted %d, want 1: %+v", n, l.conn.Stats())
			}
		})
	}
}

// A frame from the same machine, at the other end of a veth, has no checksum yet. The kernel says
// so (TP_STATUS_CSUMNOTREADY), and we believe it.
func TestChecksumThatIsNotReady(t *testing.T) { both(t, checksumThatIsNotReady) }

func checksumThatIsNotReady(t *testing.T, f Family) {
	l := newLabWith(t, Options{Family: f})
	beside := l.relay.tap("c0")
	l.host.multicast(l.clientEnd.Index, []byte("solicit"))
	got := l.in.next()
	frame, _ := beside.readUDP(l.port)
	segment, _, ok := l.conn.profile.segment(frame)
	if !ok || l.conn.profile.checksumRight(frame, segment) {
		t.Fatalf("the frame has its checksum, and shows nothing: %x", frame)
	}
	if s := l.conn.Stats(); string(got.Payload) != "solicit" || got.Path != PathFrame || s.Drops["bad-checksum"] != 0 {
		t.Errorf("got %q by %v, with %d bad checksums; want it by frame", got.Payload, got.Path, s.Drops["bad-checksum"])
	}
	// The same octets from another host are damaged.
	l.packets.write(frame)
	l.host.multicast(l.clientEnd.Index, []byte("next"))
	if got := l.in.next(); string(got.Payload) != "next" {
		t.Errorf("got %q by %v, want the next", got.Payload, got.Path)
	}
	if n := l.conn.Stats().Drops["bad-checksum"]; n != 1 {
		t.Errorf("%d bad checksums counted, want 1", n)
	}
}

// A frame cannot come from a group address, and could not be answered.
func TestGroupAsLinkLayerSource(t *testing.T) { both(t, groupAsLinkLayerSource) }

func groupAsLinkLayerSource(t *testing.T, f Family) {
	l := newLabWith(t, Options{Family: f})
	for _, source := range [][6]byte{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0x33, 0x33, 0, 0, 0, 1}, {}} {
		l.packets.writeFrom(source, l.packet("from a group"))
	}
	l.packets.writeFrom([6]byte{2, 0, 0, 0, 0, 0x77}, l.packet("good"))
	if got := l.in.next(); string(got.Payload) != "good" || got.MAC != [8]byte{2, 0, 0, 0, 0, 0x77} {
		t.Errorf("got %q from %x", got.Payload, got.MAC)
	}
	if n := l.conn.Stats().Drops["bad-source"]; n != 3 {
		t.Errorf("counted %d, want 3", n)
	}
}

// Padding after the packet is not a part of the message.
func TestFramePadding(t *testing.T) { both(t, framePadding) }

func framePadding(t *testing.T, f Family) {
	l := newLabWith(t, Options{Family: f})
	p := l.packet("short")
	l.packets.write(append(p, make([]byte, 13)...))
	if got := l.in.next(); string(got.Payload) != "short" || got.Path != PathFrame {
		t.Errorf("got %q by %v", got.Payload, got.Path)
	}
}

// The frame path takes only frames for ff02::1:2 port 547 and for this host.
func TestFramesForOthersAreInvisible(t *testing.T) {
	l := newLab(t)
	other := func(change func(*layers.IPv6, *layers.UDP)) {
		l.packets.write(packet(t, l.clientEnd.Source, "other", change))
	}
	other(func(ip *layers.IPv6, _ *layers.UDP) { ip.DstIP = netip.MustParseAddr("ff02::1:3").AsSlice() })
	other(func(ip *layers.IPv6, _ *layers.UDP) { ip.DstIP = netip.MustParseAddr("ff05::1:2").AsSlice() })
	other(func(_ *layers.IPv6, u *layers.UDP) { u.DstPort = 548 })
	l.packets.writeTo([6]byte{2, 0, 0, 0, 0, 0x99}, packet(t, l.clientEnd.Source, "other host", nil))
	// A multicast packet may be sent to the link-layer address of this host alone (RFC 6085).
	l.packets.writeTo([6]byte(l.c0.MAC), packet(t, l.clientEnd.Source, "mine", nil))
	if got := l.in.next(); string(got.Payload) != "mine" {
		t.Errorf("got %q by %v, want only what was for this host", got.Payload, got.Path)
	}
	if s := l.conn.Stats(); s.Received["frame"] != 1 || s.Drops["malformed"]+s.Drops["not-client-link"]+s.Drops["bad-checksum"] != 0 {
		t.Errorf("the frame path saw more than its own: %+v", s)
	}
}

// An interface that is not a client link is not heard by either path, even if another program on
// this host has joined the group there.
func TestNotAClientLink(t *testing.T) {
	l := newLab(t)
	foreign := l.relay.udp("::", 0, 5470)
	foreign.option(unix.IPV6_JOIN_GROUP, membershipRequest("ff02::1:2", l.u0.Index))
	foreign.option(unix.IPV6_JOIN_GROUP, membershipRequest("ff05::1:3", l.u0.Index))
	s0 := l.server.upLink("s0")
	server := l.server.udp(s0.Source.String(), s0.Index, 546)
	server.multicast(s0.Index, []byte("plain"))
	server.multicast(s0.Index, []byte(strings.Repeat("x", 3000)))
	server.option(unix.IPV6_MULTICAST_IF, []byte{byte(s0.Index), 0, 0, 0})
	server.send(netip.MustParseAddr("ff05::1:3"), 0, 547, []byte("to all servers"))
	server.send(l.u0.Source, s0.Index, 547, []byte("last"))
	if got := l.in.next(); string(got.Payload) != "last" {
		t.Errorf("got %d octets by %v", len(got.Payload), got.Path)
	}
	// One frame that is not ours, whose copy the kernel did not give us; one that came in three
	// fragments, which count as well as the whole; one to another group.
	eventually(t, "all are counted", func() bool {
		s := l.conn.Stats()
		return s.Drops["not-client-link"] == 2 && s.Fragments == 3 && s.OtherPath == 0 && s.Drops["other-group"] == 1
	})
}

// A server hears the relay agents that send to all servers, on the interfaces that were named, once.
func TestGroupOfServers(t *testing.T) {
	l := newLab(t)
	group := Local{Addr: netip.MustParseAddr("ff05::1:3"), Index: l.u0.Index}
	l.relay.do(func() error { return l.conn.AddLocal(group) })
	s0 := l.server.upLink("s0")
	server := l.server.udp(s0.Source.String(), s0.Index, 547)
	server.option(unix.IPV6_MULTICAST_IF, []byte{byte(s0.Index), 0, 0, 0})
	server.send(group.Addr, 0, 547, []byte("to all servers"))
	if got := l.in.next(); string(got.Payload) != "to all servers" || got.Dest != group.Addr || got.Link != l.u0.Index || got.Source.Addr() != s0.Source {
		t.Errorf("got %+v", got)
	}
	elsewhere := l.host
	elsewhere.option(unix.IPV6_MULTICAST_IF, []byte{byte(l.clientEnd.Index), 0, 0, 0})
	elsewhere.send(group.Addr, 0, 547, []byte("on another interface"))
	if err := l.conn.RemoveLocal(group); err != nil {
		t.Fatal(err)
	}
	server.send(group.Addr, 0, 547, []byte("nobody listens"))
	server.send(l.u0.Source, s0.Index, 547, []byte("last"))
	if got := l.in.next(); string(got.Payload) != "last" {
		t.Errorf("got %q", got.Payload)
	}
	if s := l.conn.Stats(); s.Drops["other-group"] != 0 {
		t.Errorf("drops: %v", s.Drops)
	}
}

func membershipRequest(group string, ifindex int) []byte {
	a := netip.MustParseAddr(group).As16()
	return append(a[:], byte(ifindex), byte(ifindex>>8), 0, 0)
}

// A message that is longer than the buffer is discarded, not cut.
func TestTruncatedIsDiscarded(t *testing.T) { both(t, truncatedIsDiscarded) }

func truncatedIsDiscarded(t *testing.T, f Family) {
	l := newLabWith(t, Options{Family: f})
	c := l.relay.open(Options{Family: f, MaxDatagram: 1280, Port: 5547})
	l.relay.setLinks(c, l.c0)
	in := read(t, c)
	l.host.send(f.profile().group, l.clientEnd.Index, 5547, make([]byte, 1300)) // one frame has more
	l.host.send(l.c0.Source, l.clientEnd.Index, 5547, make([]byte, 1281))
	l.host.send(l.c0.Source, l.clientEnd.Index, 5547, make([]byte, 1280))
	if got := in.next(); len(got.Payload) != 1280 {
		t.Errorf("got %d octets by %v, want the 1280", len(got.Payload), got.Path)
	}
	eventually(t, "both are counted and the copy too", func() bool {
		s := c.Stats()
		// For the socket path, the copy of the frame is too long as well.
		return s.Drops["truncated"] == 3
	})
}
