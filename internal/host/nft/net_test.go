package nft_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/nft"
	"fairlead/internal/wire/linkaddr"

	"golang.org/x/sys/unix"
)

const patience = 20 * time.Second

// node is a network namespace: a thread that is in it, and runs what it is given.
type node struct {
	t    *testing.T
	path string
	vrf  string // the VRF that its sockets are bound to, or empty
	work chan func()
}

func newNode(t *testing.T) *node {
	n := &node{t: t, work: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // it is never unlocked: the thread ends here
		err := unix.Unshare(unix.CLONE_NEWNET)
		n.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		ready <- err
		for f := range n.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatalf("network namespace: %v (root is needed)", err)
	}
	t.Cleanup(func() { close(n.work) })
	return n
}

func (n *node) do(f func()) {
	done := make(chan struct{})
	n.work <- func() { defer close(done); f() }
	<-done
}

// run runs a program in the node; its arguments are separated by spaces.
func (n *node) run(line string) string {
	n.t.Helper()
	var out []byte
	var err error
	words := strings.Fields(line)
	n.do(func() { out, err = exec.Command(words[0], words[1:]...).CombinedOutput() })
	if err != nil {
		n.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// ready waits until an interface can send: until some time after its other end has come up, the
// kernel drops everything.
func (n *node) ready(name string) {
	n.t.Helper()
	for late := time.Now().Add(patience); time.Now().Before(late); {
		if strings.Contains(n.run("ip -o link show "+name), "state UP") {
			return
		}
	}
	n.t.Fatalf("%s does not come up", name)
}

// tap is a raw socket on an interface of a node.
type tap struct {
	t     *testing.T
	fd    int
	index int
	mac   net.HardwareAddr
}

func (n *node) tap(name string) *tap {
	n.t.Helper()
	p := &tap{t: n.t}
	var err error
	n.do(func() {
		var i *net.Interface
		if i, err = net.InterfaceByName(name); err != nil {
			return
		}
		p.index, p.mac = i.Index, i.HardwareAddr
		proto := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
		if p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(proto)); err == nil {
			err = unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: i.Index})
		}
	})
	if err != nil {
		n.t.Fatal(err)
	}
	_ = unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20)
	limit := unix.NsecToTimeval(int64(patience))
	_ = unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	n.t.Cleanup(func() { _ = unix.Close(p.fd) })
	return p
}

// network is an edge with the filter, a client behind c0, and a core behind u0. The neighbour
// tables are filled by hand, so that only what a test sends goes over the links.
type network struct {
	t                 *testing.T
	edge, client, far *node
	clientTap, farTap *tap
	table             *nft.Table
	vrf               string // the VRF of both links, or empty
	sent              int
}

const (
	rightMAC = "02:00:00:00:00:01"
	otherMAC = "02:00:00:00:00:02"
	edgeMAC  = "02:00:00:00:00:0a"
)

func newNetwork(t *testing.T) *network { return newNetworkIn(t, "") }

func newNetworkIn(t *testing.T, vrf string) *network {
	n := &network{t: t, edge: newNode(t), client: newNode(t), far: newNode(t), vrf: vrf}
	if vrf != "" {
		n.edge.run("ip link add " + vrf + " type vrf table 1000")
		n.edge.run("ip link set " + vrf + " up")
	}
	n.makeClientLink()
	n.edge.run("ip link add u0 type veth peer name u0 netns " + n.far.path)
	n.enslave("u0")
	n.far.run("ip link set u0 address 02:00:00:00:00:f0")
	n.far.run("ip link set u0 up")
	n.edge.run("ip link set u0 up")
	n.edge.run("sysctl -qw net.ipv6.conf.all.forwarding=1")
	n.edge.run("ip addr add 2001:db8:ffff::1/64 dev u0 nodad")
	n.edge.run("ip -6 neigh add 2001:db8:ffff::2 lladdr 02:00:00:00:00:f0 dev u0 nud permanent")
	n.route("2001:db8:cccc::/48 via 2001:db8:ffff::2 dev u0")
	n.edge.ready("u0")
	n.far.ready("u0")
	n.farTap = n.far.tap("u0")
	n.open()
	t.Cleanup(func() { _ = n.table.Close() })
	return n
}

// makeClientLink makes c0, with an on-link prefix, and with routes to two delegations of the
// client.
func (n *network) makeClientLink() {
	n.edge.run("ip link add c0 type veth peer name c0 netns " + n.client.path)
	n.enslave("c0")
	n.edge.run("ip link set c0 address " + edgeMAC)
	n.client.run("ip link set c0 address " + rightMAC)
	n.client.run("ip link set c0 up")
	n.edge.run("ip link set c0 up")
	n.edge.run("ip addr add 2001:db8:1::1/64 dev c0 nodad")
	n.edge.run("ip -6 neigh add fe80::1 lladdr " + rightMAC + " dev c0 nud permanent")
	n.route("2001:db8:100::/56 via fe80::1 dev c0")
	n.route("2001:db8:200::/60 via fe80::1 dev c0")
	n.edge.ready("c0")
	n.client.ready("c0")
	n.clientTap = n.client.tap("c0")
}

// enslave puts a link of the edge into the VRF, if there is one.
func (n *network) enslave(name string) {
	if n.vrf != "" {
		n.edge.run("ip link set " + name + " master " + n.vrf)
	}
}

// route adds a route at the edge, in the VRF if there is one.
func (n *network) route(words string) {
	if n.vrf != "" {
		words += " vrf " + n.vrf
	}
	n.edge.run("ip -6 route add " + words)
}

func (n *network) open() {
	n.t.Helper()
	var err error
	n.edge.do(func() { n.table, err = nft.Open(nft.Options{}) })
	if err != nil {
		n.t.Fatal(err)
	}
}

// apply carries out operations, none of which may fail.
func (n *network) apply(ops ...hoststate.Op) {
	n.t.Helper()
	if err := n.table.Apply(ops, func(i int, err error) { n.t.Errorf("operation %d: %v", i, err) }); err != nil {
		n.t.Fatal(err)
	}
}

// counter reads a named counter by nft, not by our own code.
func (n *network) counter(name string) int {
	n.t.Helper()
	words := strings.Fields(n.edge.run("nft list counter inet fairlead " + name))
	for i, w := range words {
		if w == "packets" {
			v, err := strconv.Atoi(words[i+1])
			if err != nil {
				n.t.Fatal(err)
			}
			return v
		}
	}
	n.t.Fatalf("no counter %s", name)
	return 0
}

func add(set hoststate.Set, link, prefix string) hoststate.Op {
	e := &hoststate.Element{Set: set, Link: link}
	if prefix != "" {
		e.Prefix = netip.MustParsePrefix(prefix)
	}
	return hoststate.Op{Element: e}
}

func addMAC(set hoststate.Set, link, mac, prefix string) hoststate.Op {
	o := add(set, link, prefix)
	o.Element.LinkLayer, _ = linkaddr.Parse(mac)
	return o
}

func remove(o hoststate.Op) hoststate.Op {
	o.Remove = true
	return o
}

// packet is an IPv6 packet with a word in it that identifies it. Its checksum is correct, because
// the kernel does not answer a damaged packet.
func packet(src, dst, word string) []byte {
	udp := []byte{0x30, 0x39, 0, 9, 0, 0, 0, 0}
	udp = append(append(udp, "WORD:"...), word...)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	addrs := append(netip.MustParseAddr(src).AsSlice(), netip.MustParseAddr(dst).AsSlice()...)
	sum := uint32(unix.IPPROTO_UDP + len(udp))
	for _, b := range [][]byte{addrs, udp} {
		for i, octet := range b {
			sum += uint32(octet) << (8 * (1 - i%2))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], ^uint16(sum))
	b := binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(udp)))
	b = append(b, unix.IPPROTO_UDP, 32)
	return append(append(b, addrs...), udp...)
}

// send sends a packet from a link-layer address of the client to the edge.
func (p *tap) send(mac string, payload []byte) {
	p.t.Helper()
	p.sendTo(edgeMAC, mac, payload)
}

// sendTo sends a packet from one link-layer address to another.
func (p *tap) sendTo(dest, mac string, payload []byte) {
	p.t.Helper()
	from, _ := net.ParseMAC(mac)
	to, _ := net.ParseMAC(dest)
	f := append(append(append([]byte{}, to...), from...), etherTypeOf(payload)...)
	if err := unix.Sendto(p.fd, append(f, payload...), 0, &unix.SockaddrLinklayer{Ifindex: p.index, Halen: 6}); err != nil {
		p.t.Fatal(err)
	}
}

// etherTypeOf is the Ethernet type of a packet.
func etherTypeOf(packet []byte) []byte {
	if packet[0]>>4 == 4 {
		return []byte{0x08, 0x00}
	}
	return []byte{0x86, 0xdd}
}

// word is the word in a frame, or empty.
func word(b []byte) string {
	i := bytes.Index(b, []byte("WORD:"))
	if i < 0 {
		return ""
	}
	return string(b[i+5:])
}

// read reads frames until f returns true. If the socket's time is over, the test fails.
func (p *tap) read(flags int, f func(frame []byte) (enough bool)) {
	p.t.Helper()
	b := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(p.fd, b, flags)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN):
			continue
		case errors.Is(err, unix.EAGAIN) && flags != 0:
			return
		case err != nil:
			p.t.Fatalf("capture: %v", err)
		}
		if f(b[:n]) {
			return
		}
	}
}

// until are the words that arrived before the word last, in order.
func (p *tap) until(last string) (words []string) {
	p.t.Helper()
	p.read(0, func(frame []byte) bool {
		w := word(frame)
		if w != "" && w != last {
			words = append(words, w)
		}
		return w == last
	})
	return words
}

// flush sends a packet that the filter lets pass, and waits until it has arrived: then all
// packets before it have been handled too. It returns what has arrived at the far end meanwhile.
func (n *network) flush() []string {
	n.t.Helper()
	n.sent++
	last := "flush-" + strconv.Itoa(n.sent)
	n.clientTap.send(rightMAC, packet("2001:db8:1::f", "2001:db8:cccc::1", last))
	return n.farTap.until(last)
}

// back are the frames that the client has received from the edge so far.
func (n *network) back() (frames [][]byte) {
	n.t.Helper()
	n.clientTap.read(unix.MSG_DONTWAIT, func(f []byte) bool {
		// Leave out what the client's own kernel sends on the link.
		if net.HardwareAddr(f[6:12]).String() == edgeMAC {
			frames = append(frames, bytes.Clone(f))
		}
		return false
	})
	return frames
}

func (n *network) backWords() (words []string) {
	n.t.Helper()
	for _, f := range n.back() {
		if w := word(f); w != "" && f[14+6] == unix.IPPROTO_UDP {
			words = append(words, w)
		}
	}
	return words
}

// farSend sends a packet from the far end to the edge.
func (n *network) farSend(payload []byte) {
	n.t.Helper()
	var to [6]byte
	if _, err := fmt.Sscanf(n.linkLayer("u0"), "%02x:%02x:%02x:%02x:%02x:%02x", &to[0], &to[1], &to[2], &to[3], &to[4], &to[5]); err != nil {
		n.t.Fatal(err)
	}
	f := append(append(append([]byte{}, to[:]...), n.farTap.mac...), 0x86, 0xdd)
	if err := unix.Sendto(n.farTap.fd, append(f, payload...), 0, &unix.SockaddrLinklayer{Ifindex: n.farTap.index, Halen: 6}); err != nil {
		n.t.Fatal(err)
	}
}

// linkLayer is the link-layer address of an interface of the edge.
func (n *network) linkLayer(name string) string {
	n.t.Helper()
	words := strings.Fields(n.edge.run("ip -o link show " + name))
	return words[slices.Index(words, "link/ether")+1]
}
