package trouble_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/rig"
)

// A Kea on the relay's own machine, at an address of lo, works with the interface that
// has an address of ours, and with our local address left open.
func TestServerOnTheSameHost(t *testing.T) {
	r := build(t, plan{clients: 1})
	own := netip.MustParseAddr("2001:db8:fd::547")
	r.Relay.IP("addr add %s/128 dev lo", own)
	r.Relay.Serve(peer.Kea, peer.ServerConfig{Interface: "lo", Address: own, Timers: peer.LongTimers})
	text := strings.Replace(r.config(), "address: 2001:db8:ff::2\n", "address: "+own.String()+"\n", 1)
	r.Fairlead.Write(text)
	r.Fairlead.Start()
	r.obtain(r.Play(1, rig.DUID(1)), 1)
}

// Where the server listens at the only address that the relay could send from, no answer
// can come. The relay says so, and which way works, and goes on once it is taken.
func TestServerAtOurOwnAddress(t *testing.T) {
	r := build(t, plan{clients: 1})
	text := strings.Replace(r.config(), "address: 2001:db8:ff::2\n", "address: "+lab.RelayAddress.String()+"\n", 1)
	r.Fairlead.Write(text)
	r.Fairlead.Start()
	r.Fairlead.Logged("level=WARN", "the server's answers cannot come", "has another global address of ours")
	mute := func() bool {
		return slices.ContainsFunc(r.status().Degraded, func(line string) bool { return strings.Contains(line, "its answers cannot come") })
	}
	r.Until("status tells of it", mute)
	r.Relay.IP("addr add 2001:db8:fe::77/64 dev u0 nodad")
	r.Until("there is an address to answer to", func() bool { return !mute() })
}
