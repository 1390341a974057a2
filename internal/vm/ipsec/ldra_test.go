//go:build vm

package ipsec_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead/internal/lab/script"
	"fairlead/internal/system/protected"
	"fairlead/internal/wire/dhcp6"
)

// A lightweight relay (RFC 6221) on a client link, scripted and with a guard beside
// it, is heard under ESP between the two link-local addresses, and answered so.
// RFC 8213 4e.
func TestRFC8213_3_LightweightRelayBelow(t *testing.T) {
	w := newWorld(t)
	wire := record(w.r, "d1")
	ldra := w.c.LinkLocal("c0")
	above := w.r.LinkLocal("d1")
	guard := newEnd(w.c, true)
	atLDRA, atRelay := protected.ByHand(w.Net, above, ldra)
	guard.Configure(peerOf("relay", "server", above, ldra, "c0", atLDRA))
	w.relay.Configure(fmt.Sprintf("  - name: server\n    address: %s\n    role: server\n    interfaces: [u0]\n    protection: none\n", serverAddress) +
		peerOf("ldra", "relay", ldra, above, "d1", atRelay))
	w.serve()
	w.relay.Start()
	guard.Start()
	w.relay.BecomesProtected()
	guard.BecomesProtected()

	zone := fmt.Sprint(w.c.Interface("c0").Index)
	relay := w.c.Server(ldra.WithZone(zone), nil)
	client := netip.MustParseAddr("fe80::c1")
	forward := dhcp6.AppendInterfaceID(dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, netip.IPv6Unspecified(), client), []byte("port 1/7"))
	forward = dhcp6.AppendOption(forward, dhcp6.OptionRelayMessage, w.client.Message(dhcp6.Solicit, script.IAPD(1)))
	var answer script.Request
	w.Until("the lightweight relay is answered", func() bool {
		relay.Send(netip.AddrPortFrom(above.WithZone(zone), 547), forward)
		var err error
		answer, err = relay.Server.Wait(time.Second, "an answer", func(q script.Request) bool { return len(q.Relays) == 1 })
		return err == nil
	})
	if id, _ := answer.Relays[0].Options().First(dhcp6.OptionInterfaceID); answer.Relays[0].Type() != dhcp6.RelayReply || string(id) != "port 1/7" ||
		answer.Relays[0].PeerAddress() != client || answer.Message.Type() != dhcp6.Advertise {
		t.Errorf("the lightweight relay hears %v for %s at %q with a %v, want a Relay-reply for %s at \"port 1/7\" with an Advertise",
			answer.Relays[0].Type(), answer.Relays[0].PeerAddress(), id, answer.Message.Type(), client)
	}
	if q := w.scripted.Received()[0]; len(q.Relays) != 2 || q.Relays[0].LinkAddress() != netip.MustParseAddr("2001:db8:1::1") {
		t.Errorf("the server's message came through %+v, want two relays, the outer one at 2001:db8:1::1", q.Relays)
	}
	wire.WantESP(0, 2)
	// The other link has no protection: what is to be seen can be.
	if all := strings.Join(w.wire.Lines(), "\n"); !strings.Contains(all, "dhcp6 relay-fwd") {
		t.Errorf("nothing is in clear beyond the relay:\n%s", all)
	}
}
