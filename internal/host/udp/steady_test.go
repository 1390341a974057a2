package udp

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A batch in and a batch out allocate nothing, on either path.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	const size = 32
	l := newRig(t, Options{})
	server := l.server.udp("2001:db8:1::547", 0, 547)
	second := netip.MustParseAddr("2001:db8:1::2")
	l.relay.do(func() error { return l.conn.AddLocal(second, 0, "", 0) })
	received := make([]Datagram, 2*size)
	up, down := make([]Outgoing, 0, 2*size), make([]Outgoing, 0, 2*size)
	failed := func(i int, err error) { t.Errorf("message %d: %v", i, err) }
	drained := make([]byte, 2000)
	for _, n := range []*node{l.host, server} {
		n.conn.SetReadDeadline(time.Now().Add(patience))
	}
	var before, after runtime.MemStats
	var mallocs uint64
	const rounds = 50
	for round := range rounds {
		for range size {
			l.host.multicast(l.clientEnd.Index, []byte("solicit"))
			server.send(second, 0, 547, []byte("relay-reply"))
		}
		runtime.ReadMemStats(&before)
		for n := 0; n < 2*size; {
			got, err := l.conn.Receive(received)
			if err != nil {
				t.Fatal(err)
			}
			up, down = up[:0], down[:0]
			for _, d := range received[:got] {
				if d.Path == PathFrame {
					up = append(up, Outgoing{Kind: ToPeer, Source: second, Dest: netip.AddrPortFrom(serverAddr, 547), Payload: d.Payload})
					down = append(down, Outgoing{Link: d.Link, Dest: d.Source, MAC: d.MAC, MACLen: d.MACLen, Payload: d.Payload})
				}
			}
			l.conn.Send(up, failed)
			l.conn.Send(down, failed)
			n += got
		}
		runtime.ReadMemStats(&after)
		if round > 0 { // the runtime's poller allocates once
			mallocs += after.Mallocs - before.Mallocs
		}
		for range size {
			for _, n := range []*node{l.host, server} {
				if _, err := n.conn.Read(drained); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if per := float64(mallocs) / (rounds - 1) / (2 * size); per > 0.01 {
		t.Errorf("%.3f allocations a datagram, want none", per)
	}
	if s := l.conn.Stats(); s.FrameSent != size*rounds || s.SocketSent != size*rounds || s.QueueFull != 0 {
		t.Errorf("sent %d frames and %d by socket, want %d of each; %+v", s.FrameSent, s.SocketSent, size*rounds, s)
	}
}

var serverAddr = netip.MustParseAddr("2001:db8:1::547")

// All sockets that have something get a share of a batch, however much one of
// them has.
func TestBatchIsShared(t *testing.T) {
	l := newRig(t, Options{})
	server := l.server.udp("2001:db8:1::547", 0, 547)
	second := netip.MustParseAddr("2001:db8:1::2")
	l.relay.do(func() error { return l.conn.AddLocal(second, 0, "", 0) })
	for range 200 {
		l.host.multicast(l.clientEnd.Index, []byte("flood"))
	}
	for range 4 {
		server.send(second, 0, 547, []byte("answer"))
	}
	batch := make([]Datagram, 16)
	n, err := l.conn.Receive(batch)
	if err != nil || n != len(batch) {
		t.Fatalf("received %d, %v, want a full batch", n, err)
	}
	answers := 0
	for _, d := range batch {
		if string(d.Payload) == "answer" {
			answers++
		}
	}
	if answers != 4 {
		t.Errorf("%d answers beside the flood, want 4", answers)
	}
	// Everything else comes too, in order.
	for total := n; total < 204; total += n {
		if n, err = l.conn.Receive(batch); err != nil {
			t.Fatal(err)
		}
		for _, d := range batch[:n] {
			if string(d.Payload) != "flood" {
				t.Errorf("got %q", d.Payload)
			}
		}
	}
}

// What is discarded between good datagrams leaves their payloads alone.
func TestPayloadsSurviveDiscards(t *testing.T) {
	const frames, answers = 10, 8
	l := newRig(t, Options{})
	server := l.server.udp("2001:db8:1::547", 0, 547)
	want := map[string]bool{}
	for i := range frames {
		p := packet(t, l.clientEnd.LinkLocal, fmt.Sprint("frame ", i), nil)
		if i%2 == 0 {
			p[len(p)-1] ^= 1 // its checksum is wrong now
		} else {
			want[fmt.Sprint("frame ", i)] = true
		}
		l.packets.write(p)
	}
	for i := range answers {
		// Longer than the headers that a frame's payload stands behind.
		answer := fmt.Sprint("answer ", i, strings.Repeat(" ", 80))
		server.send(netip.MustParseAddr("2001:db8:1::1"), 0, 547, []byte(answer))
		want[answer] = true
	}
	batch := make([]Datagram, 64)
	n, err := l.conn.Receive(batch)
	if err != nil || n != len(want) {
		t.Fatalf("received %d, %v, want all %d at once", n, err, len(want))
	}
	for _, d := range batch[:n] {
		if !want[string(d.Payload)] {
			t.Errorf("got %q, which is not one of %v, or came before", d.Payload, want)
		}
		delete(want, string(d.Payload))
	}
}

// A flood of clients does not push out what peers answer, even where no socket
// is bound to a local address.
func TestFloodLeavesRoomForAnswers(t *testing.T) {
	l := newRig(t, Options{ReceiveBuffer: 16 << 10})
	server := l.server.udp("2001:db8:1::547", 0, 547)
	for range 300 {
		l.host.multicast(l.clientEnd.Index, []byte("flood"))
	}
	if l.conn.Stats().QueueFull == 0 {
		t.Fatal("that was no flood")
	}
	server.send(netip.MustParseAddr("2001:db8:1::1"), 0, 547, []byte("answer"))
	batch := make([]Datagram, 16)
	n, err := l.conn.Receive(batch)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range batch[:n] {
		if string(d.Payload) == "answer" {
			return
		}
	}
	t.Errorf("the answer is not among the first %d datagrams", n)
}

// A queue is bounded, and what the kernel dropped is told.
func TestFullQueueIsCounted(t *testing.T) {
	l := newRig(t, Options{ReceiveBuffer: 16 << 10})
	for i := range 300 {
		l.host.multicast(l.clientEnd.Index, fmt.Append(nil, i))
	}
	if n := l.conn.Stats().QueueFull; n == 0 {
		t.Error("300 datagrams that nobody read fitted into the queues")
	}
	batch := make([]Datagram, 16)
	if n, err := l.conn.Receive(batch); err != nil || string(batch[0].Payload) != "0" {
		t.Errorf("first of %d after the flood: %q, %v, want the oldest", n, batch[0].Payload, err)
	}
}

// BenchmarkRelayed is a datagram in by the frame path, its copy on the other
// path dropped, and an answer out as a frame. Only our half is timed.
func BenchmarkRelayed(b *testing.B) {
	const size = 64
	l := newRig(b, Options{})
	received, out := make([]Datagram, size), make([]Outgoing, size)
	message := make([]byte, 120)
	drained := make([]byte, 2000)
	b.ReportAllocs()
	b.StopTimer()
	for done := 0; done < b.N; done += size {
		for range size {
			l.host.multicast(l.clientEnd.Index, message)
		}
		b.StartTimer()
		for n := 0; n < size; {
			got, err := l.conn.Receive(received)
			if err != nil {
				b.Fatal(err)
			}
			for i, d := range received[:got] {
				out[i] = Outgoing{Link: d.Link, Dest: d.Source, MAC: d.MAC, MACLen: d.MACLen, Payload: d.Payload}
			}
			l.conn.Send(out[:got], func(_ int, err error) { b.Error(err) })
			n += got
		}
		b.StopTimer()
		for range size {
			if _, err := l.host.conn.Read(drained); err != nil {
				b.Fatal(err)
			}
		}
	}
}
