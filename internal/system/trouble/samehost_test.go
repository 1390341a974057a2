package trouble_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
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

// Where the server listens at the only address that the relay could send from, no answer
// can come. The relay says so, and which way works, and goes on once it is taken.
func TestServerAtOurOwnAddress(t *testing.T) {
	parallel(t)
	r := build(t, plan{clients: 1})
	text := strings.Replace(r.config(), "address: 2001:db8:ff::2\n", "address: "+lab.RelayAddress.String()+"\n", 1)
	var err error
	r.relay, err = relay.New(r.Relay, relay.Config{Binary: r.plan.program, Text: text})
	need(t, err)
	need(t, r.relay.Start())
	r.logged("level=WARN", "the server's answers cannot come", "has another global address of ours")
	mute := func() bool {
		return slices.ContainsFunc(r.status().Degraded, func(line string) bool { return strings.Contains(line, "its answers cannot come") })
	}
	until(t, "status tells of it", mute)
	_, err = r.Relay.IP("addr add 2001:db8:fe::77/64 dev u0 nodad")
	need(t, err)
	until(t, "there is an address to answer to", func() bool { return !mute() })
}
