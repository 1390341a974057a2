//go:build vm

package vmtest

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
)

// patience is long, because the machine is emulated.
const patience = 60 * time.Second

var need = labtest.Need

func pair(t *testing.T) (a, b *lab.Node) {
	t.Helper()
	return labtest.Pair(t, "a", "a0", "b", "b0")
}

func reaches(t *testing.T, from *lab.Node, to string) {
	t.Helper()
	need(t, lab.Until(patience, from.Name+" reaches "+to, func() bool {
		return from.Ping(netip.Addr{}, netip.MustParseAddr(to)) == nil
	}))
}

func TestVLAN(t *testing.T) {
	a, b := pair(t)
	for _, end := range []struct {
		node *lab.Node
		port string
		addr string
	}{{a, "a0", "2001:db8:7::a/64"}, {b, "b0", "2001:db8:7::b/64"}} {
		need(t, end.node.Batch(
			"link add link "+end.port+" name vlan7 type vlan id 7",
			"link set vlan7 up"))
		need(t, end.node.Address("vlan7", end.addr))
	}
	reaches(t, a, "2001:db8:7::b")
	// The frames do have the tag: without the VLAN device nobody answers at the address.
	_, err := b.IP("link del vlan7")
	need(t, err)
	need(t, b.Address("b0", "2001:db8:7::b/64"))
	if err := a.Ping(netip.Addr{}, netip.MustParseAddr("2001:db8:7::b")); err == nil {
		t.Error("an untagged interface answered a tagged request")
	}
}

func TestVRF(t *testing.T) {
	a, b := pair(t)
	need(t, a.Batch(
		"link add red type vrf table 100",
		"link set red up",
		"link set a0 master red"))
	need(t, a.Address("a0", "2001:db8:8::a/64"))
	need(t, b.Address("b0", "2001:db8:8::b/64"))
	out, err := a.IP("-6 route show table 100")
	need(t, err)
	if !strings.Contains(out, "2001:db8:8::/64 dev a0") {
		t.Errorf("the table of the VRF has no route to the link:\n%s", out)
	}
	if err := a.Ping(netip.Addr{}, netip.MustParseAddr("2001:db8:8::b")); err == nil {
		t.Error("the address was reached outside the VRF")
	}
	need(t, lab.Until(patience, "the address is reached inside the VRF", func() bool {
		_, err := a.Run("ping", "-6", "-c", "1", "-W", "1", "-I", "red", "2001:db8:8::b")
		return err == nil
	}))
}

func TestNFTables(t *testing.T) {
	a, b := pair(t)
	need(t, a.Address("a0", "2001:db8:9::a/64"))
	need(t, b.Address("b0", "2001:db8:9::b/64"))
	reaches(t, a, "2001:db8:9::b")
	_, err := b.Feed(`table inet guard {
	set ours {
		typeof iifname . ip6 saddr
		elements = { "b0" . 2001:db8:9::c }
	}
	chain in {
		type filter hook prerouting priority raw; policy accept;
		ip6 saddr fe80::/10 accept
		iifname . ip6 saddr @ours accept
		fib saddr . iif oif missing drop
		meta l4proto ipv6-icmp icmpv6 type echo-request reject with icmpv6 type admin-prohibited
	}
}
`, "nft", "-f", "-")
	need(t, err)
	if err := a.Ping(netip.Addr{}, netip.MustParseAddr("2001:db8:9::b")); err == nil {
		t.Error("a request that nft rejects was answered")
	}
	need(t, a.Address("a0", "2001:db8:9::c/64"))
	need(t, lab.Until(patience, "a permitted source is answered", func() bool {
		return a.Ping(netip.MustParseAddr("2001:db8:9::c"), netip.MustParseAddr("2001:db8:9::b")) == nil
	}))
}

func TestTopology(t *testing.T) {
	top, err := lab.ForTest(t).Topology(lab.Plan{Clients: 1, Access: lab.PPP})
	need(t, err)
	reaches(t, top.Relay, lab.ServerAddress.String())
	p, err := top.Server.Start(lab.Command{
		Name: "tcpdump", Args: []string{"tcpdump", "-Z", "root", "--immediate-mode", "-l", "-n", "-i", "s0", "icmp6"},
	})
	need(t, err)
	need(t, p.Logged(patience, "listening on"))
	reaches(t, top.Relay, lab.ServerAddress.String())
	need(t, p.Logged(patience, "echo request"))
}
