package udp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
)

// besideAnother is a rig whose relay serves a second link, with one more client.
func besideAnother(t testing.TB) (l *lab, c1 Link, other *node, otherEnd Link) {
	l = newRig(t, Options{})
	l.relay.ip(fmt.Sprintf("link add c1 index 13 type veth peer name h1 index 103 netns %d", l.client.tid), "link set c1 up")
	l.client.ip("link set h1 up")
	c1, otherEnd = l.relay.upLink("c1"), l.client.upLink("h1")
	l.relay.setLinks(l.conn, l.c0, c1)
	return l, c1, l.client.udp(otherEnd.LinkLocal.String(), otherEnd.Index, 546), otherEnd
}

// flood sends so many messages, which nobody reads yet.
func flood(from *node, on Link, n int) {
	for range n {
		from.multicast(on.Index, []byte("flood"))
	}
}

// setApart floods until a link is set apart, and reads what has come.
func (l *lab) setApart(from *node, on Link, link int) {
	l.t.Helper()
	flood(from, on, crowd)
	l.drain()
	eventually(l.t, "the link is apart", func() bool {
		l.conn.floods.mu.Lock()
		defer l.conn.floods.mu.Unlock()
		return slices.Contains(l.conn.floods.links, link) && !l.conn.floods.changed
	})
}

// drain reads until nothing is left, and counts by payload and link.
func (l *lab) drain() map[string]int {
	l.t.Helper()
	got := map[string]int{}
	for l.conn.Receive(64, func(d *Datagram) { got[fmt.Sprint(string(d.Payload), " on ", d.Link)]++ }) > 0 {
	}
	return got
}

// A link that floods fills a queue of its own: what comes from another link is
// heard, and what is too much is dropped by the kernel and counted.
func TestFloodCostsNoOtherLink(t *testing.T) {
	l, c1, other, otherEnd := besideAnother(t)
	l.setApart(l.host, l.clientEnd, l.c0.Index)
	flood(l.host, l.clientEnd, ringFrames+100)
	other.multicast(otherEnd.Index, []byte("renew"))
	got := l.drain()
	renew, floods := fmt.Sprint("renew on ", c1.Index), fmt.Sprint("flood on ", l.c0.Index)
	if got[renew] != 1 || got[floods] != ringFrames || len(got) != 2 {
		t.Errorf("got %v, want one %q and %d times %q", got, renew, ringFrames, floods)
	}
	if s := l.conn.Stats(); s.FloodFull != 100 || s.QueueFull != 0 {
		t.Errorf("%d and %d found a queue full, want 100 in that of the flood and 0 in the other", s.FloodFull, s.QueueFull)
	}
	// Who shares the link with the flood is heard as ever, and once.
	l.host.multicast(l.clientEnd.Index, []byte("neighbour"))
	if got := l.drain(); len(got) != 1 || got[fmt.Sprint("neighbour on ", l.c0.Index)] != 1 {
		t.Errorf("got %v, want one message of the neighbour", got)
	}
}

// It comes back when it has been calm for a while, and not before.
func TestFloodEnds(t *testing.T) {
	l, _, _, _ := besideAnother(t)
	l.setApart(l.host, l.clientEnd, l.c0.Index)
	flood(l.host, l.clientEnd, calm)
	l.drain()
	l.conn.rejoin()
	if got := l.conn.Flooding(); !slices.Equal(got, []int{l.c0.Index}) {
		t.Fatalf("after the flood: links %v are apart, want %d", got, l.c0.Index)
	}
	flood(l.host, l.clientEnd, calm-1)
	l.drain()
	l.conn.rejoin()
	if got := l.conn.Flooding(); len(got) != 0 {
		t.Fatalf("after it was calm: links %v are apart", got)
	}
	before := l.conn.Stats()
	flood(l.host, l.clientEnd, ringFrames+10)
	if s := l.conn.Stats(); s.QueueFull-before.QueueFull != 10 || s.FloodFull != before.FloodFull {
		t.Errorf("queue full %d, flood full %d, want 10 and 0: the link is where all are", s.QueueFull-before.QueueFull, s.FloodFull-before.FloodFull)
	}
	if got := l.drain()[fmt.Sprint("flood on ", l.c0.Index)]; got != ringFrames {
		t.Errorf("%d messages, want %d", got, ringFrames)
	}
}

// A link that is not served has no message for us, but fills the queue as well.
func TestFloodOnALinkThatIsNotServed(t *testing.T) {
	l, c1, other, otherEnd := besideAnother(t)
	stranger := l.server.udp("::", 0, 546)
	s0 := l.server.link("s0")
	l.setApart(stranger, s0, l.u0.Index)
	flood(stranger, s0, 2*ringFrames)
	other.multicast(otherEnd.Index, []byte("renew"))
	if got := l.drain(); len(got) != 1 || got[fmt.Sprint("renew on ", c1.Index)] != 1 {
		t.Errorf("got %v, want the message of the link that is served", got)
	}
	if s := l.conn.Stats(); s.QueueFull != 0 || s.FloodFull != ringFrames || s.NotClientLink != crowd+ringFrames {
		t.Errorf("queue full %d, flood full %d, not a client link %d; want 0, %d, %d", s.QueueFull, s.FloodFull, s.NotClientLink, ringFrames, crowd+ringFrames)
	}
}

// A burst that does not come from one link sets nobody apart.
func TestBurstOfManyIsNoFlood(t *testing.T) {
	l := newRig(t, Options{})
	r := &l.conn.in
	r.mu.Lock()
	defer r.mu.Unlock()
	flood(l.host, l.clientEnd, crowd-1)
	r.look()
	if got := l.conn.Flooding(); len(got) != 0 {
		t.Errorf("links %v are apart, want none below %d", got, crowd)
	}
	// The frames of the ring as if they came from as many links as there can be
	// without one of them having too many.
	flood(l.host, l.clientEnd, 1)
	for n := range crowd {
		r.conn.frames.ring.memory[n*ringFrame+ringName+4] = byte(1 + n/(crowdOne-1))
	}
	r.look()
	if got := l.conn.Flooding(); len(got) != 0 {
		t.Errorf("links %v are apart, want none with fewer than %d", got, crowdOne)
	}
}

// However many links are apart, each frame comes once, and those of the last one too.
func TestFiltersOfManyFloods(t *testing.T) {
	for _, n := range []int{1, 2, maxFloods} {
		l, c1, other, otherEnd := besideAnother(t)
		l.conn.floods.mu.Lock()
		for i := range n - 1 {
			l.conn.floods.links = append(l.conn.floods.links, 1000+i)
		}
		l.conn.floods.mu.Unlock()
		l.setApart(l.host, l.clientEnd, l.c0.Index)
		if got := len(l.conn.Flooding()); got != n {
			t.Fatalf("%d links are apart, want %d", got, n)
		}
		flood(l.host, l.clientEnd, ringFrames+1)
		other.multicast(otherEnd.Index, []byte("renew"))
		got := l.drain()
		if s := l.conn.Stats(); s.FloodFull != 1 || s.QueueFull != 0 || got[fmt.Sprint("renew on ", c1.Index)] != 1 {
			t.Errorf("%d links: flood full %d, queue full %d, got %v", n, s.FloodFull, s.QueueFull, got)
		}
	}
}

// Nothing is left of a flood after Close.
func TestCloseWhileALinkFloods(t *testing.T) {
	l, _, _, _ := besideAnother(t)
	l.setApart(l.host, l.clientEnd, l.c0.Index)
	before := descriptors(t)
	if err := l.conn.Close(); err != nil {
		t.Fatal(err)
	}
	l.conn.rejoin()
	l.conn.part()
	if err := l.conn.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Close again: %v", err)
	}
	if after := descriptors(t); after >= before {
		t.Errorf("%d descriptors, %d before Close", after, before)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(maps), "socket:") {
		t.Error("a ring is still mapped")
	}
}
