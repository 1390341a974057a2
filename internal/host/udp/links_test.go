package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"fairlead/internal/wire/dhcp6"
)

// The kernel's own table tells where the group is joined.
func TestMembershipsFollowLinks(t *testing.T) {
	relay := newNamespace(t)
	relay.ip("link add a0 index 11 type veth peer name b0 index 12", "link add a1 index 13 type veth peer name b1 index 14",
		"link set a0 up", "link set b0 up", "link set a1 up", "link set b1 up")
	a0, a1, b1 := relay.link("a0"), relay.link("a1"), relay.link("b1")
	c := relay.open(Options{})
	for i, links := range [][]Link{{a0}, {a0, a1}, {a1}, {a1}, {}, {b1, a0}} {
		relay.setLinks(c, links...)
		got := relay.joined()
		if len(got) != len(links) {
			t.Errorf("step %d: joined on %v, want %v", i, got, links)
		}
		for _, l := range links {
			if !got[l.Name] {
				t.Errorf("step %d: not joined on %s", i, l.Name)
			}
		}
		if n := c.Stats().Memberships; n != len(links) {
			t.Errorf("step %d: %d memberships, want %d", i, n, len(links))
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got := relay.joined(); len(got) != 0 {
		t.Errorf("after Close: joined on %v", got)
	}
}

// A failure on one link does not affect the others, and is tried again.
func TestOneBadLink(t *testing.T) {
	relay := newNamespace(t)
	relay.ip("link add a0 index 11 type veth peer name b0 index 12", "link set a0 up", "link set b0 up")
	a0 := relay.link("a0")
	c := relay.open(Options{})
	links := []Link{
		{Index: 77, Name: "gone0", MTU: 1500},
		{Index: 0, Name: "nothing0"},
		a0,
		{Index: 11, Name: "twin0"},
		{Index: 12, Name: "b0", VRF: "novrf0"},
	}
	for range 2 {
		err := c.setLinksIn(relay, links)
		if !errors.Is(err, unix.ENODEV) {
			t.Errorf("err = %v, want it to hold %v", err, unix.ENODEV)
		}
		for _, name := range []string{"gone0", "nothing0", "twin0", "novrf0"} {
			if !strings.Contains(fmt.Sprint(err), name) {
				t.Errorf("err = %v, does not tell of %s", err, name)
			}
		}
		if got := relay.joined(); !got["a0"] || !got["b0"] {
			t.Errorf("joined on %v, want a0 and b0", got)
		}
	}
	// The VRF of this link is not there, so there is no socket to answer by.
	var got error
	c.Send([]Outgoing{{Link: 12, Dest: netip.MustParseAddrPort("[fe80::1]:546")}}, func(_ int, err error) { got = err })
	if !errors.Is(got, ErrNoLocal) {
		t.Errorf("err = %v, want %v", got, ErrNoLocal)
	}
	relay.ip("link add gone0 index 77 type veth peer name gone1 index 78")
	if err := c.setLinksIn(relay, links[:1]); err != nil || !relay.joined()["gone0"] {
		t.Errorf("after it appeared: err = %v, joined on %v", err, relay.joined())
	}
}

func (c *Conn) setLinksIn(n *namespace, links []Link) (err error) {
	n.do(func() error { err = c.SetLinks(links); return nil })
	return err
}

// A link is deleted and made again, with another index, and with the same index before anybody
// has noticed.
func TestLinkDeletedAndMadeAnew(t *testing.T) {
	l := newLab(t)
	l.host.conn.Close()
	for i, index := range []int{31, 31, 32} {
		l.relay.ip("link del c0")
		l.relay.ip(fmt.Sprintf("link add c0 index %d address 02:00:00:00:01:0%d type veth peer name h0 index 101 address 02:00:00:00:00:c1 netns %d",
			index, i, l.client.tid), "link set c0 up")
		l.client.ip("link set h0 up")
		l.c0, l.clientEnd = l.relay.upLink("c0"), l.client.upLink("h0")
		l.relay.setLinks(l.conn, l.c0)
		if !l.relay.joined()["c0"] {
			t.Errorf("round %d: not joined", i)
		}
		l.host = l.client.udp(l.clientEnd.Source.String(), l.clientEnd.Index, 546)
		l.host.multicast(l.clientEnd.Index, []byte("small"))
		if got := l.in.next(); got.Path != PathFrame || got.Link != index || got.MAC != clientMAC {
			t.Errorf("round %d: got %+v", i, got)
		}
		// This message needs the membership.
		l.host.multicast(l.clientEnd.Index, make([]byte, 3000))
		if got := l.in.next(); got.Path != PathSocket || got.Link != index {
			t.Errorf("round %d: got %+v", i, got)
		}
		l.send(l.reply("answer"))
		if got, _ := l.host.receive(); got != "answer" {
			t.Errorf("round %d: answer %q", i, got)
		}
		l.host.conn.Close()
	}
	if n := l.conn.Stats().MemberSockets; n != 1 {
		t.Errorf("%d sockets hold one membership, want 1", n)
	}
}

// For a link that goes down and comes back nothing has to be done.
func TestLinkDownAndUp(t *testing.T) {
	l := newLab(t)
	l.relay.ip("link set c0 down")
	var got error
	l.conn.Send([]Outgoing{l.reply("lost")}, func(_ int, err error) { got = err })
	if !errors.Is(got, unix.ENETDOWN) {
		t.Errorf("send on a link that is down: %v, want %v", got, unix.ENETDOWN)
	}
	l.relay.ip("link set c0 up")
	l.relay.upLink("c0")
	l.host.multicast(l.clientEnd.Index, []byte("again"))
	if got := l.in.next(); string(got.Payload) != "again" {
		t.Errorf("got %q", got.Payload)
	}
	l.send(l.reply("answer"))
	if got, _ := l.host.receive(); got != "answer" {
		t.Errorf("answer %q", got)
	}
}

// On a link without link-layer addresses, as with PPP, messages come by frames, and those in
// fragments by sockets. Answers leave by sockets.
func TestPointToPointLink(t *testing.T) {
	relay := newNamespace(t)
	device := relay.tun("ppp0")
	relay.ip("link set ppp0 addrgenmode none", "link set ppp0 up", "addr add fe80::a/64 dev ppp0 nodad")
	ppp := relay.upLink("ppp0")
	if ppp.Ethernet {
		t.Fatal("the tun device has link-layer addresses")
	}
	c := relay.open(Options{})
	relay.setLinks(c, ppp)
	in := read(t, c)
	if _, err := unix.Write(device, packet(t, netip.MustParseAddr("fe80::b"), "solicit", nil)); err != nil {
		t.Fatal(err)
	}
	got := in.next()
	want := Datagram{
		Link: ppp.Index, Source: netip.MustParseAddrPort("[fe80::b]:546"), Dest: dhcp6.AllRelayAgentsAndServers,
		LocalPort: 547, Path: PathFrame,
	}
	if !equal(got, want) || string(got.Payload) != "solicit" {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// The next message comes by the other path, so no copy of the first is still to come.
	whole := packet(t, netip.MustParseAddr("fe80::b"), strings.Repeat("x", 1500), nil)
	for _, f := range pieces(7, whole) {
		if _, err := unix.Write(device, f); err != nil {
			t.Fatal(err)
		}
	}
	if got := in.next(); got.Path != PathSocket || got.Link != ppp.Index || len(got.Payload) != 1500 || got.MACLen != 0 {
		t.Errorf("fragments: got %d octets by %v on link %d", len(got.Payload), got.Path, got.Link)
	}
	in.empty()

	c.Send([]Outgoing{{Link: ppp.Index, Dest: got.Source, Payload: []byte("advertise")}},
		func(_ int, err error) { t.Error(err) })
	for b := make([]byte, 2000); ; {
		n, err := unix.Read(device, b)
		if err != nil {
			t.Fatal(err)
		}
		// The kernel itself sends packets on a new link.
		if n < 48 || b[6] != protocolUDP {
			continue
		}
		if source := netip.AddrFrom16([16]byte(b[8:24])); source != ppp.Source || string(b[48:n]) != "advertise" {
			t.Errorf("got %q from %v", b[48:n], source)
		}
		return
	}
}

// tun makes a device whose other end is a descriptor.
func (n *namespace) tun(name string) (fd int) {
	n.t.Helper()
	n.do(func() (err error) {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("/dev/net/tun: %w", err)
		}
		var request struct {
			name  [unix.IFNAMSIZ]byte
			flags uint16
			_     [22]byte
		}
		copy(request.name[:], name)
		request.flags = unix.IFF_TUN | unix.IFF_NO_PI
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&request))); errno != 0 {
			return fmt.Errorf("TUNSETIFF: %w", errno)
		}
		return nil
	})
	n.t.Cleanup(func() { unix.Close(fd) })
	return fd
}
