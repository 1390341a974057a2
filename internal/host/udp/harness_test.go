package udp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds the wait for what the kernel does at once.
const patience = time.Minute

// namespace is a network namespace, with a thread that is in it.
type namespace struct {
	family Family // the family that its nodes use
	t      testing.TB
	tid    int
	calls  chan func()
}

func newNamespace(t testing.TB) *namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("network namespaces need root: effective user is %d", os.Geteuid())
	}
	n := &namespace{t: t, calls: make(chan func())}
	ready, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		// The thread is never unlocked: it ends with the goroutine.
		runtime.LockOSThread()
		n.tid = unix.Gettid()
		err := unix.Unshare(unix.CLONE_NEWNET)
		ready <- err
		if err != nil {
			return
		}
		for f := range n.calls {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatalf("unshare: %v", err)
	}
	t.Cleanup(func() { close(n.calls); <-ended })
	n.sysctl("net/ipv6/conf/default/accept_dad", "0")
	n.ip("link set lo up")
	return n
}

// do runs f in the namespace.
func (n *namespace) do(f func() error) {
	n.t.Helper()
	done := make(chan error)
	n.calls <- func() { done <- f() }
	if err := <-done; err != nil {
		n.t.Fatal(err)
	}
}

// ip runs commands of ip(8), one in each line, and returns what they print.
func (n *namespace) ip(lines ...string) string {
	n.t.Helper()
	var out []byte
	n.do(func() (err error) {
		command := exec.Command("ip", "-batch", "-")
		command.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
		if out, err = command.CombinedOutput(); err != nil {
			return fmt.Errorf("ip %q: %w: %s", lines, err, out)
		}
		return nil
	})
	return string(out)
}

func (n *namespace) sysctl(name, value string) {
	n.t.Helper()
	n.do(func() error { return os.WriteFile("/proc/sys/"+name, []byte(value), 0o644) })
}

// link describes an interface as the daemon does.
func (n *namespace) link(name string) Link {
	n.t.Helper()
	var l Link
	n.do(func() error {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		l = Link{Index: i.Index, Name: name, MTU: i.MTU, MAC: i.HardwareAddr, Ethernet: len(i.HardwareAddr) == 6}
		l.Source, err = linkLocal(name)
		if n.family == IPv4 {
			l.Source, err = address4(i)
		}
		return err
	})
	return l
}

// linkLocal finds a usable link-local address of an interface, in the namespace of this thread.
func linkLocal(name string) (netip.Addr, error) {
	const tentative = 0x40
	table, err := os.ReadFile("/proc/thread-self/net/if_inet6")
	if err != nil {
		return netip.Addr{}, err
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line) // address, index, length, scope, flags, name
		b, err := hex.DecodeString(f[0])
		if err != nil {
			return netip.Addr{}, err
		}
		flags, err := strconv.ParseUint(f[4], 16, 32)
		if err != nil {
			return netip.Addr{}, err
		}
		if a := netip.AddrFrom16([16]byte(b)); f[5] == name && a.IsLinkLocalUnicast() && flags&tentative == 0 {
			return a, nil
		}
	}
	return netip.Addr{}, nil
}

// address4 is an IPv4 address of an interface; invalid if it has none.
func address4(i *net.Interface) (netip.Addr, error) {
	all, err := i.Addrs()
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, err
}

// upLink is link, after a wait for the link-local address that follows the carrier, or for an
// IPv4 address.
func (n *namespace) upLink(name string) (l Link) {
	n.t.Helper()
	eventually(n.t, name+" has an address", func() bool {
		l = n.link(name)
		return l.Source.IsValid()
	})
	return l
}

// joined are the interfaces on which some socket has joined ff02::1:2, as the kernel tells.
func (n *namespace) joined() map[string]bool {
	n.t.Helper()
	names := map[string]bool{}
	n.do(func() error {
		table, err := os.ReadFile("/proc/thread-self/net/igmp6")
		for line := range strings.Lines(string(table)) {
			if f := strings.Fields(line); len(f) > 2 && f[2] == "ff020000000000000000000000010002" {
				names[f[1]] = true
			}
		}
		return err
	})
	return names
}

// open opens a Conn in the namespace and closes it when the test ends.
func (n *namespace) open(o Options) *Conn {
	n.t.Helper()
	var c *Conn
	n.do(func() (err error) {
		c, err = Open(o)
		return err
	})
	n.t.Cleanup(func() { c.Close() })
	return c
}

func (n *namespace) setLinks(c *Conn, links ...Link) {
	n.t.Helper()
	n.do(func() error { return c.SetLinks(links) })
}

// udp is an ordinary UDP socket.
func (n *namespace) udp(addr string, ifindex int, port uint16) *node {
	n.t.Helper()
	p := &node{t: n.t, family: n.family}
	n.do(func() (err error) {
		a := netip.AddrPortFrom(zoned(netip.MustParseAddr(addr), ifindex), port)
		p.conn, err = net.ListenUDP(map[bool]string{true: "udp4", false: "udp6"}[a.Addr().Is4()], net.UDPAddrFromAddrPort(a))
		return err
	})
	n.t.Cleanup(func() { p.conn.Close() })
	return p
}

// zoned gives a link-local address a numeric zone, because names are different in another
// namespace.
func zoned(a netip.Addr, ifindex int) netip.Addr {
	if a.Is6() && (a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast()) {
		return a.WithZone(strconv.Itoa(ifindex))
	}
	return a
}

// node is another host with an ordinary socket.
type node struct {
	family Family
	t      testing.TB
	conn   *net.UDPConn
}

func (p *node) send(dest netip.Addr, ifindex int, port uint16, payload []byte) {
	p.t.Helper()
	if _, err := p.conn.WriteToUDPAddrPort(payload, netip.AddrPortFrom(zoned(dest, ifindex), port)); err != nil {
		p.t.Fatalf("send to %v: %v", dest, err)
	}
}

// multicast sends as a client does. In IPv4, clients broadcast.
func (p *node) multicast(ifindex int, payload []byte) {
	p.t.Helper()
	p.send(p.family.profile().group, ifindex, p.family.profile().port, payload)
}

// option sets a socket option of IPv6.
func (p *node) option(name int, value []byte) {
	p.t.Helper()
	raw, err := p.conn.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.IPPROTO_IPV6, name, string(value))
		}), err)
	}
	if err != nil {
		p.t.Fatalf("option %d: %v", name, err)
	}
}

func (p *node) receive() (payload string, from netip.AddrPort) {
	p.t.Helper()
	b := make([]byte, 1<<16)
	p.conn.SetReadDeadline(time.Now().Add(patience))
	n, from, err := p.conn.ReadFromUDPAddrPort(b)
	if err != nil {
		p.t.Fatalf("receive: %v", err)
	}
	return string(b[:n]), netip.AddrPortFrom(from.Addr().WithZone(""), from.Port())
}

// inbox reads everything that a Conn receives.
type inbox struct {
	t    testing.TB
	mail chan Datagram
}

func read(t testing.TB, c *Conn) *inbox {
	in := &inbox{t: t, mail: make(chan Datagram, 1<<14)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for c.Wait() == nil {
			c.Receive(64, func(d *Datagram) { in.mail <- kept(d) })
		}
	}()
	t.Cleanup(func() { c.Close(); <-ended })
	return in
}

// kept is a copy that later calls do not change.
func kept(d *Datagram) Datagram {
	k := *d
	k.Payload = append([]byte(nil), d.Payload...)
	return k
}

// receive waits for datagrams, and takes at most limit of them at once.
func receive(t testing.TB, c *Conn, limit int) (got []Datagram) {
	t.Helper()
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	c.Receive(limit, func(d *Datagram) { got = append(got, kept(d)) })
	return got
}

func (in *inbox) next() Datagram {
	in.t.Helper()
	select {
	case d := <-in.mail:
		return d
	case <-time.After(patience):
		in.t.Fatal("no datagram came")
		return Datagram{}
	}
}

func (in *inbox) empty() {
	in.t.Helper()
	select {
	case d := <-in.mail:
		in.t.Errorf("one datagram too many: %q from %v on link %d by %v", d.Payload, d.Source, d.Link, d.Path)
	default:
	}
}

// eventually polls until a condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// both runs a test for each family.
func both(t *testing.T, test func(*testing.T, Family)) {
	for f := range families {
		t.Run(f.String(), func(t *testing.T) { test(t, f) })
	}
}

// site has the addresses of a lab in one family.
type site struct {
	first, second  netip.Addr // addresses of the relay on the uplink
	server, beside netip.Addr // on the server's side
	nowhere        netip.Addr // there is no route to it
	clientPort     uint16
}

var sites = [families]site{
	IPv6: {
		first: netip.MustParseAddr("2001:db8:1::1"), second: netip.MustParseAddr("2001:db8:1::2"),
		server: netip.MustParseAddr("2001:db8:1::547"), beside: netip.MustParseAddr("2001:db8:1::548"),
		nowhere: netip.MustParseAddr("2001:db8:dead::1"), clientPort: 546,
	},
	IPv4: {
		first: netip.MustParseAddr("198.51.100.1"), second: netip.MustParseAddr("198.51.100.2"),
		server: netip.MustParseAddr("198.51.100.67"), beside: netip.MustParseAddr("198.51.100.68"),
		nowhere: netip.MustParseAddr("203.0.113.1"), clientPort: 68,
	},
}

// lab is a relay with one client link c0 and one uplink u0, both veth.
type lab struct {
	t testing.TB
	site
	family                Family
	port                  uint16 // port of the relay
	relay, client, server *namespace
	conn                  *Conn
	in                    *inbox
	c0, u0                Link    // the relay's ends
	clientEnd             Link    // the client's end of c0
	host                  *node   // the client's socket
	packets               *tapped // the client's end, as frames
}

func newLab(t *testing.T) *lab { return newLabWith(t, Options{}) }

func newLabWith(t *testing.T, o Options) *lab {
	l := newRig(t, o)
	l.in = read(t, l.conn)
	return l
}

// newRig is a lab whose Conn nobody reads yet.
func newRig(t testing.TB, o Options) *lab {
	l := &lab{t: t, relay: newNamespace(t), client: newNamespace(t), server: newNamespace(t)}
	l.family, l.site, l.port = o.Family, sites[o.Family], o.Family.profile().port
	for _, n := range []*namespace{l.relay, l.client, l.server} {
		n.family = o.Family
	}
	// The kernel takes a second to bring up a veth whose peer has the same index in another
	// namespace.
	l.relay.ip(fmt.Sprintf("link add c0 index 11 address 02:00:00:00:00:01 type veth peer name h0 index 101 address 02:00:00:00:00:c1 netns %d", l.client.tid),
		fmt.Sprintf("link add u0 index 12 type veth peer name s0 index 102 netns %d", l.server.tid),
		"link set c0 up", "link set u0 up",
		"addr add 2001:db8:1::1/64 dev u0 nodad", "addr add 2001:db8:1::2/64 dev u0 nodad",
		"addr add 198.51.100.1/24 dev u0", "addr add 198.51.100.2/24 dev u0", "addr add 192.0.2.1/26 dev c0")
	l.client.ip("link set h0 up", "addr add 192.0.2.2/26 dev h0")
	l.server.ip("link set s0 up", "addr add 2001:db8:1::547/64 dev s0 nodad", "addr add 198.51.100.67/24 dev s0")
	l.c0, l.u0, l.clientEnd = l.relay.upLink("c0"), l.relay.upLink("u0"), l.client.upLink("h0")
	l.conn = l.relay.open(o)
	l.relay.setLinks(l.conn, l.c0)
	l.host = l.client.udp(l.clientEnd.Source.String(), l.clientEnd.Index, l.clientPort)
	l.packets = l.client.tap("h0")
	return l
}

// clientMAC is the client's address in newLab.
var clientMAC = [8]byte{2, 0, 0, 0, 0, 0xc1}

// reply is a message to the lab's client.
func (l *lab) reply(payload string) Outgoing {
	return Outgoing{
		Kind: ToClient, Link: l.c0.Index, Dest: netip.AddrPortFrom(l.clientEnd.Source, l.clientPort),
		MAC: clientMAC, MACLen: 6, Payload: []byte(payload),
	}
}

// packet is UDP in IP from the client to the group, made by a foreign encoder.
func (l *lab) packet(payload string) []byte {
	l.t.Helper()
	if l.family == IPv4 {
		return packet4(l.t, l.clientEnd.Source, payload, nil)
	}
	return packet(l.t, l.clientEnd.Source, payload, nil)
}

// send sends one batch; none of it may fail.
func (l *lab) send(batch ...Outgoing) {
	l.t.Helper()
	l.conn.Send(batch, func(i int, err error) { l.t.Errorf("message %d: %v", i, err) })
}
