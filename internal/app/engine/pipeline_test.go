package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/store"
	"fairlead/internal/host/udp"
)

// bench is a pipeline between a store, a kernel and sockets that write down, in one list, what
// was asked of them, and that fail when the test tells them to.
type bench struct {
	mu    sync.Mutex // guards all following fields
	trace []string
	full  error           // what Commit returns
	bad   map[string]bool // prefixes that the kernel refuses

	pipe *pipeline
}

func newBench() *bench {
	b := &bench{bad: make(map[string]bool)}
	b.pipe = newPipeline(slog.New(slog.DiscardHandler), b, []Installer{b})
	b.pipe.out = b
	b.pipe.unsent = func(o udp.Outgoing, err error) { b.write("held %s", o.Payload) }
	return b
}

func (b *bench) write(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trace = append(b.trace, fmt.Sprintf(format, args...))
}

func (b *bench) Commit(ops []store.Op) error {
	if b.full != nil {
		b.write("full")
		return b.full
	}
	var keys []string
	for _, o := range ops {
		keys = append(keys, string(o.Key))
	}
	b.write("keep %s", strings.Join(keys, " "))
	return nil
}

func (b *bench) Apply(ops []hoststate.Op, failed func(int, error)) error {
	for i, o := range ops {
		if b.bad[o.Route.Prefix.String()] {
			failed(i, netlink.ErrRefused)
			continue
		}
		b.write("install %s", o.Route.Prefix)
	}
	return nil
}

func (b *bench) Send(batch []udp.Outgoing, _ func(int, error)) {
	for _, o := range batch {
		b.write("send %s", o.Payload)
	}
}

// run carries out jobs as one group, as the two goroutines would.
func (b *bench) run(jobs ...*job) []effect.Outcome {
	b.pipe.commit(jobs)
	outcomes := b.pipe.install(jobs)
	for _, j := range jobs {
		b.pipe.release([]*job{j})
	}
	return outcomes
}

func change(id effect.ChangeID, key, prefix string) effect.Change {
	c := effect.Change{ID: id, Keep: []effect.KeepOp{{Key: []byte(key), Value: []byte("v")}}}
	if prefix != "" {
		c.Host = []hoststate.Op{{Route: &hoststate.Route{Prefix: netip.MustParsePrefix(prefix)}}}
	}
	return c
}

func datagram(after effect.ChangeID, extends bool, text string) waiting {
	return waiting{after, extends, udp.Outgoing{Payload: []byte(text)}}
}

func (b *bench) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(b.trace, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(b.trace, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestPipelineKeepsThenInstallsThenSends(t *testing.T) {
	b := newBench()
	outcomes := b.run(
		&job{changes: []effect.Change{change(1, "a", "2001:db8:1::/56")}, sends: []waiting{datagram(1, false, "A")}},
		&job{changes: []effect.Change{change(2, "b", "2001:db8:2::/56")}, sends: []waiting{datagram(2, false, "B")}},
	)
	// There is one commit for the group, and nothing leaves before both are installed.
	b.want(t, "keep a b", "install 2001:db8:1::/56", "install 2001:db8:2::/56", "send A", "send B")
	for i, o := range outcomes {
		if o.ID != effect.ChangeID(i+1) || o.Keep != nil || o.Install != nil {
			t.Errorf("outcome %d = %+v, want change %d done", i, o, i+1)
		}
	}
}

func TestPipelineStoreFails(t *testing.T) {
	b := newBench()
	b.full = store.ErrFull
	outcomes := b.run(
		&job{changes: []effect.Change{change(1, "grant", "2001:db8:1::/56")}, sends: []waiting{datagram(1, false, "GRANT")}},
		&job{changes: []effect.Change{change(2, "end", "2001:db8:2::/56")}},
		&job{changes: []effect.Change{change(3, "renew", "")}, sends: []waiting{datagram(3, true, "RENEW")}},
		&job{sends: []waiting{datagram(1, true, "AFTER THE GRANT")}},
	)
	// A datagram that grants is not sent, and the core takes the grant back by the next Change.
	// What ended is removed from the kernel. A datagram that only extends leaves. If a later
	// datagram waits for the grant, and the core says that it only extends, it may leave.
	b.want(t, "full", "install 2001:db8:1::/56", "install 2001:db8:2::/56", "held GRANT", "send RENEW", "send AFTER THE GRANT")
	for _, o := range outcomes {
		if !errors.Is(o.Keep, store.ErrFull) {
			t.Errorf("change %d: keep = %v, want %v", o.ID, o.Keep, store.ErrFull)
		}
	}
}

func TestPipelineKernelRefuses(t *testing.T) {
	b := newBench()
	b.bad["2001:db8:1::/56"] = true
	outcomes := b.run(
		&job{changes: []effect.Change{change(1, "a", "2001:db8:1::/56")}, sends: []waiting{datagram(1, true, "A")}},
		&job{changes: []effect.Change{change(2, "b", "2001:db8:2::/56")}, sends: []waiting{datagram(2, false, "B")}},
	)
	b.want(t, "keep a b", "install 2001:db8:2::/56", "held A", "send B")
	if len(outcomes[0].Install) != 1 || !errors.Is(outcomes[0].Install[0].Err, effect.ErrRefused) {
		t.Errorf("outcome 1 = %+v, want one operation with %v", outcomes[0], effect.ErrRefused)
	}
	if outcomes[1].Install != nil {
		t.Errorf("outcome 2 = %+v, want done", outcomes[1])
	}
}

// A Change that failed long ago is forgotten, so that memory stays bounded.
func TestPipelineForgetsOldFailures(t *testing.T) {
	b := newBench()
	b.full = store.ErrBroken
	for id := effect.ChangeID(1); id <= 2*maxFailed; id++ {
		b.run(&job{changes: []effect.Change{change(id, "k", "")}})
	}
	if len(b.pipe.failed) != maxFailed || len(b.pipe.order) != maxFailed {
		t.Errorf("%d failures remembered in order of %d, want %d", len(b.pipe.failed), len(b.pipe.order), maxFailed)
	}
}

func TestPipelineOfferNeverBlocks(t *testing.T) {
	b := newBench()
	for range maxJobs {
		if !b.pipe.offer(&job{}) {
			t.Fatal("refused a job although the queue has room")
		}
	}
	if b.pipe.offer(&job{}) {
		t.Error("took a job although the queue is full")
	}
}

// Groups that were kept while the kernel was busy are installed as one, in their order, and
// nothing leaves before that.
func TestPipelineInstallsTogetherWhatWaits(t *testing.T) {
	b := newBench()
	b.pipe.now = func() time.Time { return b.pipe.finished } // so that no pause seems to have come before
	for i, text := range []string{"A", "B", "C"} {
		id := effect.ChangeID(i + 1)
		b.pipe.kept <- []*job{{changes: []effect.Change{change(id, text, fmt.Sprintf("2001:db8:%d::/56", id))}, sends: []waiting{datagram(id, false, text)}}}
	}
	close(b.pipe.kept)
	if err := b.pipe.runInstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.want(t, "install 2001:db8:1::/56", "install 2001:db8:2::/56", "install 2001:db8:3::/56", "send A", "send B", "send C")
	outcomes := <-b.pipe.outcomes
	if len(outcomes) != 3 || outcomes[0].ID != 1 || outcomes[2].ID != 3 {
		t.Errorf("outcomes %+v, want those of changes 1 to 3", outcomes)
	}
}

// After a pause, a large group is finished in pieces, and the loop can run between any two of
// them. Groups that follow each other closely are finished whole.
func TestPipelineWorksInPiecesWhileCalm(t *testing.T) {
	const jobs = 2*pieces + 1 // pieces of 3 jobs
	b := newBench()
	b.pipe.breathe = func() { b.write("breathe") }
	at := time.Unix(1, 0)
	id := effect.ChangeID(0)
	for _, pause := range []time.Duration{0, calmAfter - 1, calmAfter} {
		at = at.Add(pause)
		b.pipe.now = func() time.Time { return at }
		var group []*job
		for range jobs {
			id++
			group = append(group, &job{changes: []effect.Change{change(id, "k", fmt.Sprintf("2001:db8:%x::/56", id))}, sends: []waiting{datagram(id, false, "A")}})
		}
		b.pipe.finish(t.Context(), group)
	}
	piece := func(n int) string {
		return "breathe " + strings.Repeat("install ", n) + "breathe " + strings.Repeat("send ", n) + "breathe "
	}
	inPieces := strings.Repeat(piece(3), jobs/3)
	want, got := inPieces+piece(jobs)+inPieces, ""
	for _, line := range b.trace {
		word, _, _ := strings.Cut(line, " ")
		got += word + " "
	}
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	close(b.pipe.outcomes)
	last := effect.ChangeID(0)
	for outcomes := range b.pipe.outcomes {
		for _, o := range outcomes {
			if last++; o.ID != last {
				t.Errorf("the outcome of change %d where that of %d was to come", o.ID, last)
			}
		}
	}
	if last != 3*jobs {
		t.Errorf("%d outcomes, want %d", last, 3*jobs)
	}
}
