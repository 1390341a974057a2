package trust_test

import (
	"net/netip"
	"testing"

	"fairlead/internal/core/trust"
)

func peer(name, address string, role trust.PeerRole, zone string, interfaces ...string) trust.Peer {
	a := netip.MustParseAddr(address)
	return trust.Peer{Name: name, Address: a, Prefix: netip.PrefixFrom(a, 128), Zone: zone, Role: role, Interfaces: interfaces, Protection: trust.ProtectionNone}
}

func TestFind(t *testing.T) {
	farm := peer("farm", "2001:db8:f::1", trust.Server, "", "up*")
	farm.Prefix = netip.MustParsePrefix("2001:db8:f::/64")
	set := trust.NewSet([]trust.Peer{
		peer("srv", "2001:db8::1", trust.Server, "", "up0"),
		peer("near", "fe80::5", trust.Server, "up1", "up1"),
		peer("below", "2001:db8::1", trust.Relay, "", "lan?"),
		farm,
		peer("all", "ff05::1:3", trust.Server, "core0", "core0"),
	})
	for _, tc := range []struct {
		role   trust.PeerRole
		source string
		link   string
		want   string
	}{
		{trust.Server, "2001:db8::1", "up0", "srv"},
		{trust.Server, "2001:db8::1", "up1", ""},  // not its uplink
		{trust.Server, "2001:db8::1", "lan0", ""}, // there it is a relay
		{trust.Relay, "2001:db8::1", "lan0", "below"},
		{trust.Relay, "2001:db8::1", "lan10", ""},
		{trust.Server, "2001:db8::2", "up0", ""},
		{trust.Server, "2001:db8:f::77", "up7", "farm"},
		{trust.Server, "fe80::5", "up1", "near"},
		{trust.Server, "fe80::5", "up0", ""},              // link-local means something on its own link
		{trust.Server, "2001:db8:abc::1", "core0", "all"}, // who answers a multicast is not known
		{trust.Server, "2001:db8:abc::1", "core1", ""},
	} {
		got := ""
		if p := set.Find(tc.role, netip.MustParseAddr(tc.source), tc.link); p != nil {
			got = p.Name
		}
		if got != tc.want {
			t.Errorf("%v %s on %s is %q, want %q", tc.role, tc.source, tc.link, got, tc.want)
		}
	}
	for link, want := range map[string]bool{"up0": true, "up9": true, "core0": true, "lan0": false, "eth0": false} {
		if got := set.HeardOn(trust.Server, link); got != want {
			t.Errorf("a server is heard on %s: %v, want %v", link, got, want)
		}
	}
}

// A peer's own stanza counts, and with it its protection, whatever wider ones stand
// before it.
func TestFindTheNearest(t *testing.T) {
	farm := peer("farm", "2001:db8:f::1", trust.Relay, "", "up0")
	farm.Prefix = netip.MustParsePrefix("2001:db8:f::/64")
	own := peer("own", "2001:db8:f::7", trust.Relay, "", "up0")
	own.Protection = trust.ProtectionIPsec
	all := peer("all", "ff05::1:3", trust.Server, "up0", "up0")
	server := peer("server", "2001:db8::1", trust.Server, "", "up0")
	server.Protection = trust.ProtectionIPsec
	set := trust.NewSet([]trust.Peer{farm, all, own, server})
	for _, tc := range []struct {
		role   trust.PeerRole
		source string
		want   trust.Protection
	}{
		{trust.Relay, "2001:db8:f::7", trust.ProtectionIPsec},
		{trust.Relay, "2001:db8:f::8", trust.ProtectionNone},
		{trust.Server, "2001:db8::1", trust.ProtectionIPsec},
		{trust.Server, "2001:db8::2", trust.ProtectionNone},
	} {
		source := netip.MustParseAddr(tc.source)
		if p := set.Find(tc.role, source, "up0"); p == nil || p.Protection != tc.want {
			t.Errorf("%v %s is %+v, want protection %v", tc.role, source, p, tc.want)
		}
		if p := set.FindAddress(tc.role, source); p == nil || p.Protection != tc.want {
			t.Errorf("%v %s, whatever the link, is %+v, want protection %v", tc.role, source, p, tc.want)
		}
	}
}

func TestRange(t *testing.T) {
	r := trust.Range{Prefix: netip.MustParsePrefix("2001:db8::/32"), Min: 48, Max: 60}
	for p, want := range map[string]bool{
		"2001:db8::/48": true, "2001:db8:ffff:fff0::/60": true, "2001:db8::/47": false, "2001:db8::/61": false,
		"2001:db9::/48": false, "2001:d00::/24": false,
	} {
		if got := r.Includes(netip.MustParsePrefix(p)); got != want {
			t.Errorf("holds %s: %v, want %v", p, got, want)
		}
	}
}

func TestMatchAny(t *testing.T) {
	for _, tc := range []struct {
		globs []string
		link  string
		want  bool
	}{
		{[]string{"lan0"}, "lan0", true},
		{[]string{"lan0"}, "lan01", false},
		{[]string{"ppp*", "br-cust?"}, "br-cust7", true},
		{[]string{"br-cust[0-4]"}, "br-cust7", false},
		{[]string{"["}, "[", false}, // no glob at all
		{nil, "lan0", false},
	} {
		if got := trust.MatchAny(tc.globs, tc.link); got != tc.want {
			t.Errorf("%q matches %s: %v, want %v", tc.globs, tc.link, got, tc.want)
		}
	}
}
