//go:build vm

package ipsec4_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/protected"
)

// Addresses of the relay towards its two links of clients, and of the wire.
var (
	giaddr1  = netip.MustParseAddr("10.1.0.1")
	giaddr2  = netip.MustParseAddr("10.2.0.1")
	uplink   = netip.MustParseAddr("192.0.2.1")
	server   = netip.MustParseAddr("192.0.2.2")
	stranger = netip.MustParseAddr("192.0.2.66")
)

// strangerMAC marks the frames of the host on the wire, so that they are not
// taken for those of the two ends.
const strangerMAC = "02:00:00:00:66:66"

// world is two links of clients, a relay, a server, and a host on the wire
// between these two:
//
//	c1 c0 --- d1 r u0 --- m1 m m2 --- s0 s
//	c2 c0 --- d2
type world struct {
	*lab.Net
	t               *testing.T
	c1, c2, r, m, s *lab.Node
	relay, server   *protected.End
	wire            *protected.Wire
}

// newWorld makes the network and records the wire. Nothing runs yet.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Net: lab.ForTest(t), t: t}
	for name, d := range map[string]**lab.Node{"c1": &w.c1, "c2": &w.c2, "r": &w.r, "m": &w.m, "s": &w.s} {
		var err error
		*d, err = w.Node(name)
		need(t, err)
	}
	need(t, w.Veth(w.c1, "c0", w.r, "d1"))
	need(t, w.Veth(w.c2, "c0", w.r, "d2"))
	need(t, w.Veth(w.r, "u0", w.m, "m1"))
	need(t, w.Veth(w.m, "m2", w.s, "s0"))
	need(t, w.m.Bridge("br0", "m1", "m2"))
	ip(t, w.r, "addr add %s/16 brd + dev d1", giaddr1)
	ip(t, w.r, "addr add %s/16 brd + dev d2", giaddr2)
	ip(t, w.r, "addr add %s/24 brd + dev u0", uplink)
	ip(t, w.s, "addr add %s/24 brd + dev s0", server)
	ip(t, w.s, "route add 10.0.0.0/8 via %s", uplink)
	ip(t, w.m, "link set br0 address %s", strangerMAC)
	ip(t, w.m, "addr add %s/24 dev br0", stranger)
	ip(t, w.m, "route add 10.0.0.0/8 via %s", uplink)
	w.relay, w.server = newEnd(t, w.r), newEnd(t, w.s)
	w.wire = record(t, w.m, "m2")
	return w
}

// newEnd prepares a guard. Its strongSwan gives up on a silent peer within a few
// seconds instead of minutes.
func newEnd(t *testing.T, d *lab.Node) *protected.End {
	t.Helper()
	return protected.New(t, d, protected.Config{
		Guards: true, Charon: "retransmit_timeout = 1.0\nretransmit_tries = 3", Patience: patience,
	})
}

// record records what passes a link, but for the host on the wire.
func record(t *testing.T, d *lab.Node, link string) *protected.Wire {
	t.Helper()
	return protected.Record(t, d, link, "ip and not ether src "+strangerMAC+" and not host "+stranger.String())
}

func ip(t *testing.T, d *lab.Node, format string, args ...any) {
	t.Helper()
	_, err := d.IP(format, args...)
	need(t, err)
}

// protect configures both ends with keys of that kind for the relay's addresses,
// with strongSwan unless they are made by hand.
func (w *world) protect(kind string, giaddrs ...netip.Addr) {
	w.t.Helper()
	if kind != "manual" {
		w.relay.Strongswan()
		w.server.Strongswan()
	}
	atRelay, atServer := protected.Keyings[kind](w.t, w.Dir(), server, giaddrs...)
	w.relay.Configure(stanza("server", server, giaddrs[0]) + atRelay)
	w.server.Configure(stanza("relay", giaddrs[0], server) + atServer)
}

// stanza is a peer of that role, but for its keys.
func stanza(role string, remote, local netip.Addr) string {
	return fmt.Sprintf("  - name: %[1]s4\n    address: %[2]s\n    local: %[3]s\n    role: %[1]s\n    protection: ipsec\n", role, remote, local)
}

// guard starts both guards.
func (w *world) guard() {
	w.t.Helper()
	w.relay.Start()
	w.server.Start()
}

// serve starts a server of somebody else.
func (w *world) serve(kind peer.Server4Kind) *lab.Proc {
	w.t.Helper()
	p, err := peer.StartServer4(w.s, kind, peer.Server4Config{
		Interface: "s0", Address: server,
		Subnets: []netip.Prefix{
			netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.0/16"), netip.MustParsePrefix("192.0.2.0/24"),
		},
	})
	need(w.t, err)
	return p
}

// relays starts a relay of somebody else.
func (w *world) relays(kind peer.Relay4Kind) *lab.Proc {
	w.t.Helper()
	p, err := peer.StartRelay4(w.r, kind, peer.Relay4Config{
		Down: map[string]netip.Addr{"d1": giaddr1, "d2": giaddr2}, Up: "u0", Server: server,
	})
	need(w.t, err)
	return p
}

// leases has a client in the node get an address of the link's subnet.
func (w *world) leases(d *lab.Node, subnet string) {
	w.t.Helper()
	got, err := w.asks(d, patience)
	need(w.t, err)
	if !netip.MustParsePrefix(subnet).Contains(got) {
		w.t.Errorf("%s got %s, want one of %s", d.Name, got, subnet)
	}
}

// asks has a client in the node ask for an address.
func (w *world) asks(d *lab.Node, limit time.Duration) (netip.Addr, error) {
	link := "c0"
	if d == w.m {
		link = "br0"
	}
	c, err := peer.StartClient4(d, link)
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	return c.Obtain(limit)
}
