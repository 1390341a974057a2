package system_test

import (
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	fairlead "fairlead/internal/lab/relay"
	"fairlead/internal/system/rig"
)

// The first example of the README works unchanged if interfaces and servers are those that it
// names: a client gets a prefix, which is routed, and an IPv4 address.
func TestReadmesFirstExample(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(readme), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")

	n := rig.New(t)
	server, relay, client := n.Node("server"), n.Node("relay"), n.Node("client")
	n.Veth(relay, "eth0", server, "s0")
	n.Veth(relay, "eth1.7", client, "c0")
	n.Need(client.Stub("lan0"))
	server.Address("s0", "2001:db8:ffff::547/64")
	relay.Address("eth0", "2001:db8:ffff::1/64")
	relay.Address("eth1.7", "2001:db8:7::1/64")
	server.IP("-4 addr add 192.0.2.67/24 dev s0")
	relay.IP("-4 addr add 192.0.2.1/24 dev eth0")
	relay.IP("-4 addr add 10.1.7.1/24 dev eth1.7")
	server.IP("-6 route add 2001:db8:7::/64 via 2001:db8:ffff::1")
	server.IP("-4 route add 10.1.7.0/24 via 192.0.2.1")
	link := netip.MustParsePrefix("10.1.7.0/24")
	_, err = peer.StartServer4(server.Node, peer.Kea4UDP, peer.Server4Config{
		Interface: "s0", Address: netip.MustParseAddr("192.0.2.67"), Subnets: []netip.Prefix{link},
	})
	n.Need(err)
	type m = map[string]any
	_, err = peer.RunKea(server.Node, "kea-dhcp6", 6, m{
		"interfaces-config": m{"interfaces": []string{"s0/2001:db8:ffff::547"}},
		"lease-database":    m{"type": "memfile", "persist": false},
		"subnet6": []m{{
			"id": 1, "subnet": "2001:db8:7::/64", "pools": []m{{"pool": "2001:db8:7::1000-2001:db8:7::1fff"}},
			"pd-pools": []m{{"prefix": "2001:db8:1100::", "prefix-len": 40, "delegated-len": 56}},
		}},
	})
	n.Need(err)

	relay.Fairlead(fairlead.Config{Text: example}).Start()
	prefix := client.Foreign(peer.Dhcpcd, peer.ClientConfig{}).Await(1)[0]
	if routes := relay.IP("-6 route show proto 87"); !regexp.MustCompile(regexp.QuoteMeta(prefix.String()) + " via fe80::[^ ]+ dev eth1.7 ").MatchString(routes) {
		t.Errorf("%s is not routed:\n%s", prefix, routes)
	}
	c, err := peer.StartClient4(client.Node, "c0")
	n.Need(err)
	defer c.Close()
	got, err := c.Obtain(labtest.Patience)
	n.Need(err)
	if !link.Contains(got) {
		t.Errorf("the client got %v, want one of %v", got, link)
	}
}
