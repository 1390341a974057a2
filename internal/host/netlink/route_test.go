package netlink_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/netlink/bulk"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

type op = hoststate.Op

// RFC 8987: a route comes, changes and goes as asked. It has exactly the length of
// the delegation, and no other route changes.
func TestRouteLife(t *testing.T) {
	both(t, func(t *testing.T, w world) {
		apply(
			t, w, op{Route: unicast(w, "2001:db8:100::/56", "fe80::1")}, op{Route: unicast(w, "2001:db8:200::/60", "fe80::2")},
			op{Route: unicast(w, "2001:db8:200::/64", "fe80::3")}, op{Route: unicast(w, "2001:db8:300::1/128", "fe80::4")},
		)
		expect(
			t, w, "2001:db8:100::/56 via fe80::1 dev c0 table 254 proto 87 metric 1024",
			"2001:db8:200::/60 via fe80::2 dev c0 table 254 proto 87 metric 1024",
			"2001:db8:200::/64 via fe80::3 dev c0 table 254 proto 87 metric 1024",
			"2001:db8:300::1 via fe80::4 dev c0 table 254 proto 87 metric 1024",
		)
		apply(
			t, w, op{Route: unicast(w, "2001:db8:100::/56", "fe80::9")}, op{Remove: true, Route: unicast(w, "2001:db8:200::/64", "fe80::3")},
			op{Remove: true, Route: unicast(w, "2001:db8:300::1/128", "fe80::4")}, op{Remove: true, Route: unicast(w, "2001:db8:400::/56", "fe80::4")},
		)
		expect(
			t, w, "2001:db8:100::/56 via fe80::9 dev c0 table 254 proto 87 metric 1024",
			"2001:db8:200::/60 via fe80::2 dev c0 table 254 proto 87 metric 1024",
		)
	})
}

// Operations on one route in one call are carried out in their order.
func TestOrderWithinOneCall(t *testing.T) {
	both(t, func(t *testing.T, w world) {
		r := unicast(w, "2001:db8:100::/56", "fe80::1")
		apply(t, w, op{Route: r}, op{Remove: true, Route: r})
		expect(t, w)
		apply(t, w, op{Route: r}, op{Remove: true, Route: r}, op{Route: unicast(w, "2001:db8:100::/56", "fe80::2")})
		expect(t, w, "2001:db8:100::/56 via fe80::2 dev c0 table 254 proto 87 metric 1024")
	})
}

// Routes of one prefix in different tables, or with different metrics, are different routes.
func TestTableAndMetric(t *testing.T) {
	both(t, func(t *testing.T, w world) {
		main, vrf, far := unicast(w, "2001:db8:100::/56", "fe80::1"), unicast(w, "2001:db8:100::/56", "fe80::2"), unicast(w, "2001:db8:100::/56", "fe80::3")
		vrf.Table, far.Metric = 1000, 4096
		apply(t, w, op{Route: main}, op{Route: vrf}, op{Route: far})
		expect(
			t, w, "2001:db8:100::/56 via fe80::1 dev c0 table 254 proto 87 metric 1024",
			"2001:db8:100::/56 via fe80::2 dev c0 table 1000 proto 87 metric 1024",
			"2001:db8:100::/56 via fe80::3 dev c0 table 254 proto 87 metric 4096",
		)
		apply(t, w, op{Remove: true, Route: vrf}, op{Remove: true, Route: far})
		expect(t, w, "2001:db8:100::/56 via fe80::1 dev c0 table 254 proto 87 metric 1024")
	})
}

// A throw route takes the place of an unreachable one, and gives it back. It is read back as a
// throw route, and goes when all of ours go.
func TestThrow(t *testing.T) {
	both(t, func(t *testing.T, w world) {
		u := unreachable("2001:db8:100::/64")
		u.Table, u.Metric = 100, hoststate.StandingMetric
		throw := *u
		throw.Link = hoststate.Throw
		const isUnreachable = "unreachable 2001:db8:100::/64 table 100 proto 87 metric 4294967295"
		const isThrow = "throw 2001:db8:100::/64 table 100 proto 87 metric 4294967295"
		apply(t, w, op{Route: u})
		expect(t, w, isUnreachable)
		apply(t, w, op{Route: &throw})
		expect(t, w, isThrow)
		w.restart()
		read, err := w.Routes()
		if err != nil || !slices.Equal(read, []hoststate.Route{throw}) {
			t.Errorf("read back: %v, error %v; want %v", read, err, throw)
		}
		apply(t, w, op{Route: u})
		expect(t, w, isUnreachable)
		apply(t, w, op{Remove: true, Route: u})
		expect(t, w)
		apply(t, w, op{Route: &throw})
		apply(t, w, op{Remove: true, Route: &throw})
		expect(t, w)
		apply(t, w, op{Route: &throw})
		if n, err := w.Purge(); n != 1 || err != nil {
			t.Errorf("purge: %d, %v", n, err)
		}
		expect(t, w)
	})
}

// RFC 8987 S-2: a route stays when the carrier is lost. When the link is set down or deleted, an
// unreachable route stands in, which gives way when the link is back.
func TestS2InTheKernel(t *testing.T) {
	both(t, func(t *testing.T, w world) {
		const live = "2001:db8:100::/56 via fe80::1 dev c0 table 254 proto 87 metric 1024"
		const standIn = "unreachable 2001:db8:100::/56 table 254 proto 87 metric 1024"
		r := unicast(w, "2001:db8:100::/56", "fe80::1")
		apply(t, w, op{Route: r})
		w.carrier("c0", false)
		expect(t, w, live)
		w.carrier("c0", true)
		expect(t, w, live)

		for _, lose := range []struct {
			go_, back func()
		}{
			{func() { w.up("c0", false) }, func() { w.up("c0", true) }},
			{func() { w.remove("c0") }, func() { w.make("c0") }},
		} {
			lose.go_()
			expect(t, w)
			if err := tryApply(t, w, op{Route: r})[0]; !errors.Is(err, netlink.ErrRefused) {
				t.Errorf("route on a lost device: %v, want ErrRefused", err)
			}
			apply(t, w, op{Route: unreachable("2001:db8:100::/56")})
			expect(t, w, standIn)
			if err := tryApply(t, w, op{Route: r})[0]; !errors.Is(err, netlink.ErrRefused) {
				t.Errorf("route on a lost device: %v, want ErrRefused", err)
			}
			expect(t, w, standIn)
			lose.back()
			r = unicast(w, "2001:db8:100::/56", "fe80::1")
			apply(t, w, op{Route: r})
			expect(t, w, live)
		}
	})
}

// A foreign route is neither replaced nor removed, whether it was there first or came later. The
// other operations of the batch are carried out.
func TestForeignRouteIsLeftAlone(t *testing.T) {
	both(t, func(t *testing.T, w world) {
		const theirs = "2001:db8:100::/56 via fe80::99 dev c0 table 254 proto 4 metric 1024"
		ours := unicast(w, "2001:db8:100::/56", "fe80::1")
		foreign := unicast(w, "2001:db8:100::/56", "fe80::99")
		other := unicast(w, "2001:db8:200::/56", "fe80::1")
		w.foreign(*foreign)
		errs := tryApply(t, w, op{Route: ours}, op{Route: other})
		if len(errs) != 1 || !errors.Is(errs[0], netlink.ErrForeign) {
			t.Errorf("errors %v, want ErrForeign for the first", errs)
		}
		expect(t, w, theirs, "2001:db8:200::/56 via fe80::1 dev c0 table 254 proto 87 metric 1024")
		apply(t, w, op{Remove: true, Route: ours}, op{Remove: true, Route: other})
		expect(t, w, theirs)
		if err := tryApply(t, w, op{Route: unreachable("2001:db8:100::/56")})[0]; !errors.Is(err, netlink.ErrForeign) {
			t.Errorf("stand-in: %v, want ErrForeign", err)
		}
		if n, err := w.Purge(); n != 0 || err != nil {
			t.Errorf("purge: %d, %v, want 0", n, err)
		}
		expect(t, w, theirs)
		w.delete(*foreign)
		apply(t, w, op{Route: ours})
		expect(t, w, "2001:db8:100::/56 via fe80::1 dev c0 table 254 proto 87 metric 1024")
	})
}

// A foreign route may take the place of a route that went with its device. It stays, although we
// were not told (no watch is running here).
func TestForeignRouteInTheGap(t *testing.T) {
	both(t, func(t *testing.T, w world) {
		apply(t, w, op{Route: unicast(w, "2001:db8:100::/56", "fe80::1")})
		w.up("c0", false)
		foreign := *unreachable("2001:db8:100::/56")
		w.foreign(foreign)
		if err := tryApply(t, w, op{Route: unreachable("2001:db8:100::/56")})[0]; !errors.Is(err, netlink.ErrForeign) {
			t.Errorf("stand-in: %v, want ErrForeign", err)
		}
		expect(t, w, "unreachable 2001:db8:100::/56 table 254 proto 4 metric 1024")
	})
}

// After a restart, routes of the process before are still ours.
func TestOwnRoutesAfterRestart(t *testing.T) {
	both(t, func(t *testing.T, w world) {
		apply(t, w, op{Route: unicast(w, "2001:db8:100::/56", "fe80::1")}, op{Route: unreachable("2001:db8:200::/56")})
		w.restart()
		apply(t, w, op{Route: unreachable("2001:db8:100::/56")}, op{Route: unicast(w, "2001:db8:200::/56", "fe80::2")})
		expect(
			t, w, "unreachable 2001:db8:100::/56 table 254 proto 87 metric 1024",
			"2001:db8:200::/56 via fe80::2 dev c0 table 254 proto 87 metric 1024",
		)
		got, err := w.Routes()
		if err != nil {
			t.Fatal(err)
		}
		want := []hoststate.Route{*unreachable("2001:db8:100::/56"), *unicast(w, "2001:db8:200::/56", "fe80::2")}
		if diff := cmp.Diff(want, inKernelOrder(got), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("read back, -want +got:\n%s", diff)
		}
	})
}

func inKernelOrder(rs []hoststate.Route) []hoststate.Route {
	slices.SortFunc(rs, func(a, b hoststate.Route) int { return a.Prefix.Addr().Compare(b.Prefix.Addr()) })
	return rs
}

// Purge removes our routes from every table, and nothing else.
func TestPurge(t *testing.T) {
	both(t, func(t *testing.T, w world) {
		vrf := unicast(w, "2001:db8:100::/56", "fe80::1")
		vrf.Table = 1000
		theirs := unicast(w, "2001:db8:300::/56", "fe80::99")
		elsewhere := unicast(w, "2001:db8:300::/56", "fe80::99")
		elsewhere.Table = 1000
		w.foreign(*theirs)
		w.foreign(*elsewhere)
		apply(t, w, op{Route: vrf}, op{Route: unicast(w, "2001:db8:100::/56", "fe80::1")}, op{Route: unreachable("2001:db8:200::/56")})
		if n, err := w.Purge(); n != 3 || err != nil {
			t.Errorf("purge: %d, %v, want 3", n, err)
		}
		expect(
			t, w, "2001:db8:300::/56 via fe80::99 dev c0 table 1000 proto 4 metric 1024",
			"2001:db8:300::/56 via fe80::99 dev c0 table 254 proto 4 metric 1024",
		)
	})
}

// A comparison finds what other programs did to our routes, and mends it.
func TestComparisonMendsRoutes(t *testing.T) {
	both(t, func(t *testing.T, w world) {
		s := hoststate.New()
		ops := s.SetPolicy(s.SetLink(nil, &links.Link{Index: w.index("c0"), Name: "c0", Up: true}), "c0", &hoststate.Policy{})
		for _, p := range []string{"2001:db8:100::/56", "2001:db8:200::/56"} {
			ops = s.Put(ops, hoststate.Delegation{Link: "c0", Prefix: netip.MustParsePrefix(p), NextHop: netip.MustParseAddr("fe80::1")})
		}
		apply(t, w, ops...)
		w.delete(*unicast(w, "2001:db8:100::/56", "fe80::1"))
		apply(t, w, op{Route: unicast(w, "2001:db8:300::/56", "fe80::1")})
		apply(t, w, op{Route: unicast(w, "2001:db8:200::/56", "fe80::66")})

		actual, err := w.Routes()
		if err != nil {
			t.Fatal(err)
		}
		ops, found := s.CompareAll(nil, hoststate.Actual{Routes: actual})
		got := map[string]bool{}
		for _, f := range found {
			got[f.Kind.String()+" "+f.Route.Prefix.String()] = true
		}
		want := map[string]bool{"missing 2001:db8:100::/56": true, "changed 2001:db8:200::/56": true, "left over 2001:db8:300::/56": true}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("findings, -want +got:\n%s", diff)
		}
		apply(t, w, ops...)
		expect(
			t, w, "2001:db8:100::/56 via fe80::1 dev c0 table 254 proto 87 metric 1024",
			"2001:db8:200::/56 via fe80::1 dev c0 table 254 proto 87 metric 1024",
		)
	})
}

// Routes with several next hops, and two routes in the place of one, are found, and become one
// route again.
func TestComparisonMendsCrookedRoutes(t *testing.T) {
	w := newReal(t)
	s := hoststate.New()
	ops := s.SetPolicy(s.SetLink(nil, &links.Link{Index: w.index("c0"), Name: "c0", Up: true}), "c0", &hoststate.Policy{})
	for _, p := range []string{"2001:db8:100::/56", "2001:db8:200::/56", "2001:db8:300::/56"} {
		ops = s.Put(ops, hoststate.Delegation{Link: "c0", Prefix: netip.MustParsePrefix(p), NextHop: netip.MustParseAddr("fe80::1")})
	}
	apply(t, w, ops...)
	run(t, "ip -6 route append 2001:db8:100::/56 via fe80::2 dev c0 proto 87")
	run(t, "ip -6 route append unreachable 2001:db8:200::/56 proto 87")
	run(t, "ip -6 route replace blackhole 2001:db8:300::/56 proto 87")
	actual, err := w.Routes()
	if err != nil {
		t.Fatal(err)
	}
	ops, found := s.CompareAll(nil, hoststate.Actual{Routes: actual})
	if len(found) != 3 || found[0].Kind != hoststate.Changed || found[1].Kind != hoststate.Changed || found[2].Kind != hoststate.Changed {
		t.Errorf("findings %v, want three changed", found)
	}
	apply(t, w, ops...)
	expect(
		t, w, "2001:db8:100::/56 via fe80::1 dev c0 table 254 proto 87 metric 1024",
		"2001:db8:200::/56 via fe80::1 dev c0 table 254 proto 87 metric 1024",
		"2001:db8:300::/56 via fe80::1 dev c0 table 254 proto 87 metric 1024",
	)
}

// Many routes go in, are read back, and go out in batches.
func TestTwentyThousandRoutes(t *testing.T) {
	const many = 20_000
	w := newReal(t)
	ops := make([]op, many)
	base := netip.MustParseAddr("2001:db8::").As16()
	like := *unicast(w, "2001:db8::/48", "fe80::1")
	for i := range ops {
		binary.BigEndian.PutUint16(base[4:], uint16(i))
		r := like
		r.Prefix = netip.PrefixFrom(netip.AddrFrom16(base), 48)
		ops[i].Route = &r
	}
	foreign := unicast(w, "2001:db8:7::/48", "fe80::99")
	w.foreign(*foreign)
	errs := tryApply(t, w, ops...)
	if len(errs) != 1 || !errors.Is(errs[7], netlink.ErrForeign) {
		t.Errorf("%d errors, the eighth %v; want one, ErrForeign", len(errs), errs[7])
	}
	got, err := w.Routes()
	if err != nil || len(got) != many-1 {
		t.Errorf("read back: %d, %v, want %d", len(got), err, many-1)
	}
	if n, err := w.Purge(); n != many-1 || err != nil {
		t.Errorf("purge: %d, %v, want %d", n, err, many-1)
	}
	expect(t, w, "2001:db8:7::/48 via fe80::99 dev c0 table 254 proto 4 metric 1024")
}

// RFC 8987 S-2: between a route and its stand-in there is no moment in which a packet takes
// another way.
func TestSwapLeavesNoGap(t *testing.T) {
	w := newReal(t)
	run(t, "ip -6 route add default via fe80::99 dev c0p")
	live, standIn := unicast(w, "2001:db8:100::/56", "fe80::1"), unreachable("2001:db8:100::/56")
	apply(t, w, op{Route: live})
	look, err := bulk.Open(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close()
	var stop atomic.Bool
	seen := make(chan map[int]int)
	go func() {
		counts := map[int]int{}
		for !stop.Load() {
			counts[wayTo(look, netip.MustParseAddr("2001:db8:100::5"))]++
		}
		seen <- counts
	}()
	for range 3000 {
		apply(t, w, op{Route: standIn})
		apply(t, w, op{Route: live})
	}
	stop.Store(true)
	counts := <-seen
	if counts[live.Link] == 0 || counts[0] == 0 {
		t.Errorf("looked up by device: %v; want both kinds seen", counts)
	}
	if n := counts[w.index("c0p")]; n != 0 {
		t.Errorf("%d lookups fell through to the default route", n)
	}
}

// wayTo is the interface by which the kernel would send a packet to a; 0 if there is none.
func wayTo(c *bulk.Conn, a netip.Addr) (oif int) {
	b, start := bulk.Begin(nil, unix.RTM_GETROUTE, unix.NLM_F_ACK, unix.AF_INET6, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = bulk.End(bulk.Attr(b, unix.RTA_DST, a.AsSlice()), start)
	_ = c.Dump(b, bulk.Tries, func() {}, func(_ uint16, body []byte) {
		bulk.Attrs(body[unix.SizeofRtMsg:], func(kind uint16, v []byte) {
			if kind == unix.RTA_OIF && body[7] == unix.RTN_UNICAST {
				oif = int(binary.NativeEndian.Uint32(v))
			}
		})
	})
	return oif
}
