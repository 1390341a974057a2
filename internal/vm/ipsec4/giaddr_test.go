//go:build vm

package ipsec4_test

import (
	"net"
	"net/netip"
	"testing"

	"fairlead/internal/lab/peer"
)

// A server answers to giaddr, not to the sender: each giaddr has SAs of its own.
//
// RFC 8213 3b and 3g.
func TestRFC8213_3g_Giaddrs(t *testing.T) {
	for _, kind := range []string{"psk", "manual"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			w.protect(kind, uplink, giaddr1, giaddr2)
			w.serve(peer.Kea4UDP)
			program := w.relays(peer.DnsmasqRelay)
			w.guard()
			// A relay that sends from giaddr: one link of clients, one pair of SAs.
			w.leases(w.c1, "10.1.0.0/16")
			w.leases(w.c2, "10.2.0.0/16")
			for _, giaddr := range []netip.Addr{giaddr1, giaddr2} {
				w.passed(giaddr, server)
				w.passed(server, giaddr)
			}
			w.Need(program.Stop())
			if n := w.wire.ESP(uplink, server); n > 0 {
				t.Errorf("%d ESP packets from %s, want none as yet", n, uplink)
			}
			// One that sends from its address on the wire: requests go by one SA,
			// and answers, to giaddr, by another.
			before := w.wire.ESP(server, giaddr1)
			w.relayFromUplink()
			w.leases(w.c1, "10.1.0.0/16")
			w.passed(uplink, server)
			if after := w.wire.ESP(server, giaddr1); after < before+2 {
				t.Errorf("%d ESP packets from the server to %s, of which %d were before; want at least 2 more", after, giaddr1, before)
			}
			if n := w.wire.ESP(server, uplink); n > 0 {
				t.Errorf("%d ESP packets from the server to %s, want none", n, uplink)
			}
			w.wire.OnlyESP(0)
			w.relay.BecomesProtected()
			if hops := w.server.BecomesProtected(); len(hops) != 3 {
				t.Errorf("the server's hops are %+v, want three", hops)
			}
		})
	}
}

// passed fails unless there were two ESP packets or more.
func (w *world) passed(source, dest netip.Addr) {
	w.T.Helper()
	if n := w.wire.ESP(source, dest); n < 2 {
		w.T.Errorf("%d ESP packets from %s to %s, want at least 2", n, source, dest)
	}
}

// relayFromUplink relays for the first link's clients by UDP sockets, from the
// address on the wire.
func (w *world) relayFromUplink() {
	w.T.Helper()
	relay := open(w.r, netip.MustParseAddrPort("0.0.0.0:67"), "")
	clients := open(w.r, netip.MustParseAddrPort("0.0.0.0:0"), "d1")
	go func() {
		b := make([]byte, 2048)
		for {
			n, err := relay.Read(b)
			if err != nil {
				return
			}
			w.passOn(relay, clients, b[:n])
		}
	}()
}

// passOn passes a message on (RFC 1542 section 4.1).
func (w *world) passOn(relay, clients *net.UDPConn, b []byte) {
	if len(b) < 240 {
		return
	}
	to, by := netip.MustParseAddrPort("255.255.255.255:68"), clients
	if b[0] == 1 {
		copy(b[24:28], giaddr1.AsSlice())
		to, by = netip.AddrPortFrom(server, 67), relay
	}
	_, _ = by.WriteToUDPAddrPort(b, to) // refused while the guard drops it: the client asks again
}
