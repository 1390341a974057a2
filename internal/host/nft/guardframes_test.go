package nft_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/core/hop"
	"fairlead/internal/host/nft"

	"golang.org/x/sys/unix"
)

// framer is a program of a node that sends by a packet socket.
type framer struct {
	t    *testing.T
	node *node
	fd   int
	to   net.HardwareAddr
}

// framer opens a packet socket. Frames go to link e0 of another node.
func (n *node) framer(t *testing.T, to *node) *framer {
	t.Helper()
	f := &framer{t: t, node: n}
	var err error
	n.do(func() { f.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(f.fd) })
	to.do(func() {
		var i *net.Interface
		if i, err = net.InterfaceByName("e0"); err == nil {
			f.to = i.HardwareAddr
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// send sends a datagram in a frame on a link, without the network stack.
func (f *framer) send(link, src, dst string, sport, dport uint16) {
	f.t.Helper()
	packet, kind := packetOf(src, dst, datagram(src, dst, sport, dport, plain))
	var i *net.Interface
	var err error
	f.node.do(func() { i, err = net.InterfaceByName(link) })
	if err != nil {
		f.t.Fatal(err)
	}
	frame := append(append(append([]byte{}, f.to...), i.HardwareAddr...), byte(kind>>8), byte(kind))
	err = unix.Sendto(f.fd, append(frame, packet...), 0, &unix.SockaddrLinklayer{Ifindex: i.Index, Halen: 6})
	// The kernel may report a frame that is dropped, at a device or in a VRF.
	if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EPERM) {
		f.t.Fatalf("frame by %s: %v", link, err)
	}
}

// packetOf is a packet with the datagram, and its Ethernet type.
func packetOf(src, dst string, datagram []byte) (packet []byte, kind uint16) {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	if s.Is6() {
		b := binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(datagram)))
		b = append(append(append(b, unix.IPPROTO_UDP, 64), s.AsSlice()...), d.AsSlice()...)
		return append(b, datagram...), unix.ETH_P_IPV6
	}
	b := binary.BigEndian.AppendUint16([]byte{0x45, 0}, uint16(20+len(datagram)))
	b = append(append(append(b, 0, 1, 0, 0, 64, unix.IPPROTO_UDP, 0, 0), s.AsSlice()...), d.AsSlice()...)
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum>>16+sum&0xffff))
	return append(b, datagram...), unix.ETH_P_IP
}

// A frame that a program sends to a peer by a packet socket is dropped as it leaves, and counted.
// Frames to other hosts or other ports are not.
func TestGuardDropsClearFrames(t *testing.T) {
	p := newPair(t, "")
	p.install(true, threeHops()...)
	clearFrames(t, p)
}

func clearFrames(t *testing.T, p *pair) {
	f := p.host.framer(t, p.other)
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			peerPort, peerAny := p.other.udp(t, w.peer, w.port), p.other.udp(t, w.peer, 5470)
			port := uint16(w.port)
			before := p.observe()
			// A link that has just come up may still lose frames.
			for what, pass := range map[string]struct {
				to    *net.UDPConn
				frame func()
			}{
				"to somebody else": {p.other.udp(t, w.other, w.port), func() { f.send("e0", w.host, w.other, port, port) }},
				"other ports":      {p.other.udp(t, w.peer, 5471), func() { f.send("e0", w.host, w.peer, 5471, 5471) }},
			} {
				until(t, what+": a frame passes", func() bool { pass.frame(); return waiting(t, pass.to) > 0 })
			}
			for _, ports := range [][2]uint16{{port, port}, {5470, port}, {port, 5470}} {
				f.send("e0", w.host, w.peer, ports[0], ports[1])
			}
			if n := waiting(t, peerPort) + waiting(t, peerAny); n != 0 {
				t.Errorf("%d frames arrived in clear", n)
			}
			after := p.observe()
			if got := after.Hops[w.name].Out.Packets - before.Hops[w.name].Out.Packets; got != 3 {
				t.Errorf("counted %d, want 3", got)
			}
			_, was, _ := totals(before)
			if _, out, _ := totals(after); !after.Intact || after.Frames != "" || out != was+3 {
				t.Errorf("afterwards %+v", after)
			}
		})
	}
}

// dropped reports whether a frame to the peer on a link is held back.
func (p *pair) dropped(f *framer, link string) bool {
	p.t.Helper()
	_, before, _ := totals(p.observe())
	f.send(link, host6, peer6, 547, 547)
	_, after, _ := totals(p.observe())
	return after == before+1
}

// Interfaces come, go, come again and change their names. Those that are there are guarded after
// the next look, and no change by another program is reported.
func TestGuardFramesFollowLinks(t *testing.T) {
	p := newPair(t, "")
	p.install(true, threeHops()...)
	f := p.host.framer(t, p.other)
	const away, here = "ip link del e1", "ip link add e1 up type bridge"
	for _, step := range []struct {
		link    string
		changes []string
	}{
		{"e0", nil},
		{"e1", []string{here}},
		{"e0", []string{away}},
		{"e1", []string{here}},
		{"e1", []string{away, here}},
		{"e,2+x", []string{"ip link set e1 down", "ip link set e1 name e,2+x", "ip link set e,2+x up"}},
		{"e0", []string{"ip link set e,2+x down"}},
	} {
		for _, line := range step.changes {
			p.host.run(line)
		}
		if o := p.observe(); !o.Intact || o.Frames != "" {
			t.Fatalf("%q: %+v, want that all is guarded", step.changes, o)
		}
		if !p.dropped(f, step.link) {
			t.Errorf("%q: a frame left by %s", step.changes, step.link)
		}
		if got := strings.Count(p.host.run("nft list table netdev "+hop.OwnerGuard.Table()), "hook egress"); got != len(p.links()) {
			t.Errorf("%q: %d chains for %d links", step.changes, got, len(p.links()))
		}
	}
}

// links are the interfaces that are to be guarded.
func (p *pair) links() []hop.GuardLink {
	p.t.Helper()
	var links []hop.GuardLink
	var err error
	p.host.do(func() { links, err = nft.Links() })
	if err != nil {
		p.t.Fatal(err)
	}
	return links
}

// Loopback and point-to-point interfaces are left out: no program writes Ethernet frames to them.
func TestGuardLinks(t *testing.T) {
	p := newPair(t, "")
	p.host.run("ip link add br0 type bridge")
	p.host.run("ip tuntap add dev tun0 mode tun")
	var names []string
	for _, l := range p.links() {
		names = append(names, l.Name)
	}
	if got := strings.Join(names, " "); got != "e0 br0" {
		t.Errorf("links %q, want e0 br0", got)
	}
}

// What the host only bridges is not held back, although it leaves by the same interface.
func TestGuardFramesOfOthers(t *testing.T) {
	p := newPair(t, "")
	third := newNode(t)
	p.host.run("ip link add br0 type bridge")
	p.host.run("ip link add e1 type veth peer name e0 netns " + third.path)
	for _, line := range []string{"ip link set e1 up", "ip link set e0 master br0", "ip link set e1 master br0", "ip link set br0 up"} {
		p.host.run(line)
	}
	p.host.run("sysctl -qew net.bridge.bridge-nf-call-ip6tables=0") // with br_netfilter loaded, bridged packets would look like our own
	p.raise(third, "2001:db8::4/64")
	third.ready("e0")
	p.install(true, threeHops()...)
	peer := p.other.udp(t, peer6, 547)
	theirs, socket := third.framer(t, p.other), third.udp(t, "2001:db8::4", 547)
	for what, bridged := range map[string]func(){
		"a frame":    func() { theirs.send("e0", "2001:db8::4", peer6, 547, 547) },
		"a datagram": func() { send(t, socket, address(peer), plain) },
	} {
		until(t, what+" is bridged", func() bool { bridged(); return waiting(t, peer) > 0 })
	}
	if _, out, _ := totals(p.observe()); out != 0 {
		t.Errorf("counted %d, want none", out)
	}
	f := p.host.framer(t, p.other)
	for _, link := range []string{"br0", "e0"} {
		if !p.dropped(f, link) {
			t.Errorf("a frame of our own left by %s", link)
		}
	}
}
