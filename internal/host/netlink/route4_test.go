package netlink_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/hoststate"
)

// routesIPv4 are all routes to 192.0.2.0/24, as ip prints them.
func routesIPv4(t *testing.T) (all []string) {
	for line := range strings.Lines(run(t, "ip route show table all root 192.0.2.0/24")) {
		if fields := strings.Fields(line); len(fields) > 0 && !slices.Contains(fields, "local") && !slices.Contains(fields, "broadcast") {
			all = append(all, strings.Join(fields, " "))
		}
	}
	slices.Sort(all)
	return all
}

// A route to an IPv4 client comes, gives way to an unreachable one, comes back and goes, beside
// routes of IPv6, and in a table of its own. A route that is not ours stays. If routes go with
// their link, that is noticed.
func TestRoutesOfIPv4(t *testing.T) {
	w := newReal(t)
	events, err := w.(*real).Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	host := func(address string) *hoststate.Route {
		return &hoststate.Route{Table: 254, Prefix: netip.MustParsePrefix(address), Metric: 1024, Link: w.index("c0")}
	}
	want := func(when string, all ...string) {
		t.Helper()
		if got := routesIPv4(t); !slices.Equal(got, all) {
			t.Errorf("%s: %q, want %q", when, got, all)
		}
	}
	in := host("192.0.2.9/32")
	in.Table = 1000
	apply(t, w, op{Route: host("192.0.2.7/32")}, op{Route: in}, op{Route: unicast(w, "2001:db8:100::/56", "fe80::1")})
	const live, inTable = "192.0.2.7 dev c0 proto 87 scope link metric 1024", "192.0.2.9 dev c0 table 1000 proto 87 scope link metric 1024"
	want("new", live, inTable)
	read, err := w.Routes()
	if err != nil || len(read) != 3 || !slices.Contains(read, *host("192.0.2.7/32")) || !slices.Contains(read, *in) {
		t.Errorf("read back: %v, %v", read, err)
	}
	standIn := host("192.0.2.7/32")
	standIn.Link = 0
	apply(t, w, op{Route: standIn}, op{Remove: true, Route: in})
	want("standing in", "unreachable 192.0.2.7 proto 87 metric 1024")
	apply(t, w, op{Route: host("192.0.2.7/32")})
	want("back", live)
	run(t, "ip route add 192.0.2.8/32 dev c0 metric 1024 proto static")
	refused := 0
	if err := w.Apply([]op{{Route: host("192.0.2.8/32")}}, func(int, error) { refused++ }); err != nil || refused != 1 {
		t.Errorf("another program's route is in the way: %d refused, %v", refused, err)
	}
	want("beside a foreign one", live, "192.0.2.8 dev c0 proto static scope link metric 1024")
	run(t, "ip route del 192.0.2.7/32")
	for e := range events {
		if e.RouteChanged {
			break
		}
	}
	apply(t, w, op{Route: host("192.0.2.7/32")})
	if n, err := w.Purge(); n != 2 || err != nil {
		t.Errorf("purge: %d, %v; want the route to the client, and that of IPv6", n, err)
	}
	want("purged", "192.0.2.8 dev c0 proto static scope link metric 1024")
}
