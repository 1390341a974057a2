package relay6_test

import (
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

const (
	orphaned  = "2001:db8:100::/56"
	orphaned2 = "2001:db8:200::/56"
)

// bereft is a world whose store was lost while two clients had a prefix each, and
// that keeps what it cannot explain for an hour.
func bereft(t *testing.T, change ...func(*relay6.Config)) *world {
	t.Helper()
	w := newWorld(t, change...)
	w.lease(alice, iaPD(1, prefix(orphaned, 86400)))
	w.lease(bob, iaPD(1, prefix(orphaned2, 86400)))
	clear(w.store)
	w.orphansEnd = w.now.Boot.After(time.Hour)
	w.restart()
	return w
}

// wantOrphans fails the test unless those are the orphans, and no others are routed
// but they and what is delegated.
func (w *world) wantOrphans(want ...string) {
	w.Helper()
	var got []string
	for _, o := range w.core.Kernel().Orphans {
		got = append(got, o.Prefix.String())
	}
	if !slices.Equal(got, want) {
		w.Errorf("orphans %v, want %v", got, want)
	}
	if n := w.core.Kernel().Counts().Orphans; n != len(want) {
		w.Errorf("%d orphans are counted, want %d", n, len(want))
	}
}

// What a lost store does not explain stays until its client is heard, or its time
// is over.
func TestOrphansStayForATime(t *testing.T) {
	w := bereft(t)
	w.wants()
	w.wantOrphans(orphaned, orphaned2)
	way := w.kernel.RoutesOf(orphaned)
	w.lease(alice, iaPD(1, prefix(orphaned, 3600)))
	w.wants(leased + "1h0m0s")
	w.wantOrphans(orphaned2)
	if got := w.kernel.RoutesOf(orphaned); !slices.Equal(got, way) {
		t.Errorf("the route was %v and is %v", way, got)
	}
	w.sleep(time.Hour - time.Nanosecond)
	w.wantOrphans(orphaned2)
	w.sleep(time.Nanosecond)
	w.wantOrphans()
	if got := w.kernel.RoutesOf(orphaned2); len(got) != 0 {
		t.Errorf("after its time the orphan is routed %v", got)
	}
}

// A grant takes the place of an orphan and cannot be kept: the client has not heard of
// it, and the orphan is what it was, with its route.
func TestOrphanWhoseGrantIsNotKept(t *testing.T) {
	for name, then := range map[string]func(*world){
		"granted":             func(*world) {},
		"granted and renewed": func(w *world) { w.exchange(alice, dhcp6.Renew, iaPD(1, prefix(orphaned, 3600))) },
	} {
		w := bereft(t)
		way := w.kernel.RoutesOf(orphaned)
		w.slow, w.keepFail = true, errStoreDown
		w.exchange(alice, dhcp6.Request, iaPD(1, prefix(orphaned, 3600)))
		w.wantOrphans(orphaned2)
		then(w)
		for len(w.flight) > 0 {
			w.finish(1)
		}
		w.slow = false
		w.wants()
		w.wantOrphans(orphaned, orphaned2)
		if got := w.kernel.RoutesOf(orphaned); !slices.Equal(got, way) {
			t.Errorf("%s: the route was %v and is %v", name, way, got)
		}
		w.keepFail = nil
		w.lease(alice, iaPD(1, prefix(orphaned, 3600)))
		w.wantOrphans(orphaned2)
		w.sleep(time.Hour)
		w.wantOrphans()
	}
}

// An orphan stands in no grant's way: it neither counts against a limit, nor is it
// asked whether it is alive, nor does it stop what overlaps it.
func TestOrphansAreInNoGrantsWay(t *testing.T) {
	w := bereft(t, policy(func(p *delegation.Policy) { p.LinkLimit, p.Move = 2, delegation.MoveDeny }))
	w.lease(carol, iaPD(1, prefix(orphaned, 3600), prefix("2001:db8:300::/56", 3600)))
	if d, ok := w.holder(orphaned); !ok || d.Client.DUID() != carol.duid {
		t.Errorf("the orphan's prefix is held by %+v", d)
	}
	w.wantOrphans(orphaned2)
	if len(w.probes) != 0 {
		t.Errorf("%d probes for an orphan", len(w.probes))
	}
	w = bereft(t)
	w.lease(carol, iaPD(1, prefix("2001:db8:200:80::/60", 3600)))
	w.wantOrphans(orphaned)
	if got := w.kernel.RoutesOf(orphaned2); len(got) != 0 {
		t.Errorf("the orphan that a grant overlaps is routed %v", got)
	}
}

// What a reload would take from orphans counts as what it takes from delegations: their
// clients use them still.
func TestProspectsOfOrphans(t *testing.T) {
	w := bereft(t)
	next := *w.cfg
	next.Links = nil
	for _, p := range w.core.Prospects(&next) {
		if want := map[string]int{"lan0": 2}[p.Link]; p.Prefixes != want {
			t.Errorf("%s would lose %d prefixes, want %d", p.Link, p.Prefixes, want)
		}
	}
}

// An operator ends orphans by prefix, by link, or all; to clear a client ends none.
func TestClearOfOrphans(t *testing.T) {
	for name, tc := range map[string]struct {
		s    delegation.Selection
		want []string
	}{
		"by prefix":      {delegation.Selection{Prefix: cidr(orphaned)}, []string{orphaned2}},
		"by link":        {delegation.Selection{Link: "lan0"}, nil},
		"another link":   {delegation.Selection{Link: "lan1"}, []string{orphaned, orphaned2}},
		"a client":       {delegation.Selection{Client: binding.DUID(alice.duid)}, []string{orphaned, orphaned2}},
		"client on link": {delegation.Selection{Client: binding.DUID(alice.duid), Link: "lan0"}, []string{orphaned, orphaned2}},
		"all":            {delegation.Selection{All: true}, nil},
		"nothing":        {delegation.Selection{}, []string{orphaned, orphaned2}},
	} {
		w := bereft(t)
		n := w.core.Clear(w.now, tc.s, &w.eff)
		w.carryOut()
		if n != 2-len(tc.want) {
			t.Errorf("%s: %d were cleared, want %d", name, n, 2-len(tc.want))
		}
		w.wantOrphans(tc.want...)
	}
}

// A core that follows one which panicked knows what is an orphan, and until when.
func TestOrphansOutliveAPanic(t *testing.T) {
	w := bereft(t)
	var next *relay6.Relay
	for range 2 { // the second one before the kernel was compared
		old := w.core
		next = relay6.New(w.cfg, w.bootID)
		next.Succeed(old)
		for _, l := range w.links {
			next.SetLink(l, &w.eff)
		}
		next.Restore(w.now, slices.Values([]binding.Record(nil)), nil, time.Time{}, &w.eff)
		w.core = next
		w.carryOut()
	}
	w.kernel.Compare(next.Kernel(), &w.eff)
	w.carryOut()
	w.wantOrphans(orphaned, orphaned2)
	w.sleep(time.Hour)
	w.wantOrphans()
}
