//go:build vm

package ipsec4_test

import (
	"net/netip"
	"strings"
	"testing"
)

// A datagram that came in ESP for a program that does not run: the host answers
// that nobody is there, and its answer quotes the datagram. That too must not be
// on the wire in clear.
func TestRFC8213_3_NobodyThereQuotesNothing(t *testing.T) {
	w := newWorld(t)
	w.protect("manual", giaddr1)
	w.guard()
	send(w.r, netip.AddrPortFrom(giaddr1, 67), netip.AddrPortFrom(server, 67), w.request(giaddr1))
	w.Until("the host has nobody for the datagram", func() bool {
		out := w.s.Run("cat", "/proc/net/snmp")
		return strings.Contains(out, "\nUdp: 0 1 ") // InDatagrams, NoPorts
	})
	if _, esp := w.wire.OnlyESP(0); esp != 1 {
		t.Errorf("%d ESP packets, want the one that was sent", esp)
	}
}
