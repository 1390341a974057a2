package relay6_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// past reads the history between two times, as the store would scan it.
func (w *world) past(from, to time.Time) (all []string) {
	lo, hi := ledger.HistoryRange(from, to)
	var keys []string
	for k := range w.store {
		if k >= string(lo) && k < string(hi) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		p, err := ledger.ParsePast([]byte(k), w.store[k])
		if err != nil {
			w.Fatalf("history %x: %v", k, err)
		}
		all = append(all, w.name(p.Client.DUID())+" "+p.Prefix.String()+" "+p.Reason+" "+p.Ended.UTC().Format(time.TimeOnly))
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
	w.core.Clear(w.now, delegation.Selection{Link: "lan1"}, &w.eff)
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
		if ledger.IsPast([]byte(k)) {
			known++
		}
	}
	if known != len(want) || known == len(w.store) {
		t.Errorf("%d keys of %d are of the history, want %d", known, len(w.store), len(want))
	}
	for _, bad := range [][2][]byte{{nil, nil}, {make([]byte, 11), nil}, {make([]byte, 11), {200}}, {make([]byte, 11), {0}}, {make([]byte, 10), make([]byte, 100)}} {
		if _, err := ledger.ParsePast(bad[0], bad[1]); err == nil {
			t.Errorf("history %x %x was read", bad[0], bad[1])
		}
	}
}

func TestNoHistoryWhereNoneIsWanted(t *testing.T) {
	w := newWorld(t, func(c *relay6.Config) { c.Records.NoHistory = true })
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.sleep(time.Hour)
	if got := w.past(time.Unix(0, 0), w.now.Wall.Add(time.Hour)); len(got) != 0 {
		t.Errorf("history %q, want none", got)
	}
}

// What the configuration does not want to have in the history is not in its
// records, and the living keep it.
func TestHistoryIsMasked(t *testing.T) {
	masked := binding.Binding{Prefix: cidr("100::7/128"), Client: binding.DUID("somebody"), NextHop: addr("100::8")}
	w := newWorld(t, func(c *relay6.Config) {
		c.Records.MaskPast = func(d *binding.Binding) {
			d.Prefix, d.Client, d.NextHop, d.LinkLayer = masked.Prefix, masked.Client, masked.NextHop, masked.LinkLayer
		}
	})
	start := w.now.Wall
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600), prefix("2001:db8:101::/56", 7200)))
	w.sleep(30 * time.Minute)
	if got, want := w.past(start, start.Add(time.Hour)), []string{w.name("somebody") + " 100::7/128 expired 12:10:00"}; !slices.Equal(got, want) {
		t.Errorf("history %q, want %q", got, want)
	}
	for k, v := range w.store {
		if ledger.IsPast([]byte(k)) && (strings.Contains(string(v), alice.duid) || strings.Contains(string(v), string(alice.mac.Append(nil)))) {
			t.Errorf("the record %x has the client", v)
		}
	}
	w.restart()
	if d, ok := w.holder("2001:db8:101::/56"); !ok || d.Client.DUID() != alice.duid || d.NextHop != addr(alice.addr) {
		t.Errorf("what she still holds is %+v, %v", d, ok)
	}
}

// A record that was read and is kept again under its key says the same.
func TestPastIsKeptAgain(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.sleep(time.Hour)
	n := 0
	for k, v := range w.store {
		if !ledger.IsPast([]byte(k)) {
			continue
		}
		n++
		p, err := ledger.ParsePast([]byte(k), v)
		if err != nil || string(p.Value()) != string(v) {
			t.Errorf("%x became %x, %v", v, p.Value(), err)
		}
	}
	if n != 1 {
		t.Errorf("%d records, want 1", n)
	}
}

// Where little is to be kept, what no decision needs is not: the delegation is
// the same after a restart, but for when it began and through whom.
func TestKeepMinimal(t *testing.T) {
	w := newWorld(t, func(c *relay6.Config) { c.Records.Minimal = true })
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 3600)))
	before, _ := w.holder("2001:db8:100::/56")
	if before.Granted.IsZero() || before.Changed.IsZero() || before.Server != "srv" {
		t.Errorf("the living: %+v", before)
	}
	w.restart()
	want := before
	want.Granted, want.Changed, want.Server, want.Source = time.Time{}, time.Time{}, "", binding.FromStore
	if got, ok := w.holder("2001:db8:100::/56"); !ok || got != want {
		t.Errorf("after a restart\n got  %+v\n want %+v", got, want)
	}
}

// What was kept in full before less was wanted is written anew with the next
// renewal, and not sooner.
func TestKeepMinimalFromNowOn(t *testing.T) {
	w := newWorld(t)
	granted := iaPD(1, prefix("2001:db8:100::/56", 3600))
	told := func() bool {
		records, _, _ := w.kept()
		if len(records) != 1 {
			t.Fatalf("%d records, want 1", len(records))
		}
		d := records[0].Binding
		if d.Granted.IsZero() != (d.Server == "") {
			t.Errorf("half of it is there: %+v", d)
		}
		return d.Server != ""
	}
	w.lease(alice, granted)
	less := *w.cfg
	less.Records.Minimal = true
	w.core.Reconfigure(&less, &w.eff)
	w.carryOut()
	if !told() {
		t.Error("the record was written anew without a renewal")
	}
	w.sleep(time.Minute)
	w.lease(alice, granted)
	if told() {
		t.Error("after a renewal the record has what no decision needs")
	}
}
