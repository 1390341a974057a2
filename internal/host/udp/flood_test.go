package udp

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// besideAnother is a lab whose relay serves a second link, with one more client.
func besideAnother(t testing.TB, f Family) (l *lab, c1 Link, other *node, otherEnd Link) {
	return besideAnotherWith(t, Options{Family: f})
}

func besideAnotherWith(t testing.TB, o Options) (l *lab, c1 Link, other *node, otherEnd Link) {
	l = newRig(t, o)
	l.slow()
	l.relay.ip(fmt.Sprintf("link add c1 index 13 type veth peer name h1 index 103 netns %d", l.client.tid), "link set c1 up", "addr add 192.0.2.65/26 dev c1")
	l.client.ip("link set h1 up", "addr add 192.0.2.66/26 dev h1")
	c1, otherEnd = l.relay.upLink("c1"), l.client.upLink("h1")
	l.relay.setLinks(l.conn, l.c0, c1)
	return l, c1, l.client.udp(otherEnd.Source.String(), otherEnd.Index, l.clientPort), otherEnd
}

// besideAnotherInVRF is besideAnother with both links in a VRF.
func besideAnotherInVRF(t testing.TB, f Family) (l *lab, c1 Link, other *node, otherEnd Link) {
	l, c1, other, otherEnd = besideAnotherWith(t, Options{Family: f, ReceiveBuffer: 64 << 10}) // virtual machines are slow
	l.relay.ip("link add red type vrf table 100", "link set red up", "link set c0 master red", "link set c1 master red")
	l.c0, c1 = l.relay.upLink("c0"), l.relay.upLink("c1")
	l.c0.VRF, c1.VRF = "red", "red"
	l.relay.setLinks(l.conn, l.c0, c1)
	return l, c1, other, otherEnd
}

// slow keeps links apart for the whole test.
func (l *lab) slow() { l.conn.floods.period = time.Hour }

// flood sends this many messages, which nobody reads yet.
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

// drain reads until nothing is left, and counts the messages by payload and link.
func (l *lab) drain() map[string]int {
	l.t.Helper()
	got := map[string]int{}
	for l.conn.Receive(64, func(d *Datagram) { got[fmt.Sprint(string(d.Payload), " on ", d.Link)]++ }) > 0 {
	}
	return got
}

// A link that floods fills a queue of its own. Messages of another link are received; for those
// that are too many, the kernel drops and counts.
func TestFloodCostsNoOtherLink(t *testing.T) { both(t, floodCostsNoOtherLink) }

func floodCostsNoOtherLink(t *testing.T, f Family) {
	l, c1, other, otherEnd := besideAnother(t, f)
	l.setApart(l.host, l.clientEnd, l.c0.Index)
	flood(l.host, l.clientEnd, ringFrames+100)
	other.multicast(otherEnd.Index, []byte("renew"))
	got := l.drain()
	renew, floods := fmt.Sprint("renew on ", c1.Index), fmt.Sprint("flood on ", l.c0.Index)
	if got[renew] != 1 || got[floods] != ringFrames || len(got) != 2 {
		t.Errorf("got %v, want one %q and %d times %q", got, renew, ringFrames, floods)
	}
	if s := l.conn.Stats(); s.Drops["flood-queue-full"] != 100 || s.Drops["queue-full"] != 0 {
		t.Errorf("%d and %d found a queue full, want 100 in that of the flood and 0 in the other", s.Drops["flood-queue-full"], s.Drops["queue-full"])
	}
	// Another client on the link of the flood is heard as before, and once.
	l.host.multicast(l.clientEnd.Index, []byte("neighbour"))
	if got := l.drain(); len(got) != 1 || got[fmt.Sprint("neighbour on ", l.c0.Index)] != 1 {
		t.Errorf("got %v, want one message of the neighbour", got)
	}
}

// A link is apart until it has been calm for a whole period, and no longer.
func TestFloodEnds(t *testing.T) { both(t, floodEnds) }

func floodEnds(t *testing.T, f Family) {
	l, _, _, _ := besideAnother(t, f)
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
	if s := l.conn.Stats(); s.Drops["queue-full"]-before.Drops["queue-full"] != 10 || s.Drops["flood-queue-full"] != before.Drops["flood-queue-full"] {
		t.Errorf("queue full %d, flood full %d, want 10 and 0: the link is where all are", s.Drops["queue-full"]-before.Drops["queue-full"], s.Drops["flood-queue-full"]-before.Drops["flood-queue-full"])
	}
	if got := l.drain()[fmt.Sprint("flood on ", l.c0.Index)]; got != ringFrames {
		t.Errorf("%d messages, want %d", got, ringFrames)
	}
}

// A link that is set apart just before another is looked at has a period of its own.
func TestEachFloodHasItsOwnPeriod(t *testing.T) {
	l, c1, other, otherEnd := besideAnother(t, IPv6)
	l.setApart(l.host, l.clientEnd, l.c0.Index)
	l.setApart(other, otherEnd, c1.Index)
	first, second := &l.conn.floods.links[0], &l.conn.floods.links[1]
	first.since = second.since.Add(1 - time.Hour)
	now := second.since.Add(1) // the period of the first one ends, and that of the second has just begun
	flood(other, otherEnd, calm)
	l.drain()
	l.conn.rejoin(now)
	if got := l.conn.Flooding(); !slices.Equal(got, []int{c1.Index}) {
		t.Fatalf("links %v are apart, want only %d", got, c1.Index)
	}
	// What it sent before the other link came back counts.
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

// If the second ring cannot be made, no link counts as apart. The flood is logged once, however
// long it lasts, and the next flood is set apart if the ring can then be made.
func TestFloodWithoutASecondQueue(t *testing.T) {
	var said bytes.Buffer
	l, c1, other, otherEnd := besideAnotherWith(t, Options{Logger: slog.New(slog.NewTextHandler(&said, nil))})
	f := &l.conn.floods
	// part holds the same lock; so if part was running, it has ended.
	mapped := func(by func(fd int) ([]byte, error)) {
		l.conn.admin.Lock()
		defer l.conn.admin.Unlock()
		f.mapRing = by
	}
	mapped(func(int) ([]byte, error) { return nil, unix.ENOMEM })
	flood(l.host, l.clientEnd, crowd)
	l.drain()
	refused := func() (at time.Time) {
		l.conn.filters.Lock()
		defer l.conn.filters.Unlock()
		return f.refused
	}
	eventually(t, "the kernel has refused", func() bool { return !refused().IsZero() })
	at := refused()
	flood(other, otherEnd, crowd)
	l.drain()
	mapped(mapRing)
	if got := l.conn.Flooding(); len(got) != 0 {
		t.Errorf("links %v are apart, and there is no ring for them", got)
	}
	if !refused().After(at) {
		t.Error("the flood is not seen to go on")
	}
	l.conn.filters.Lock()
	f.refused = f.refused.Add(-time.Hour)
	l.conn.filters.Unlock()
	l.setApart(other, otherEnd, c1.Index)
	l.setApart(l.host, l.clientEnd, l.c0.Index)
	mapped(mapRing) // part has ended, and logs no more
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

// A link that is not served has no message for us. It fills the queue all the same.
func TestFloodOnALinkThatIsNotServed(t *testing.T) {
	l, c1, other, otherEnd := besideAnother(t, IPv6)
	stranger := l.server.udp("::", 0, 546)
	s0 := l.server.link("s0")
	l.setApart(stranger, s0, l.u0.Index)
	flood(stranger, s0, 2*ringFrames)
	other.multicast(otherEnd.Index, []byte("renew"))
	if got := l.drain(); len(got) != 1 || got[fmt.Sprint("renew on ", c1.Index)] != 1 {
		t.Errorf("got %v, want the message of the link that is served", got)
	}
	if s := l.conn.Stats(); s.Drops["queue-full"] != 0 || s.Drops["flood-queue-full"] != ringFrames || s.Drops["not-client-link"] != crowd+ringFrames {
		t.Errorf("queue full %d, flood full %d, not a client link %d; want 0, %d, %d", s.Drops["queue-full"], s.Drops["flood-queue-full"], s.Drops["not-client-link"], ringFrames, crowd+ringFrames)
	}
}

// A burst that does not come from one link sets no link apart.
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
	// The frames of the ring look as if they came from the greatest number of links that all stay
	// below the limit for one link.
	flood(l.host, l.clientEnd, 1)
	for n := range crowd {
		r.conn.frames.ring.memory[n*ringFrame+ringName+4] = byte(1 + n/(crowdOne-1))
	}
	r.look()
	if got := l.conn.Flooding(); len(got) != 0 {
		t.Errorf("links %v are apart, want none with fewer than %d", got, crowdOne)
	}
}

// lines are point-to-point links of a relay whose Conn nobody reads yet. Packets are written to
// their files. ppp0 will flood, ppp1 will not.
type lines struct {
	*lab
	links [2]Link
	files [2]int
}

// newLines makes the lines in a VRF, or in no VRF if its name is empty.
func newLines(t *testing.T, vrf string) *lines {
	l := &lines{lab: &lab{t: t, relay: newNamespace(t)}}
	if vrf != "" {
		l.relay.need("link add " + vrf + " type vrf table 100")
		l.relay.ip("link set " + vrf + " up")
	}
	for i := range l.links {
		name := fmt.Sprint("ppp", i)
		l.files[i] = l.relay.tun(name)
		if vrf != "" {
			l.relay.ip("link set " + name + " master " + vrf)
		}
		l.relay.ip("link set "+name+" addrgenmode none", "link set "+name+" up", "addr add fe80::a/64 dev "+name+" nodad")
		l.links[i] = l.relay.upLink(name)
		l.links[i].VRF = vrf
	}
	l.conn = l.relay.open(Options{})
	l.slow()
	l.relay.setLinks(l.conn, l.links[:]...)
	return l
}

// says has a client on a line send a message this many times.
func (l *lines) says(line int, message string, times int) {
	l.t.Helper()
	p := packet(l.t, netip.MustParseAddr("fe80::b"), message, nil)
	for range times {
		if _, err := unix.Write(l.files[line], p); err != nil {
			l.t.Fatal(err)
		}
	}
}

// A point-to-point link that floods fills a queue of its own, as any link does.
func TestFloodOnAPointToPointLink(t *testing.T) { newLines(t, "").floodOnOne() }

func TestFloodOnAPointToPointLinkInVRF(t *testing.T) { newLines(t, "red").floodOnOne() }

func (l *lines) floodOnOne() {
	l.t.Helper()
	flooding, other := l.links[0].Index, l.links[1].Index
	l.says(0, "flood", crowd)
	if got := l.drain(); got[fmt.Sprint("flood on ", flooding)] != crowd || len(got) != 1 {
		l.t.Errorf("got %v, want each message once", got)
	}
	eventually(l.t, "the link is apart", func() bool { return slices.Contains(l.conn.Flooding(), flooding) })
	l.says(0, "flood", ringFrames+100)
	l.says(1, "renew", 1)
	got := l.drain()
	if got[fmt.Sprint("renew on ", other)] != 1 || got[fmt.Sprint("flood on ", flooding)] != ringFrames || len(got) != 2 {
		l.t.Errorf("got %v, want one renew on %d and %d times flood on %d", got, other, ringFrames, flooding)
	}
	if s := l.conn.Stats(); s.Drops["flood-queue-full"] != 100 || s.Drops["queue-full"] != 0 {
		l.t.Errorf("%d and %d found a queue full, want 100 in that of the flood and 0 in the other", s.Drops["flood-queue-full"], s.Drops["queue-full"])
	}
	l.conn.rejoin(time.Now().Add(time.Hour))
	l.conn.rejoin(time.Now().Add(3 * time.Hour))
	if got := l.conn.Flooding(); len(got) != 0 {
		l.t.Fatalf("links %v are apart after they were calm", got)
	}
	l.says(0, "calm", 1)
	if got := l.drain(); got[fmt.Sprint("calm on ", flooding)] != 1 || len(got) != 1 {
		l.t.Errorf("got %v, want the message once", got)
	}
}

// way is a way by which a message comes to a UDP socket. option, if any, is an extension header,
// which the frame path does not take.
type way struct {
	name    string
	family  Family
	option  int
	size    int
	unicast bool
}

var ways = []way{
	{"options", IPv6, unix.IPV6_HOPOPTS, 20, false},
	{"fragments", IPv6, 0, 20_000, false},
	{"unicast", IPv6, 0, 20, true},
	{"unicast in fragments", IPv6, 0, 20_000, true},
	{"fragments of IPv4", IPv4, 0, 20_000, false},
	{"unicast of IPv4", IPv4, 0, 20, true},
	{"unicast in fragments of IPv4", IPv4, 0, 20_000, true},
}

// A link that fills the queue of a UDP socket does not affect other links either.
func TestFloodBySocketCostsNoOtherLink(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) { floodBySocket(t, way, besideAnother) })
	}
}

// Nor does it in a VRF. Multicast of the link that floods is not heard meanwhile. In IPv4 there
// is no multicast, and no filter of a socket can distinguish the links of a VRF: fragments that
// are broadcast there take the room of other links' fragments.
func TestFloodBySocketInVRFCostsNoOtherLink(t *testing.T) {
	newNamespace(t).need("link add red type vrf table 100")
	for _, way := range ways {
		if way.family == IPv4 && !way.unicast {
			continue
		}
		t.Run(way.name, func(t *testing.T) { floodBySocket(t, way, besideAnotherInVRF) })
	}
}

func floodBySocket(t *testing.T, way way, rig func(testing.TB, Family) (*lab, Link, *node, Link)) {
	l, c1, other, otherEnd := rig(t, way.family)
	if way.option != 0 {
		padding := []byte{0, 0, 1, 4, 0, 0, 0, 0}
		l.host.option(way.option, padding)
		other.option(way.option, padding)
	}
	message := strings.Repeat("x", way.size)
	says := func(from *node, end, relay Link, times int) {
		to := l.family.profile().group
		if way.unicast {
			to = relay.Source
		}
		for range times {
			from.send(to, end.Index, l.port, []byte(message))
		}
	}
	fromFlood, fromOther := fmt.Sprint(message, " on ", l.c0.Index), fmt.Sprint(message, " on ", c1.Index)
	// So many that some find the queue full, even if others have been read.
	fill := 2 * l.conn.options.ReceiveBuffer / (datagramRoom + way.size)
	says(l.host, l.clientEnd, l.c0, 2*fill)
	l.drain()
	eventually(t, "the link is apart", func() bool { return slices.Equal(l.conn.Flooding(), []int{l.c0.Index}) })
	before := l.conn.Stats()
	says(l.host, l.clientEnd, l.c0, 2*fill)
	says(other, otherEnd, c1, 1)
	got := l.drain()
	if n := got[fromOther]; n != 1 {
		t.Errorf("the other link's message came %d times, want once", n)
	}
	muted := l.c0.VRF != "" && !way.unicast
	if n := got[fromFlood]; (n == 0) != muted || n > 2*fill-1 {
		t.Errorf("%d messages of the link that floods came, want some of %d, and none if it is muted: %v", n, 2*fill, muted)
	}
	after := l.conn.Stats() // in IPv4 the kernel does not tell where it lost some
	if lost := after.Drops["flood-queue-full"] - before.Drops["flood-queue-full"]; after.Drops["queue-full"] != before.Drops["queue-full"] || lost == 0 && way.unicast && way.family == IPv6 {
		t.Errorf("%d more found the queue of all full, and %d that of the flood", after.Drops["queue-full"]-before.Drops["queue-full"], lost)
	}
	// Afterwards each is heard once.
	l.conn.rejoin(time.Now().Add(2 * time.Hour))
	l.conn.rejoin(time.Now().Add(4 * time.Hour))
	if got := l.conn.Flooding(); len(got) != 0 {
		t.Fatalf("links %v are apart after they were calm", got)
	}
	says(l.host, l.clientEnd, l.c0, 1)
	says(other, otherEnd, c1, 1)
	if got := l.drain(); got[fromFlood] != 1 || got[fromOther] != 1 {
		t.Errorf("after the flood %d and %d messages came, want one of each link", got[fromFlood], got[fromOther])
	}
}

// A link keeps a socket of its own until another link needs it, and if there are more such links
// than sockets, no longer than it floods. A socket that changes over takes what comes from its
// new link, and each message comes once.
func TestSocketsOfSingleLinks(t *testing.T) { both(t, socketsOfSingleLinks) }

func socketsOfSingleLinks(t *testing.T, f Family) {
	l := newRig(t, Options{Family: f})
	c := l.conn
	c.admin.Lock()
	defer c.admin.Unlock()
	l.relay.do(func() error { return c.createOwn("red") })
	const first = 200
	var apart []int
	for i := range maxOwn {
		l.relay.ip(fmt.Sprintf("link add d%d index %d type veth peer name e%d", i, first+i, i))
		if err := c.giveOwn(first+i, apart); err != nil {
			t.Fatalf("link %d: %v", i, err)
		}
		apart = append(apart, first+i)
	}
	if err := c.giveOwn(l.c0.Index, apart); !errors.Is(err, errNoneLeft) {
		t.Errorf("one link more: %v, want %v", err, errNoneLeft)
	}
	for range 2 { // at the second time it has the socket
		if err := c.giveOwn(l.c0.Index, slices.Delete(slices.Clone(apart), 3, 4)); err != nil {
			t.Errorf("when one is not apart any more: %v", err)
		}
	}
	for _, s := range c.floods.own {
		if s.at.Index == first+3 {
			t.Error("the link that was not apart has a socket still")
		}
	}
	l.host.send(l.c0.Source, l.clientEnd.Index, l.port, []byte("unicast"))
	if got := l.drain(); len(got) != 1 || got[fmt.Sprint("unicast on ", l.c0.Index)] != 1 || c.in.apart[l.c0.Index] != 1 {
		t.Errorf("got %v, %d of it by the link's own socket, want one", got, c.in.apart[l.c0.Index])
	}
}

// Each message comes once, by each way, before a link is set apart, while it is apart, and
// afterwards.
func TestEachMessageOnceWhileQueuesChange(t *testing.T) { both(t, eachMessageOnceWhileQueuesChange) }

func eachMessageOnceWhileQueuesChange(t *testing.T, f Family) {
	l, _, _, _ := besideAnother(t, f)
	now := time.Now()
	for round := range 6 {
		name := fmt.Sprint("round ", round)
		want := map[string]int{}
		for i, to := range []netip.Addr{f.profile().group, l.c0.Source} {
			for j, size := range []int{20, 3000} {
				message := fmt.Sprint(name, i, j, strings.Repeat("x", size))
				l.host.send(to, l.clientEnd.Index, l.port, []byte(message))
				want[fmt.Sprint(message, " on ", l.c0.Index)] = 1
			}
		}
		if got := l.drain(); !maps.Equal(got, want) {
			t.Errorf("%s: got %d different messages %v, want %d, each once", name, len(got), slices.Collect(maps.Values(got)), len(want))
		}
		if apart := len(l.conn.Flooding()) == 1; apart != (round%2 == 1) {
			t.Fatalf("%s: the link is apart: %v", name, apart)
		}
		if round%2 == 0 {
			l.conn.hear(l.c0.Index, l.conn.frames)
			eventually(t, "the link is apart", func() bool { return len(l.conn.Flooding()) == 1 })
			continue
		}
		now = now.Add(2 * time.Hour)
		l.conn.rejoin(now)
		now = now.Add(2 * time.Hour)
		l.conn.rejoin(now)
	}
}

// No unicast is lost, not even when a link is just being set apart.
func TestUnicastWhileQueuesChange(t *testing.T) { both(t, unicastWhileQueuesChange) }

func unicastWhileQueuesChange(t *testing.T, f Family) {
	const messages, changes = 2000, 50
	l, _, _, _ := besideAnother(t, f)
	in := read(t, l.conn)
	changed, sent := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(changed)
		now := time.Now()
		for n := 0; ; n++ {
			select {
			case <-sent:
				if n >= changes {
					return
				}
			default:
			}
			l.conn.hear(l.c0.Index, l.conn.frames)
			for len(l.conn.Flooding()) == 0 {
				runtime.Gosched()
			}
			for len(l.conn.Flooding()) > 0 {
				now = now.Add(2 * time.Hour)
				l.conn.rejoin(now)
			}
		}
	}()
	for i := range messages {
		l.host.send(l.c0.Source, l.clientEnd.Index, l.port, fmt.Append(nil, i))
		// Never more messages are under way than the queue holds.
		if got := string(in.next().Payload); got != fmt.Sprint(i) {
			t.Errorf("got %s, want %d", got, i)
		}
	}
	close(sent)
	<-changed
	in.empty()
}

// However many links are apart, each frame comes once, those of the last link too.
func TestFiltersOfManyFloods(t *testing.T) { both(t, filtersOfManyFloods) }

func filtersOfManyFloods(t *testing.T, f Family) {
	for _, n := range []int{1, 2, maxFloods} {
		l, c1, other, otherEnd := besideAnother(t, f)
		l.conn.filters.Lock()
		for i := range n - 1 {
			l.conn.floods.links = append(l.conn.floods.links, flooding{link: 1000 + i})
		}
		l.conn.filters.Unlock()
		l.setApart(l.host, l.clientEnd, l.c0.Index)
		if got := len(l.conn.Flooding()); got != n {
			t.Fatalf("%d links are apart, want %d", got, n)
		}
		flood(l.host, l.clientEnd, ringFrames+1)
		other.multicast(otherEnd.Index, []byte("renew"))
		got := l.drain()
		if s := l.conn.Stats(); s.Drops["flood-queue-full"] != 1 || s.Drops["queue-full"] != 0 || got[fmt.Sprint("renew on ", c1.Index)] != 1 {
			t.Errorf("%d links: flood full %d, queue full %d, got %v", n, s.Drops["flood-queue-full"], s.Drops["queue-full"], got)
		}
	}
}

// Close ends everything that a flood has started.
func TestCloseWhileALinkFloods(t *testing.T) {
	l, _, _, _ := besideAnother(t, IPv6)
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
