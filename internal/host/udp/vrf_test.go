package udp

import (
	"bytes"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
)

// need skips a test if the kernel cannot make a device, and names the command that failed.
func (n *namespace) need(command string) {
	n.t.Helper()
	var out []byte
	var err error
	n.do(func() error {
		out, err = exec.Command("ip", strings.Fields(command)...).CombinedOutput()
		return nil
	})
	if err != nil {
		n.t.Skipf("ip %s: %v: %s", command, err, bytes.TrimSpace(out))
	}
}

// Clients are in one VRF and servers in another. The frame path sees the enslaved link, and
// sockets are bound to the devices of the VRFs.
func TestVRF(t *testing.T) {
	newNamespace(t).need("link add red type vrf table 100")
	both(t, vRF)
}

func vRF(t *testing.T, f Family) {
	l := newLabWith(t, Options{Family: f})
	l.relay.ip("link add red type vrf table 100", "link add blue type vrf table 200", "link set red up", "link set blue up",
		"link set c0 master red", "link set u0 master blue",
		// An interface that is enslaved loses its global addresses.
		"addr replace 2001:db8:1::1/64 dev u0 nodad", "addr replace 2001:db8:1::2/64 dev u0 nodad")
	l.relay.upLink("c0")
	l.c0.VRF = "red"
	l.relay.setLinks(l.conn, l.c0)
	second := l.second
	l.relay.do(func() error { return l.conn.AddLocal(Local{Addr: second, VRF: "blue"}) })
	l.relay.do(func() error { return l.conn.AddLocal(Local{Addr: f.profile().unspecified, VRF: "blue"}) })
	l.clientsInVRF()
	l.peersInVRF(second)
	l.vrfMadeAnew()
	before := l.conn.Stats().Sockets
	l.relay.setLinks(l.conn)
	if after := l.conn.Stats().Sockets; after != before-2 {
		t.Errorf("%d sockets without a link in the VRF, %d with one, want two less", after, before)
	}
}

func (l *lab) clientsInVRF() {
	l.t.Helper()
	l.host.multicast(l.clientEnd.Index, []byte("solicit"))
	if got := l.in.next(); got.Path != PathFrame || got.Link != l.c0.Index || got.MAC != clientMAC {
		l.t.Errorf("plain: got %+v", got)
	}
	l.host.multicast(l.clientEnd.Index, bytes.Repeat([]byte("f"), 3000))
	if got := l.in.next(); got.Path != PathSocket || got.Link != l.c0.Index || len(got.Payload) != 3000 {
		l.t.Errorf("fragments: got %d octets by %v on link %d, want 3000 by socket on %d", len(got.Payload), got.Path, got.Link, l.c0.Index)
	}
	l.onlyOnce()
	bySocket := l.reply("by socket")
	bySocket.MACLen = 0
	for _, o := range []Outgoing{l.reply("by frame"), bySocket, l.reply(strings.Repeat("b", 3000))} {
		l.send(o)
		if got, from := l.host.receive(); got != string(o.Payload) || from != netip.AddrPortFrom(l.c0.Source, l.port) {
			l.t.Errorf("got %d octets from %v, want %d", len(got), from, len(o.Payload))
		}
	}
}

func (l *lab) peersInVRF(second netip.Addr) {
	l.t.Helper()
	server := l.server.udp(l.site.server.String(), 0, l.port)
	defer server.conn.Close()
	to := netip.AddrPortFrom(l.site.server, l.port)
	for _, source := range []netip.Addr{second, l.first} {
		l.send(Outgoing{Kind: ToPeer, VRF: "blue", Source: source, Dest: to, Payload: []byte("relay-forward")})
		if got, from := server.receive(); got != "relay-forward" || from != netip.AddrPortFrom(source, l.port) {
			l.t.Errorf("got %q from %v, want it from %v", got, from, source)
		}
		server.send(source, 0, l.port, []byte("relay-reply"))
		if got := l.in.next(); string(got.Payload) != "relay-reply" || got.Link != l.u0.Index || got.Dest != source {
			l.t.Errorf("got %+v, want it on link %d", got, l.u0.Index)
		}
	}
	var failed error
	l.conn.Send([]Outgoing{{Kind: ToPeer, VRF: "red", Dest: to}}, func(_ int, err error) { failed = err })
	if failed == nil {
		l.t.Error("the server was reached in the VRF of the clients")
	}
}

// The device of the VRF is deleted and made again: SetLinks notices it.
func (l *lab) vrfMadeAnew() {
	l.t.Helper()
	l.relay.ip("link del red", "link add red type vrf table 100", "link set red up", "link set c0 master red")
	l.relay.setLinks(l.conn, l.c0)
	l.host.multicast(l.clientEnd.Index, bytes.Repeat([]byte("f"), 3000))
	if got := l.in.next(); got.Path != PathSocket || got.Link != l.c0.Index {
		l.t.Errorf("in a new VRF device: got one by %v on link %d", got.Path, got.Link)
	}
	l.onlyOnce()
}

// A VLAN is a link of its own. Frames with the tag of another VLAN are not heard on the trunk.
func TestVLAN(t *testing.T) {
	n := newNamespace(t)
	n.ip("link add c0 type veth peer name h0")
	n.need("link add link c0 name c0.5 type vlan id 5")
	both(t, vLAN)
}

func vLAN(t *testing.T, f Family) {
	l := newLabWith(t, Options{Family: f})
	l.relay.ip("link add link c0 name c0.5 type vlan id 5", "link set c0.5 up", "addr add 192.0.2.65/26 dev c0.5")
	l.client.ip("link add link h0 name h0.5 type vlan id 5", "link set h0.5 up", "addr add 192.0.2.66/26 dev h0.5",
		"link add link h0 name h0.6 type vlan id 6", "link set h0.6 up", "addr add 192.0.2.130/26 dev h0.6")
	tagged, host, stranger := l.relay.upLink("c0.5"), l.client.upLink("h0.5"), l.client.upLink("h0.6")
	l.relay.setLinks(l.conn, l.c0, tagged)
	l.client.udp(stranger.Source.String(), stranger.Index, l.clientPort).multicast(stranger.Index, []byte("nobody's"))
	client := l.client.udp(host.Source.String(), host.Index, l.clientPort)
	client.multicast(host.Index, []byte("tagged"))
	got := l.in.next()
	if string(got.Payload) != "tagged" || got.Link != tagged.Index || got.Path != PathFrame {
		t.Errorf("got %q on link %d by %v, want it on %d by frame", got.Payload, got.Link, got.Path, tagged.Index)
	}
	l.send(Outgoing{Link: tagged.Index, Dest: got.Source, MAC: got.MAC, MACLen: got.MACLen, Payload: []byte("answer")})
	if answer, from := client.receive(); answer != "answer" || from.Addr() != tagged.Source {
		t.Errorf("got %q from %v", answer, from)
	}
	l.onlyOnce()
}
