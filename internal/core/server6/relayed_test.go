package server6_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/links"
	"fairlead/internal/core/server6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// readLayer is one relay layer of an answer, read by hand.
type readLayer struct {
	kind, hops byte
	link, peer string
	options    []rawOption // without the Relay Message
	inner      []byte
}

func (w *world) layers(b []byte) (all []readLayer) {
	w.Helper()
	for len(b) > 34 && (b[0] == 12 || b[0] == 13) {
		l := readLayer{kind: b[0], hops: b[1], link: netip.AddrFrom16([16]byte(b[2:18])).String(), peer: netip.AddrFrom16([16]byte(b[18:34])).String()}
		for _, o := range rawOptions(w, b[34:]) {
			if o.code != 9 {
				l.options = append(l.options, o)
			} else if l.inner == nil {
				l.inner = o.payload
			} else {
				w.Fatalf("two Relay Messages in %x", b)
			}
		}
		all, b = append(all, l), l.inner
	}
	return all
}

func (l readLayer) codes() (all []int) {
	for _, o := range l.options {
		all = append(all, o.code)
	}
	slices.Sort(all)
	return all
}

// Section 19.3: "A response to the client MUST be relayed through the same relay agents as the
// original client message." Section 18.3: "The server MUST use the received message to construct the
// proper Relay-reply message to allow the response [...] to be relayed through the same relay agents
// (in reverse order)". RFC 8415 18.3c, 21.18a: "The server MUST copy the Interface-Id option from the
// Relay-forward message into the Relay-reply message".
func TestRFC8415_19_3a_SameRelayAgents(t *testing.T) {
	w := newWorld(t)
	ldra := layerOf{0, "::", []option{interfaceID("port 7"), raw(38, 'x')}}
	access := layerOf{1, "2001:db8:8::1", []option{raw(4711, 1), interfaceID("")}}
	outer := layerOf{2, "::", []option{interfaceID("eth9"), raw(37, 0, 0, 0, 1, 'r')}}
	message := outer.around("2001:db8:aaaa::1", access.around("fe80::1da", ldra.around(alice.addr, alice.message(dhcp6.Solicit, iaNA(1)))))
	got := w.relays(message)
	if len(got) != 1 {
		t.Fatalf("%d answers, dropped %v", len(got), w.drops)
	}
	s := got[0]
	if !s.ToPeer || s.Peer == nil || s.Peer.Name != "access" || s.Source != addr(localAddr) || s.Dest.String() != "["+relayAddr+"]:547" || s.Link != upIndex || s.LinkLayer.IsValid() {
		t.Errorf("sent as %+v", s)
	}
	ls := w.layers(s.Payload)
	if len(ls) != 3 {
		t.Fatalf("%d layers, want 3: %x", len(ls), s.Payload)
	}
	for i, want := range []struct {
		hops       byte
		link, peer string
		id         string
	}{{2, "::", "2001:db8:aaaa::1", "eth9"}, {1, "2001:db8:8::1", "fe80::1da", ""}, {0, "::", alice.addr, "port 7"}} {
		l := ls[i]
		if l.kind != 13 || l.hops != want.hops || l.link != want.link || l.peer != want.peer || !slices.Equal(l.codes(), []int{18}) || string(l.options[0].payload) != want.id {
			t.Errorf("layer %d: %+v, want %+v", i, l, want)
		}
	}
	if a := w.read(ls[2].inner); a.kind != dhcp6.Advertise || a.client != alice.duid {
		t.Errorf("in it: %v to %q", a.kind, a.client)
	}
	a := w.read(ls[2].inner)
	if !cidr("2001:db8:8::/64").Contains(a.only().Addr()) {
		t.Errorf("offered %q, want an address of the relay agent's link", a.leases())
	}
	if a.has(18) {
		t.Error("the interface-id is in the client's message")
	}
}

// Section 21.18: the interface-id "MUST NOT appear in any message except a Relay-forward or Relay-reply
// message." That of a client is not echoed either.
func TestRFC8415_21_18b_InterfaceIDOfAClient(t *testing.T) {
	w := newWorld(t)
	if got := w.asks(alice, dhcp6.Solicit, iaNA(1), interfaceID("mine"), oro(18)); got.has(18) {
		t.Error("the interface-id is in the client's message")
	}
}

// As many layers as relay agents may add come back, and no more are looked at.
func TestManyLayers(t *testing.T) {
	w := newWorld(t)
	message := alice.message(dhcp6.Solicit, iaNA(1))
	for n := range dhcp6.MaxRelayLayers {
		l := layerOf{byte(n), "::", []option{interfaceID("i")}}
		if n == 4 {
			l.link = "2001:db8:8::1"
		}
		message = l.around("fe80::1", message)
	}
	got := w.relays(message)
	if len(got) != 1 || len(w.layers(got[0].Payload)) != 9 {
		t.Fatalf("%d answers, dropped %v", len(got), w.drops)
	}
	w.ignored("ten layers", fromRelay(layerOf{9, "::", nil}.around("fe80::1", message)), effect.DropHopLimit)
	w.ignored("no Relay Message", fromRelay(make([]byte, 34)[:0:34]), effect.DropEmpty)
	bare := append([]byte{12, 0}, make([]byte, 32)...)
	w.ignored("no Relay Message", fromRelay(bare), effect.DropNoRelayMessage)
	w.ignored("an empty one", fromRelay(raw(9)(bare)), effect.DropNoRelayMessage)
	w.ignored("a torn header", fromRelay(bare[:20]), effect.DropMalformed)
	w.ignored("a torn header within", fromRelay(raw(9, 12, 0, 0)(bare)), effect.DropMalformed)
	w.ignored("a torn message within", fromRelay(through("2001:db8:8::1").around("fe80::1", []byte{1, 2})), effect.DropMalformed)
}

// Section 13.1: "the server MUST ignore any link-address field whose value is zero. [...] in general the
// most encapsulated (closest Relay-forward to the client) has the most useful value."
func TestRFC8415_13_1a_LinkAddress(t *testing.T) {
	w := newWorld(t, subnetOf(1, func(sn *server6.Subnet) { sn.LinkAddresses = []netip.Addr{addr("2001:db8:99::1")} }))
	of := map[string]netip.Prefix{"8": cidr("2001:db8:8::/64"), "2": cidr("2001:db8:2::/64")}
	for _, tc := range []struct {
		links []string // of the layers, the client's first
		want  string   // empty: no subnet
	}{
		{[]string{"2001:db8:8::1"}, "8"},
		{[]string{"2001:db8:8:0:ffff::"}, "8"},
		{[]string{"2001:db8:99::1"}, "2"},
		{[]string{"::", "2001:db8:8::1"}, "8"},
		{[]string{"::", "::", "2001:db8:2::1"}, "2"},
		{[]string{"2001:db8:8::1", "::"}, "8"},
		{[]string{"2001:db8:8::1", "2001:db8:2::1"}, "8"},
		{[]string{"2001:db8:2::1", "2001:db8:8::1"}, "2"},
		{[]string{"2001:db8:7777::1", "2001:db8:8::1"}, "8"},
		{[]string{"fe80::1", "2001:db8:8::1"}, "8"},
		{[]string{"::"}, ""},
		{[]string{"2001:db8:7777::1"}, ""},
		{[]string{"fe80::1"}, ""},
	} {
		message := alice.message(dhcp6.Solicit, iaNA(1))
		for n, link := range tc.links {
			message = layerOf{byte(n), link, nil}.around("fe80::1", message)
		}
		if tc.want == "" {
			w.ignored("no subnet", fromRelay(message), effect.DropNoSubnet)
			continue
		}
		got := w.relays(message)
		if len(got) != 1 {
			t.Errorf("%q: dropped %v", tc.links, w.drops)
			continue
		}
		if a := w.read(innermost(got[0].Payload)).only(); !of[tc.want].Contains(a.Addr()) {
			t.Errorf("%q: %v, want one of %v", tc.links, a, of[tc.want])
		}
	}
}

// Section 21.18: "Servers MAY use the interface-id field for parameter assignment policies. The
// interface-id value SHOULD be considered an opaque value, with policies based on exact match only; that
// is, the interface-id field SHOULD NOT be internally parsed by the server." RFC 8415 21.18d and 21.18e.
func TestRFC8415_21_18c_SubnetByInterfaceID(t *testing.T) {
	w := newWorld(t, subnetOf(1, func(sn *server6.Subnet) { sn.InterfaceIDs = [][]byte{[]byte("eth2"), {0, 1}} }),
		func(c *server6.Config) {
			c.Networks = append(c.Networks, server6.Network{Name: "n", Subnets: []server6.Subnet{{
				Prefix: cidr("2001:db8:3::/64"), LinkAddresses: []netip.Addr{addr("2001:db8:99::9")}, InterfaceIDs: [][]byte{[]byte("eth3")}, Lifetimes: lifetimes,
				Pools: []server6.AddressPool{{First: addr("2001:db8:3::1:0"), Last: addr("2001:db8:3::1:ff")}},
			}}})
		})
	for _, tc := range []struct{ link, id, want string }{
		{"2001:db8:8::1", "eth2", "2001:db8:2::/64"}, // the interface-id tells more
		{"2001:db8:8::1", "\x00\x01", "2001:db8:2::/64"},
		{"::", "eth2", "2001:db8:2::/64"},
		{"2001:db8:8::1", "eth", "2001:db8:8::/64"},
		{"2001:db8:8::1", "eth2 ", "2001:db8:8::/64"},
		{"2001:db8:8::1", "ETH2", "2001:db8:8::/64"},
		{"2001:db8:8::1", "\x00\x01\x00", "2001:db8:8::/64"},
		{"2001:db8:8::1", "", "2001:db8:8::/64"},
		{"2001:db8:99::9", "eth3", "2001:db8:3::/64"},
		{"2001:db8:8::1", "eth3", "2001:db8:8::/64"}, // where a subnet has both, both have to match
		{"2001:db8:99::9", "eth4", "2001:db8:3::/64"},
	} {
		a := w.asksBy(through(tc.link, interfaceID(tc.id)), alice, dhcp6.Solicit, iaNA(1)).only()
		if !cidr(tc.want).Contains(a.Addr()) {
			t.Errorf("link-address %s and interface-id %q: %v, want one of %s", tc.link, tc.id, a, tc.want)
		}
		// In two layers: an LDRA has the one, and a relay agent the other.
		got := w.relays(layerOf{1, tc.link, nil}.around("fe80::9", layerOf{0, "::", []option{interfaceID(tc.id)}}.around(alice.addr, alice.message(dhcp6.Solicit, iaNA(1)))))
		if len(got) != 1 || !cidr(tc.want).Contains(w.read(innermost(got[0].Payload)).only().Addr()) {
			t.Errorf("link-address %s around interface-id %q: want one of %s", tc.link, tc.id, tc.want)
		}
	}
}

// RFC 8357 section 5.2: "When an IPv6 server receives a Relay-forward message with the "Relay Source Port
// Option", it MUST copy the option when constructing the Relay-reply chain [...]. Additionally, the IPv6
// server MUST check and use the UDP source port from the UDP packet of the Relay-forward message in
// replying to the relay agent."
func TestRelaySourcePort(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		inner, outer []option
		want         uint16
	}{
		{nil, nil, 547},
		{nil, []option{raw(135, 0, 0)}, 4000},
		{[]option{raw(135, 0, 0)}, []option{raw(135, 0x13, 0x88)}, 4000},
		{[]option{raw(135, 0, 0)}, nil, 547},
	} {
		p := fromRelay(layerOf{1, "2001:db8:8::1", tc.outer}.around("fe80::9", layerOf{0, "2001:db8:8::1", tc.inner}.around(alice.addr, alice.message(dhcp6.Solicit, iaNA(1)))))
		p.Source = netip.AddrPortFrom(p.Source.Addr(), 4000)
		got := w.packet(p)
		if len(got) != 1 || got[0].Dest.Port() != tc.want {
			t.Fatalf("sent to %+v, want port %d", got, tc.want)
		}
		for i, want := range [][]option{tc.outer, tc.inner} {
			var octets, wanted []byte
			for _, o := range w.layers(got[0].Payload)[i].options {
				octets = raw(o.code, o.payload...)(octets)
			}
			for _, o := range want {
				wanted = o(wanted)
			}
			if !bytes.Equal(octets, wanted) {
				t.Errorf("layer %d has %x, want %x", i, octets, wanted)
			}
		}
	}
}

// RFC 4994: the options that a relay agent asks back by an Echo Request option are in its layer of the
// answer, as they came, once each.
func TestRFC4994_EchoRequest(t *testing.T) {
	w := newWorld(t)
	ero := raw(43, 0, 37, 0, 38, 0, 18, 0, 99, 0, 9, 0, 43)
	access := layerOf{0, "2001:db8:8::1", []option{raw(37, 0, 0, 0, 1, 'r'), ero, raw(38, 's'), raw(53, 1), interfaceID("eth0")}}
	outer := layerOf{1, "::", []option{raw(37, 0, 0, 0, 2, 'o'), interfaceID("up")}}
	got := w.relays(outer.around("fe80::9", access.around(alice.addr, alice.message(dhcp6.Solicit, iaNA(1)))))
	if len(got) != 1 {
		t.Fatalf("dropped %v", w.drops)
	}
	ls := w.layers(got[0].Payload)
	if !slices.Equal(ls[0].codes(), []int{18}) || !slices.Equal(ls[1].codes(), []int{18, 37, 38}) {
		t.Errorf("options %v and %v, want [18] and [18 37 38]", ls[0].codes(), ls[1].codes())
	}
	for _, o := range ls[1].options {
		if want := map[int]string{18: "eth0", 37: "\x00\x00\x00\x01r", 38: "s"}[o.code]; string(o.payload) != want {
			t.Errorf("option %d is %q, want %q", o.code, o.payload, want)
		}
	}
}

// Relayed messages are taken only from the configured relay agents, where they are heard, and under their
// protection, and only these are answered. All others have a reason. RFC 8213 3g.
func TestRFC8213_3p_RelayAgentsThatAreNotBelieved(t *testing.T) {
	w := newWorld(t, func(c *server6.Config) {
		c.Peers = append(c.Peers, relayPeer("safe", "2001:db8:ffff::8"), relayPeer("upstream", "2001:db8:ffff::9"))
		c.Peers[1].Protection, c.Peers[2].Role, c.Peers[2].Interfaces = trust.ProtectionIPsec, trust.Server, []string{"other0"}
	})
	message := through("2001:db8:8::1").around(alice.addr, alice.message(dhcp6.Solicit, iaNA(1)))
	p := fromRelay(message)
	p.Source = netip.MustParseAddrPort("[2001:db8:ffff::66]:547")
	w.ignored("a stranger", p, effect.DropUntrustedRelay)
	p.Source = netip.MustParseAddrPort("[2001:db8:ffff::9]:547")
	w.ignored("a server", p, effect.DropUntrustedRelay)
	p = fromRelay(message)
	p.Link = lan0Index
	w.ignored("the relay agent's address on a link with clients", p, effect.DropUntrustedRelay)
	w.ignored("a client", alice.from(message), effect.DropUntrustedRelay)

	p = fromRelay(message)
	p.Source = netip.MustParseAddrPort("[2001:db8:ffff::8]:547")
	if got := w.packet(p); len(got) != 1 || got[0].Peer.Name != "safe" {
		t.Errorf("the protected relay agent gets %+v (dropped %v)", got, w.drops)
	}
	p.Framed = true
	w.ignored("past IPsec, by a packet socket", p, effect.DropUnprotected)
	p.Framed, p.Dest = false, addr("ff05::1:3")
	w.ignored("past IPsec, by multicast", p, effect.DropUnprotected)
	p.Dest = addr("2001:db8:1::1")
	w.ignored("past IPsec, to another address of ours", p, effect.DropUnprotected)
	if len(w.store) > 0 {
		t.Error("something is kept")
	}
	for _, v := range w.core.Peers(w.now) {
		if want := map[string][2]uint64{"safe": {1, 1}}[v.Name]; v.Counters.Received != want[0] || v.Counters.Sent != want[1] {
			t.Errorf("%s: %+v", v.Name, v.Counters)
		}
	}
	for _, l := range w.core.Links() {
		if want := map[string]uint64{"up0": 2, "lan0": 2}[l.Name]; l.Counters.Drops[effect.DropUntrustedRelay] != want {
			t.Errorf("%s: %d strangers are counted, want %d", l.Name, l.Counters.Drops[effect.DropUntrustedRelay], want)
		}
	}
}

// A relay agent with a link-local address is answered on the link where it is heard.
func TestRelayAgentOnALink(t *testing.T) {
	w := newWorld(t, func(c *server6.Config) {
		c.Peers[0].Address, c.Peers[0].Prefix, c.Peers[0].Zone = addr("fe80::77"), cidr("fe80::77/128"), "up0"
		c.Peers[0].Local = netip.Addr{}
	})
	p := fromRelay(through("2001:db8:8::1").around(alice.addr, alice.message(dhcp6.Solicit, iaNA(1))))
	p.Source = netip.AddrPortFrom(addr("fe80::77"), 547)
	if got := w.packet(p); len(got) != 1 || got[0].Link != upIndex || got[0].Dest.Addr() != addr("fe80::77") {
		t.Errorf("sent %+v (dropped %v)", got, w.drops)
	}
}

// A whole life behind a relay agent: the lease is of the network, whichever way its client comes.
func TestLifeBehindARelayAgent(t *testing.T) {
	w := newWorld(t, func(c *server6.Config) { c.Peers = append(c.Peers, relayPeer("second", "2001:db8:ffff::8")) })
	near := through("2001:db8:8::1", interfaceID("a"), linkLayer(alice.mac))
	got := w.obtainsBy(near, alice, iaNA(1), iaPD(2))
	rec, kept := w.record(got.ias[1].leases[0].prefix)
	if !kept || rec.Link != "network/2001:db8:8::/64" || rec.NextHop != addr(alice.addr) || rec.LinkLayer != alice.mac {
		t.Errorf("kept %+v", rec)
	}
	again := w.asksBy(through("2001:db8:8::2", interfaceID("b"), linkLayer(alice.mac)), alice, dhcp6.Renew, got.taken()...)
	if again.leases() != got.leases() {
		t.Errorf("%q, and behind another relay agent %q", got.leases(), again.leases())
	}
	// Confirm is of the relay agent's link.
	for link, want := range map[string]int{"2001:db8:8::1": 0, "2001:db8:2::1": 4} {
		if got := w.asksBy(through(link), alice, dhcp6.Confirm, got.taken()[0]); got.status() != want {
			t.Errorf("a Confirm by %s: status %d, want %d", link, got.status(), want)
		}
	}
	w.asksBy(near, alice, dhcp6.Decline, got.taken()[0])
	if w.asksBy(near, alice, dhcp6.Release, got.taken()...); len(w.holds()) != 0 || w.core.Totals().Declined != 1 {
		t.Errorf("leases %q, %d declined", w.holds(), w.core.Totals().Declined)
	}
	w.agrees()
}

// Who is behind relay agents that are heard in two VRFs has one lease, and no other client gets it.
func TestRelayAgentsInTwoVRFs(t *testing.T) {
	w := newWorld(t, subnetOf(2, pool("2001:db8:8::1:0", "2001:db8:8::1:1")))
	got := w.obtainsBy(through("2001:db8:8::1"), alice, iaNA(1))
	w.setLink("up0", func(l *links.Link) { l.VRF = "red" })
	again := w.asksBy(through("2001:db8:8::1"), alice, dhcp6.Renew, got.taken()...)
	if again.leases() != got.leases() || len(w.holds()) != 1 {
		t.Errorf("%q, and in a VRF %q; leases %q", got.leases(), again.leases(), w.holds())
	}
	w.sleep(3999e9)
	other := w.obtainsBy(through("2001:db8:8::1"), bob, iaNA(1))
	if other.only() == got.only() {
		t.Errorf("two clients have %v", got.only())
	}
	w.agrees()
}

// A client on a link in a VRF, and one behind a relay agent outside of it, are of one network.
func TestLinkInAVRF(t *testing.T) {
	w := newWorld(t, subnet(func(sn *server6.Subnet) {
		pool("2001:db8:1::1:0", "2001:db8:1::1:1")(sn)
		sn.Reservations = []server6.Reservation{
			{LinkLayer: alice.mac, Addresses: []netip.Addr{addr("2001:db8:1::99")}},
		}
	}))
	w.setLink("lan0", func(l *links.Link) { l.VRF = "red" })
	a := w.obtains(alice, iaNA(1)).onlyAddr()
	swapped := bob
	got := w.obtainsBy(through("2001:db8:1::1", linkLayer(alice.mac)), swapped, iaNA(1)).onlyAddr()
	if a != "2001:db8:1::99" || got == a {
		t.Errorf("Alice has %s, and who comes with her link-layer address %s", a, got)
	}
	w.setLink("lan0", func(l *links.Link) { l.VRF = "" })
	w.sleep(time.Second) // what has moved is kept by the next Tick
	if again := w.asks(alice, dhcp6.Renew, iaNA(1, named(a))).onlyAddr(); again != a {
		t.Errorf("outside of the VRF she has %s", again)
	}
	w.agrees()
}

// An answer that is larger than a datagram is not sent, and leaves nothing behind that is not kept.
func TestAnswerTooBig(t *testing.T) {
	w := newWorld(t, func(c *server6.Config) {
		c.Options = []server6.Option{{Code: 99, Data: make([]byte, 30000), Always: true}}
	})
	padded := layerOf{0, "2001:db8:8::1", []option{raw(18, make([]byte, 36000)...)}}
	w.ignored("behind a relay agent", fromRelay(padded.around(alice.addr, alice.message(dhcp6.Request, iaNA(1)))), effect.DropTooBig)
	w.agrees()
	w.reconfigure(func(c *server6.Config) {
		c.Options = []server6.Option{{Code: 98, Data: make([]byte, 40000), Always: true}, {Code: 99, Data: make([]byte, 30000), Always: true}}
	})
	w.ignored("on a link", alice.from(alice.message(dhcp6.Request, iaNA(1))), effect.DropTooBig)
	w.agrees()
	w.restart()
	w.agrees()
}
