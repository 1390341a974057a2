//go:build vm

package ipsec4_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/protected"
	"fairlead/internal/system/rig"
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
	*rig.Net
	c1, c2, r, m, s *rig.Host
	relay, server   *protected.End
	wire            *protected.Wire
}

// newWorld makes the network and records the wire. Nothing runs yet.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Net: rig.New(t)}
	w.c1, w.c2, w.r, w.m, w.s = w.Node("c1"), w.Node("c2"), w.Node("r"), w.Node("m"), w.Node("s")
	w.Veth(w.c1, "c0", w.r, "d1")
	w.Veth(w.c2, "c0", w.r, "d2")
	w.Veth(w.r, "u0", w.m, "m1")
	w.Veth(w.m, "m2", w.s, "s0")
	w.Need(w.m.Bridge("br0", "m1", "m2"))
	w.r.IP("addr add %s/16 brd + dev d1", giaddr1)
	w.r.IP("addr add %s/16 brd + dev d2", giaddr2)
	w.r.IP("addr add %s/24 brd + dev u0", uplink)
	w.s.IP("addr add %s/24 brd + dev s0", server)
	w.s.IP("route add 10.0.0.0/8 via %s", uplink)
	w.m.IP("link set br0 address %s", strangerMAC)
	w.m.IP("addr add %s/24 dev br0", stranger)
	w.m.IP("route add 10.0.0.0/8 via %s", uplink)
	w.relay, w.server = newEnd(w.r), newEnd(w.s)
	w.wire = record(w.m, "m2")
	return w
}

// eager has strongSwan give up on a silent peer within a few seconds instead of minutes.
const eager = "retransmit_timeout = 1.0\nretransmit_tries = 3"

// newEnd prepares a guard.
func newEnd(h *rig.Host) *protected.End {
	h.Net.T.Helper()
	return protected.New(h, protected.Config{Guards: true, Charon: eager})
}

// record records what passes a link, but for the host on the wire.
func record(h *rig.Host, link string) *protected.Wire {
	h.Net.T.Helper()
	return protected.Record(h, link, "ip and not ether src "+strangerMAC+" and not host "+stranger.String())
}

// protect configures both ends with keys of that kind for the relay's addresses,
// with strongSwan unless they are made by hand.
func (w *world) protect(kind string, giaddrs ...netip.Addr) {
	w.T.Helper()
	if kind != "manual" {
		w.relay.Strongswan()
		w.server.Strongswan()
	}
	atRelay, atServer := protected.Keyings[kind](w.Net, server, giaddrs...)
	w.relay.Configure(stanza("server", server, giaddrs[0]) + atRelay)
	w.server.Configure(stanza("relay", giaddrs[0], server) + atServer)
}

// stanza is a peer of that role, but for its keys.
func stanza(role string, remote, local netip.Addr) string {
	return fmt.Sprintf("  - name: %[1]s4\n    address: %[2]s\n    local: %[3]s\n    role: %[1]s\n    protection: ipsec\n", role, remote, local)
}

// guard starts both guards.
func (w *world) guard() {
	w.T.Helper()
	w.relay.Start()
	w.server.Start()
}

// serve starts a server of somebody else.
func (w *world) serve(kind peer.Server4Kind) *lab.Proc {
	w.T.Helper()
	p, err := peer.StartServer4(w.s.Node, kind, peer.Server4Config{
		Interface: "s0", Address: server,
		Subnets: []netip.Prefix{
			netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.0/16"), netip.MustParsePrefix("192.0.2.0/24"),
		},
	})
	w.Need(err)
	return p
}

// relays starts a relay of somebody else.
func (w *world) relays(kind peer.Relay4Kind) *lab.Proc {
	w.T.Helper()
	p, err := peer.StartRelay4(w.r.Node, kind, peer.Relay4Config{
		Down: map[string]netip.Addr{"d1": giaddr1, "d2": giaddr2}, Up: "u0", Server: server,
	})
	w.Need(err)
	return p
}

// leases has a client in the node get an address of the link's subnet.
func (w *world) leases(d *rig.Host, subnet string) {
	w.T.Helper()
	got, err := w.asks(d, labtest.Patience)
	w.Need(err)
	if !netip.MustParsePrefix(subnet).Contains(got) {
		w.T.Errorf("%s got %s, want one of %s", d.Name, got, subnet)
	}
}

// asks has a client in the node ask for an address.
func (w *world) asks(d *rig.Host, limit time.Duration) (netip.Addr, error) {
	link := "c0"
	if d == w.m {
		link = "br0"
	}
	c, err := peer.StartClient4(d.Node, link)
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	return c.Obtain(limit)
}
