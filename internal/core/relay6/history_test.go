package relay6_test

import (
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// past reads the history between two times, as the store would scan it.
func (w *world) past(from, to time.Time) (all []string) {
	lo, hi := relay6.HistoryRange(from, to)
	var keys []string
	for k := range w.store {
		if k >= string(lo) && k < string(hi) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		p, err := relay6.ParsePast([]byte(k), w.store[k])
		if err != nil {
			w.Fatalf("history %x: %v", k, err)
		}
		all = append(all, w.name(p.Client)+" "+p.Prefix.String()+" "+p.Reason+" "+p.Ended.UTC().Format(time.TimeOnly))
	}
	return all
}

// Who had which prefix, until when, and why no longer.
func TestHistory(t *testing.T) {
	w := newWorld(t)
	start := w.now.Wall // 12:00
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600), prefix("2001:db8:101::/56", 1200)))
	w.sleep(5 * time.Minute)
	w.lease(bob, iaPD(1, prefix("2001:db8:101::/56", 1200)))
	w.sleep(10 * time.Minute)
	w.says(bob, message(dhcp6.Release, 1, clientID(bob.duid), iaPD(1)))
	w.lease(carol, iaPD(1, prefix("2001:db8:300::/56", 600), prefix("2001:db8:301::/56", 600)))
	w.core.Clear(w.now, delegation.Selection{Link: "lan1"}, false, &w.eff)
	w.carryOut()
	want := []string{
		"alice 2001:db8:101::/56 moved-away 12:05:00", "alice 2001:db8:100::/56 expired 12:10:00", "bob 2001:db8:101::/56 released 12:15:00",
		"carol 2001:db8:300::/56 cleared 12:15:00", "carol 2001:db8:301::/56 cleared 12:15:00",
	}
	if got := w.past(start, start.Add(time.Hour)); !slices.Equal(got, want) {
		t.Errorf("history\n got  %q\n want %q", got, want)
	}
	if got := w.past(start.Add(10*time.Minute), start.Add(15*time.Minute)); !slices.Equal(got, want[1:2]) {
		t.Errorf("from 12:10 until 12:15\n got  %q\n want %q", got, want[1:2])
	}
	known := 0
	for k := range w.store {
		if relay6.IsPast([]byte(k)) {
			known++
		}
	}
	if known != len(want) || known == len(w.store) {
		t.Errorf("%d keys of %d are of the history, want %d", known, len(w.store), len(want))
	}
	for _, bad := range [][2][]byte{{nil, nil}, {make([]byte, 11), nil}, {make([]byte, 11), {200}}, {make([]byte, 11), {0}}, {make([]byte, 10), make([]byte, 100)}} {
		if _, err := relay6.ParsePast(bad[0], bad[1]); err == nil {
			t.Errorf("history %x %x was read", bad[0], bad[1])
		}
	}
}

func TestNoHistoryWhereNoneIsWanted(t *testing.T) {
	w := newWorld(t, func(c *relay6.Config) { c.NoHistory = true })
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.sleep(time.Hour)
	if got := w.past(time.Unix(0, 0), w.now.Wall.Add(time.Hour)); len(got) != 0 {
		t.Errorf("history %q, want none", got)
	}
}

// A trace tells the steps of one client's messages, or of one link's, and of no
// other.
func TestTrace(t *testing.T) {
	steps := func(tr relay6.Trace) (all []string) {
		w := newWorld(t)
		w.core.SetTrace(&tr)
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		w.lease(carol, iaPD(1, prefix("2001:db8:300::/56", 600)))
		w.says(bob, message(dhcp6.Reply, 1, clientID(bob.duid)))
		for _, n := range w.notes {
			if n.Kind == relay6.NoteTrace {
				all = append(all, n.Link+" "+w.name(n.Client)+" "+n.Type.String()+" "+n.Text)
			}
		}
		return all
	}
	alices := []string{"lan0 alice Request forwarded", "lan0 alice Reply delivered"}
	bobs := []string{"lan0 bob Reply dropped: server-message"}
	if got := steps(relay6.Trace{Client: alice.duid}); !slices.Equal(got, alices) {
		t.Errorf("alice's steps %q, want %q", got, alices)
	}
	if got := steps(relay6.Trace{Link: "lan0"}); !slices.Equal(got, append(alices, bobs...)) {
		t.Errorf("lan0's steps %q, want %q", got, append(alices, bobs...))
	}
}
