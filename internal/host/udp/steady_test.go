package udp

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Receiving a batch and sending a batch allocates nothing, on either path.
func TestSteadyStateAllocatesNothing(t *testing.T) { both(t, steadyStateAllocatesNothing) }

func steadyStateAllocatesNothing(t *testing.T, f Family) {
	const size = 32
	l := newRig(t, Options{Family: f})
	server := l.server.udp(l.site.server.String(), 0, l.port)
	second := l.second
	l.relay.do(func() error { return l.conn.AddLocal(Local{Addr: second}) })
	up, down := make([]Outgoing, 0, 2*size), make([]Outgoing, 0, 2*size)
	solicit := []byte("solicit")
	answer := func(d *Datagram) {
		if d.Path == PathFrame {
			up = append(up, Outgoing{Kind: ToPeer, Source: second, Dest: netip.AddrPortFrom(l.site.server, l.port), Payload: solicit})
			down = append(down, Outgoing{Link: d.Link, Dest: d.Source, MAC: d.MAC, MACLen: d.MACLen, Payload: solicit})
		}
	}
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
			l.host.multicast(l.clientEnd.Index, solicit)
			server.send(second, 0, l.port, []byte("relay-reply"))
		}
		runtime.ReadMemStats(&before)
		for n := 0; n < 2*size; {
			if err := l.conn.Wait(); err != nil {
				t.Fatal(err)
			}
			up, down = up[:0], down[:0]
			n += l.conn.Receive(2*size, answer)
			l.conn.Send(up, failed)
			l.conn.Send(down, failed)
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
	if s := l.conn.Stats(); s.Sent["frame"] != size*rounds || s.Sent["socket"] != size*rounds || s.Drops["queue-full"] != 0 {
		t.Errorf("sent %d frames and %d by socket, want %d of each; %+v", s.Sent["frame"], s.Sent["socket"], size*rounds, s)
	}
}

// All sockets that have datagrams get a share of a batch, however many one of them has.
func TestBatchIsShared(t *testing.T) { both(t, batchIsShared) }

func batchIsShared(t *testing.T, f Family) {
	l := newRig(t, Options{Family: f})
	server := l.server.udp(l.site.server.String(), 0, l.port)
	second := l.second
	l.relay.do(func() error { return l.conn.AddLocal(Local{Addr: second}) })
	for range 200 {
		l.host.multicast(l.clientEnd.Index, []byte("flood"))
	}
	for range 4 {
		server.send(second, 0, l.port, []byte("answer"))
	}
	batch := receive(t, l.conn, 16)
	if len(batch) != 16 {
		t.Fatalf("received %d, want a full batch", len(batch))
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
	for total := len(batch); total < 204; total += len(batch) {
		batch = receive(t, l.conn, 16)
		for _, d := range batch {
			if string(d.Payload) != "flood" {
				t.Errorf("got %q", d.Payload)
			}
		}
	}
}

// Datagrams that are discarded between good ones do not change the payloads of these.
func TestPayloadsSurviveDiscards(t *testing.T) { both(t, payloadsSurviveDiscards) }

func payloadsSurviveDiscards(t *testing.T, f Family) {
	const frames, answers = 10, 8
	l := newRig(t, Options{Family: f})
	server := l.server.udp(l.site.server.String(), 0, l.port)
	want := map[string]bool{}
	for i := range frames {
		p := l.packet(fmt.Sprint("frame ", i))
		if i%2 == 0 {
			p[len(p)-1] ^= 1 // its checksum is now wrong
		} else {
			want[fmt.Sprint("frame ", i)] = true
		}
		l.packets.write(p)
	}
	for i := range answers {
		// Longer than the headers that are in front of a frame's payload.
		answer := fmt.Sprint("answer ", i, strings.Repeat(" ", 80))
		server.send(l.first, 0, l.port, []byte(answer))
		want[answer] = true
	}
	batch := receive(t, l.conn, 64)
	if len(batch) != len(want) {
		t.Fatalf("received %d, want all %d at once", len(batch), len(want))
	}
	for _, d := range batch {
		if !want[string(d.Payload)] {
			t.Errorf("got %q, which is not one of %v, or came before", d.Payload, want)
		}
		delete(want, string(d.Payload))
	}
}

// A flood of clients does not take the room of peers' answers, even if no socket is bound to a
// local address.
func TestFloodLeavesRoomForAnswers(t *testing.T) { both(t, floodLeavesRoomForAnswers) }

func floodLeavesRoomForAnswers(t *testing.T, f Family) {
	l := newRig(t, Options{Family: f, ReceiveBuffer: 16 << 10})
	server := l.server.udp(l.site.server.String(), 0, l.port)
	for range 2 * ringFrames {
		l.host.multicast(l.clientEnd.Index, []byte("flood"))
	}
	if l.conn.Stats().Drops["queue-full"] == 0 {
		t.Fatal("that was no flood")
	}
	server.send(l.first, 0, l.port, []byte("answer"))
	batch := receive(t, l.conn, 16)
	for _, d := range batch {
		if string(d.Payload) == "answer" {
			return
		}
	}
	t.Errorf("the answer is not among the first %d datagrams", len(batch))
}

// A queue is bounded, and the datagrams that the kernel dropped are counted.
func TestFullQueueIsCounted(t *testing.T) { both(t, fullQueueIsCounted) }

func fullQueueIsCounted(t *testing.T, f Family) {
	l := newRig(t, Options{Family: f, ReceiveBuffer: 16 << 10})
	for i := range ringFrames + 10 {
		l.host.multicast(l.clientEnd.Index, fmt.Append(nil, i))
	}
	for range 2 { // the second call returns the same
		if n := l.conn.Stats().Drops["queue-full"]; n != 10 {
			t.Errorf("%d datagrams found the queue full, want 10", n)
		}
	}
	if batch := receive(t, l.conn, 16); string(batch[0].Payload) != "0" {
		t.Errorf("first of %d after the flood: %q, want the oldest", len(batch), batch[0].Payload)
	}
}

// BenchmarkRelayed receives a datagram by the frame path, drops its copy on the other path, and
// sends an answer as a frame. Only our own part is timed.
func BenchmarkRelayed(b *testing.B) {
	for f := range families {
		b.Run(f.String(), func(b *testing.B) { relayed(b, f) })
	}
}

func relayed(b *testing.B, f Family) {
	const size = 64
	l := newRig(b, Options{Family: f})
	out := make([]Outgoing, 0, size)
	message := make([]byte, 120)
	drained := make([]byte, 2000)
	b.ReportAllocs()
	b.StopTimer()
	for done := 0; done < b.N; done += size {
		for range size {
			l.host.multicast(l.clientEnd.Index, message)
		}
		b.StartTimer()
		for n := 0; n < size; n += len(out) {
			out = out[:0]
			l.conn.Receive(size, func(d *Datagram) {
				out = append(out, Outgoing{Link: d.Link, Dest: d.Source, MAC: d.MAC, MACLen: d.MACLen, Payload: message})
			})
			l.conn.Send(out, func(_ int, err error) { b.Error(err) })
		}
		b.StopTimer()
		for range size {
			if _, err := l.host.conn.Read(drained); err != nil {
				b.Fatal(err)
			}
		}
	}
}
