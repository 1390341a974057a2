package engine

import (
	"bytes"
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"fairlead/internal/core/admission"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// arrivals is a receiver that has its datagrams in one buffer, which the next datagram
// overwrites, as the sockets' buffers are.
type arrivals struct {
	mu      sync.Mutex
	waiting []udp.Datagram
	wake    chan struct{}
	closed  chan struct{}
}

func newArrivals() *arrivals {
	return &arrivals{wake: make(chan struct{}, 1), closed: make(chan struct{})}
}

func (a *arrivals) come(d ...udp.Datagram) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = append(a.waiting, d...)
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *arrivals) Wait() error {
	select {
	case <-a.wake:
		return nil
	case <-a.closed:
		return net.ErrClosed
	}
}

func (a *arrivals) Receive(limit int, handle func(*udp.Datagram)) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := min(limit, len(a.waiting))
	var buffer [1 << 16]byte
	for _, d := range a.waiting[:n] {
		d.Payload = buffer[:copy(buffer[:], d.Payload)]
		handle(&d)
		clear(d.Payload)
	}
	a.waiting = a.waiting[n:]
	return n
}

func addr(host byte) netip.Addr { return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: host}) }

// from is a datagram from a host on a link.
func from(link int, host byte, payload ...byte) udp.Datagram {
	return udp.Datagram{
		Link: link, Source: netip.AddrPortFrom(addr(host), 546),
		MAC: [8]byte{2, 0, 0, 0, 0, host}, MACLen: 6, Payload: payload,
	}
}

// hosts is a classifier for which everything that comes by a client-facing link is from a client.
// A message that begins as a Renew asks for Changes. The second octet of a Relay-forward tells the
// client, and the message of the client follows.
type hosts struct{}

func (hosts) Classify(p *inbound.Packet) Arrival {
	if p.Link == uplink {
		return Arrival{Class: admission.Answers, Source: admission.SourceOf(p.LinkLayer, p.Source.Addr())}
	}
	a := Arrival{Class: admission.Clients, Source: admission.SourceOf(p.LinkLayer, p.Source.Addr()), Limited: true}
	if len(p.Payload) > 1 && p.Payload[0] == byte(dhcp6.RelayForward) {
		a.Source = a.Source.ForMany()
		a.Client, a.ClientMessage = admission.SourceOf(linkaddr.Addr{}, addr(p.Payload[1])), p.Payload[2:]
	}
	return a
}

func (hosts) AsksForChange(payload []byte) bool {
	return len(payload) > 0 && payload[0] == byte(dhcp6.Renew)
}

// newTestInbox returns an inbox of two client-facing links that have these limits, and an uplink.
func newTestInbox(limits admission.Limits) (*Inbox, *arrivals) {
	a := newArrivals()
	in := NewInbox()
	in.open(a, false)
	in.Configure(hosts{}, map[int]admission.Limits{linkA: limits, linkB: limits})
	return in, a
}

// drainAll drains until the sockets are empty and returns what was admitted.
func drainAll(in *Inbox, at instant.Instant) (all []*message) {
	for in.drain(at) {
		continue
	}
	all, _ = in.next(nil, 1<<20)
	return all
}

// A host that floods loses what it sends above the limit. Its neighbours lose nothing, and every
// drop is counted on the link.
func TestInboxFloodCostsTheFlooder(t *testing.T) {
	in, a := newTestInbox(admission.Limits{Source: admission.Rate{PerSecond: 10, Burst: 20}})
	const flood, honest = 5000, 30
	for i := range flood {
		a.come(from(linkA, 1, byte(dhcp6.Solicit)))
		if i%(flood/honest) == 0 {
			a.come(from(linkA, byte(2+i*honest/flood), byte(dhcp6.Renew)))
		}
	}
	admitted := map[byte]int{}
	for _, m := range drainAll(in, 1e9) {
		admitted[m.Source.Addr().As16()[15]]++
	}
	if admitted[1] != 20 {
		t.Errorf("%d messages of the flood admitted, want its burst of 20", admitted[1])
	}
	if len(admitted) != honest+1 {
		t.Errorf("%d sources heard, want %d", len(admitted), honest+1)
	}
	want := map[discard]uint64{{linkA, effect.DropRateSource}: flood - 20}
	if got := in.discards.lost; len(got) != 1 || got[discard{linkA, effect.DropRateSource}] != flood-20 {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// Without limits the queue is what bounds. A host that floods gets the room that nobody else asks
// for, and what finds no room is counted.
func TestInboxFullQueueIsFair(t *testing.T) {
	in, a := newTestInbox(admission.Limits{})
	total := admission.DefaultBounds()[admission.Clients].Total
	for i := range 3 * total {
		a.come(from(linkA, 1, byte(dhcp6.Solicit), byte(i)))
	}
	for host := range byte(100) {
		a.come(from(linkB, 100+host, byte(dhcp6.Solicit)))
	}
	got := drainAll(in, 1e9)
	others := 0
	for _, m := range got {
		if m.Link == linkB {
			others++
		}
	}
	if others != 100 {
		t.Errorf("%d of the other link's messages admitted, want all 100", others)
	}
	dropped := in.discards.lost[discard{linkA, effect.DropQueueFull}]
	if len(in.discards.lost) != 1 || int(dropped)+len(got) != 3*total+100 {
		t.Errorf("%d admitted and %v counted of %d", len(got), in.discards.lost, 3*total+100)
	}
}

// A client that floods through a relay agent keeps nobody else behind that relay agent from the
// queue, and what its message asks for is found inside that of the relay agent.
func TestInboxClientsBehindARelay(t *testing.T) {
	in, a := newTestInbox(admission.Limits{})
	through := func(client byte, message dhcp6.MessageType) udp.Datagram {
		return from(linkA, 1, byte(dhcp6.RelayForward), client, byte(message))
	}
	for range 5000 {
		a.come(through(1, dhcp6.Renew))
	}
	for client := range byte(100) {
		a.come(through(100+client, dhcp6.Renew))
	}
	in.pauseChanges(true)
	if got := drainAll(in, 1e9); len(got) != 0 {
		t.Errorf("%d Renews are handed out while Changes wait", len(got))
	}
	in.pauseChanges(false)
	heard := map[byte]int{}
	first, _ := in.next(nil, 101)
	for _, m := range first {
		heard[m.Payload[1]]++
	}
	if len(heard) != 101 {
		t.Errorf("the first 101 messages are of %d clients, want one of each of 101", len(heard))
	}
}

// Answers of servers are handed out before questions of clients.
func TestInboxAnswersGoFirst(t *testing.T) {
	in, a := newTestInbox(admission.Limits{})
	a.come(from(linkA, 1, byte(dhcp6.Solicit)), from(linkA, 4, byte(dhcp6.RelayReply)), from(linkA, 2), from(uplink, 4, byte(dhcp6.RelayReply), 99))
	got := drainAll(in, 1e9)
	if len(got) != 4 || len(got[0].Payload) != 2 {
		t.Errorf("%d messages, the first with %d octets; want 4, and the server's first", len(got), len(got[0].Payload))
	}
}

// The inbox has its own copy of what it admits, and uses memory again. The number of long
// messages is bounded.
func TestInboxKeepsItsOwnCopies(t *testing.T) {
	in, a := newTestInbox(admission.Limits{})
	long := bytes.Repeat([]byte{7}, 60000)
	for range maxLong + 10 {
		a.come(from(linkA, 1, long...))
	}
	batch := drainAll(in, 1e9)
	if len(batch) != maxLong || !bytes.Equal(batch[0].Payload, long) {
		t.Fatalf("%d long messages, want %d with all octets", len(batch), maxLong)
	}
	if n := in.discards.lost[discard{linkA, effect.DropQueueFull}]; n != 10 {
		t.Errorf("%d counted, want 10", n)
	}
	in.done(batch)
	for round := range byte(3) {
		a.come(from(linkA, 1, 1, round), from(linkA, 2, 2, round))
		batch = drainAll(in, 1e9)
		if len(batch) != 2 || !bytes.Equal(batch[0].Payload, []byte{1, round}) || !bytes.Equal(batch[1].Payload, []byte{2, round}) {
			t.Fatalf("round %d: %d messages", round, len(batch))
		}
		in.done(batch)
	}
	if len(in.free) != 2 || in.long != 0 {
		t.Errorf("%d free and %d long, want 2 and 0", len(in.free), in.long)
	}
}

// feed plays the reader of sockets that several inboxes share, of which this is one.
func feed(in *Inbox, a *arrivals) error {
	for {
		if err := a.Wait(); err != nil {
			return err
		}
		for a.Receive(drainAtOnce, func(d *udp.Datagram) { in.Feed(1, d) }) > 0 {
			in.Tell()
		}
	}
}

// The whole loop, with and without senders of its own, reading by itself or fed: each message is
// forwarded once, whole, although the memory of the sockets and of the messages is used again.
func TestLoopForwardsEverything(t *testing.T) {
	for name, c := range map[string]struct {
		cores int
		fed   bool
	}{"one core": {1, false}, "many cores": {3, false}, "one core, fed": {1, true}, "many cores, fed": {3, true}} {
		t.Run(name, func(t *testing.T) {
			l, q := newQuietLoop(t)
			a := newArrivals()
			receive := func() error { return l.inbox.Run(t.Context()) }
			if c.fed {
				l.Open(nil, q, c.cores)
				receive = func() error { return feed(l.inbox, a) }
			} else {
				l.Open(a, q, c.cores)
			}
			end := q.run(t, l)
			received := make(chan error, 1)
			go func() { received <- receive() }()
			const clients, rounds = 50, 20
			seen := map[string]int{}
			for round := range uint32(rounds) {
				for i := range uint32(clients) {
					d := solicit(linkA+int(i%2), round<<16|i).datagram()
					d.Source = netip.AddrPortFrom(addr(byte(i)), 546)
					a.come(d)
				}
				for len(seen) < int(round+1)*clients {
					for _, p := range q.takeSent() {
						seen[string(p[len(p)-10:len(p)-6])]++ // the message type and the transaction-id
					}
				}
			}
			close(a.closed)
			if err := <-received; err == nil { // the receiver may be waiting for the loop until then
				t.Error("the receiver ended as if nothing were closed")
			}
			end()
			if counts := slices.Collect(maps.Values(seen)); slices.Max(counts) != 1 {
				t.Error("a message was forwarded more than once")
			}
		})
	}
}

// On one processor the loop looks at the sockets when it is asked to, although nobody has told it
// that something is there. A goroutine that waits for empty sockets is told of them once.
func TestLoopGlances(t *testing.T) {
	l, q := newQuietLoop(t)
	a := newArrivals()
	l.Open(a, q, 1)
	end := q.run(t, l)
	for round := range uint32(20) {
		a.come(solicit(linkA, round).datagram())
		for sent := 0; sent == 0; sent = len(q.takeSent()) {
			l.inbox.Glance()
		}
		if len(l.inbox.drained) != 0 {
			t.Fatal("somebody is told of empty sockets who has not asked")
		}
		q.waitsFor(l)
	}
	end()
}

// waitsFor returns when the loop has nothing to do any more.
func (q *quiet) waitsFor(l *loop) {
	l.inbox.waits.Store(true)
	l.inbox.Tell()
	<-l.inbox.drained
}

// A busy loop looks by itself. A loop with enough processors is told by another goroutine.
func TestLoopNeedsNoGlance(t *testing.T) {
	in, a := newTestInbox(admission.Limits{})
	in.busy.Store(true)
	in.Glance()
	in.busy.Store(false)
	in.open(a, true)
	in.Glance()
	if len(in.told) != 0 {
		t.Error("the loop was asked to look")
	}
	in.open(a, false)
	in.Glance()
	if len(in.told) != 1 {
		t.Error("the loop was not asked to look")
	}
}

// A goroutine that waits for the sockets to be empty is told once they are, and not while
// messages are left, even if they were paused until just now.
func TestInboxTellsOnceAllIsDone(t *testing.T) {
	in, a := newTestInbox(admission.Limits{})
	for i := range 3 {
		a.come(from(linkA, byte(i), byte(dhcp6.Solicit)))
	}
	in.waits.Store(true)
	for left := 2; left > 0; left-- {
		if got := in.turn(1, nil, 1); len(got) != 1 {
			t.Fatalf("%d messages in a turn, want 1", len(got))
		}
		in.rest()
		if len(in.drained) != 0 {
			t.Fatalf("told of empty sockets when %d messages are left", left)
		}
	}
	in.turn(1, nil, 1)
	in.pauseChanges(false)
	in.rest()
	if len(in.drained) != 0 {
		t.Error("told of empty sockets although something may have been let go of")
	}
	in.turn(1, nil, 1)
	in.rest()
	in.rest()
	if len(in.drained) != 1 {
		t.Errorf("told %d times of empty sockets, want once", len(in.drained))
	}
}

// An inbox that is fed admits by the rates of the link at the time that it is given, copies what
// it is fed, wakes the loop when Tell is called, and has no sockets to look at.
func TestInboxIsFed(t *testing.T) {
	in := NewInbox()
	in.open(nil, false)
	in.Configure(hosts{}, map[int]admission.Limits{linkA: {Source: admission.Rate{PerSecond: 1, Burst: 2}}})
	fed := func(at instant.Instant, payload ...byte) {
		d := from(linkA, 1, payload...)
		in.Feed(at, &d)
		clear(d.Payload)
	}
	woken := func() bool {
		select {
		case <-in.ready():
			return true
		default:
			return false
		}
	}
	fed(1e9, 1, 1)
	fed(1e9, 1, 2)
	fed(1e9, 1, 3)
	if woken() {
		t.Error("the loop is woken before all is fed")
	}
	in.Tell()
	in.Tell()
	if !woken() || woken() {
		t.Error("the loop is not woken, or woken twice")
	}
	if n := in.discards.lost[discard{linkA, effect.DropRateSource}]; n != 1 {
		t.Errorf("%d above the rate counted, want 1", n)
	}
	if !in.Judge(2e9) || woken() {
		t.Error("there are sockets to look at")
	}
	in.Glance()
	if woken() {
		t.Error("the loop is asked to look at sockets")
	}
	fed(2e9, 1, 4)
	for i, want := range []byte{1, 2, 4} {
		if got := in.turn(2e9, nil, 1); len(got) != 1 || !bytes.Equal(got[0].Payload, []byte{1, want}) {
			t.Fatalf("turn %d: %v, want message %d", i+1, got, want)
		}
		if woken() != (want != 4) {
			t.Errorf("after turn %d the loop goes on: %v", i+1, want == 4)
		}
	}
	in.rest()
	ctx, end := context.WithCancel(t.Context())
	end()
	if err := in.Run(ctx); err != nil {
		t.Errorf("Run: %v, want it to end with its context", err)
	}
}
