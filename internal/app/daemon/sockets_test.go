package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/app/engine"
	"fairlead/internal/app/role"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/udp"
)

// wires is sockets that have what is put there, and write down what is opened.
type wires struct {
	waiting []udp.Datagram
	opened  []string
	links   []udp.Link
	refuse  error
	end     error // of Wait, once nothing is there any more; nil: closed
	sent    []udp.Outgoing
}

func (w *wires) Wait() error {
	if len(w.waiting) == 0 {
		return cmp.Or(w.end, net.ErrClosed)
	}
	return nil
}

func (w *wires) Receive(limit int, handle func(*udp.Datagram)) int {
	n := min(limit, len(w.waiting))
	for i := range n {
		handle(&w.waiting[i])
	}
	w.waiting = w.waiting[n:]
	return n
}

func (w *wires) Send(batch []udp.Outgoing, failed func(int, error)) {
	w.sent = append(w.sent, batch...)
	failed(len(batch)-1, w.refuse)
}

func (w *wires) Source(to netip.Addr, _ string) (netip.Addr, error) { return to.Next(), w.refuse }

func (w *wires) SetLinks(client []udp.Link) error {
	w.links = client
	return w.refuse
}

func (w *wires) AddLocal(at udp.Local) error {
	w.opened = append(w.opened, "open "+at.Addr.String())
	return w.refuse
}

func (w *wires) RemoveLocal(at udp.Local) error {
	w.opened = append(w.opened, "close "+at.Addr.String())
	return nil
}

// listener is a player that writes down what it was fed, and hears messages that begin
// with a letter of its own from everywhere.
type listener struct {
	role.Player
	letter byte
	inbox  *engine.Inbox
	fed    []string
	in     engine.Receiver
	out    role.Sockets
}

func newListener(letter byte) *listener {
	l := &listener{letter: letter, inbox: engine.NewInbox()}
	l.inbox.Configure(l, nil)
	return l
}

func (l *listener) Inbox() *engine.Inbox                      { return l.inbox }
func (l *listener) Hears(d *udp.Datagram) bool                { return d.Payload[0] == l.letter }
func (l *listener) Open(in engine.Receiver, out role.Sockets) { l.in, l.out = in, out }
func (l *listener) AsksForChange([]byte) bool                 { return false }

func (l *listener) Classify(p *inbound.Packet) engine.Arrival {
	l.fed = append(l.fed, string(p.Payload))
	return engine.Arrival{}
}

// feeds is an inbox that counts.
type feeds struct {
	fed, told int
	always    func() // called for each datagram; nil: nothing is
}

func (f *feeds) Feed(instant.Instant, *udp.Datagram) {
	f.fed++
	if f.always != nil {
		f.always()
	}
}
func (f *feeds) Tell()                      { f.told++ }
func (f *feeds) Judge(instant.Instant) bool { return f.fed > 0 }

// shareSockets are sockets that roles share, opened.
func shareSockets(conn shared, players ...*listener) *sockets {
	s := newSockets(conn)
	for _, p := range players {
		s.add(p)
	}
	s.open()
	return s
}

// What comes in on a link goes to the role that has its clients there, what comes in
// elsewhere to the role that hears it, and the rest to the first.
func TestWhoIsFed(t *testing.T) {
	conn := new(wires)
	a, b := newListener('a'), newListener('b')
	s := shareSockets(conn, a, b)
	for _, open := range []struct {
		of    *listener
		links []udp.Link
	}{{a, []udp.Link{{Index: 7}, {Index: 5}}}, {b, []udp.Link{{Index: 6}, {Index: 5}}}} {
		if err := open.of.out.SetLinks(open.links); err != nil {
			t.Fatal(err)
		}
	}
	var indexes []int
	for _, l := range conn.links {
		indexes = append(indexes, l.Index)
	}
	if !slices.Equal(indexes, []int{5, 6, 7}) {
		t.Errorf("the sockets hear the links %v, want those of both roles, each once", indexes)
	}
	say := func(link int, text string) {
		conn.waiting = append(conn.waiting, udp.Datagram{Link: link, Payload: []byte(text)})
	}
	say(7, "b on a's link")
	say(6, "a on b's link")
	say(5, "b on the link of both")
	say(9, "a from elsewhere")
	say(9, "b from elsewhere")
	say(9, "x from elsewhere")
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"b on a's link", "b on the link of both", "a from elsewhere", "x from elsewhere"}
	if !slices.Equal(a.fed, want) {
		t.Errorf("the first role was fed %q, want %q", a.fed, want)
	}
	if want := []string{"a on b's link", "b from elsewhere"}; !slices.Equal(b.fed, want) {
		t.Errorf("the second role was fed %q, want %q", b.fed, want)
	}

	// A link that a role lets go of is nobody's, or the other's.
	if err := a.out.SetLinks(nil); err != nil {
		t.Fatal(err)
	}
	a.fed, b.fed = nil, nil
	say(5, "on the link of both")
	say(7, "b on no link")
	if !s.judge(0) {
		t.Error("all has come, and the sockets do not count as empty")
	}
	if len(a.fed) > 0 || len(b.fed) != 2 {
		t.Errorf("once the first role has no links it was fed %q, the second %q", a.fed, b.fed)
	}
}

// A role that is alone reads by itself.
func TestOneRoleReadsByItself(t *testing.T) {
	conn := new(wires)
	a := newListener('a')
	s := shareSockets(conn, a)
	conn.waiting = make([]udp.Datagram, 1)
	if a.in != engine.Receiver(conn) || a.out != role.Sockets(conn) {
		t.Error("a role that is alone does not have the sockets themselves")
	}
	if err := s.run(t.Context()); err != nil {
		t.Errorf("nobody has to be fed, and that ended in %v", err)
	}
	if len(conn.waiting) != 1 {
		t.Error("what a role that is alone would read was taken away")
	}
	for fed, empty := range []bool{false, true} {
		if s.shares[0].inbox = (&feeds{fed: fed}); s.judge(0) != empty {
			t.Errorf("whether the sockets are empty is not what the role's inbox says: %v", empty)
		}
	}
	if !(*sockets)(nil).judge(0) {
		t.Error("sockets that are not open are empty")
	}
}

// Each role is told once of what it was fed in one go, and not where that is nothing. What
// does not fit into one go comes in the next.
func TestWhoIsTold(t *testing.T) {
	conn := new(wires)
	a, b := newListener('a'), newListener('b')
	s := shareSockets(conn, a, b)
	if a.in != nil || b.in != nil {
		t.Error("roles that share the sockets read from them")
	}
	if err := b.out.SetLinks([]udp.Link{{Index: 6}}); err != nil {
		t.Fatal(err)
	}
	first, second := new(feeds), new(feeds)
	s.shares[0].inbox, s.shares[1].inbox = first, second
	several := func(n, link int) {
		for range n {
			conn.waiting = append(conn.waiting, udp.Datagram{Link: link, Payload: []byte{0}})
		}
	}
	several(3, 6)
	if !s.judge(0) || second.fed != 3 || second.told != 1 || first.told != 0 {
		t.Errorf("the second role was fed %d and told %d times, the first told %d times", second.fed, second.told, first.told)
	}
	several(atOnce+1, 5)
	if !s.judge(0) || first.fed != atOnce+1 || first.told != 2 || second.told != 1 {
		t.Errorf("the first role was fed %d and told %d times, the second told %d times", first.fed, first.told, second.told)
	}

	// There is an end to it where more comes than can be taken.
	first.always = func() { several(1, 5) }
	several(1, 5)
	if s.judge(0) {
		t.Error("sockets that fill as they are emptied count as empty")
	}
}

// Who feeds the roles ends well with the process, and where the sockets are closed; another
// failure is told.
func TestFeedingEnds(t *testing.T) {
	conn := &wires{end: errors.New("no memory")}
	s := shareSockets(conn, newListener('a'), newListener('b'))
	if err := s.run(t.Context()); !errors.Is(err, conn.end) {
		t.Errorf("the sockets fail: %v", err)
	}
	ctx, end := context.WithCancel(t.Context())
	end()
	if err := s.run(ctx); err != nil {
		t.Errorf("the process ends: %v", err)
	}
	conn.end = nil
	if err := s.run(t.Context()); err != nil {
		t.Errorf("the sockets are closed: %v", err)
	}
}

// What a role sends is the sockets' to send, and the links that it names are its own even
// if it uses their memory again.
func TestShareOfTheSockets(t *testing.T) {
	conn := &wires{refuse: errors.New("not there")}
	a, b := newListener('a'), newListener('b')
	s := shareSockets(conn, a, b)
	failed := -1
	a.out.Send(make([]udp.Outgoing, 2), func(i int, err error) {
		if errors.Is(err, conn.refuse) {
			failed = i
		}
	})
	if len(conn.sent) != 2 || failed != 1 {
		t.Errorf("%d datagrams were sent, and number %d failed; want 2, and the last", len(conn.sent), failed)
	}
	to := netip.MustParseAddr("2001:db8::1")
	if got, err := a.out.Source(to, ""); got != to.Next() || !errors.Is(err, conn.refuse) {
		t.Errorf("the source of what goes to %v: %v, %v", to, got, err)
	}
	links := []udp.Link{{Index: 7}}
	if err := a.out.SetLinks(links); !errors.Is(err, conn.refuse) {
		t.Errorf("links that cannot be opened: %v", err)
	}
	conn.refuse, links[0].Index = nil, 8
	if err := b.out.SetLinks(nil); err != nil {
		t.Fatal(err)
	}
	if s.owner[7] != s.shares[0] || len(s.owner) != 1 {
		t.Error("a role has changed its links without a word")
	}
}

// What two roles speak from is opened once, and closed once the last has let go of it.
// What cannot be opened is nobody's.
func TestLocalsAreShared(t *testing.T) {
	conn := new(wires)
	a, b := newListener('a'), newListener('b')
	shareSockets(conn, a, b)
	at := udp.Local{Addr: netip.MustParseAddr("2001:db8::1")}
	conn.refuse = errors.New("not there")
	if err := a.out.AddLocal(at); !errors.Is(err, conn.refuse) {
		t.Errorf("a socket that cannot be opened: %v", err)
	}
	conn.refuse, conn.opened = nil, nil
	for _, err := range []error{a.out.AddLocal(at), b.out.AddLocal(at), a.out.RemoveLocal(at), b.out.RemoveLocal(at), b.out.RemoveLocal(at), b.out.AddLocal(at)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// That one closes what is not open is for the sockets to judge.
	if want := []string{"open 2001:db8::1", "close 2001:db8::1", "close 2001:db8::1", "open 2001:db8::1"}; !slices.Equal(conn.opened, want) {
		t.Errorf("got %q, want %q", conn.opened, want)
	}
}

// Each role hears of each link, in order, until the watch ends.
func TestSpread(t *testing.T) {
	events := make(chan netlink.Event)
	if one := spread(t.Context(), events, 1); len(one) != 1 || one[0] != (<-chan netlink.Event)(events) {
		t.Error("one role does not have the events themselves")
	}
	watch, end := context.WithCancel(t.Context())
	defer end()
	out := spread(watch, events, 3)
	heard := make(chan string)
	for i, role := range out {
		go func() {
			all := ""
			for e := range role {
				all += e.Removed
			}
			heard <- fmt.Sprint(i, all)
		}()
	}
	for _, name := range []string{"a", "b", "c"} {
		events <- netlink.Event{Removed: name}
	}
	close(events)
	var got []string
	for range out {
		got = append(got, <-heard)
	}
	slices.Sort(got)
	if want := []string{"0abc", "1abc", "2abc"}; !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// A role that does not listen any more holds nobody up once the watch has ended.
func TestSpreadEnds(t *testing.T) {
	watch, end := context.WithCancel(t.Context())
	events := make(chan netlink.Event, 1)
	out := spread(watch, events, 2)
	events <- netlink.Event{Removed: "a"}
	end()
	close(events)
	for _, role := range out {
		select {
		case _, open := <-role:
			if open {
				for range role {
					continue
				}
			}
		case <-time.After(time.Minute):
			t.Fatal("the end of the watch is not told")
		}
	}
}
