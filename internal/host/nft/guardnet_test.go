package nft_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/nft"

	"golang.org/x/sys/unix"
)

// pair is a guarded host and another host, with one link e0. The other host has the addresses of
// peers (2) and of a stranger (3).
type pair struct {
	t           *testing.T
	host, other *node
	guard       *nft.Guard
}

const (
	host6, peer6, else6          = "2001:db8::1", "2001:db8::2", "2001:db8::3"
	host4, peer4, else4          = "192.0.2.1", "192.0.2.2", "192.0.2.3"
	hostLink, peerLink, elseLink = "fe80::1", "fe80::2", "fe80::3"
)

// newPair makes the two hosts, and opens a guard that is still empty. vrf is the VRF of the
// host's end, or empty.
func newPair(t *testing.T, vrf string) *pair {
	p := &pair{t: t, host: newNode(t), other: newNode(t)}
	p.host.run("ip link add e0 address " + edgeMAC + " type veth peer name e0 netns " + p.other.path)
	if vrf != "" {
		p.host.vrf = vrf
		p.host.run("ip link add " + vrf + " type vrf table 1000")
		p.host.run("ip link set " + vrf + " up")
		p.host.run("ip link set e0 master " + vrf)
	}
	p.raise(p.host, host6+"/64", hostLink+"/64", host4+"/24")
	p.raise(p.other, peer6+"/64", else6+"/64", peerLink+"/64", elseLink+"/64", peer4+"/24", else4+"/24")
	p.host.ready("e0")
	p.other.ready("e0")
	p.guard = openGuard(t, p.host, hop.OwnerGuard)
	return p
}

func (p *pair) raise(n *node, addresses ...string) {
	n.run("ip link set lo up")
	n.run("ip link set e0 addrgenmode none")
	n.run("ip link set e0 up")
	for _, a := range addresses {
		n.run("ip addr add " + a + " dev e0 nodad")
	}
}

func openGuard(t *testing.T, n *node, o hop.Owner) *nft.Guard {
	t.Helper()
	var g *nft.Guard
	var err error
	n.do(func() { g, err = nft.OpenGuard(o) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func (p *pair) install(others bool, hops ...hop.Hop) {
	p.t.Helper()
	if err := p.guard.Install(hops, others); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) observe() hop.Guard {
	p.t.Helper()
	o, err := p.guard.Observe()
	if err != nil {
		p.t.Fatal(err)
	}
	return o
}

func hopTo(name string, role trust.PeerRole, local, remote string) hop.Hop {
	h := hop.Hop{Name: name, Peer: name, Role: role, Local: netip.MustParseAddr(local), Remote: netip.MustParseAddr(remote)}
	if h.Remote.Is6() && h.Remote.IsLinkLocalUnicast() {
		h.Link = "e0"
	}
	return h
}

// threeHops are hops to relays, one at each kind of address.
func threeHops() []hop.Hop {
	return []hop.Hop{
		hopTo("six", trust.Relay, host6, peer6),
		hopTo("four", trust.Relay, host4, peer4),
		hopTo("link", trust.Relay, hostLink, peerLink),
	}
}

// totals add up what was dropped: of what came in, of what went out, and of strangers.
func totals(o hop.Guard) (in, out, strangers int) {
	for _, d := range o.Hops {
		in += int(d.In.Packets)
		out += int(d.Out.Packets)
	}
	return in, out, int(o.Strangers.Packets)
}

// endpoint is an address and a port, on the link if the address is link-local.
func endpoint(a string, port int) string {
	if strings.HasPrefix(a, "fe80") && !strings.Contains(a, "%") {
		a += "%e0"
	}
	return net.JoinHostPort(a, strconv.Itoa(port))
}

// udp opens a socket of a node.
func (n *node) udp(t *testing.T, a string, port int) *net.UDPConn {
	t.Helper()
	var c net.PacketConn
	var err error
	n.do(func() {
		l := net.ListenConfig{Control: n.bound(a)}
		c, err = l.ListenPacket(context.Background(), "udp", endpoint(a, port))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.UDPConn)
}

// tcp opens a listener of a node.
func (n *node) tcp(t *testing.T, a string, port int) *net.TCPListener {
	t.Helper()
	var c net.Listener
	var err error
	n.do(func() {
		l := net.ListenConfig{Control: n.bound(a)}
		c, err = l.Listen(context.Background(), "tcp", endpoint(a, port))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPListener)
}

// dials makes a connection from an address and closes it.
func (n *node) dials(from string, to *net.TCPListener, limit time.Duration) error {
	a := to.Addr().(*net.TCPAddr)
	var err error
	n.do(func() {
		local, failed := net.ResolveTCPAddr("tcp", endpoint(from, 0))
		if err = failed; err != nil {
			return
		}
		d := net.Dialer{LocalAddr: local, Timeout: limit, FallbackDelay: -1, Control: n.bound(from)}
		var c net.Conn
		if c, err = d.Dial("tcp", endpoint(a.IP.String(), a.Port)); err == nil {
			err = c.Close()
		}
	})
	return err
}

// bound binds a socket to the node's VRF. A socket with a link-local address is bound to its
// link.
func (n *node) bound(a string) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		if n.vrf == "" || strings.HasPrefix(a, "fe80") {
			return nil
		}
		var err error
		failed := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), n.vrf) })
		return errors.Join(failed, err)
	}
}

// send sends a datagram. It reports whether a filter of the sender refused it.
func send(t *testing.T, from *net.UDPConn, to string, payload []byte) (refused bool) {
	t.Helper()
	dest, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	_, err = from.WriteTo(payload, dest)
	if errors.Is(err, unix.EPERM) {
		return true
	}
	if err != nil {
		t.Fatalf("send to %s: %v", to, err)
	}
	return false
}

// received waits for a datagram.
func received(t *testing.T, c *net.UDPConn) []byte {
	t.Helper()
	b := make([]byte, 1<<16)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	n, _, err := c.ReadFrom(b)
	if err != nil {
		t.Fatalf("%v: %v", c.LocalAddr(), err)
	}
	return b[:n]
}

// waiting counts the datagrams that can be read.
func waiting(t *testing.T, c *net.UDPConn) (n int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	if err := raw.Read(func(fd uintptr) bool {
		for {
			if _, _, err := unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT); err != nil {
				return true
			}
			n++
		}
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// until polls until a condition holds.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !done(); {
		if time.Now().After(late) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// nft gives nft a script on its standard input.
func (n *node) nft(script string, options ...string) string {
	n.t.Helper()
	var out []byte
	var err error
	n.do(func() {
		c := exec.Command("nft", append(options, "-f", "-")...)
		c.Stdin = strings.NewReader(script)
		out, err = c.CombinedOutput()
	})
	if err != nil {
		n.t.Fatalf("nft: %v\n%s\n%s", err, out, script)
	}
	return string(out)
}

// fragment is an IPv6 fragment of a UDP datagram; offset is in octets.
func fragment(src, dst string, offset int, more bool, part []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(8+len(part)))
	b = append(b, unix.IPPROTO_FRAGMENT, 64)
	b = append(append(b, netip.MustParseAddr(src).AsSlice()...), netip.MustParseAddr(dst).AsSlice()...)
	place := uint16(offset)
	if more {
		place |= 1
	}
	b = binary.BigEndian.AppendUint16(append(b, unix.IPPROTO_UDP, 0), place)
	return append(append(b, 0, 0, 0, 42), part...)
}

// datagram is a UDP datagram with a correct checksum.
func datagram(src, dst string, sport, dport uint16, payload []byte) []byte {
	u := binary.BigEndian.AppendUint16(nil, sport)
	u = binary.BigEndian.AppendUint16(u, dport)
	u = binary.BigEndian.AppendUint16(u, uint16(8+len(payload)))
	u = append(append(u, 0, 0), payload...)
	sum := uint32(unix.IPPROTO_UDP + len(u))
	for _, b := range [][]byte{netip.MustParseAddr(src).AsSlice(), netip.MustParseAddr(dst).AsSlice(), u} {
		for pair := range slices.Chunk(b, 2) {
			sum += uint32(pair[0]) << 8
			if len(pair) == 2 {
				sum += uint32(pair[1])
			}
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(u[6:], ^uint16(sum))
	return u
}
