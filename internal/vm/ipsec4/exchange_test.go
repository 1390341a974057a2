//go:build vm

package ipsec4_test

import (
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/protected"
)

// With each keying, and one giaddr from which the relay sends too: a client gets
// its address of a server that knows nothing of it all, and there is nothing on
// the wire but ESP between giaddr and server. Before the guards start, the same
// programs are in clear.
func TestRFC8213_3b_Exchange4(t *testing.T) {
	for kind, program := range map[string]peer.Server4Kind{
		"psk": peer.Kea4UDP, "certificate": peer.Dnsmasq4, "manual": peer.Kea4UDP,
	} {
		t.Run(kind+" "+string(program), func(t *testing.T) {
			w := newWorld(t)
			w.protect(kind, giaddr1)
			w.serve(program)
			w.relays(peer.DnsmasqRelay)
			w.leases(w.c1, "10.1.0.0/16")
			if n := len(readable(w.wire, 0)); n < 4 {
				t.Errorf("%d messages in clear before there are guards, want an exchange of four: %q", n, w.wire.Lines())
			}
			w.guard()
			from := len(w.wire.Lines())
			w.leases(w.c1, "10.1.0.0/16")
			w.wire.OnlyESP(from)
			if to, from := w.wire.ESP(giaddr1, server), w.wire.ESP(server, giaddr1); to < 2 || from < 2 {
				t.Errorf("%d ESP packets to the server and %d back, want at least 2 each", to, from)
			}
			mode := map[string]string{"psk": "ike psk", "certificate": "ike certificate", "manual": "manual"}[kind]
			for _, e := range []*protected.End{w.relay, w.server} {
				hops := e.Becomes("four messages are counted", func(hops []api.Hop) bool {
					return hops[0].Protected && hops[0].In.Packets >= 2 && hops[0].Out.Packets >= 2
				})
				if hops[0].Mode != mode {
					t.Errorf("%s: mode %s, want %s", e.Node.Name, hops[0].Mode, mode)
				}
			}
			if said := w.server.Says(); !strings.Contains(said, "All is well.") {
				t.Errorf("the server's guard says\n%s", said)
			}
			w.wire.OtherPortsPass(w.relay, giaddr1, w.server, server)
		})
	}
}
