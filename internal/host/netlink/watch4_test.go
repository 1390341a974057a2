package netlink

import (
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/core/links"
)

// IPv4 addresses of a link are told as they come and go, apart from those of IPv6: the primary
// addresses of the subnets, in the order in which they came. A link that goes down keeps them. A
// role for DHCPv4 sees them in place of the IPv6 ones, the oldest last.
func TestWatchIPv4Addresses(t *testing.T) {
	c := open(t)
	run(t, "ip link add c0 type veth peer name p0")
	run(t, "ip link set p0 up")
	run(t, "ip link set c0 up")
	run(t, "ip addr add 192.0.2.1/24 dev c0")
	events, err := c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tells := func(what string, want ...string) {
		t.Helper()
		var all []netip.Prefix
		for _, text := range want {
			all = append(all, netip.MustParsePrefix(text))
		}
		l := until(t, events, what, link("c0", func(l links.Link) bool { return slices.Equal(l.IPv4, all) })).Link
		if slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr().Is4() }) {
			t.Errorf("%s: among the addresses of IPv6 are %v", what, l.Addrs)
		}
		got := l.ForIPv4()
		slices.Reverse(got.Addrs)
		if !slices.Equal(got.Addrs, all) || len(got.IPv4) != 0 {
			t.Errorf("%s: for DHCPv4 the link has, from the end, %v, and %v; want %v", what, got.Addrs, got.IPv4, all)
		}
		snapshot, err := c.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(snapshot, func(l links.Link) bool { return l.Name == "c0" })
		if !slices.Equal(snapshot[i].IPv4, all) {
			t.Errorf("%s: a snapshot has %v, want %v", what, snapshot[i].IPv4, all)
		}
	}
	tells("as it is", "192.0.2.1/24")
	run(t, "ip addr add 192.0.2.9/24 dev c0") // a secondary address
	tells("a second address of the subnet", "192.0.2.1/24", "192.0.2.9/24")
	run(t, "ip addr add 198.51.100.1 peer 198.51.100.2/32 dev c0")
	tells("an address that has a peer", "192.0.2.1/24", "198.51.100.1/32", "192.0.2.9/24")
	run(t, "ip addr add 2001:db8::1/64 dev c0 nodad")
	until(t, events, "one of IPv6", link("c0", has("2001:db8::1/64")))
	run(t, "ip link set c0 down")
	until(t, events, "down", link("c0", func(l links.Link) bool { return !l.Up && len(l.IPv4) == 3 }))
	run(t, "ip link set c0 up")
	run(t, "ip addr del 198.51.100.1 peer 198.51.100.2/32 dev c0")
	tells("one is gone", "192.0.2.1/24", "192.0.2.9/24")
	run(t, "sysctl -qw net.ipv4.conf.c0.promote_secondaries=0")
	run(t, "ip addr del 192.0.2.1/24 dev c0") // the secondary address goes with it
	tells("all are gone")
	run(t, "ip addr add 203.0.113.1/25 dev c0")
	tells("another", "203.0.113.1/25")
}
