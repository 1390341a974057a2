package traffic_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// accesses are the kinds of links.
var accesses = map[string]lab.Access{"cables": lab.Cables, "switch": lab.Switch, "ppp": lab.PPP}

// R-1: "The relay MUST maintain a local routing table that is dynamically
// updated with leases and the associated next hops as they are delegated to
// clients. When a delegated prefix is released or expires, the associated route
// MUST be removed from the relay's routing table."
func TestRFC8987_R1_RoutesComeAndGoOnEveryKindOfLink(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 2, Access: access})
			first, second, brief := pfx("2001:db8:1100::/56"), pfx("2001:db8:1100:100::/56"), pfx("2001:db8:1100:200::/56")
			if got := r.Routed(); len(got) > 0 {
				t.Errorf("before anything is delegated: %v", got)
			}
			r.grant(1, rig.Long(first), rig.Long(brief))
			one := r.client(1)
			reply := one.Obtain(1)
			r.WantRoute(brief, 1)
			r.WantRoute(first, 1)
			r.delegate(2, second)
			r.WantRoute(second, 2)

			inside := r.AddressIn(1, first)
			r.Server.Reaches(netip.Addr{}, inside)

			r.expires(one, reply, 1, brief, first)
			r.WantRoute(first, 1)
			one.Release(reply)
			r.WantNoRoute(first)
			if diff := cmp.Diff([]string{second.String()}, r.Routed()); diff != "" {
				t.Errorf("routes that are left (-want +got):\n%s", diff)
			}
			if err := r.Server.Ping(netip.Addr{}, inside); err == nil {
				t.Errorf("%s still answers after the release", inside)
			}
		})
	}
}

// R-1, the associated next hop: a client that comes back with another address
// takes its routes along (a link of one client follows).
func TestRFC8987_R1_NextHopFollowsTheClient(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1}, "shared: false")
	p := pfx("2001:db8:1100::/56")
	c, _ := r.delegate(1, p)
	r.WantRoute(p, 1)
	c.Close()

	r.Client(1).Address("c0", "fe80::77/64")
	cfg := c.Config
	cfg.Source = netip.MustParseAddr("fe80::77")
	other := r.Client(1).PlayAs(cfg)
	other.Obtain(1)
	r.WantRouteVia(p, "fe80::77", "d1")
}

// routes go where the configuration says, and the operator's own are not
// touched.
func TestRFC8987_R1_TableAndMetric(t *testing.T) {
	r := build(t, lab.Plan{Clients: 1}, "routes:", "  table: 87", "  metric: 77")
	p, own := pfx("2001:db8:1100::/56"), pfx("2001:db8:1200::/56")
	next := r.Client(1).LinkLocal("c0")
	r.Relay.IP("-6 route add %s via %s dev d1 table 87 metric 77 proto static", own, next)
	r.Fairlead.Start()
	c, reply := r.delegate(1, p)
	r.WantRoute(p, 1)
	if got := r.RouteOf(p)[0]; got.Table != "87" || got.Metric != 77 {
		t.Errorf("the route is in table %s with metric %d, want table 87 and metric 77", got.Table, got.Metric)
	}
	c.Release(reply)
	r.WantNoRoute(p)
	out := r.Relay.IP("-6 route show table 87")
	if want := own.String() + " via " + next.String(); !strings.Contains(out, want) {
		t.Errorf("table 87 is %q, want the operator's own route to %s in it", out, own)
	}
}

// R-2: "The delegating relay's routing entry MUST use the same prefix length for
// the delegated prefix as given in the IA_PD."
func TestRFC8987_R2_ExactLength(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	granted := []netip.Prefix{
		pfx("2001:db8:2000::/44"), pfx("2001:db8:1101::/48"), pfx("2001:db8:1102:300::/56"), pfx("2001:db8:1103:40::/60"),
		pfx("2001:db8:1104:5::/64"), pfx("2001:db8:1105:6:8000::/65"), pfx("2001:db8:1106:7::7/128"),
	}
	var list []dhcp6.IAPrefix
	var want []string
	for _, p := range granted {
		list = append(list, rig.Long(p))
		want = append(want, p.String())
	}
	// ip shows a route of full length without one.
	want[6] = granted[6].Addr().String()
	r.grant(1, list...)
	r.client(1).Obtain(1)
	slices.Sort(want)
	if diff := cmp.Diff(want, r.Routed()); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	// The nearest addresses outside have no route to the client.
	for in, out := range map[string]string{
		"2001:db8:1101:ffff::1": "2001:db8:1100:ffff::1", "2001:db8:1102:3ff::1": "2001:db8:1102:400::1",
		"2001:db8:1103:4f::1": "2001:db8:1103:50::1", "2001:db8:1104:5::1": "2001:db8:1104:6::1",
	} {
		got := r.Relay.IP("-o -6 route get %s", in)
		other := r.Relay.IP("-o -6 route get %s", out)
		if !strings.Contains(got, " dev d1 ") || !strings.Contains(other, " dev u0 ") {
			t.Errorf("the kernel sends %s by %q and %s by %q, want d1 and u0", in, got, out, other)
		}
	}
}

// R-2, with a server by others: Kea delegates each length.
func TestRFC8987_R2_LengthsOfKea(t *testing.T) {
	r := build(t, lab.Plan{Clients: 4})
	r.Played.Close()
	r.Fairlead.Start()
	lengths := []int{48, 56, 60, 64}
	var links []peer.Served
	for i, n := range lengths {
		links = append(links, peer.Served{Link: lab.Link(i + 1), Delegable: lab.Delegable(i + 1), Length: n})
	}
	r.Server.Serve(peer.Kea, peer.ServerConfig{Timers: peer.LongTimers, Links: links})
	for i, n := range lengths {
		r.client(i + 1).Obtain(1)
		got := r.Routes()
		if len(got) != i+1 {
			t.Fatalf("%d routes after %d delegations: %+v", len(got), i+1, got)
		}
		for _, one := range got {
			if p := netip.MustParsePrefix(one.Dst); lab.Delegable(i+1).Contains(p.Addr()) && p.Bits() != n {
				t.Errorf("link %d: route to %s, want one of length %d", i+1, p, n)
			}
		}
	}
}
