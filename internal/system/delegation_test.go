package system_test

import (
	"net/netip"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/peer"
)

// TestDelegation: every client gets two prefixes from every server through the
// relay, the prefixes are reached from the core while they last, and what is on
// the wire is in order. RFC 8987 G-1, G-2, R-1, R-2.
func TestDelegation(t *testing.T) {
	for _, server := range peer.ServerKinds {
		t.Run(string(server), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Plan{Clients: len(peer.ClientKinds)}, "")
			record, err := capture.Start(r.Relay, "any", capture.DHCPv6)
			need(t, err)
			_, err = peer.StartServer(r.Server, server, peer.ServerConfig{Timers: peer.LongTimers})
			need(t, err)
			r.start()

			clients := make([]*peer.Client, len(peer.ClientKinds))
			for i, kind := range peer.ClientKinds {
				clients[i], err = peer.StartClient(r.Client(i+1), kind, peer.ClientConfig{Prefixes: 2})
				need(t, err)
			}
			for i, c := range clients {
				held, err := c.Await(patience, 2)
				need(t, err)
				for _, p := range held {
					if !lab.Delegable(i + 1).Contains(p.Addr()) {
						t.Errorf("%s holds %s, which is not of its link", c.Kind, p)
					}
					r.routed(p, i+1)
				}
				inside, err := c.Inside()
				need(t, err)
				reaches(t, r.Server, netip.Addr{}, inside)
				reaches(t, c.Node, inside, lab.ServerAddress)
			}
			for _, c := range clients {
				held := c.Prefixes()
				need(t, c.Release())
				for _, p := range held {
					need(t, lab.Until(patience, "the released "+p.String()+" is not routed", func() bool {
						return r.route(p) == ""
					}))
				}
			}
			need(t, record.Stop())
			need(t, record.Check())
			need(t, r.relay.Stop())
		})
	}
}
