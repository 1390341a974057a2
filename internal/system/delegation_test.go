package system_test

import (
	"net/netip"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/rig"
)

// TestDelegation shows that every client gets two prefixes from every server through the relay,
// that the prefixes can be reached from the core as long as they last, and that the messages on
// the wire are well formed. RFC 8987 G-1, G-2, R-1, R-2.
func TestDelegation(t *testing.T) {
	for _, server := range peer.ServerKinds {
		t.Run(string(server), func(t *testing.T) {
			t.Parallel()
			r := prepared(t, lab.Plan{Clients: len(peer.ClientKinds)})
			record := r.Relay.Record("any", capture.DHCPv6)
			r.Server.Serve(server, peer.ServerConfig{Timers: peer.LongTimers})
			r.Fairlead.Start()

			clients := make([]*rig.Foreign, len(peer.ClientKinds))
			for i, kind := range peer.ClientKinds {
				clients[i] = r.Client(i+1).Foreign(kind, peer.ClientConfig{Prefixes: 2})
			}
			for i, c := range clients {
				held := c.Await(2)
				for _, p := range held {
					if !lab.Delegable(i + 1).Contains(p.Addr()) {
						t.Errorf("%s holds %s, which is not of its link", c.Kind, p)
					}
					r.WantRoute(p, i+1)
				}
				inside := c.Inside()
				r.Server.Reaches(netip.Addr{}, inside)
				r.Client(i+1).Reaches(inside, lab.ServerAddress)
			}
			for _, c := range clients {
				held := c.Prefixes()
				c.Release()
				for _, p := range held {
					r.WantNoRoute(p)
				}
			}
			record.Check()
			r.Fairlead.Stop()
		})
	}
}
