package peer_test

import (
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
)

// Every DHCPv4 server leases to a client behind every relay.
func TestDHCPv4(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, server := range []peer.Server4Kind{peer.Kea4UDP, peer.Kea4Raw, peer.Dhcpd4, peer.Dnsmasq4} {
		for _, relay := range []peer.Relay4Kind{peer.Dhcrelay, peer.DnsmasqRelay, peer.DhcpHelper} {
			t.Run(string(server)+" "+string(relay), func(t *testing.T) {
				n := lab.ForTest(t)
				var nodes [3]*lab.Node
				for i, name := range []string{"c", "r", "s"} {
					d, err := n.Node(name)
					must(err)
					nodes[i] = d
				}
				c, r, s := nodes[0], nodes[1], nodes[2]
				must(n.Veth(c, "c0", r, "d1"))
				must(n.Veth(r, "u0", s, "s0"))
				for _, words := range []struct {
					d    *lab.Node
					text string
				}{
					{r, "addr add 10.1.0.1/16 brd + dev d1"},
					{r, "addr add 192.0.2.1/24 brd + dev u0"},
					{s, "addr add 192.0.2.2/24 brd + dev s0"},
					{s, "route add 10.1.0.0/16 via 192.0.2.1"},
				} {
					_, err := words.d.IP("%s", words.text)
					must(err)
				}
				_, err := peer.StartServer4(s, server, peer.Server4Config{
					Interface: "s0", Address: netip.MustParseAddr("192.0.2.2"), Subnets: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
				})
				must(err)
				_, err = peer.StartRelay4(r, relay, peer.Relay4Config{
					Down: map[string]netip.Addr{"d1": netip.MustParseAddr("10.1.0.1")}, Up: "u0", Server: netip.MustParseAddr("192.0.2.2"),
				})
				must(err)
				client, err := peer.StartClient4(c, "c0")
				must(err)
				defer client.Close()
				got, err := client.Obtain(20 * time.Second)
				must(err)
				if first, last := netip.MustParseAddr("10.1.0.100"), netip.MustParseAddr("10.1.0.200"); got.Less(first) || last.Less(got) {
					t.Errorf("leased %s, want one from %s to %s", got, first, last)
				}
			})
		}
	}
}
