package daemon

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/admission"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// As much may be under way as is done in 50 ms, and never less than 1024.
func TestBacklogFollowsThePipeline(t *testing.T) {
	const ms = instant.Instant(time.Millisecond)
	var b backlog
	for _, c := range []struct {
		what string
		at   instant.Instant
		done int
		want int // may be under way
	}{
		{"nothing is known", 5000 * ms, 300, 1024},
		{"one look is too short", 5049 * ms, 3700, 1024},
		{"4000 in 50 ms", 5050 * ms, 500, 4000},
		{"it stands still", 5100 * ms, 0, 1024},
		{"6000 in 100 ms", 5160 * ms, 6000, 1024},
		{"and told later", 5260 * ms, 0, 3000},
	} {
		b.settled(c.at, c.done)
		if b.full(c.want) || !b.full(c.want+1) {
			t.Errorf("%s: full with %d %v, with one more %v; want false and true", c.what, c.want, b.full(c.want), b.full(c.want+1))
		}
	}
}

// Many jobs of few changes each fill the pipeline too, long before it refuses one.
func TestLoopHoldsBackWhenJobsAreMany(t *testing.T) {
	in, a := newTestIntake(admission.Limits{})
	l := &loop{intake: in, pipe: newBench().pipe}
	a.come(from(linkA, 1, byte(dhcp6.Renew)), from(linkA, 1, byte(dhcp6.Solicit)))
	for range maxJobs / 2 {
		l.pipe.offer(&job{})
	}
	if l.hold(); l.holds {
		t.Error("held back with half of the room taken")
	}
	l.pipe.offer(&job{})
	l.hold()
	if got := drainAll(in, 1e9); len(got) != 1 || got[0].Payload[0] != byte(dhcp6.Solicit) || !l.holds {
		t.Errorf("%d messages, held back: %v; want the Solicit alone", len(got), l.holds)
	}
	<-l.pipe.jobs
	l.hold()
	if got := drainAll(in, 1e9); len(got) != 1 || !l.released {
		t.Errorf("%d messages, released: %v; want the Renew", len(got), l.released)
	}
}

func TestAsksForChange(t *testing.T) {
	relayed := func(layers int, message []byte) []byte {
		for hops := range layers {
			b := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, uint8(hops), netip.IPv6Unspecified(), addr(1))
			b = dhcp6.AppendInterfaceID(b, []byte("p"))
			message = dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, message)
		}
		return message
	}
	plain := func(m dhcp6.MessageType) []byte { return dhcp6.AppendMessageHeader(nil, m, 1) }
	for _, c := range []struct {
		what    string
		message []byte
		want    bool
	}{
		{"nothing", nil, false},
		{"Solicit", plain(dhcp6.Solicit), false},
		{"Request", plain(dhcp6.Request), true},
		{"Confirm", plain(dhcp6.Confirm), false},
		{"Renew", plain(dhcp6.Renew), true},
		{"Rebind", plain(dhcp6.Rebind), true},
		{"Release", plain(dhcp6.Release), true},
		{"Decline", plain(dhcp6.Decline), true},
		{"Information-request", plain(dhcp6.InformationRequest), false},
		{"unknown", plain(200), false},
		{"relayed Solicit", relayed(1, plain(dhcp6.Solicit)), false},
		{"relayed Renew", relayed(1, plain(dhcp6.Renew)), true},
		{"Renew from far", relayed(8, plain(dhcp6.Renew)), true},
		{"Renew from too far", relayed(9, plain(dhcp6.Renew)), false},
		{"relayed nothing", relayed(1, nil), false},
		{"cut short", relayed(1, plain(dhcp6.Renew))[:20], false},
	} {
		if got := asksForChange(c.message); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

// What asks for changes waits while too many are under way; the rest does not,
// and what waited goes on as soon as they are done, although nothing else comes.
func TestLoopHoldsBackWhatAsksForChanges(t *testing.T) {
	l, q := newQuietLoop(t)
	a := newArrivals()
	l.intake.conn = a
	l.net.update(l.core)
	l.intake.set(trust.NewSet(nil), map[int]inlet{linkA: {clients: true}})
	l.arrived, l.drained = make(chan struct{}, 1), make(chan struct{}, 1)
	end := q.run(t, l)
	underway := func(n int) {
		t.Helper()
		if err := l.call(t.Context(), func(instant.Now, *effect.Effects) { l.inflight = n }); err != nil {
			t.Fatal(err)
		}
	}
	// come has both arrive, and returns when the loop has nothing more to do.
	come := func(xid uint32) {
		renew := solicit(linkA, xid+1)
		renew.Payload[0] = byte(dhcp6.Renew)
		a.come(solicit(linkA, xid).Datagram, renew.Datagram)
		l.arrived <- struct{}{}
		<-l.drained
	}
	come(1)
	if got := len(q.takeSent()); got != 2 {
		t.Fatalf("%d messages forwarded, want both", got)
	}
	underway(leastBacklog + 1)
	come(3)
	come(5)
	if got := len(q.takeSent()); got != 2 {
		t.Errorf("%d messages forwarded while the pipeline is full, want the two Solicits", got)
	}
	if got := l.intake.waiting(admission.Changes); got != 2 {
		t.Errorf("%d messages held back, want the two Renews", got)
	}
	outcomes := make([]effect.Outcome, leastBacklog+1)
	select {
	case l.pipe.outcomes <- outcomes:
	case <-t.Context().Done():
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for sent := 0; sent < 2 && ctx.Err() == nil; {
		sent += len(q.takeSent())
	}
	if ctx.Err() != nil {
		t.Error("the Renews were not forwarded afterwards")
	}
	end()
}

// waiting is how many messages of a class are queued.
func (in *intake) waiting(class int) int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.queue.LenOf(class)
}
