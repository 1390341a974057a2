//go:build vm

package ipsec4_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/protected"
)

// relays4 makes our own relay the relay's end, with keys of that kind. Its giaddr on all links
// is its address on the wire, to which the server's answers come.
func (w *world) relays4(kind string) {
	w.T.Helper()
	w.relay = protected.New(w.r, protected.Config{Charon: eager})
	w.relay.Section = "relay4:\n"
	w.relay.Keys = "      giaddr: " + uplink.String() + "\n      agent-information: add\n      link-selection: true\n      subscriber-id: line 7\n" +
		"      access-network: {technology: 4, network-name: Example Net, access-point-name: ap-17, access-point-bssid: \"02:00:5e:10:00:01\", operator-id: 32473, operator-realm: example.com}\n"
	if kind != "manual" {
		w.relay.Strongswan()
		w.server.Strongswan()
	}
	atRelay, atServer := protected.Keyings[kind](w.Net, server, uplink)
	w.relay.Configure(stanza("server", server, uplink) + "    interfaces: [u0]\n" + atRelay)
	w.server.Configure(stanza("relay", uplink, server) + atServer)
}

// Between our own relay and a server with a guard there is nothing on the wire but ESP, and
// before the server has its guard nothing at all: the relay sends nothing in clear, and
// believes no answer that comes so. Clients of two links, one of which is systemd-networkd,
// get addresses of their links, by one pair of addresses, and the server is told what only a protected one may be. Whatever
// is taken away at the relay meanwhile: nothing passes in clear, and it comes back by itself.
func TestRFC8213_3_OurRelay4(t *testing.T) {
	w := newWorld(t)
	w.relays4("psk")
	f := &forger{w: w, relay: uplink, program: w.serve(peer.Dnsmasq4), heard: record(w.c1, "c0")}
	w.relay.Start()
	if got, err := w.asks(w.c1, enough); err == nil {
		t.Errorf("the client got %s of a server that has no guard", got)
	}
	if _, esp := w.wire.OnlyESP(0); esp > 0 {
		t.Errorf("%d ESP packets to a server without keys", esp)
	}
	w.Until("the server hears the host on the wire", func() bool {
		f.forge()
		atServer, _ := f.taken()
		return atServer > 0
	})
	w.server.Start()
	from := len(w.wire.Lines())
	w.leases(w.c1, "10.1.0.0/16")
	networkd, err := peer.StartNetworkd(w.c2.Node, "c0")
	w.Need(err)
	w.Until("systemd-networkd has an address of the second link", func() bool {
		return strings.Contains(w.c2.IP("-4 addr show dev c0"), "inet 10.2.")
	})
	w.Need(networkd.Stop())
	w.wire.OnlyESP(from)
	w.passed(uplink, server)
	w.passed(server, uplink)
	var about api.Relay4
	w.relay.Program.Ask("/v1/relay4", &about)
	if about.SensitiveOmitted > 0 {
		t.Errorf("%d messages to the server went without the subscriber-id", about.SensitiveOmitted)
	}
	for _, c := range []protected.Cut{protected.StrongSwanKilled, policiesDeleted, protected.RulesetFlushed} {
		w.Run(c.Name, func(t *testing.T) { w.during(f, w.relay, c) })
	}
	if _, atClient := f.taken(); atClient > 0 {
		t.Errorf("a client was given %d answers that came in clear", atClient)
	}
}

// The same with manual keys: a client gets its address through ESP and nothing is in clear. The
// server is told of the access network, which only a protected one may be.
//
// RFC 7839 6a.
func TestRFC8213_3b_OurRelay4Manual(t *testing.T) {
	w := newWorld(t)
	w.relays4("manual")
	kea, err := peer.StartServer4(w.s.Node, peer.Kea4UDP, peer.Server4Config{
		Interface: "s0", Address: server, Subnets: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("192.0.2.0/24")},
		LogsRelayID: true,
	})
	w.Need(err)
	w.relay.Start()
	w.server.Start()
	w.leases(w.c1, "10.1.0.0/16")
	w.wire.OnlyESP(0)
	w.passed(uplink, server)
	w.passed(server, uplink)
	w.Need(kea.Logged(labtest.Patience, "type=013, len=002: 00:04"))
	w.Need(kea.Logged(labtest.Patience, "type=018, len=011: "))
	var about api.Relay4
	w.relay.Program.Ask("/v1/relay4", &about)
	if about.SensitiveOmitted > 0 || about.Delivered["ack"] == 0 {
		t.Errorf("%d messages to the server went without what is for protected ones; delivered %v", about.SensitiveOmitted, about.Delivered)
	}
}
