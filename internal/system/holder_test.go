package system_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
)

// TestClientWithASecondLinkLocalAddress shows that a client that has a prefix, gets a second
// link-local address, renews from it, and releases from it, is the same client for the relay. RFC
// 8987 G-8, G-9, R-1.
func TestClientWithASecondLinkLocalAddress(t *testing.T) {
	for _, kind := range []peer.ClientKind{peer.Dhcpcd, peer.Wide} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := prepared(t, lab.Plan{Clients: 1})
			r.Server.Serve(peer.Kea, peer.ServerConfig{})
			r.Fairlead.Start()
			c := r.Client(1).Foreign(kind, peer.ClientConfig{})
			held := c.Await(1)
			r.WantRoute(held[0], 1)

			r.Client(1).Address("c0", "fe80::1/64")
			r.WantRouteVia(held[0], "fe80::1", "d1")
			if out := r.Fairlead.CLI("status"); strings.Contains(out, "still-answers") {
				t.Errorf("the client was refused what it holds:\n%s", out)
			}
			r.Server.Reaches(netip.Addr{}, c.Inside())
			c.Release()
			r.WantNoRoute(held[0])
		})
	}
}
