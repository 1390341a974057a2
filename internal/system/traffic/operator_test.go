package traffic_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/system/rig"
)

// prefixes are those of a view, in order.
func prefixes(all []shown) (list []string) {
	for _, d := range all {
		list = append(list, d.Prefix)
	}
	slices.Sort(list)
	return list
}

// O-1: "The relay SHOULD implement an interface allowing the operator to view
// the active delegated prefixes. This SHOULD provide information about the
// delegated lease and client details such as the client identifier, next-hop
// address, connected interface, and remaining lifetimes."
func TestRFC8987_O1_ActiveDelegationsOnView(t *testing.T) {
	r := start(t, lab.Plan{Clients: 2})
	a, b := pfx("2001:db8:1100::/56"), pfx("2001:db8:1200:300::/60")
	r.delegate(1, a)
	r.delegate(2, b)
	all := r.delegations()
	if diff := cmp.Diff(texts(a, b), prefixes(all)); diff != "" {
		t.Fatalf("delegations (-want +got):\n%s", diff)
	}
	i := slices.IndexFunc(all, func(d shown) bool { return d.Prefix == b.String() })
	got := all[i]
	next := r.Client(2).LinkLocal("c0")
	left := func(v any, most float64) bool {
		n, ok := v.(float64)
		return ok && n <= most && n > most-300 // a machine that is slower than this has other problems
	}
	if !left(got.Preferred, 2000) || !left(got.Valid, 3000) || got.Expires.Before(time.Now()) {
		t.Errorf("remaining lifetimes %v and %v until %v, want nearly 2000 and 3000", got.Preferred, got.Valid, got.Expires)
	}
	got.Preferred, got.Valid, got.Expires = nil, nil, time.Time{}
	want := shown{
		Prefix: b.String(), Link: "d2", Client: rig.DUID(2).String(), IAID: 2, NextHop: next.String(),
		Server: "server", Source: "reply",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the second delegation (-want +got):\n%s", diff)
	}
	for _, tt := range []struct {
		flags []string
		want  []string
	}{
		{[]string{"--client", rig.DUID(1).String()}, texts(a)},
		{[]string{"--link", "d2"}, texts(b)},
		{[]string{"--prefix", "2001:db8:1100::/40"}, texts(a)},
		{[]string{"--client", rig.DUID(1).String(), "--link", "d2"}, nil},
	} {
		if diff := cmp.Diff(tt.want, prefixes(r.delegations(tt.flags...))); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.flags, diff)
		}
	}
	// What people read has it all, too.
	table := r.Fairlead.CLI("delegations")
	for _, part := range []string{a.String(), rig.DUID(1).String(), "d1", next.String(), "2 delegations"} {
		if !strings.Contains(table, part) {
			t.Errorf("the table lacks %q:\n%s", part, table)
		}
	}
}

// O-1: remaining lifetimes run down, and what has ended is not active.
func TestRFC8987_O1_LifetimesRunDown(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	p := pfx("2001:db8:1100::/56")
	r.grant(1, rig.Long(p))
	c := r.client(1)
	reply := c.Obtain(1)
	left := float64(rig.Long(p).Valid)
	for range 2 {
		r.Until(fmt.Sprintf("less than %v s are left", left), func() bool {
			all := r.delegations()
			if len(all) != 1 {
				t.Fatalf("%d delegations on view, want one", len(all))
			}
			now := all[0].Valid.(float64)
			if now < 0 || now > left {
				t.Fatalf("%v s are left, after %v", now, left)
			}
			less := now < left
			left = now
			return less
		})
	}
	r.grant(1, lasting(p, 1))
	c.Renew(reply)
	r.Until("the delegation is not on view any more", func() bool { return len(r.delegations()) == 0 })
	if got := r.RouteOf(p); len(got) > 0 {
		t.Errorf("not on view, and routed: %+v", got)
	}
}

// O-2: "The relay SHOULD provide a method for the operator to clear active
// bindings for an individual lease, client, or all bindings on a port." The
// routes go at once, and the others stay.
func TestRFC8987_O2_ClearByLeaseClientOrPort(t *testing.T) {
	r := start(t, lab.Plan{Clients: 3})
	all := map[string]netip.Prefix{}
	give := func(number int, iaids ...uint32) {
		t.Helper()
		c := r.clientOnce(number)
		for _, iaid := range iaids {
			p := pfx("2001:db8:1%d%02x::/56", number, iaid)
			r.grantOn(lab.LinkAddress(number), iaid, rig.Long(p))
			all[strconv.Itoa(number)+"/"+strconv.Itoa(int(iaid))] = p
		}
		c.Obtain(iaids...)
	}
	give(1, 1, 2)
	give(2, 1)
	give(3, 1, 2)
	clear := func(want int, args ...string) {
		t.Helper()
		var got struct{ Cleared int }
		r.Fairlead.Show(&got, append([]string{"clear"}, args...)...)
		if got.Cleared != want {
			t.Errorf("clear %v: %d cleared, want %d", args, got.Cleared, want)
		}
	}
	left := func(names ...string) {
		t.Helper()
		var want []netip.Prefix
		for _, n := range names {
			want = append(want, all[n])
		}
		var got []string
		err := lab.Until(labtest.Patience, "the routes follow", func() bool {
			got = r.Routed()
			return slices.Equal(got, texts(want...))
		})
		if err != nil {
			t.Errorf("routes: %v, want %v", got, texts(want...))
		}
	}
	clear(1, all["1/1"].String())
	left("1/2", "2/1", "3/1", "3/2")
	clear(1, "--client", rig.DUID(2).String())
	left("1/2", "3/1", "3/2")
	clear(2, "--link", "d3")
	left("1/2")
	if got := r.Permitted(`"` + all["3/1"].Addr().String() + `"`); len(got) > 0 {
		t.Errorf("the filter still has what was cleared: %v", got)
	}
	// It stays cleared across a restart, until the server grants it anew.
	r.Fairlead.Restart()
	left("1/2")
	give(3, 1)
	left("1/2", "3/1")
	clear(2, "--all")
	left()
	if out, err := r.Fairlead.Relay.CLI("clear", "--all"); err == nil {
		t.Errorf("clear of nothing succeeds: %q", out)
	}
	if out, err := r.Fairlead.Relay.CLI("clear"); err == nil {
		t.Errorf("clear without a selection succeeds: %q", out)
	}
}

// O-2: with --block a cleared delegation is not learned again until it is
// unblocked, whatever the server says, and across a restart. The client's
// messages pass all the same (G-1).
func TestRFC8987_O2_BlockAndUnblock(t *testing.T) {
	for what, words := range map[string][]string{
		"lease": {"2001:db8:1100::/56"}, "client": {"--client", rig.DUID(1).String()}, "port": {"--link", "d1"},
	} {
		t.Run(what, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 2})
			p, other := pfx("2001:db8:1100::/56"), pfx("2001:db8:1200::/56")
			c, reply := r.delegate(1, p)
			r.Fairlead.CLI(append([]string{"clear", "--block"}, words...)...)
			r.WantNoRoute(p)
			if got := rig.Held(c.Renew(reply)); len(got) != 1 {
				t.Errorf("the client's Reply has %v, want its prefix: messages are not changed", got)
			}
			r.delegate(2, other)
			r.WantRoute(other, 2)
			r.Fairlead.Restart()
			c.Renew(reply)
			if diff := cmp.Diff(texts(other), r.Routed()); diff != "" {
				t.Errorf("routes while it is blocked (-want +got):\n%s", diff)
			}
			r.Fairlead.CLI(append([]string{"unblock"}, words...)...)
			c.Renew(reply)
			r.WantRoute(p, 1)
		})
	}
}

// O-3: "To facilitate troubleshooting of operational problems between the
// delegating relay and other elements, it is RECOMMENDED that a time
// synchronization protocol be used by the delegating relays and DHCP servers."
// Whether the clock is synchronised is shown, as the kernel has it.
func TestRFC8987_O3_ClockIsShownAsTheKernelHasIt(t *testing.T) {
	r := start(t, lab.Plan{})
	var kernel unix.Timex
	state, err := unix.Adjtimex(&kernel)
	r.Need(err)
	synced := kernel.Status&unix.STA_UNSYNC == 0 && state != unix.TIME_ERROR
	var status struct {
		Clock struct {
			Synchronised bool `json:"synchronised"`
		} `json:"clock"`
		Degraded []string `json:"degraded"`
	}
	r.Fairlead.Show(&status, "status")
	if status.Clock.Synchronised != synced {
		t.Errorf("synchronised is shown as %v, and the kernel says %v (state %d, status %#x)", status.Clock.Synchronised, synced, state, kernel.Status)
	}
	warned := slices.ContainsFunc(status.Degraded, func(s string) bool { return strings.HasPrefix(s, "clock: not synchronised") })
	if warned == synced {
		t.Errorf("degraded: %q, want a word about the clock if it is not synchronised (%v)", status.Degraded, synced)
	}
	text := r.Fairlead.CLI("status")
	if !strings.Contains(text, "clock") {
		t.Errorf("the status for people says nothing of the clock:\n%s", text)
	}
}

// RFC 4778 and the history: who had which prefix when, and why it ended, also
// across a restart.
func TestHistoryOfAPrefix(t *testing.T) {
	r := start(t, lab.Plan{Clients: 2})
	p := pfx("2001:db8:1100::/56")
	begin := time.Now().Add(-time.Second)
	one, reply := r.delegate(1, p)
	one.Release(reply)
	r.WantNoRoute(p)
	r.grant(2, lasting(p, 2))
	r.client(2).Obtain(2)
	r.WantNoRoute(p)
	r.grant(2, rig.Long(p))
	last := r.Play(2, rig.DUID(3))
	last.Obtain(2)
	r.Fairlead.Restart()
	type entry struct {
		Prefix  string    `json:"prefix"`
		Link    string    `json:"link"`
		Client  string    `json:"client"`
		Granted time.Time `json:"granted"`
		Ended   time.Time `json:"ended"`
		Reason  string    `json:"reason"`
	}
	var all []entry
	r.Fairlead.Show(&all, "history", "--prefix", p.String())
	if len(all) != 3 {
		t.Fatalf("%d entries, want 3: %+v", len(all), all)
	}
	for i, want := range []entry{ // the latest first
		{Link: "d2", Client: rig.DUID(3).String()},
		{Link: "d2", Client: rig.DUID(2).String(), Reason: "expired"},
		{Link: "d1", Client: rig.DUID(1).String(), Reason: "released"},
	} {
		got := all[i]
		if got.Prefix != p.String() || got.Link != want.Link || got.Client != want.Client || got.Reason != want.Reason {
			t.Errorf("entry %d: %+v, want %+v", i, got, want)
		}
		if got.Granted.Before(begin) || got.Granted.After(time.Now()) || got.Ended.IsZero() != (i == 0) || i > 0 && got.Ended.Before(got.Granted) {
			t.Errorf("entry %d: from %v to %v", i, got.Granted, got.Ended)
		}
	}
}
