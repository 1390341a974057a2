package nft_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// For the rules about peers, the content of a message does not matter.
var plain = []byte{1, 0, 0, 7}

// ways are the addresses of the two ends of a hop, and of another host.
var ways = []struct {
	name, host, peer, other string
	port                    int
}{
	{"six", host6, peer6, else6, 547},
	{"four", host4, peer4, else4, 67},
	{"link", hostLink, peerLink, elseLink, 547},
}

// RFC 8213 section 3: nothing passes between peers in clear, whichever end has which of the
// ports. Other ports and other hosts are not affected.
func TestGuardDropsClearDatagrams(t *testing.T) {
	p := newPair(t, "")
	p.install(true, threeHops()...)
	clearDatagrams(t, p)
}

func clearDatagrams(t *testing.T, p *pair) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			hostPort, hostAny := p.host.udp(t, w.host, w.port), p.host.udp(t, w.host, 5470)
			peerPort, peerAny := p.other.udp(t, w.peer, w.port), p.other.udp(t, w.peer, 5470)
			elsePort := p.other.udp(t, w.other, w.port)
			drops := []struct {
				name     string
				from, to *net.UDPConn
				out      bool
			}{
				{"in, both ports", peerPort, hostPort, false},
				{"in, its port", peerPort, hostAny, false},
				{"in, our port", peerAny, hostPort, false},
				{"out, both ports", hostPort, peerPort, true},
				{"out, its port", hostAny, peerPort, true},
				{"out, our port", hostPort, peerAny, true},
			}
			for _, d := range drops {
				before := p.observe().Hops[w.name]
				refused := send(t, d.from, address(d.to), plain)
				// In a VRF the sender gets no error.
				if d.out != refused && p.host.vrf == "" {
					t.Errorf("%s: refused to the sender: %v, want %v", d.name, refused, d.out)
				}
				want := before
				side := &want.In
				if d.out {
					side = &want.Out
				}
				side.Packets++
				until(t, d.name+": counted", func() bool { return p.observe().Hops[w.name] != before })
				got := p.observe().Hops[w.name]
				side.Bytes = got.In.Bytes
				if d.out {
					side.Bytes = got.Out.Bytes
				}
				if got != want {
					t.Errorf("%s: counted %+v, want %+v", d.name, got, want)
				}
				if n := waiting(t, d.to); n != 0 {
					t.Errorf("%s: %d datagrams arrived", d.name, n)
				}
			}
			before := p.observe()
			for _, pass := range [][2]*net.UDPConn{{peerAny, hostAny}, {hostAny, peerAny}, {elsePort, hostPort}, {hostPort, elsePort}} {
				until(t, fmt.Sprint(address(pass[1]), " is reached"), func() bool { // on a slow machine, neighbor discovery may take a moment
					send(t, pass[0], address(pass[1]), plain)
					return waiting(t, pass[1]) > 0
				})
			}
			if got := fmt.Sprint(p.observe()); got != fmt.Sprint(before) {
				t.Errorf("after what passes: %s, want %v", got, before)
			}
		})
	}
}

// address is the address of a socket, without its zone: the other node may number its links
// differently.
func address(c *net.UDPConn) string {
	a := c.LocalAddr().(*net.UDPAddr)
	return endpoint(a.IP.String(), a.Port)
}

// Leasequery over TCP is guarded too, in both directions.
func TestGuardDropsClearConnections(t *testing.T) {
	p := newPair(t, "")
	p.install(true, threeHops()...)
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			hostListener, peerListener := p.host.tcp(t, w.host, w.port), p.other.tcp(t, w.peer, w.port)
			elseListener := p.other.tcp(t, w.other, w.port)
			until(t, "in: counted", func() bool {
				p.other.dials(w.peer, hostListener, 50*time.Millisecond)
				return p.observe().Hops[w.name].In.Packets > 0
			})
			until(t, "out: counted", func() bool {
				p.host.dials(w.host, peerListener, 50*time.Millisecond)
				return p.observe().Hops[w.name].Out.Packets > 0
			})
			for _, l := range []*net.TCPListener{hostListener, peerListener} {
				_ = l.SetDeadline(time.Now())
				if c, err := l.Accept(); err == nil {
					_ = c.Close()
					t.Errorf("%v: a connection in clear", l.Addr())
				}
			}
			if err := p.other.dials(w.other, hostListener, patience); err != nil {
				t.Errorf("somebody else to us: %v", err)
			}
			if err := p.host.dials(w.host, elseListener, patience); err != nil {
				t.Errorf("we to somebody else: %v", err)
			}
		})
	}
}

// RFC 8357: the port that a relay sends from is guarded like the well-known one.
func TestGuardRelayPort(t *testing.T) {
	p := newPair(t, "")
	h := hopTo("six", trust.Relay, host6, peer6)
	h.RelayPort = 1547
	p.install(true, h)
	host, peer, other := p.host.udp(t, host6, 5470), p.other.udp(t, peer6, 1547), p.other.udp(t, else6, 1547)
	send(t, peer, address(host), plain)
	if !send(t, host, address(peer), plain) {
		t.Error("to the relay port: not refused")
	}
	until(t, "counted", func() bool { in, out, _ := totals(p.observe()); return in == 1 && out == 1 })
	send(t, other, address(host), plain)
	received(t, host)
	if n := waiting(t, peer) + waiting(t, host); n != 0 {
		t.Errorf("%d datagrams arrived", n)
	}
}

// On each link, a link-local address means another host.
func TestGuardLinkLocalByLink(t *testing.T) {
	p := newPair(t, "")
	p.host.run("ip link add e1 type veth peer name e1 netns " + p.other.path)
	for _, n := range []*node{p.host, p.other} {
		n.run("ip link set e1 addrgenmode none")
		n.run("ip link set e1 up")
	}
	p.host.run("ip addr add " + hostLink + "/64 dev e1 nodad")
	p.other.run("ip addr add " + peerLink + "/64 dev e1 nodad")
	p.host.ready("e1")
	p.install(true, threeHops()...)
	host, peer := p.host.udp(t, hostLink+"%e1", 547), p.other.udp(t, peerLink+"%e1", 547)
	send(t, peer, "["+hostLink+"%e1]:547", plain)
	received(t, host)
	send(t, host, "["+peerLink+"%e1]:547", plain)
	received(t, peer)
	if in, out, _ := totals(p.observe()); in+out != 0 {
		t.Errorf("counted %d in, %d out, want none", in, out)
	}
}

// A datagram in clear that is sent in fragments does not pass. For IPv6 the filter sees each
// fragment, and only the first one has ports.
func TestGuardFragments(t *testing.T) {
	p := newPair(t, "")
	p.install(true, threeHops()...)
	big := make([]byte, 4000)
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			host, peer, other := p.host.udp(t, w.host, w.port), p.other.udp(t, w.peer, w.port), p.other.udp(t, w.other, w.port)
			before := p.observe().Hops[w.name].In.Packets
			send(t, peer, address(host), big)
			until(t, "counted", func() bool { return p.observe().Hops[w.name].In.Packets == before+1 })
			send(t, other, address(host), big)
			if got := len(received(t, host)); got != len(big) {
				t.Errorf("%d octets from somebody else, want %d", got, len(big))
			}
			if !send(t, host, address(peer), big) {
				t.Error("out: not refused")
			}
			if n := waiting(t, host) + waiting(t, peer); n != 0 {
				t.Errorf("%d datagrams arrived", n)
			}
		})
	}
}

// Nor does it pass if its first fragment is as short as possible, or comes last.
func TestGuardSmallFragments(t *testing.T) {
	p := newPair(t, "")
	p.install(true, threeHops()...)
	tap := p.other.tap("e0")
	host := p.host.udp(t, host6, 547)
	payload := make([]byte, 64)
	parts := func(src string, sizes ...int) (fs [][]byte) {
		whole := datagram(src, host6, 547, 547, payload)
		offset := 0
		for _, n := range append(sizes, len(whole)) {
			end := min(offset+n, len(whole))
			fs = append(fs, fragment(src, host6, offset, end < len(whole), whole[offset:end]))
			offset = end
		}
		return fs
	}
	want := uint64(0)
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		for _, first := range []int{8, 16} {
			peer, other := parts(peer6, first), parts(else6, first)
			for _, i := range order {
				tap.send(otherMAC, peer[i])
			}
			want++
			until(t, "counted", func() bool { return p.observe().Hops["six"].In.Packets == want })
			for _, i := range order {
				tap.send(otherMAC, other[i])
			}
			received(t, host)
			if n := waiting(t, host); n != 0 {
				t.Errorf("order %v, first of %d: arrived in clear", order, first)
			}
		}
	}
}

// What this host forwards for others is not guarded. What it sends itself is stopped after the
// output hook too.
func TestGuardPostrouting(t *testing.T) {
	p := newPair(t, "")
	third := newNode(t)
	p.host.run("ip link add e1 type veth peer name e1 netns " + third.path)
	for _, n := range []*node{p.host, third} {
		n.run("ip link set e1 up")
	}
	p.host.run("sysctl -qw net.ipv6.conf.all.forwarding=1")
	p.host.run("ip addr add 2001:db8:1::1/64 dev e1 nodad")
	third.run("ip addr add 2001:db8:1::2/64 dev e1 nodad")
	third.run("ip -6 route add default via 2001:db8:1::1")
	p.other.run("ip -6 route add default via " + host6)
	p.host.ready("e1")
	third.ready("e1")
	p.install(true, threeHops()...)

	away, peer := third.udp(t, "2001:db8:1::2", 547), p.other.udp(t, peer6, 547)
	send(t, away, address(peer), plain)
	received(t, peer)
	send(t, peer, address(away), plain)
	received(t, away)
	if in, out, _ := totals(p.observe()); in+out != 0 {
		t.Errorf("forwarded: counted %d in, %d out, want none", in, out)
	}

	p.host.run("nft flush chain inet " + hop.OwnerGuard.Table() + " output")
	if !send(t, p.host.udp(t, host6, 547), address(peer), plain) {
		t.Error("of our own, without the output chain: not refused")
	}
	if _, out, _ := totals(p.observe()); out != 1 {
		t.Errorf("of our own: counted %d, want 1", out)
	}
	if n := waiting(t, peer); n != 0 {
		t.Errorf("%d datagrams arrived", n)
	}
}

// The text of a plan makes the same tables in the kernel as Install does.
func TestGuardTextIsWhatIsInstalled(t *testing.T) {
	n := newNode(t)
	server := hopTo("of-a.server+1", trust.Server, host6, "2001:db8::9")
	server.RelayPort = 1547
	linked := hopTo("of_a-server", trust.Server, "169.254.0.1", "169.254.0.9")
	linked.Link = "a-name-of-15-ch"
	for _, c := range []struct {
		name   string
		hops   []hop.Hop
		others bool
		open   []hop.Open
	}{
		{"nobody", nil, false, nil},
		{"hops", threeHops(), true, nil},
		{"wide peers", nil, false, []hop.Open{
			{Role: trust.Relay, Address: netip.MustParseAddr(else4), Prefix: netip.MustParsePrefix("192.0.2.0/26")},
			{Role: trust.Relay, Address: netip.MustParseAddr(else6), Prefix: netip.MustParsePrefix("2001:db8::/61")},
			{Role: trust.Server, Address: netip.MustParseAddr(else6), Prefix: netip.MustParsePrefix("2001:db8::/56")},
			{Role: trust.Server, Address: netip.MustParseAddr(elseLink), Prefix: netip.MustParsePrefix("fe80::/64"), Link: "e0"},
			{Role: trust.Server, Address: netip.MustParseAddr("ff02::1:3"), Link: "e0"},
		}},
		{"hops alone", append(threeHops(), server, linked), false, []hop.Open{{Role: trust.Server, Address: server.Local}, {Role: trust.Relay, Address: server.Remote}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := openGuard(t, n, hop.OwnerRelay)
			if err := g.Remove(); err != nil { // so that the chains are in the order of the text
				t.Fatal(err)
			}
			if err := g.Install(c.hops, c.others, c.open...); err != nil {
				t.Fatal(err)
			}
			text := hop.GuardText(hop.OwnerRelay, c.hops, c.others, c.open...)
			installed := listed(n)
			n.nft(text, "-c")
			n.nft(text)
			if got := listed(n); got != installed {
				t.Errorf("the text gives\n%s\ninstalled is\n%s", got, installed)
			}
			if !strings.Contains(installed, "goto") {
				t.Errorf("nothing is installed:\n%s", installed)
			}
		})
	}
}

// listed is the table as nft reads it from the kernel, without the numbers of rules, and with
// elements in a fixed order.
func listed(n *node) string { return listedAs(n, "inet", hop.OwnerRelay.Table()) }

func listedAs(n *node, family, name string) string {
	var lines []string
	for line := range strings.Lines(n.run("nft --debug=netlink list table " + family + " " + name)) {
		words := strings.Fields(line)
		if len(words) > 3 && words[0] == family {
			words = words[:3]
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return strings.Join(sortedRuns(lines), "\n")
}

// sortedRuns sorts the elements, which the kernel lists by their hashes, and nft prints one in
// each line.
func sortedRuns(lines []string) []string {
	start := -1
	for i, line := range append(lines, "") {
		element := strings.HasPrefix(line, "element ")
		switch {
		case element && start < 0:
			start = i
		case !element && start >= 0:
			slices.Sort(lines[start:i])
			start = -1
		}
	}
	return lines
}
