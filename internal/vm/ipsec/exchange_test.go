//go:build vm

package ipsec_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/protected"
)

// Without protection the wire is in clear, and an intruder's messages are taken:
// what the other tests look for can be seen where it is.
func TestClear(t *testing.T) {
	w := newWorld(t)
	none := strings.NewReplacer("protection: ipsec\n", "protection: none\n", "    local: "+relayAddress.String()+"\n", "")
	relay, _ := stanzas("", "")
	w.relay.Configure(none.Replace(relay))
	w.serve()
	w.relay.Start()
	w.exchange()
	w.Until("a message is seen in clear", func() bool {
		return strings.Contains(strings.Join(w.wire.Lines(), "\n"), "dhcp6 relay-fwd")
	})
	f := w.busy()
	w.Until("client and server hear the intruder", func() bool {
		atClient, atServer := f.taken()
		return atClient > 0 && atServer > 0
	})
	f.stop()
}

// With each keying: a client gets its prefix of a Kea that knows nothing of it
// all, and there is nothing on the wire but ESP.
func TestRFC8213_3_Exchange6(t *testing.T) {
	for kind := range protected.Keyings {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			w.protect(kind)
			w.s.Serve(peer.Kea, peer.ServerConfig{
				Interface: "s0", Address: serverAddress, Timers: peer.LongTimers,
				Links: []peer.Served{{Link: netip.MustParsePrefix("2001:db8:1::/64"), Delegable: netip.MustParsePrefix("2001:db8:1100::/40")}},
			})
			w.relay.Start()
			w.server.Start()
			w.relay.BecomesProtected()
			w.server.BecomesProtected()
			reply := w.client.Obtain(1)
			if got := script.Delegations(reply); len(got) != 1 || got[0].Prefix.Bits() != 56 {
				t.Errorf("delegated: %+v, want one prefix of length 56", got)
			}
			w.wire.WantESP(0, 4)
			for _, e := range []*protected.End{w.relay, w.server} {
				hop := e.Becomes("four messages are counted", func(hops []api.Hop) bool {
					return hops[0].Protected && hops[0].In.Packets >= 2 && hops[0].Out.Packets >= 2
				})[0]
				if want := map[string]string{"psk": "ike psk", "certificate": "ike certificate", "manual": "manual"}[kind]; hop.Mode != want {
					t.Errorf("%s: mode %q, want %q", e.Node.Name, hop.Mode, want)
				}
			}
			w.wire.OtherPortsPass(w.relay, relayAddress, w.server, serverAddress)
		})
	}
}
