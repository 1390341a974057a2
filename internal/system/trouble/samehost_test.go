package trouble_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/relay"
)

// A Kea on the relay's own machine, at an address of lo, works with the interface that
// has an address of ours, and with our local address left open.
func TestServerOnTheSameHost(t *testing.T) {
	parallel(t)
	r := build(t, plan{clients: 1})
	own := netip.MustParseAddr("2001:db8:fd::547")
	_, err := r.Relay.IP("addr add %s/128 dev lo", own)
	need(t, err)
	_, err = peer.StartServer(r.Relay, peer.Kea, peer.ServerConfig{Interface: "lo", Address: own, Timers: peer.LongTimers})
	need(t, err)
	text := strings.Replace(r.config(), "address: 2001:db8:ff::2\n", "address: "+own.String()+"\n", 1)
	r.relay, err = relay.New(r.Relay, relay.Config{Binary: r.plan.program, Text: text})
	need(t, err)
	need(t, r.relay.Start())
	r.obtain(r.client(1, duid(1)), 1)
}
