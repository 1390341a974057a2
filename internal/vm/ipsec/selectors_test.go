//go:build vm

package ipsec_test

import (
	"net/netip"
	"testing"

	"fairlead/internal/lab/script"
	"fairlead/internal/system/protected"
	"fairlead/internal/wire/dhcp6"
)

// A relay that sends from another port (RFC 8357) is protected there, too.
// RFC 8213 3h.
func TestRFC8213_3_RelaySourcePort(t *testing.T) {
	w := newWorld(t)
	w.relay.Strongswan()
	w.server.Strongswan()
	relay, server := stanzas(protected.Preshared(w.Net, serverAddress, relayAddress))
	w.relay.Section += "  source-port: 1547\n"
	w.relay.Configure(relay)
	w.server.Configure(server + "    source-port: 1547\n")
	w.serve()
	w.relay.Start()
	w.server.Start()
	w.becomesProtected()
	q := w.scripted.Wait("a request", func(q script.Request) bool { return len(q.Relays) > 0 })
	if q.From.Port() != 1547 {
		t.Errorf("the request came from port %d, want 1547", q.From.Port())
	}
	w.wire.WantESP(0, 2)
}

// A relayed message from nobody that is configured does not reach a guarded
// server, and is counted; a client's own message does. RFC 8213 3g and 3p.
func TestRFC8213_3_Strangers(t *testing.T) {
	w := protectedWorld(t, "manual")
	stranger := netip.MustParseAddrPort("[2001:db8:ff::66]:547")
	to := netip.AddrPortFrom(serverAddress, 547)
	client := dhcp6.AppendMessageHeader(nil, dhcp6.InformationRequest, forged)
	relayed := dhcp6.AppendOption(dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, netip.MustParseAddr("2001:db8:6::1"),
		netip.MustParseAddr("fe80::6")), dhcp6.OptionRelayMessage, client)
	before := w.server.Strangers()
	for range 3 {
		w.intruder.toServer.Put(w.intruder.packet(w.intruder.toServer, stranger, to, relayed))
	}
	w.Until("three strangers are counted", func() bool { return w.server.Strangers() == before+3 })
	w.intruder.toServer.Put(w.intruder.packet(w.intruder.toServer, netip.AddrPortFrom(stranger.Addr(), 546), to, client))
	q := w.scripted.Wait("the client's message", func(q script.Request) bool { return q.From.Addr() == stranger.Addr() })
	if len(q.Relays) != 0 {
		t.Error("a stranger's relayed message was heard")
	}
	w.exchange()
}
