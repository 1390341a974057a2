package ledger_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/links"
	"fairlead/internal/wire/linkaddr"
)

// world is a ledger with its table, on one link.
type world struct {
	t       *testing.T
	now     instant.Now
	table   *delegation.Table
	ledger  *ledger.Ledger
	records map[string][]byte // the core's own
	eff     effect.Effects
}

var prefix = netip.MustParsePrefix("2001:db8:1::/56")

func newWorld(t *testing.T, r ledger.Records) *world {
	w := &world{
		t: t, now: instant.Now{Boot: 1, Wall: time.Unix(1700000000, 0), Synced: true},
		table: delegation.New(), records: make(map[string][]byte),
	}
	forKernel := func(d *binding.Binding) hoststate.Delegation {
		return hoststate.Delegation{Link: d.Link, Prefix: d.Prefix, NextHop: d.NextHop, LinkLayer: d.LinkLayer}
	}
	host := hoststate.New()
	for i, name := range []string{"lan0", "lan1"} {
		host.SetLink(nil, &links.Link{Name: name, Index: 2 + i, Up: true})
		host.SetPolicy(nil, name, &hoststate.Policy{Filter: hoststate.FilterLink, Holders: true})
	}
	w.ledger = ledger.New(w.table.Table, host, ledger.Core{ForKernel: forKernel, Record: func(key string) []byte { return w.records[key] }}, binding.Relay6, "boot")
	w.ledger.Configure(r)
	return w
}

// learns has a client granted the prefix, or extended, and returns the Change.
func (w *world) learns(client string, valid time.Duration) effect.Change {
	w.t.Helper()
	return w.granted(delegation.Grant{Link: "lan0", Client: binding.DUID(client), Preferred: valid, Lifetime: valid})
}

// learnsOn has a host on a link granted the prefix.
func (w *world) learnsOn(link, client, mac string) effect.Change {
	w.t.Helper()
	a, ok := linkaddr.Parse(mac)
	if !ok {
		w.t.Fatalf("%s is no link-layer address", mac)
	}
	return w.granted(delegation.Grant{Link: link, Client: binding.DUID(client), LinkLayer: a, Preferred: time.Hour, Lifetime: time.Hour})
}

func (w *world) granted(g delegation.Grant) effect.Change {
	w.t.Helper()
	if !g.Prefix.IsValid() {
		g.Prefix = prefix
	}
	g.Kind, g.IAID, g.NextHop = binding.Prefix, 1, netip.MustParseAddr("fe80::1")
	g.Server, g.Source = "kea", binding.FromReply
	events := w.table.Learn(nil, w.now, g, delegation.Terms{
		Policy:   &delegation.Policy{ClientLimit: 8, LinkLimit: 8},
		Reserved: func(*delegation.Grant) bool { return false },
	})
	return w.commits(events)
}

func (w *world) commits(events []binding.Event) effect.Change {
	w.t.Helper()
	w.eff.Reset()
	if id := w.ledger.Commit(w.now, events, &w.eff); id == 0 || len(w.eff.Changes) != 1 {
		w.t.Fatalf("events %+v became %d changes", events, len(w.eff.Changes))
	}
	return w.eff.Changes[0]
}

// settles settles a change and returns what was taken, and the changes that follow.
func (w *world) settles(c effect.Change, keep error) ([]ledger.Place, []effect.Change) {
	w.eff.Reset()
	taken := w.ledger.Settle(w.now, effect.Outcome{ID: c.ID, Keep: keep}, &w.eff)
	return taken, slices.Clone(w.eff.Changes)
}

// ticks lets the time pass after which the store is tried again.
func (w *world) ticks() []effect.Change {
	w.now.Boot, w.now.Wall = w.now.Boot.After(time.Minute), w.now.Wall.Add(time.Minute)
	w.eff.Reset()
	w.ledger.Tick(w.now, &w.eff)
	return slices.Clone(w.eff.Changes)
}

// Where others write into the store, what another has got there first is not ours: it
// is taken back, told to the core, and never tried again, so that the other's record
// stays. What was extended meanwhile goes with it.
func TestTaken(t *testing.T) {
	w := newWorld(t, ledger.Records{Shared: true, NoHistory: true})
	granted := w.learns("alice", time.Hour)
	extended := w.learns("alice", 2*time.Hour)
	if e := granted.Keep[0].Expect; e == nil || len(e) != 0 {
		t.Errorf("a grant expects %q, want that nothing is there", e)
	}
	if got, want := extended.Keep[0].Expect, granted.Keep[0].Value; string(got) != string(want) {
		t.Errorf("what extends a grant under way expects %q, want the grant %q", got, want)
	}

	lost := fmt.Errorf("commit: %w", effect.ErrTaken)
	taken, after := w.settles(granted, lost)
	if want := []ledger.Place{{Prefix: prefix}}; !slices.Equal(taken, want) {
		t.Errorf("taken: %v, want %v", taken, want)
	}
	if _, ok := w.table.Lookup("", prefix); ok {
		t.Error("the table still has what is another's")
	}
	if len(after) != 1 || len(after[0].Keep) != 0 || len(after[0].Host) == 0 || !after[0].Host[0].Remove {
		t.Errorf("the kernel does not lose it: %+v", after)
	}
	w.settles(extended, lost)
	if again := w.ticks(); len(again) != 0 {
		t.Errorf("the other's record is written over: %+v", again)
	}
	if p, back := w.ledger.Progress(), w.ledger.TakenBack(); p.Unkept != 0 || back != 1 {
		t.Errorf("progress %+v, %d grants taken back; want nothing left to keep and one", p, back)
	}
}

// A store that is only in trouble has taken nothing: the grant goes to what extends it,
// which may be kept yet.
func TestTroubleIsNotTaken(t *testing.T) {
	for _, shared := range []bool{false, true} {
		w := newWorld(t, ledger.Records{Shared: shared, NoHistory: true})
		granted := w.learns("alice", time.Hour)
		extended := w.learns("alice", 2*time.Hour)
		if !shared && (granted.Keep[0].Expect != nil || extended.Keep[0].Expect != nil) {
			t.Error("a store with one writer is told what to expect")
		}
		taken, _ := w.settles(granted, errors.New("disk full"))
		if _, ok := w.table.Lookup("", prefix); !ok || len(taken) != 0 {
			t.Errorf("shared %v: taken %v, in the table %v", shared, taken, ok)
		}
		w.settles(extended, nil)
	}
}

// A record of the core's own that was not kept is kept later, as it is then; one that is
// gone by then is deleted.
func TestRecordsOfTheCore(t *testing.T) {
	w := newWorld(t, ledger.Records{})
	w.records["a/lan0"] = []byte("1")
	w.ledger.LackRecord([]byte("a/lan0"))
	first := w.ticks()
	if len(first) != 1 || string(first[0].Keep[0].Value) != "1" {
		t.Fatalf("changes %+v, want the record", first)
	}
	w.settles(first[0], errors.New("disk full"))
	w.records["a/lan0"] = []byte("2")
	second := w.ticks()
	if len(second) != 1 || string(second[0].Keep[0].Value) != "2" {
		t.Fatalf("changes %+v, want the record as it is now", second)
	}
	w.settles(second[0], errors.New("disk full"))
	delete(w.records, "a/lan0")
	if third := w.ticks(); len(third) != 1 || string(third[0].Keep[0].Key) != "a/lan0" || third[0].Keep[0].Value != nil {
		t.Errorf("changes %+v, want that the record is deleted", third)
	} else if w.settles(third[0], nil); len(w.ticks()) != 0 {
		t.Error("what was kept is kept again")
	}
}

// A grant to another that is taken back gives the prefix to its old holder again, on the
// same link or on another one. Whether that has used the prefix lately is not known, and
// counts as if it had: else the next grant to another would move it without a question.
func TestTakenBackCountsAsUsed(t *testing.T) {
	for _, link := range []string{"lan0", "lan1"} {
		w := newWorld(t, ledger.Records{NoHistory: true})
		alice := w.learnsOn("lan0", "alice", "02:00:00:00:00:0a")
		if got := againOf(alice, "lan0"); !slices.Equal(got, []bool{false}) {
			t.Errorf("a new grant counts as used: %v", got)
		}
		w.settles(alice, nil)
		_, after := w.settles(w.learnsOn(link, "bob", "02:00:00:00:00:0b"), errors.New("disk full"))
		if len(after) != 1 {
			t.Fatalf("bob on %s: changes %+v, want one", link, after)
		}
		if got := againOf(after[0], "lan0"); !slices.Equal(got, []bool{true}) {
			t.Errorf("bob on %s: the old holder's element counts as used: %v, want that it is made once, and does", link, got)
		}
		if d, ok := w.table.Lookup("", prefix); !ok || d.Client.DUID() != "alice" || d.Link != "lan0" {
			t.Errorf("bob on %s: %+v, want alice's on lan0", link, d)
		}
	}
}

// againOf says of the elements for holders on a link that a change makes whether they
// count as used.
func againOf(c effect.Change, link string) (all []bool) {
	for _, op := range c.Host {
		if op.Element != nil && !op.Remove && op.Element.Set == hoststate.SourceHolder && op.Element.Link == link {
			all = append(all, op.Again)
		}
	}
	return all
}

// What keeps a prefix takes out of the store what overlaps with it and has ended, as long as it is not certain that
// this is out: also where the grant itself fails, and what extends it is kept in its place; and where the end is tried
// again at that moment.
func TestEndedIsForgottenWithWhatOverlaps(t *testing.T) {
	down := errors.New("disk full")
	longer := delegation.Grant{Link: "lan0", Client: binding.DUID("bob"), Prefix: netip.MustParsePrefix("2001:db8:1::/48"), Preferred: time.Hour, Lifetime: time.Hour}
	forgets := func(c effect.Change) bool {
		return slices.ContainsFunc(c.Keep, func(op effect.KeepOp) bool {
			return op.Value == nil && string(op.Key) == string(binding.Key(nil, binding.Relay6, "", prefix))
		})
	}
	for _, again := range []bool{false, true} {
		w := newWorld(t, ledger.Records{NoHistory: true})
		w.settles(w.learns("alice", time.Hour), nil)
		ended := w.commits(w.table.Clear(nil, delegation.Selection{Prefix: prefix}))
		if again {
			w.settles(ended, down)
			ended = w.ticks()[0]
		}
		if !forgets(ended) {
			t.Fatalf("again %v: the end is not kept: %+v", again, ended)
		}
		granted, extended := w.granted(longer), w.granted(longer)
		if !forgets(granted) || !forgets(extended) {
			t.Errorf("again %v: a grant does not take out of the store what overlaps: %+v, %+v", again, granted, extended)
		}
		w.settles(ended, down)
		w.settles(granted, down)
		if later := w.granted(longer); !forgets(later) {
			t.Errorf("again %v: an extension after the failures does not: %+v", again, later)
		}
		w.settles(extended, nil)
	}
}
