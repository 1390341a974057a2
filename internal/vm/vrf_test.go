//go:build vm

package vm_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// The VRFs of the relay node and their tables.
const (
	red, green, blue = 100, 200, 300
	main             = 254
)

// inVRFs is a rig with links in VRFs:
//
//	c1 c0 ------ d1 in red        u1 ------ s1  server 1
//	c2 c0 ------ d2               u2 in blue -- s2  server 2
//	c3 c0.30 --- d3.30 in green   u3 in red --- s3
//	c4 c0 ------ ppp4 in red
type inVRFs struct {
	*network
	servers map[int]*rig.Server
	nodes   map[int]*rig.Host
}

// shared is built by the first test that wants it. What a test delegates it
// also ends, and what it moves it puts back.
var shared *inVRFs

func vrfs(t *testing.T) *inVRFs {
	t.Helper()
	if shared == nil {
		n, err := lab.New()
		labtest.Need(t, err)
		shared = &inVRFs{network: build(&rig.Net{Net: n, T: t})}
		shared.build()
	}
	r := shared
	r.T = t
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", r.Logs(40))
		}
	})
	for _, s := range r.servers {
		s.Become(nil)
	}
	return r
}

func (r *inVRFs) build() {
	r.T.Helper()
	r.vrf("red", red)
	r.vrf("green", green)
	r.vrf("blue", blue)
	r.uplink(1, "")
	r.uplink(2, "blue")
	r.uplink(3, "red")
	r.far.IP("-6 route add default via %s", near(3))
	r.servers = map[int]*rig.Server{1: r.server(1), 2: r.server(2)}
	r.nodes = map[int]*rig.Host{1: r.clientNode(1, "red"), 2: r.clientNode(2, ""), 3: r.Node("c3")}
	r.Veth(r.node, "d3", r.nodes[3], "c0")
	vlan(r.node, "d3", 30)
	r.enslave("d3.30", "green", linkAddress(3)+"/64")
	vlan(r.nodes[3], "c0", 30)
	r.nodes[4] = r.Node("c4")
	r.Tun(r.node, "ppp4", "fe80::1/64", r.nodes[4], "c0", "fe80::c4/64")
	r.enslave("ppp4", "red", "fe80::1/64", linkAddress(4)+"/64")
	r.defaultRoute(r.nodes[4], "c0", "ppp4")
	r.start("  - match: [d*, ppp*]\n", 1, 2)
}

// client is a client on the link with that number, as long as the test lasts.
func (r *inVRFs) client(number int) *rig.Client {
	r.T.Helper()
	link := "c0"
	if number == 3 {
		link = "c0.30"
	}
	return r.network.client(r.nodes[number], link, byte(number))
}

// releases ends what a client was granted.
func (r *inVRFs) releases(c *rig.Client, reply dhcp6.Message, table int, prefix string) {
	r.T.Helper()
	c.Release(reply)
	r.becomes(table, prefix, "")
}

// Clients and servers need not be in one VRF. Routes come and go in that of the
// client.
func TestRFC8987_R1_ClientAndServerVRFsDiffer(t *testing.T) {
	for _, c := range []struct {
		name           string
		client, server int
		table          int
		down, prefix   string
	}{
		{"client in a VRF", 1, 1, red, "d1", "2001:db8:1100::/56"},
		{"server in a VRF", 2, 2, main, "d2", "2001:db8:1200::/60"},
		{"both in different ones", 1, 2, red, "d1", "2001:db8:1300::/48"},
		{"VLAN in a VRF", 3, 2, green, "d3.30", "2001:db8:1400::/64"},
		{"point-to-point link in a VRF", 4, 1, red, "ppp4", "2001:db8:1500::/56"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := vrfs(t)
			client, server := r.client(c.client), r.servers[c.server]
			server.Become(grants{linkAddress(c.client): c.prefix}.answer)
			reply := obtains(t, client, c.prefix)
			r.routed(c.table, c.prefix, client, c.down)
			if c.table != main {
				r.has(main, c.prefix, "")
			}
			q := server.Wait("the Request", func(q script.Request) bool {
				return q.Message.Type() == dhcp6.Request && len(q.Relays) == 1 && q.Relays[0].LinkAddress() == netip.MustParseAddr(linkAddress(c.client))
			})
			if from := netip.MustParseAddr(near(c.server)); q.From.Addr() != from {
				t.Errorf("the Request came from %v, want %v", q.From, from)
			}
			r.releases(client, reply, c.table, c.prefix)
		})
	}
}

// In a VRF, a source passes while it is delegated to the link, with exactly the
// length of the delegation.
func TestRFC8987_R3_SourceFilterInVRF(t *testing.T) {
	r := vrfs(t)
	const (
		prefix, inside = "2001:db8:3000:100::/56", "2001:db8:3000:1ff::1"
		outside        = "2001:db8:3000:200::1"
	)
	c1, to := r.nodes[1], netip.MustParseAddr(beyond(3))
	client := r.client(1)
	c1.Address("lo", inside+"/128", outside+"/128")
	seen := listen(r.far, "far", "s3", "icmp6[0]==128")
	passes := func(source string) bool { return c1.Ping(netip.MustParseAddr(source), to) == nil }
	dropped := func(source, when string) {
		t.Helper()
		before := r.counter("spoofed")
		if passes(source) {
			t.Errorf("%s %s: passed", source, when)
		}
		if n := r.counter("spoofed") - before; n != 1 {
			t.Errorf("%s %s: %d packets dropped as spoofed, want 1", source, when, n)
		}
	}

	dropped(inside, "before it is delegated")
	r.servers[1].Become(grants{linkAddress(1): prefix}.answer)
	reply := obtains(t, client, prefix)
	dropped(outside, "beside what is delegated")
	r.Until("a delegated source passes", func() bool { return passes(inside) })
	r.Need(seen.Logged(labtest.Patience, inside+" > "))
	if strings.Contains(seen.Log(), outside+" > ") {
		t.Errorf("the far end has seen %s:\n%s", outside, seen.Log())
	}
	r.releases(client, reply, red, prefix)
	dropped(inside, "after its release")
	r.Need(seen.Stop())
}

// In a VRF the forward hook sees the VRF device as the input interface. A packet
// that came from a client to its own prefix does not return all the same.
func TestRFC8987_R5_LoopInVRF(t *testing.T) {
	r := vrfs(t)
	for number, prefix := range map[int]string{1: "2001:db8:5000::/56", 4: "2001:db8:5001::/56"} {
		used, unused := netip.MustParsePrefix(prefix).Addr().Next(), netip.MustParsePrefix(prefix).Addr().Next().Next()
		node, client := r.nodes[number], r.client(number)
		node.Address("lo", used.String()+"/128")
		r.servers[1].Become(grants{linkAddress(number): prefix}.answer)
		reply := obtains(t, client, prefix)
		came := listen(node, "came", "c0", "icmp6[0]==128", "-Q", "in")

		before := r.counter("looped")
		if node.Ping(used, unused) == nil {
			t.Errorf("%s answers", unused)
		}
		if n := r.counter("looped") - before; n != 1 {
			t.Errorf("from %s: %d packets dropped as looping, want 1", used, n)
		}
		// What comes from elsewhere to the same prefix does arrive.
		r.Until("the far end reaches "+used.String(), func() bool {
			return r.far.Ping(netip.Addr{}, used) == nil
		})
		r.Need(came.Logged(labtest.Patience, "> "+used.String()))
		if strings.Contains(came.Log(), "> "+unused.String()) {
			t.Errorf("a packet came back:\n%s", came.Log())
		}
		r.Need(came.Stop())
		r.releases(client, reply, red, prefix)
	}
}

// A link moves into a VRF and out of it while the relay runs, and its route
// with it.
func TestRFC8987_R1_LinkMovesBetweenVRFs(t *testing.T) {
	r := vrfs(t)
	const prefix = "2001:db8:6000::/56"
	client := r.client(2)
	r.servers[1].Become(grants{linkAddress(2): prefix}.answer)
	reply := obtains(t, client, prefix)
	r.routed(main, prefix, client, "d2")
	for _, to := range []struct {
		vrf         string
		here, there int
	}{{"green", green, main}, {"red", red, green}, {"", main, red}} {
		r.enslave("d2", to.vrf, linkAddress(2)+"/64")
		r.becomesRouted(to.here, prefix, client, "d2")
		r.becomes(to.there, prefix, "")
		// It is heard and answered there.
		reply = client.Renew(reply)
		holds(t, reply, prefix)
		r.routed(to.here, prefix, client, "d2")
	}
	r.releases(client, reply, main, prefix)
}

// One prefix is delegated in two VRFs. Each is kept and restored by itself.
func TestRFC8987_S1_OnePrefixInTwoVRFs(t *testing.T) {
	r := vrfs(t)
	const prefix = "2001:db8:7000::/56"
	inRed, inGreen := r.client(1), r.client(3)
	r.servers[1].Become(grants{linkAddress(1): prefix, linkAddress(3): prefix}.answer)
	both := func() {
		t.Helper()
		r.routed(red, prefix, inRed, "d1")
		r.routed(green, prefix, inGreen, "d3.30")
	}
	replyRed := obtains(t, inRed, prefix)
	replyGreen := obtains(t, inGreen, prefix)
	both()

	r.Fairlead.Kill()
	r.node.Batch("route flush table 100 proto 87", "route flush table 200 proto 87")
	r.has(red, prefix, "")
	r.Fairlead.Start()
	both()

	r.releases(inRed, replyRed, red, prefix)
	r.routed(green, prefix, inGreen, "d3.30")
	r.releases(inGreen, replyGreen, green, prefix)
}

// What is too long for one packet, and what is sent to the relay's own
// addresses, comes by sockets, which must be those of the VRF. No octet changes
// on the way, and nothing is forwarded twice, also where the sockets of the
// default VRF hear the others.
func TestRFC8987_G1_FragmentsAndUnicastInVRF(t *testing.T) {
	r := vrfs(t)
	large := dhcp6.AppendOption(nil, 65001, bytes.Repeat([]byte("large"), 700))
	relayLocal := r.node.LinkLocal("d1")
	const everywhere = "net/ipv4/udp_l3mdev_accept" // of IPv6 as well
	defer func() { r.node.Sysctl(everywhere, "0") }()
	for _, accept := range []string{"0", "1"} {
		r.node.Sysctl(everywhere, accept)
		for _, c := range []struct {
			name    string
			client  int
			to      netip.Addr
			options []byte
		}{
			{"fragments", 1, dhcp6.AllRelayAgentsAndServers, large},
			{"fragments outside VRFs", 2, dhcp6.AllRelayAgentsAndServers, large},
			{"to the link-local address", 1, relayLocal, nil},
			{"fragments to the link-local address", 1, relayLocal, large},
			{"to the global address", 1, netip.MustParseAddr(linkAddress(1)), nil},
			{"point-to-point", 4, dhcp6.AllRelayAgentsAndServers, nil},
		} {
			r.Run(c.name+" "+accept, func(t *testing.T) {
				r.passes(r.client(c.client), c.client, c.to, c.options)
			})
		}
	}
}

// passes has a message and its answer, both with the options, pass as they are
// and once.
func (r *inVRFs) passes(client *rig.Client, number int, to netip.Addr, options []byte) {
	r.T.Helper()
	server := r.servers[2]
	up := client.Message(dhcp6.Solicit, script.IAPD(1), options)
	down := append(dhcp6.AppendServerID(dhcp6.AppendMessageHeader(nil, dhcp6.Advertise, 7), script.DefaultServerDUID), options...)
	server.Become(func(q script.Request) [][]byte { return [][]byte{q.Wrap(down)} })
	defer server.Become(nil)
	before := len(server.Received())
	client.SendTo(to, up)
	client.Gets(down)
	got := server.Received()[before:]
	if len(got) != 1 || !bytes.Equal(got[0].Inner, up) {
		r.T.Fatalf("the server received %d messages, the first %x; want one, %x", len(got), got[0].Inner, up)
	}
	if link := got[0].Relays[0].LinkAddress().String(); link != linkAddress(number) {
		r.T.Errorf("link-address %s, want %s", link, linkAddress(number))
	}
}
