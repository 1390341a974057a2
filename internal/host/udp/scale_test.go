package udp

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// Thousands of memberships take few sockets, and each link is heard by both paths.
func TestManyLinks(t *testing.T) {
	const count = 1500
	relay, clients := newNamespace(t), newNamespace(t)
	// The smallest default of kernels in use, 365 groups on a socket, if each namespace may have
	// its own.
	fewest := 1
	relay.do(func() error {
		if os.WriteFile("/proc/sys/net/core/optmem_max", []byte("20480"), 0o644) == nil {
			fewest = 2
		}
		return nil
	})
	inRelay, inClients := make([]string, 0, 2*count), make([]string, 0, count)
	links := make([]Link, 0, count)
	for i := range count {
		name, index := fmt.Sprint("a", i), 10+i
		inRelay = append(inRelay,
			fmt.Sprintf("link add %s index %d type veth peer name b%d index %d netns %d", name, index, i, clientIndex(i), clients.tid),
			fmt.Sprintf("link set %s up", name),
			// The kernel does that too, but only for a hundred new interfaces in a second, as it
			// does for the queueing disciplines.
			fmt.Sprintf("route replace multicast ff00::/8 dev %s table local", name))
		inClients = append(inClients, fmt.Sprintf("link set b%d up", i))
		links = append(links, Link{Index: index, Name: name, MTU: 1500, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Ethernet: true})
	}
	relay.ip(inRelay...)
	clients.ip(inClients...)
	c := relay.open(Options{})
	for range 2 { // the second time changes nothing
		relay.setLinks(c, links...)
		s := c.Stats()
		if got := relay.joined(); len(got) != count || s.Memberships != count {
			t.Errorf("joined on %d, counted %d, want %d", len(got), s.Memberships, count)
		}
		if s.MemberSockets < fewest || s.MemberSockets > 8 || s.Sockets != 6 {
			t.Errorf("%d sockets hold memberships, %d carry datagrams, want %d to 8, and 6", s.MemberSockets, s.Sockets, fewest)
		}
	}
	in := read(t, c)
	out := clients.tap("b0")
	out.bypass()
	source := netip.MustParseAddr("fe80::c1")
	for i, l := range links {
		out.ifindex = clientIndex(i)
		in.insist(Datagram{Link: l.Index, Path: PathFrame}, func() { out.write(packet(t, source, "plain", nil)) })
		if i%10 != 0 {
			continue
		}
		in.insist(Datagram{Link: l.Index, Path: PathSocket}, func() {
			for _, f := range fragments(packet(t, source, strings.Repeat("f", 40), nil), 16) {
				out.write(f)
			}
		})
	}
	relay.setLinks(c, links[:3]...)
	if got := relay.joined(); len(got) != 3 || c.Stats().MemberSockets > 3 {
		t.Errorf("three links left: joined on %d, held by %d sockets", len(got), c.Stats().MemberSockets)
	}
}

// insist sends until a datagram comes from the link and by the path of want. A packet may be lost
// while the kernel is finding out about the carrier of a link; clients send again too.
func (in *inbox) insist(want Datagram, send func()) {
	in.t.Helper()
	deadline := time.After(patience)
	for {
		send()
		again := time.After(20 * time.Millisecond)
	wait:
		for {
			select {
			case d := <-in.mail:
				if d.Link == want.Link && d.Path == want.Path {
					return
				}
			case <-again:
				break wait
			case <-deadline:
				in.t.Fatalf("link %d: nothing came by %v", want.Link, want.Path)
			}
		}
	}
}

// clientIndex is the index of the interface at the client's end of link i.
func clientIndex(i int) int { return 10010 + i }
