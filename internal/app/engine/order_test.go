package engine

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/app/service"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/store"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

// journal writes down, in one list, what a loop has kept and sent. A crash may come after any
// entry of it.
type journal struct {
	mu      sync.Mutex // guards all following fields
	entries []entry
	commits int
	stopAt  int           // the number of the commit that does not end before the test says so; 0: none
	goOn    chan struct{} // closed when that commit may end
}

// entry is a commit or a datagram.
type entry struct {
	kept []store.Op
	sent []byte
}

var errStopped = errors.New("the store has stopped")

func (j *journal) Commit(ops []store.Op) error {
	j.mu.Lock()
	j.commits++
	stops := j.commits == j.stopAt
	if !stops {
		j.entries = append(j.entries, entry{kept: ops})
	}
	j.mu.Unlock()
	if stops {
		<-j.goOn
		return errStopped
	}
	return nil
}

func (j *journal) Send(batch []udp.Outgoing, _ func(int, error)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, o := range batch {
		j.entries = append(j.entries, entry{sent: slices.Clone(o.Payload)})
	}
}

// check goes through the list: after each entry the store has everything that clients were told,
// and for as long as they were told. It returns how many Replies were sent.
func (j *journal) check(t *testing.T) (replies int) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	kept, told := make(map[string]binding.Record), make(map[string]time.Duration)
	for i, e := range j.entries {
		for _, op := range e.kept {
			if lo, hi := binding.KeyRange(binding.Relay6); bytes.Compare(op.Key, lo) < 0 || bytes.Compare(op.Key, hi) >= 0 {
				continue
			}
			delete(kept, string(op.Key))
			if op.Value != nil {
				r, err := binding.ParseRecord(op.Value)
				if err != nil {
					t.Fatal(err)
				}
				kept[string(op.Key)] = r
			}
		}
		if len(e.sent) > 0 && dhcp6.MessageType(e.sent[0]) == dhcp6.Reply {
			replies++
			for p, valid := range leasesOf(t, e.sent) {
				delete(told, string(binding.Key(nil, binding.Relay6, "", p)))
				if valid > 0 {
					told[string(binding.Key(nil, binding.Relay6, "", p))] = valid
				}
			}
		}
		for key, valid := range told {
			if r, ok := kept[key]; !ok || r.Lifetime < valid {
				t.Fatalf("a crash after entry %d of %d: a client was told that it has %x for %v, and the store has it for %v", i, len(j.entries), key, valid, r.Lifetime)
			}
		}
	}
	return replies
}

// leasesOf reads a Reply octet by octet, without our codec: one IA_PD, whose prefixes have no
// options.
func leasesOf(t *testing.T, reply []byte) map[netip.Prefix]time.Duration {
	m, err := dhcp6.ParseMessage(reply)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[netip.Prefix]time.Duration)
	body, _ := m.Options().First(dhcp6.OptionIAPD)
	for b := body[12:]; len(b) >= 29; b = b[29:] {
		valid := time.Duration(b[8])<<24 | time.Duration(b[9])<<16 | time.Duration(b[10])<<8 | time.Duration(b[11])
		found[netip.PrefixFrom(netip.AddrFrom16([16]byte(b[13:29])), int(b[12]))] = valid * time.Second
	}
	return found
}

// grants is a Relay-reply for a client on the first link that grants prefixes with these valid
// lifetimes, in seconds.
func grants(client byte, valid map[netip.Prefix]int) *inbound.Packet {
	inner := dhcp6.AppendClientID(dhcp6.AppendMessageHeader(nil, dhcp6.Reply, 7), dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, client})
	inner, mark := dhcp6.BeginIA(inner, dhcp6.OptionIAPD, 1, 0, 0)
	for _, p := range slices.SortedFunc(maps.Keys(valid), netip.Prefix.Compare) {
		inner = dhcp6.AppendIAPrefix(inner, dhcp6.IAPrefix{Prefix: p, Preferred: dhcp6.Lifetime(valid[p]), Valid: dhcp6.Lifetime(valid[p])})
	}
	inner, _ = dhcp6.EndOption(inner, mark)
	peer := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: client})
	b := dhcp6.AppendRelayHeader(nil, dhcp6.RelayReply, 0, netip.MustParseAddr("2001:db8:1::1"), peer)
	return &inbound.Packet{Link: uplink, Source: netip.MustParseAddrPort("[2001:db8:ff::2]:547"), Payload: dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, inner)}
}

// journalled returns a quiet loop that serves clients on its first link and writes a journal.
func journalled(t *testing.T) (*loop, *quiet, *journal) {
	l, q := newQuietLoop(t, func(c *relay6.Config) {
		c.Links[0].Delegations = delegation.Policy{ClientLimit: 8, LinkLimit: 64}
	})
	j := &journal{goOn: make(chan struct{})}
	l.pipe.keep, l.pipe.out, l.out = j, j, j
	q.unsent = func(udp.Outgoing, error) {}
	l.Core.SetLink(links.Link{Index: linkA, Name: "dA", Up: true, Running: true, MTU: 1500, Addrs: []netip.Prefix{netip.MustParsePrefix("fe80::1/64"), netip.MustParsePrefix("2001:db8:1::1/64")}}, &l.turn.eff)
	// What every start keeps is not in the journal.
	var first effect.Effects
	l.Core.Tick(service.Now(), &first)
	for _, c := range first.Changes {
		l.Core.Settle(service.Now(), effect.Outcome{ID: c.ID}, &l.turn.eff)
	}
	return l, q, j
}

// pass lets a second of the bubble of synctest pass, and waits until each goroutine is blocked.
func pass() {
	time.Sleep(time.Second)
	synctest.Wait()
}

// Whatever is granted, extended, shortened and ended, in whatever order, and at whichever commit
// the store stops: the store has everything that clients know.
func TestStoreStopsAnywhere(t *testing.T) {
	const rounds, clients = 30, 3
	for seed := range uint64(8) {
		whole := 0
		for stopAt := 0; stopAt <= whole; stopAt++ {
			synctest.Test(t, func(t *testing.T) {
				l, q, j := journalled(t)
				j.stopAt = stopAt
				goOn := sync.OnceFunc(func() { close(j.goOn) })
				defer goOn()
				q.run(t, l)
				random := rand.New(rand.NewPCG(seed, 0))
				for range rounds {
					err := l.Call(t.Context(), func(now instant.Now, eff *effect.Effects) {
						for range 1 + random.IntN(3) {
							c := byte(1 + random.IntN(clients))
							valid := make(map[netip.Prefix]int)
							for range 1 + random.IntN(3) {
								p := netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x0%x::/48", c, random.IntN(4)))
								valid[p] = []int{0, 0, 60, 600, 3600}[random.IntN(5)]
							}
							l.Core.Handle(now, grants(c, valid), eff)
						}
					})
					if err != nil {
						t.Fatal(err)
					}
					if random.IntN(3) == 0 {
						pass()
					}
				}
				pass()
				if n := j.check(t); n == 0 && stopAt != 1 {
					t.Fatal("no Reply was sent: the test tests nothing")
				}
				if stopAt == 0 {
					whole = j.commits
				}
				goOn()
				pass()
			})
		}
		if whole < rounds/4 {
			t.Fatalf("%d commits in all: the test tests nothing", whole)
		}
	}
}

// A Change that follows a datagram which leaves at once is kept only after that datagram has
// left, even if senders of their own send it.
func TestEndIsKeptAfterItsReplyHasLeft(t *testing.T) {
	p := netip.MustParsePrefix("2001:db8:100::/48")
	for _, others := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l, q, j := journalled(t)
			gate := make(chan struct{})
			open := sync.OnceFunc(func() { close(gate) })
			defer open()
			leave := func(batch []udp.Outgoing, _ func(int, error)) {
				if len(batch) > 0 {
					<-gate
				}
				j.Send(batch, nil)
			}
			l.out = gated{j, leave}
			if others {
				l.senders = newSenders(func(batch []udp.Outgoing) { leave(batch, nil) }, l.endTurn)
			}
			q.run(t, l)
			say := func(valid int) {
				go func() {
					_ = l.Call(t.Context(), func(now instant.Now, eff *effect.Effects) {
						l.Core.Handle(now, grants(1, map[netip.Prefix]int{p: valid}), eff)
					})
				}()
				pass()
			}
			say(600)
			if j.commits != 1 || j.check(t) != 1 {
				t.Fatalf("%d commits and %d Replies after a grant, want one each", j.commits, j.check(t))
			}
			say(0)
			if j.commits != 1 || j.check(t) != 1 {
				t.Errorf("others send: %v: %d commits and %d Replies although the Reply has not left, want one each", others, j.commits, j.check(t))
			}
			open()
			pass()
			if j.commits != 2 || j.check(t) != 2 || len(j.entries) != 4 || j.entries[2].sent == nil {
				t.Errorf("others send: %v: %d commits and %d Replies, want two each, the Reply first", others, j.commits, j.check(t))
			}
		})
	}
}

// gated is a journal whose datagrams leave through a gate of the test.
type gated struct {
	*journal
	send func(batch []udp.Outgoing, failed func(int, error))
}

func (g gated) Send(batch []udp.Outgoing, failed func(int, error)) { g.send(batch, failed) }

// A large job goes in parts. When the core is told that a part is done, the datagrams that waited
// for that part have left.
func TestPartsOfAJobTakeTheirDatagrams(t *testing.T) {
	b := newBench()
	l := &loop{pipe: b.pipe}
	j := &job{}
	for id := effect.ChangeID(1); id <= 2*maxChanges+1; id++ {
		j.changes = append(j.changes, change(id, fmt.Sprint(id), ""))
		j.sends = append(j.sends, datagram(id, false, fmt.Sprint(id)))
	}
	j.sends = append(j.sends, datagram(1, true, "behind 1"))
	l.enqueue(j)
	last := effect.ChangeID(0)
	for range 3 {
		part := <-b.pipe.jobs
		for _, w := range part.sends {
			if !slices.ContainsFunc(part.changes, func(c effect.Change) bool { return c.ID == w.after }) {
				t.Errorf("the datagram %s is not with change %d", w.out.Payload, w.after)
			}
		}
		if part.changes[0].ID != last+1 {
			t.Errorf("a part begins with change %d after %d", part.changes[0].ID, last)
		}
		last = part.changes[len(part.changes)-1].ID
	}
	if last != 2*maxChanges+1 || l.inflight != 2*maxChanges+1 {
		t.Errorf("parts up to change %d, %d under way; want %d", last, l.inflight, 2*maxChanges+1)
	}
}

// What could not be queued is undone at once. What the undoing wants kept counts as not kept, and
// is tried again.
func TestFullPipelineKeepsEndsForLater(t *testing.T) {
	l, _, j := journalled(t)
	old, renumbered := netip.MustParsePrefix("2001:db8:100::/48"), netip.MustParsePrefix("2001:db8:200::/48")
	decide := func(valid map[netip.Prefix]int) *job {
		l.at = instant.Now{Boot: 1, Wall: time.Unix(1_700_000_000, 0), Synced: true}
		l.startAfresh()
		l.Core.Handle(l.at, grants(1, valid), &l.turn.eff)
		return l.share()
	}
	first := decide(map[netip.Prefix]int{old: 600})
	for _, c := range first.changes {
		l.Core.Settle(l.at, effect.Outcome{ID: c.ID}, &l.turn.eff)
	}
	l.refuse(decide(map[netip.Prefix]int{old: 0, renumbered: 600}))
	if got := l.Core.Totals(); got.Prefixes != 0 || got.Unkept != 2 || got.Pending != 0 {
		t.Errorf("%d prefixes, %d records to keep later, %d changes pending; want none, both and none", got.Prefixes, got.Unkept, got.Pending)
	}
	if len(j.entries) != 0 {
		t.Errorf("%d entries, want none", len(j.entries))
	}
}
