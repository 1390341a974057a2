package peer_test

import (
	"net/netip"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// dnsmasq leases an address to a client behind each relay.
func TestRelayAndAddresses(t *testing.T) {
	for _, kind := range []peer.RelayKind{peer.Dhcrelay6, peer.DnsmasqRelay6} {
		t.Run(string(kind), func(t *testing.T) { relayAndAddresses(t, kind) })
	}
}

func relayAndAddresses(t *testing.T, kind peer.RelayKind) {
	n := lab.ForTest(t)
	var nodes [3]*lab.Node
	for i, name := range []string{"c", "r", "s"} {
		d, err := n.Node(name)
		need(t, err)
		nodes[i] = d
	}
	c, r, s := nodes[0], nodes[1], nodes[2]
	need(t, n.Veth(c, "c0", r, "d1"))
	need(t, n.Veth(r, "u0", s, "s0"))
	need(t, r.Address("d1", "2001:db8:1::1/64"))
	need(t, r.Address("u0", "2001:db8:ff::1/64"))
	server, link := netip.MustParseAddr("2001:db8:ff::2"), netip.MustParsePrefix("2001:db8:1::/64")
	need(t, s.Address("s0", server.String()+"/64"))
	_, err := peer.StartServer(s, peer.Dnsmasq6, peer.ServerConfig{
		Interface: "s0", Address: server, Timers: peer.LongTimers, Links: []peer.Served{{Link: link}},
	})
	need(t, err)
	relay, err := peer.StartRelay(r, kind, peer.RelayConfig{Down: map[string]netip.Addr{"d1": netip.MustParseAddr("2001:db8:1::1")}, Up: "u0", Server: server})
	need(t, err)
	client, err := script.StartClient(c, script.ClientConfig{DUID: dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, 1}})
	need(t, err)
	reply, err := client.Lease(patience, 7)
	need(t, err)
	got := script.Leases(reply)
	if len(got) != 1 || !link.Contains(got[0].Address) || got[0].Valid != 3000 {
		t.Errorf("leased %+v, want one address of %s for 3000 s", got, link)
	}
	need(t, relay.Stop())
}
