package traffic_test

import (
	"fmt"
	"strings"
	"testing"

	"fairlead/internal/lab"
)

// unnumbered builds a rig whose two links to clients have link-local addresses alone, and
// one of whose clients has an address by a route of somebody else.
func unnumbered(t *testing.T, linkKeys ...string) *network {
	t.Helper()
	r := build(t, lab.Plan{Clients: 2}, append(linkKeys, "unnumbered: u0")...)
	for _, link := range []string{"d1", "d2"} {
		r.Relay.IP("-6 addr flush dev %s scope global", link)
	}
	r.Relay.IP("-6 route add 2001:db8:77::/64 dev d1 proto static")
	r.Fairlead.Start()
	return r
}

// permits waits until the filter has an element of a prefix, or has none.
func (r *network) permits(prefix string, want bool) {
	r.T.Helper()
	r.Until(fmt.Sprintf("the filter permits %s: %v", prefix, want), func() bool { return len(r.Permitted(`"`+prefix+`"`)) > 0 == want })
}

// The clients of an unnumbered link have addresses of which nothing but a route to the
// link says that they are there. These pass there and nowhere else, for as long as the
// route is there and throughout a restart of the relay. A default route permits nothing,
// nor does a part of one.
func TestUnnumberedLinksClientsPass(t *testing.T) {
	r := unnumbered(t)
	one := watch(r, 1)
	two := &guard{network: r, Thrower: r.throw(2), in: one.in}
	one.passes("2001:db8:77::1")
	two.stops(spoofed, "2001:db8:77::1")
	one.stops(spoofed, "2001:db8:99::1")

	r.Relay.IP("-6 route add default dev d1 proto static metric 4000")
	r.Relay.IP("-6 route add 2c00::/12 dev d1 proto static")
	r.Relay.IP("-6 route add 2001:db8:78::/64 dev d1 proto static")
	r.permits("2001:db8:78::", true)
	one.stops(spoofed, "2001:db8:99::1", "2c00::1")
	one.passes("2001:db8:77::1", "2001:db8:78::1")
	text := r.Fairlead.CLI("links", "d1")
	if !strings.Contains(text, "2001:db8:77::/64 2001:db8:78::/64") {
		t.Errorf("what is permitted is not shown:\n%s", text)
	}

	r.Fairlead.Kill()
	r.Relay.IP("-6 route del 2001:db8:78::/64 dev d1")
	before := r.Permitted(`"2001:db8:77::"`)
	r.Fairlead.Start()
	if after := r.Permitted(`"2001:db8:77::"`); len(before) == 0 || len(after) == 0 {
		t.Errorf("permitted before the restart: %q, after it: %q", before, after)
	}
	r.permits("2001:db8:78::", false) // its route went meanwhile: the first comparison takes it out
	one.passes("2001:db8:77::1")

	r.Relay.IP("-6 route del 2001:db8:77::/64 dev d1")
	r.permits("2001:db8:77::", false)
	one.stops(spoofed, "2001:db8:77::1")
	r.Relay.IP("-6 route add 2001:db8:77::/64 dev d2 proto static")
	r.permits("2001:db8:77::", true)
	two.passes("2001:db8:77::1")
	one.stops(spoofed, "2001:db8:77::1")
}

// With permit-routed: false such routes permit nothing; a reload changes that, both ways.
func TestRoutesPermitNothingWhereTheyMayNot(t *testing.T) {
	r := unnumbered(t, "permit-routed: false")
	g := watch(r, 1)
	g.stops(spoofed, "2001:db8:77::1")
	text := r.Standard("unnumbered: u0")
	r.Fairlead.Reload(text)
	r.permits("2001:db8:77::", true)
	g.passes("2001:db8:77::1")
	r.Fairlead.Reload(strings.Replace(text, "unnumbered: u0", "unnumbered: none", 1))
	r.permits("2001:db8:77::", false)
	g.stops(spoofed, "2001:db8:77::1")
}
