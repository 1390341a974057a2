package traffic_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// without is a prefix from which the server excludes a part.
func without(p, excluded netip.Prefix) dhcp6.IAPrefix {
	g := rig.Long(p)
	g.Options = dhcp6.AppendPDExclude(nil, p, excluded)
	return g
}

// wayTo waits until the relay's host sends what is for an address a way in which a
// text occurs.
func (r *network) wayTo(address, want string) {
	r.T.Helper()
	r.Until(address+" goes "+want, func() bool {
		out, err := r.Relay.Node.IP("-6 route get %s", address)
		if err != nil {
			out = err.Error()
		}
		return strings.Contains(out, want)
	})
}

// RFC 6603 section 4.1: a delegation contains the prefix of the link that it is
// delegated on, which the server excludes from it. It is routed; sources in the
// excluded prefix pass on their link and on no other, and after a restart too; while
// the interface is down an unreachable route stands for it.
func TestRFC6603_4_1_DelegationAroundItsOwnLink(t *testing.T) {
	r := start(t, lab.Plan{Clients: 2})
	whole, own := pfx("2001:db8:100::/56"), pfx("2001:db8:100:ff::/64")
	r.Relay.IP("-6 addr add 2001:db8:100:ff::1/64 dev d1 nodad")
	r.Until("the prefix of d1 is permitted", func() bool { return len(r.permittedOn("d1", own)) > 0 })
	g := watch(r, 1)
	r.grant(1, without(whole, own))
	r.client(1).Obtain(1)
	look := func() {
		t.Helper()
		r.WantRoute(whole, 1)
		r.WantStandIn(own)
		r.wayTo("2001:db8:100:ff::9", "dev d1 proto kernel")
		g.passes("2001:db8:100:1::1", "2001:db8:100:ff::9")
		elsewhere := &guard{network: r, Thrower: r.throw(2), in: g.in}
		elsewhere.stops(spoofed, "2001:db8:100:ff::9")
	}
	look()
	r.Fairlead.Stop()
	r.Fairlead.Start()
	look()
	r.Relay.IP("link set d1 down")
	r.WantStandIn(own)
	r.wayTo("2001:db8:100:ff::9", "No route to host")
}

// A delegation that the configuration allows covers the prefix of another link with
// clients: what is for that goes nowhere while its interface is down or gone, and never
// to the client, who has none of its addresses as a source.
func TestDelegationAroundAnotherLink(t *testing.T) {
	r := start(t, lab.Plan{Clients: 2}, "delegable: [{prefix: 2001:db8:100::/48, lengths: 48-64}]")
	whole, other := pfx("2001:db8:100::/56"), pfx("2001:db8:100:fe::/64")
	r.Relay.IP("-6 addr add 2001:db8:100:fe::1/64 dev d2 nodad")
	g := watch(r, 1)
	elsewhere := &guard{network: r, Thrower: r.throw(2), in: g.in}
	r.Until("the prefix of d2 is permitted", func() bool { return len(r.permittedOn("d2", other)) > 0 })
	r.grant(1, rig.Long(whole))
	r.client(1).Obtain(1)
	r.WantRoute(whole, 1)
	r.WantStandIn(other)
	elsewhere.passes("2001:db8:100:fe::9")
	g.passes("2001:db8:100:1::1")
	g.stops(spoofed, "2001:db8:100:fe::9")
	r.wayTo("2001:db8:100:fe::9", "dev d2 proto kernel")
	r.Relay.IP("link set d2 down")
	r.wayTo("2001:db8:100:fe::9", "No route to host")
	r.wayTo("2001:db8:100:1::9", "dev d1")
	r.Relay.IP("link set d2 up")
	r.Relay.IP("-6 addr add 2001:db8:100:fe::1/64 dev d2 nodad")
	r.wayTo("2001:db8:100:fe::9", "dev d2 proto kernel")
	r.Relay.IP("link del d2")
	r.wayTo("2001:db8:100:fe::9", "No route to host")
	r.Fairlead.Stop()
	r.Fairlead.Start()
	r.wayTo("2001:db8:100:fe::9", "No route to host")
	r.wayTo("2001:db8:100:1::9", "dev d1")
}

// Where routes are in a table of their own, whichever of it and main is looked up first:
// what is for the interface goes there, and nowhere while that is down, although there
// is a default route.
func TestDelegationAroundItsOwnLinkWithATable(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1}, "routes:", "  table: 87")
	whole, own := pfx("2001:db8:100::/56"), pfx("2001:db8:100:ff::/64")
	r.Relay.IP("-6 addr add 2001:db8:100:ff::1/64 dev d1 nodad")
	r.Until("the prefix of d1 is permitted", func() bool { return len(r.permittedOn("d1", own)) > 0 })
	r.grant(1, without(whole, own))
	r.client(1).Obtain(1)
	r.WantRoute(whole, 1)
	const inside = "2001:db8:100:ff::9"
	for _, first := range []bool{true, false} {
		if first {
			r.Relay.IP("-6 rule add pref 100 lookup 87")
		} else {
			r.Relay.IP("-6 rule del pref 100")
			r.Relay.IP("-6 route del default")
			r.Relay.IP("-6 rule add pref 40000 lookup 87")
		}
		r.wayTo(inside, "dev d1 proto kernel")
		r.wayTo("2001:db8:100:1::9", "dev d1 table 87")
		r.Relay.IP("link set d1 down")
		r.wayTo(inside, "No route to host")
		r.Relay.IP("link set d1 up")
		r.Relay.IP("-6 addr add 2001:db8:100:ff::1/64 dev d1 nodad")
	}
}

// A prefix with an address of any other interface in it is refused, whatever the server
// excludes, and the refusal names both; of lo only the address itself counts.
func TestDelegationAroundWhatIsOurs(t *testing.T) {
	r := build(t, lab.Plan{Clients: 1})
	r.Relay.IP("link add mgmt1 type veth peer name mgmt2")
	r.Relay.IP("link set mgmt1 up")
	r.Relay.IP("-6 addr add 2001:db8:300:5::1/64 dev mgmt1 nodad")
	r.Relay.IP("-6 addr add 3fff:0:200::1/32 dev lo nodad")
	r.Fairlead.Start()
	c := r.client(1)
	free := pfx("3fff:0:100::/56")
	r.grant(1, without(pfx("2001:db8:300::/56"), pfx("2001:db8:300:5::/64")), rig.Long(pfx("3fff:0:200::/56")), rig.Long(free))
	c.Obtain(1)
	r.WantRoute(free, 1)
	if got := r.Routed(); len(got) != 1 {
		t.Errorf("routed: %q, want %s alone", got, free)
	}
	for _, want := range []string{"covers 2001:db8:300:5::/64 of mgmt1", "covers 3fff:0:200::1/128 of lo"} {
		r.Fairlead.Logged(want)
	}
	r.Until("status names the refusal", func() bool {
		text := r.Fairlead.CLI("status")
		return strings.Contains(text, "refused (not-delegable)") && strings.Contains(text, ": it covers ")
	})
}
