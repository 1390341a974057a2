//go:build vm

package ipsec4_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/protected"
)

// A relay that is no peer is not heard by the server, nor a server that is no
// peer by the relay; both are counted. A client on the server's own link is
// heard. Where others are allowed, so is that relay.
//
// RFC 8213 3p.
func TestRFC8213_3p_Strangers4(t *testing.T) {
	w := newWorld(t)
	w.protect("manual", giaddr1)
	program := w.serve(peer.Dnsmasq4)
	w.guard()
	from := netip.AddrPortFrom(stranger, 67)
	for _, c := range []struct {
		at      *protected.End
		to      netip.Addr
		message []byte
	}{
		{w.server, server, w.request(stranger)},
		{w.server, server, w.request(giaddr1)}, // it says that it is the relay, from its own address
		{w.relay, uplink, w.offer(giaddr1)},
	} {
		before := c.at.Strangers()
		send(w.m, from, netip.AddrPortFrom(c.to, 67), c.message)
		w.Until("a stranger is counted", func() bool { return c.at.Strangers() == before+1 })
	}
	w.leases(w.m, "192.0.2.0/24")
	if log := program.Log(); strings.Contains(log, forgedMAC) {
		t.Errorf("the server has heard a stranger:\n%s", log)
	}
	w.server.Allow()
	send(w.m, from, netip.AddrPortFrom(server, 67), w.request(giaddr1))
	w.Need(program.Logged(labtest.Patience, forgedMAC))
}
