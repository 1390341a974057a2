package nft_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"fairlead/internal/core/hop"
	"fairlead/internal/host/netlink/bulk"
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

// send sends a datagram in a frame by a link, past the stack.
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
	if err != nil && !errors.Is(err, unix.ENOBUFS) { // so the kernel may tell of a frame that is dropped
		f.t.Fatalf("frame by %s: %v", link, err)
	}
}

// packetOf is a datagram in a packet, and what Ethernet calls the packet.
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

// What a program sends by a packet socket to a peer, past the stack, is dropped
// as it leaves, and counted; what goes to others or to other ports is not.
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
			// A link that has just come up may lose frames still.
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

// dropped reports whether a frame to the peer by a link is held back.
func (p *pair) dropped(f *framer, link string) bool {
	p.t.Helper()
	_, before, _ := totals(p.observe())
	f.send(link, host6, peer6, 547, 547)
	_, after, _ := totals(p.observe())
	return after == before+1
}

// Interfaces come, go, come again and change their names: what there is is
// guarded at the next look, and nobody is said to have changed anything.
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

// links are those that are to be guarded.
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

// Loopback and point-to-point interfaces have no programs that write Ethernet.
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

// What the host only bridges is none of its business, though it leaves by the
// same interface.
func TestGuardFramesOfOthers(t *testing.T) {
	p := newPair(t, "")
	third := newNode(t)
	p.host.run("ip link add br0 type bridge")
	p.host.run("ip link add e1 type veth peer name e0 netns " + third.path)
	for _, line := range []string{"ip link set e1 up", "ip link set e0 master br0", "ip link set e1 master br0", "ip link set br0 up"} {
		p.host.run(line)
	}
	p.host.run("sysctl -qew net.bridge.bridge-nf-call-ip6tables=0") // where br_netfilter is loaded, bridged packets pass as our own
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

// Whatever is done by hand to the table of frames shows, and Install mends it.
func TestGuardNoticesTamperingWithFrames(t *testing.T) {
	p := newPair(t, "")
	p.install(true, threeHops()...)
	f := p.host.framer(t, p.other)
	frames := "netdev " + hop.OwnerGuard.Table()
	chain := ""
	for _, word := range strings.Fields(p.host.run("nft list table " + frames)) {
		if strings.HasPrefix(word, "link-") {
			chain = frames + " " + word
		}
	}
	for _, script := range []string{
		"delete table " + frames,
		"flush chain " + chain,
		"delete chain " + chain,
		"insert rule " + chain + " accept",
		"add table " + frames + " { flags dormant; }",
		"delete element " + frames + " out6 { " + peer6 + " . 547 }",
		"add chain " + frames + " more",
		"delete chain " + chain + "\nadd chain " + chain + " { type filter hook ingress device \"e0\" priority 2147483647; }\nadd rule " + chain + " meta l4proto udp goto leaving",
	} {
		if !p.observe().Intact {
			t.Fatalf("before %q: not intact", script)
		}
		p.host.nft(script)
		for range 2 { // it is not forgotten either
			if p.observe().Intact {
				t.Errorf("%s: intact", script)
			}
		}
		p.install(true, threeHops()...)
		if o := p.observe(); !o.Intact || o.Frames != "" {
			t.Errorf("%s: mended to %+v", script, o)
		}
		if !p.dropped(f, "e0") {
			t.Errorf("%s: mended, but a frame left", script)
		}
	}
}

// While the tables are made anew again and again, no frame slips through.
func TestGuardFramesAreNeverLetThrough(t *testing.T) {
	p := newPair(t, "")
	p.install(true, threeHops()...)
	f, peer := p.host.framer(t, p.other), p.other.udp(t, peer6, 547)
	var stop atomic.Bool
	sent, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		for ; !stop.Load(); sent++ {
			f.send("e0", host6, peer6, 547, 547)
		}
	}()
	for i := range 20 {
		p.install(i%2 == 0, threeHops()[:1+i%3]...)
		p.host.run("ip link add e1 type bridge")
		p.observe()
		p.host.run("ip link del e1")
		p.observe()
	}
	stop.Store(true)
	<-done
	if n := waiting(t, peer); n != 0 || sent == 0 {
		t.Errorf("%d frames of %d arrived", n, sent)
	}
	if o := p.observe(); int(o.Hops["six"].Out.Packets) != sent {
		t.Errorf("counted %d of %d", o.Hops["six"].Out.Packets, sent)
	}
}

// Without hops nothing is called at any device, and Remove leaves nothing.
func TestGuardFramesAreRemoved(t *testing.T) {
	p := newPair(t, "")
	for _, away := range []func(){
		func() { p.install(false) },
		func() {
			if err := p.guard.Remove(); err != nil {
				t.Fatal(err)
			}
		},
	} {
		p.install(false, threeHops()...)
		if got := p.host.run("nft list tables"); !strings.Contains(got, "netdev") {
			t.Fatalf("tables %s", got)
		}
		away()
		if got := p.host.run("nft list tables"); strings.Contains(got, "netdev") {
			t.Errorf("tables that are left: %s", got)
		}
		if p.observe().Frames != "" {
			t.Errorf("afterwards %+v", p.observe())
		}
	}
	relay := openGuard(t, p.host, hop.OwnerRelay)
	if err := relay.Install(threeHops(), false); err != nil {
		t.Fatal(err)
	}
	if got := p.host.run("nft list tables"); strings.Contains(got, "netdev") {
		t.Errorf("the relay's tables: %s", got)
	}
}

// A kernel that refuses the table of frames is told of, and all else is guarded.
// Here somebody else owns the table, until he ends.
func TestGuardWithoutFrames(t *testing.T) {
	p := newPair(t, "")
	var owner *bulk.Conn
	var err error
	p.host.do(func() { owner, err = bulk.Open(unix.NETLINK_NETFILTER) })
	if err != nil {
		t.Fatal(err)
	}
	claim(t, owner, hop.OwnerGuard.Table())
	p.install(true, threeHops()...)
	host, peer := p.host.udp(t, host6, 547), p.other.udp(t, peer6, 547)
	for range 2 {
		o := p.observe()
		if !o.Intact || !strings.Contains(o.Frames, unix.EPERM.Error()) {
			t.Fatalf("observed %+v, want that frames pass", o)
		}
		if !send(t, host, address(peer), plain) {
			t.Error("a datagram in clear is not refused")
		}
	}
	if err := owner.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "frames are held back", func() bool { return p.observe().Frames == "" })
	if !p.dropped(p.host.framer(t, p.other), "e0") {
		t.Error("a frame left")
	}
}

// claim makes a table of family netdev that nobody else may change.
func claim(t *testing.T, c *bulk.Conn, name string) {
	t.Helper()
	const flags, owner = 2, 2 // NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER
	b, start := bulk.Begin(nil, unix.NFNL_MSG_BATCH_BEGIN, 0, unix.AF_UNSPEC, 0, 0, unix.NFNL_SUBSYS_NFTABLES)
	b = bulk.End(b, start)
	b, start = bulk.Begin(b, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|unix.NLM_F_ACK, unix.NFPROTO_NETDEV, 0, 0, 0)
	b = bulk.AttrString(b, unix.NFTA_TABLE_NAME, name)
	b = bulk.End(bulk.Attr(b, flags, binary.BigEndian.AppendUint32(nil, owner)), start)
	b, start = bulk.Begin(b, unix.NFNL_MSG_BATCH_END, 0, unix.AF_UNSPEC, 0, 0, unix.NFNL_SUBSYS_NFTABLES)
	answers, err := c.Exchange(bulk.End(b, start), nil)
	if err != nil || answers[1] != nil {
		t.Fatalf("claim: %v, %v", err, answers)
	}
}

// The text of a plan gives the same table as what is installed.
func TestFrameTextIsWhatIsInstalled(t *testing.T) {
	p := newPair(t, "")
	p.host.run("ip link add e,1 type bridge")
	p.install(true, threeHops()...)
	list := func() string {
		return listedAs(p.host, "netdev", hop.OwnerGuard.Table())
	}
	installed := list()
	table := hop.OwnerGuard.FrameTable(threeHops(), p.links())
	p.host.nft(table.String(), "-c")
	p.host.nft(table.String())
	if got := list(); got != installed || !strings.Contains(installed, "hook egress") {
		t.Errorf("the text gives\n%s\ninstalled is\n%s", got, installed)
	}
}

// Of very many interfaces the first are guarded, and the others are told of.
func TestGuardTooManyLinks(t *testing.T) {
	p := newPair(t, "")
	var batch strings.Builder
	for i := range 512 {
		fmt.Fprintf(&batch, "link add a%d type veth peer name b%d\n", i, i)
	}
	file := t.TempDir() + "/links"
	if err := os.WriteFile(file, []byte(batch.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p.host.run("ip -batch " + file)
	p.install(true, threeHops()...)
	if o := p.observe(); !o.Intact || o.Frames != "there are 1025 interfaces: only the first 1024 are guarded" {
		t.Errorf("observed %+v", o)
	}
	if !p.dropped(p.host.framer(t, p.other), "e0") {
		t.Error("a frame left")
	}
}
