package daemon

import (
	"bytes"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"fairlead/internal/core/admission"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

// arrivals is a receiver whose datagrams are in one buffer that the next one
// overwrites, as the sockets' are.
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

func newTestIntake(limits admission.Limits) (*intake, *arrivals) {
	a := newArrivals()
	in := newIntake(newFailures(slog.New(slog.DiscardHandler), newLimiter(time.Hour)))
	in.conn = a
	in.set(trust.NewSet([]trust.Peer{
		{Address: addr(4), Prefix: netip.PrefixFrom(addr(4), 128), Role: trust.Server, Interfaces: []string{"u0"}},
		{Address: addr(5), Prefix: netip.PrefixFrom(addr(5), 128), Role: trust.Relay, Interfaces: []string{"dA"}},
	}), map[int]inlet{
		uplink: {name: "u0"},
		linkA:  {name: "dA", clients: true, limits: limits},
		linkB:  {name: "dB", clients: true, limits: limits, trusted: true},
	})
	return in, a
}

// drainAll drains until the sockets are empty and returns what was admitted.
func drainAll(in *intake, at instant.Instant) (all []*message) {
	for in.drain(at) {
		continue
	}
	all, _ = in.next(nil, 1<<20)
	return all
}

// A host that floods loses what it sends too much; its neighbours lose nothing,
// and all of it is counted on the link.
func TestIntakeFloodCostsTheFlooder(t *testing.T) {
	in, a := newTestIntake(admission.Limits{Source: admission.Rate{PerSecond: 10, Burst: 20}})
	const flood, honest = 5000, 30
	for i := range flood {
		a.come(from(linkA, 1, byte(dhcp6.Solicit)))
		if i%(flood/honest) == 0 {
			a.come(from(linkA, byte(2+i*honest/flood), byte(dhcp6.Renew)))
		}
	}
	admitted := map[byte]int{}
	for _, m := range drainAll(in, 1e9) {
		admitted[m.MAC[5]]++
	}
	if admitted[1] != 20 {
		t.Errorf("%d messages of the flood admitted, want its burst of 20", admitted[1])
	}
	if len(admitted) != honest+1 {
		t.Errorf("%d sources heard, want %d", len(admitted), honest+1)
	}
	want := map[loss]uint64{{linkA, effect.DropRateSource}: flood - 20}
	if got := in.lost.lost; len(got) != 1 || got[loss{linkA, effect.DropRateSource}] != flood-20 {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// Without limits the queue is what bounds: a flooder is left with what nobody
// else asks for, and what does not fit is counted.
func TestIntakeFullQueueIsFair(t *testing.T) {
	in, a := newTestIntake(admission.Limits{})
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
	dropped := in.lost.lost[loss{linkA, effect.DropQueueFull}]
	if len(in.lost.lost) != 1 || int(dropped)+len(got) != 3*total+100 {
		t.Errorf("%d admitted and %v counted of %d", len(got), in.lost.lost, 3*total+100)
	}
}

// What servers answer goes before what clients ask; a Relay-reply from a client
// link, or from anybody else on the uplink, does not.
func TestIntakeAnswersGoFirst(t *testing.T) {
	in, a := newTestIntake(admission.Limits{})
	a.come(from(linkA, 1, byte(dhcp6.Solicit)), from(linkA, 4, byte(dhcp6.RelayReply)), from(linkA, 2),
		from(uplink, 3, byte(dhcp6.RelayReply)), from(uplink, 4, byte(dhcp6.RelayReply), 99))
	got := drainAll(in, 1e9)
	if len(got) != 5 || len(got[0].Payload) != 2 {
		t.Errorf("%d messages, the first with %d octets; want 5, and the server's first", len(got), len(got[0].Payload))
	}
}

// A relay below us that is trusted, by its link or by its address, speaks for many
// clients; any other is a host like all.
func TestIntakeRelaysSpeakForMany(t *testing.T) {
	in, a := newTestIntake(admission.Limits{Source: admission.Rate{PerSecond: 1, Burst: 5}})
	for range 100 {
		a.come(from(linkA, 1, byte(dhcp6.RelayForward)), from(linkB, 2, byte(dhcp6.RelayForward)), from(linkB, 3, byte(dhcp6.Solicit)), from(linkA, 5, byte(dhcp6.RelayForward)))
	}
	got := map[byte]int{}
	for _, m := range drainAll(in, 1e9) {
		got[m.MAC[5]]++
	}
	if got[1] != 5 || got[2] != 100 || got[3] != 5 || got[5] != 100 {
		t.Errorf("admitted by host %v, want 1:5 2:100 3:5 5:100", got)
	}
}

// Who only has the address of a protected peer, and not its key, is a host like
// all: his messages come as frames, or to the group.
func TestIntakeForgersOfProtectedPeers(t *testing.T) {
	in, a := newTestIntake(admission.Limits{Source: admission.Rate{PerSecond: 1, Burst: 5}})
	local := addr(9)
	peers := in.peers.Peers()
	for i := range peers {
		peers[i].Protection, peers[i].Local = trust.ProtectionIPsec, local
	}
	frame := from(linkA, 5, byte(dhcp6.RelayForward))
	frame.Path, frame.Dest = udp.PathFrame, dhcp6.AllRelayAgentsAndServers
	own := udp.Datagram{Link: linkA, Source: netip.AddrPortFrom(addr(5), 547), Dest: local, Payload: []byte{byte(dhcp6.RelayForward)}}
	for range 100 {
		a.come(frame, own)
	}
	frames := 0
	all := drainAll(in, 1e9)
	for _, m := range all {
		if m.Path == udp.PathFrame {
			frames++
		}
	}
	if frames != 5 || len(all)-frames != 100 {
		t.Errorf("%d frames and %d by UDP, want 5 and 100", frames, len(all)-frames)
	}
	forged := from(uplink, 4, byte(dhcp6.RelayReply))
	forged.Path, forged.Dest = udp.PathFrame, dhcp6.AllRelayAgentsAndServers
	answer := udp.Datagram{Link: uplink, Source: netip.AddrPortFrom(addr(4), 547), Dest: local, Payload: []byte{byte(dhcp6.RelayReply), 1}}
	a.come(forged, answer)
	if got := drainAll(in, 2e9); len(got) != 2 || len(got[0].Payload) != 2 {
		t.Errorf("%d messages, the first with %d octets; want 2, and the server's own first", len(got), len(got[0].Payload))
	}
}

// What is admitted is the intake's own, and memory is used again; long messages
// are bounded in number.
func TestIntakeKeepsItsOwnCopies(t *testing.T) {
	in, a := newTestIntake(admission.Limits{})
	long := bytes.Repeat([]byte{7}, 60000)
	for range maxLong + 10 {
		a.come(from(linkA, 1, long...))
	}
	batch := drainAll(in, 1e9)
	if len(batch) != maxLong || !bytes.Equal(batch[0].Payload, long) {
		t.Fatalf("%d long messages, want %d with all octets", len(batch), maxLong)
	}
	if n := in.lost.lost[loss{linkA, effect.DropQueueFull}]; n != 10 {
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

// The whole loop, with and without senders of its own: each message is forwarded
// once, whole, although the sockets' memory and the messages are used again.
func TestLoopForwardsEverything(t *testing.T) {
	for name, spread := range map[string]bool{"one core": false, "many cores": true} {
		t.Run(name, func(t *testing.T) {
			l, q := newQuietLoop(t)
			a := newArrivals()
			l.intake.conn = a
			l.net.update(l.core)
			l.intake.set(trust.NewSet(nil), map[int]inlet{linkA: {clients: true}, linkB: {clients: true}})
			l.arrived, l.drained = make(chan struct{}, 1), make(chan struct{}, 1)
			if spread {
				l.senders = newSenders(l.net.send, l.endTurn)
			}
			end := q.run(t, l)
			received := make(chan error, 1)
			go func() { received <- l.receive(t.Context()) }()
			const clients, rounds = 50, 20
			seen := map[string]int{}
			for round := range uint32(rounds) {
				for i := range uint32(clients) {
					d := solicit(linkA+int(i%2), round<<16|i).Datagram
					d.Source = netip.AddrPortFrom(addr(byte(i)), 546)
					a.come(d)
				}
				for len(seen) < int(round+1)*clients {
					for _, p := range q.takeSent() {
						seen[string(p[len(p)-10:len(p)-6])]++ // the type and the transaction-id
					}
				}
			}
			close(a.closed)
			if err := <-received; err == nil { // it may be waiting for the loop until then
				t.Error("the receiver ended as if nothing were closed")
			}
			end()
			if counts := slices.Collect(maps.Values(seen)); slices.Max(counts) != 1 {
				t.Error("a message was forwarded more than once")
			}
		})
	}
}

// On one core the loop looks at the sockets when it is asked to, although nobody
// has told it that something is there; and whoever waits for empty sockets hears of
// them once.
func TestLoopGlances(t *testing.T) {
	l, q := newQuietLoop(t)
	a := newArrivals()
	l.intake.conn = a
	l.net.update(l.core)
	l.intake.set(trust.NewSet(nil), map[int]inlet{linkA: {clients: true}})
	l.arrived, l.drained, l.glances = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	end := q.run(t, l)
	for round := range uint32(20) {
		a.come(solicit(linkA, round).Datagram)
		for sent := 0; sent == 0; sent = len(q.takeSent()) {
			l.glance()
		}
		if len(l.drained) != 0 {
			t.Fatal("somebody is told of empty sockets who has not asked")
		}
		l.arrived <- struct{}{}
		<-l.drained
	}
	end()
}

// A busy loop looks by itself, and one with cores for it is told by another
// goroutine.
func TestLoopNeedsNoGlance(t *testing.T) {
	l, _ := newQuietLoop(t)
	l.glances = make(chan struct{}, 1)
	l.busy.Store(true)
	l.glance()
	l.busy.Store(false)
	l.senders = &senders{}
	l.glance()
	if len(l.glances) != 0 {
		t.Error("the loop was asked to look")
	}
	l.senders = nil
	l.glance()
	if len(l.glances) != 1 {
		t.Error("the loop was not asked to look")
	}
}
