//go:build vm

package ipsec_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
)

// Without protection the wire is in clear, and an intruder's messages are taken:
// what the other tests look for can be seen where it is.
func TestClear(t *testing.T) {
	w := newWorld(t)
	none := strings.NewReplacer("protection: ipsec\n", "protection: none\n", "    local: "+relayAddress.String()+"\n", "")
	relay, _ := stanzas("", "")
	w.relay.configure(none.Replace(relay))
	w.serve()
	w.relay.start()
	w.exchange()
	need(t, lab.Until(patience, "a message is seen in clear", func() bool {
		return strings.Contains(strings.Join(w.wire.lines(), "\n"), "dhcp6 relay-fwd")
	}))
	f := w.busy()
	need(t, lab.Until(patience, "the client hears the intruder", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.forged > 0
	}))
	if _, atServer := f.stop(); atServer == 0 {
		t.Error("the server has not heard the intruder")
	}
}

// With each keying: a client gets its prefix of a Kea that knows nothing of it
// all, and there is nothing on the wire but ESP.
func TestRFC8213_3_Exchange6(t *testing.T) {
	for kind := range keyings {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			w.protect(kind)
			_, err := peer.StartServer(w.s, peer.Kea, peer.ServerConfig{
				Interface: "s0", Address: serverAddress, Timers: peer.LongTimers,
				Links: []peer.Served{{Link: netip.MustParsePrefix("2001:db8:1::/64"), Delegable: netip.MustParsePrefix("2001:db8:1100::/40")}},
			})
			need(t, err)
			w.relay.start()
			w.server.start()
			w.relay.becomesProtected()
			w.server.becomesProtected()
			reply, err := w.client.Obtain(patience, 1)
			need(t, err)
			if got := script.Delegations(reply); len(got) != 1 || got[0].Prefix.Bits() != 56 {
				t.Errorf("delegated: %+v, want one prefix of length 56", got)
			}
			if _, esp := w.wire.onlyESP(0); esp < 4 {
				t.Errorf("%d ESP packets, want at least 4", esp)
			}
			for _, e := range []*end{w.relay, w.server} {
				hop := e.becomesProtected()[0]
				if hop.In.Packets < 2 || hop.Out.Packets < 2 {
					t.Errorf("%s: %d packets in and %d out in ESP, want at least 2 each", e.node.Name, hop.In.Packets, hop.Out.Packets)
				}
				if want := map[string]string{"psk": "ike psk", "certificate": "ike certificate", "manual": "manual"}[kind]; hop.Mode != want {
					t.Errorf("%s: mode %q, want %q", e.node.Name, hop.Mode, want)
				}
			}
			w.otherPortsPass()
		})
	}
}

// otherPortsPass checks that what is no DHCP is left as it is.
func (w *world) otherPortsPass() {
	w.t.Helper()
	from := len(w.wire.lines())
	const port = 5470
	to := netip.AddrPortFrom(serverAddress, port)
	got := listenAt(w.t, w.s, to)
	send(w.t, w.r, netip.AddrPortFrom(relayAddress, port), to, "not DHCP")
	need(w.t, lab.Until(patience, "a datagram to another port arrives", func() bool { return got.contains("not DHCP") }))
	want := fmt.Sprintf("%s.%d > %s.%d: UDP", relayAddress, port, serverAddress, port)
	need(w.t, lab.Until(patience, "it is seen in clear", func() bool {
		return strings.Contains(strings.Join(w.wire.lines()[from:], "\n"), want)
	}))
}
