//go:build vm

package ipsec_test

import (
	"net/netip"
	"testing"

	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/protected"
)

// Servers by other authors (Kea is in TestRFC8213_3_Exchange6) are protected by
// the guard beside them: each leases through ESP alone. RFC 8213 3a and 3m.
func TestRFC8213_3_ForeignServers(t *testing.T) {
	w := newWorld(t)
	w.protect("manual")
	w.relay.Start()
	w.server.Start()
	link, delegable := netip.MustParsePrefix("2001:db8:1::/64"), netip.MustParsePrefix("2001:db8:1100::/40")
	for _, c := range []struct {
		kind   peer.ServerKind
		leases func(t *testing.T)
	}{
		{peer.Dhcpd, func(t *testing.T) {
			reply := w.client.Obtain(1)
			if got := script.Delegations(reply); len(got) != 1 || !delegable.Contains(got[0].Prefix.Addr()) {
				t.Errorf("delegated: %+v, want one of %s", got, delegable)
			}
		}},
		{peer.Dnsmasq6, func(t *testing.T) {
			reply, err := w.client.Client.Lease(labtest.Patience, 1)
			w.Need(err)
			if got := script.Leases(reply); len(got) != 1 || !link.Contains(got[0].Address) {
				t.Errorf("leased: %+v, want one of %s", got, link)
			}
		}},
	} {
		w.Run(string(c.kind), func(t *testing.T) {
			from := len(w.wire.Lines())
			program := w.s.Serve(c.kind, peer.ServerConfig{
				Interface: "s0", Address: serverAddress, Timers: peer.LongTimers,
				Links: []peer.Served{{Link: link, Delegable: delegable}},
			})
			c.leases(t)
			w.wire.WantESP(from, 4)
			for _, e := range []*protected.End{w.relay, w.server} {
				e.BecomesProtected()
			}
			w.Need(program.Stop())
		})
	}
}
