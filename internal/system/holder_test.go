package system_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
)

// TestClientWithASecondLinkLocalAddress: a client that holds a prefix gets a second
// link-local address, renews from it, and releases from it: to the relay it is the
// same client. RFC 8987 G-8, G-9, R-1.
func TestClientWithASecondLinkLocalAddress(t *testing.T) {
	for _, kind := range []peer.ClientKind{peer.Dhcpcd, peer.Wide} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Plan{Clients: 1}, "")
			_, err := peer.StartServer(r.Server, peer.Kea, peer.ServerConfig{})
			need(t, err)
			r.start()
			c, err := peer.StartClient(r.Client(1), kind, peer.ClientConfig{})
			need(t, err)
			held, err := c.Await(patience, 1)
			need(t, err)
			r.routed(held[0], 1)

			need(t, r.Client(1).Address("c0", "fe80::1/64"))
			need(t, lab.Until(patience, "the route follows to fe80::1", func() bool {
				return strings.Contains(r.route(held[0]), "via fe80::1 dev d1")
			}))
			out, err := r.relay.CLI("status")
			need(t, err)
			if strings.Contains(out, "still-answers") {
				t.Errorf("the client was refused what it holds:\n%s", out)
			}
			inside, err := c.Inside()
			need(t, err)
			reaches(t, r.Server, netip.Addr{}, inside)
			need(t, c.Release())
			need(t, lab.Until(patience, "the released "+held[0].String()+" is not routed", func() bool { return r.route(held[0]) == "" }))
		})
	}
}
