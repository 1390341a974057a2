package engine

import (
	"context"
	"testing"
	"time"

	"fairlead/internal/core/admission"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp6"
)

// As many Changes may be under way as are done in 50 ms, and never less than 1024.
func TestBacklogFollowsThePipeline(t *testing.T) {
	const ms = instant.Instant(time.Millisecond)
	var b backlog
	for _, c := range []struct {
		what string
		at   instant.Instant
		done int
		want int // how many may be under way
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

// Many jobs of few Changes each fill the pipeline too. The loop holds back before the pipeline
// refuses a job.
func TestLoopHoldsBackWhenJobsAreMany(t *testing.T) {
	in, a := newTestInbox(admission.Limits{})
	l := &loop{inbox: in, pipe: newBench().pipe}
	a.come(from(linkA, 1, byte(dhcp6.Renew)), from(linkA, 1, byte(dhcp6.Solicit)))
	for range maxJobs / 2 {
		l.pipe.offer(&job{})
	}
	if l.pauseChanges(); l.paused {
		t.Error("held back with half of the room taken")
	}
	l.pipe.offer(&job{})
	l.pauseChanges()
	if got := drainAll(in, 1e9); len(got) != 1 || got[0].Payload[0] != byte(dhcp6.Solicit) || !l.paused {
		t.Errorf("%d messages, held back: %v; want the Solicit alone", len(got), l.paused)
	}
	<-l.pipe.jobs
	l.pauseChanges()
	if got := drainAll(in, 1e9); len(got) != 1 || !in.busy.Load() {
		t.Errorf("%d messages, busy: %v; want the Renew", len(got), in.busy.Load())
	}
}

// Messages that ask for Changes wait while too many Changes are under way; all others do not
// wait. The messages that waited go on as soon as the Changes are done, even if no other message
// comes.
func TestLoopHoldsBackWhatAsksForChanges(t *testing.T) {
	l, q := newQuietLoop(t)
	a := newArrivals()
	l.Open(a, q, 1)
	end := q.run(t, l)
	underway := func(n int) {
		t.Helper()
		if err := l.Call(t.Context(), func(instant.Now, *effect.Effects) { l.inflight = n }); err != nil {
			t.Fatal(err)
		}
	}
	// come has two messages arrive, one that asks for a Change and one that does not, and returns
	// when the loop has nothing more to do.
	come := func(xid uint32) {
		renew := solicit(linkA, xid+1)
		renew.Payload[0] = byte(dhcp6.Renew)
		a.come(solicit(linkA, xid).datagram(), renew.datagram())
		q.waitsFor(l)
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
	if got := l.inbox.waiting(admission.Changes); got != 2 {
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

// waiting returns how many messages of a class are queued.
func (in *Inbox) waiting(class int) int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.queue.LenOf(class)
}
