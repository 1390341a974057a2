package udp

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// besideAnother is a rig whose relay serves a second link, with one more client.
func besideAnother(t testing.TB) (l *lab, c1 Link, other *node, otherEnd Link) {
	return besideAnotherWith(t, Options{})
}

func besideAnotherWith(t testing.TB, o Options) (l *lab, c1 Link, other *node, otherEnd Link) {
	l = newRig(t, o)
	l.conn.floods.period = time.Hour // no link comes back by itself
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
	eventually(l.t, "the link is apart", func() bool { return slices.Contains(l.conn.Flooding(), link) })
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

// It comes back when it has been calm for a whole period, and not before.
func TestFloodEnds(t *testing.T) {
	l, _, _, _ := besideAnother(t)
	l.setApart(l.host, l.clientEnd, l.c0.Index)
	now := l.conn.floods.links[0].since
	later := func(after time.Duration, apart bool, why string) {
		t.Helper()
		now = now.Add(after)
		l.conn.rejoin(now)
		if got := l.conn.Flooding(); slices.Equal(got, []int{l.c0.Index}) != apart || len(got) > 1 {
			t.Fatalf("%s: links %v are apart", why, got)
		}
	}
	flood(l.host, l.clientEnd, calm)
	l.drain()
	later(time.Hour-1, true, "before the period has ended")
	later(1, true, "after the flood")
	flood(l.host, l.clientEnd, calm-1)
	l.drain()
	later(time.Hour-1, true, "before the next period has ended")
	later(1, false, "after it was calm")
	before := l.conn.Stats()
	flood(l.host, l.clientEnd, ringFrames+10)
	if s := l.conn.Stats(); s.QueueFull-before.QueueFull != 10 || s.FloodFull != before.FloodFull {
		t.Errorf("queue full %d, flood full %d, want 10 and 0: the link is where all are", s.QueueFull-before.QueueFull, s.FloodFull-before.FloodFull)
	}
	if got := l.drain()[fmt.Sprint("flood on ", l.c0.Index)]; got != ringFrames {
		t.Errorf("%d messages, want %d", got, ringFrames)
	}
}

// A link that is set apart just before another is looked at has its own period.
func TestEachFloodHasItsOwnPeriod(t *testing.T) {
	l, c1, other, otherEnd := besideAnother(t)
	l.setApart(l.host, l.clientEnd, l.c0.Index)
	l.setApart(other, otherEnd, c1.Index)
	first, second := &l.conn.floods.links[0], &l.conn.floods.links[1]
	first.since = second.since.Add(1 - time.Hour)
	now := second.since.Add(1) // the first one's period ends, and the second has just begun
	flood(other, otherEnd, calm)
	l.drain()
	l.conn.rejoin(now)
	if got := l.conn.Flooding(); !slices.Equal(got, []int{c1.Index}) {
		t.Fatalf("links %v are apart, want only %d", got, c1.Index)
	}
	// What it sent before the other came back counts.
	l.conn.rejoin(now.Add(time.Hour - 1))
	if got := l.conn.Flooding(); !slices.Equal(got, []int{c1.Index}) {
		t.Fatalf("links %v are apart, want %d, which has flooded since", got, c1.Index)
	}
	l.conn.rejoin(now.Add(2*time.Hour - 1))
	if got := l.conn.Flooding(); len(got) != 0 {
		t.Errorf("links %v are apart after they were calm", got)
	}
	if l.conn.floods.timer != nil {
		t.Error("a timer runs for no link")
	}
}

// Where the kernel has no second ring, no link is told to be apart, the flood is
// told once however long it lasts, and the next one is set apart if it can be.
func TestFloodWithoutASecondQueue(t *testing.T) {
	var said bytes.Buffer
	l, c1, other, otherEnd := besideAnotherWith(t, Options{Logger: slog.New(slog.NewTextHandler(&said, nil))})
	f := &l.conn.floods
	real := f.second
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	// swap puts another descriptor into its place, under the lock that part holds.
	swap := func(s *socket) {
		l.conn.admin.Lock()
		defer l.conn.admin.Unlock()
		f.second = s
	}
	swap(&socket{fd: null, frames: true})
	flood(l.host, l.clientEnd, crowd)
	l.drain()
	refused := func() (at time.Time) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.refused
	}
	eventually(t, "the kernel has refused", func() bool { return !refused().IsZero() })
	at := refused()
	flood(other, otherEnd, crowd)
	l.drain()
	swap(real) // waits until part has ended, if it runs
	if got := l.conn.Flooding(); len(got) != 0 {
		t.Errorf("links %v are apart, and there is no ring for them", got)
	}
	if !refused().After(at) {
		t.Error("the flood is not seen to go on")
	}
	f.mu.Lock()
	f.refused = f.refused.Add(-time.Hour)
	f.mu.Unlock()
	l.setApart(other, otherEnd, c1.Index)
	l.setApart(l.host, l.clientEnd, l.c0.Index)
	swap(real) // part has ended, and logs no more
	var lines []string
	for line := range strings.Lines(said.String()) {
		_, line, _ = strings.Cut(line, "level=WARN ")
		lines = append(lines, line)
	}
	if len(lines) != 3 || !strings.Contains(lines[0], "no second queue") ||
		!strings.HasSuffix(lines[1], "links=[c1]\n") || !strings.HasSuffix(lines[2], "links=[c0]\n") {
		t.Errorf("the log says %q, want one refusal, c1 and c0", lines)
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
			l.conn.floods.links = append(l.conn.floods.links, flooding{link: 1000 + i})
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
	l.conn.rejoin(time.Now())
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
