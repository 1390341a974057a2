package relay4_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/links"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/relay4"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/linkaddr"
)

// bootp is a BOOTP message of 300 octets without options: with vendor information of
// another kind.
func bootp(m *message) { m.vend = append([]byte{1, 2, 3, 4}, make([]byte, 60)...) }

// Section 2.1: "The IP Total Length and UDP Length must be large enough to contain the
// minimal BOOTP header of 300 octets". DHCP made it one of any length.
func TestRFC1542_2_1a_LeastLength(t *testing.T) {
	w := newWorld(t)
	short := func(m *message) { m.pads = 0 }
	if n := len(from(alice, short)); n >= 300 {
		t.Fatalf("%d octets are not short", n)
	}
	w.asks(alice, from(alice, short))
	w.asks(alice, from(alice, bootp))
	w.dropped("BOOTP of 299 octets", w.says(alice, from(alice, bootp)[:299]), effect.DropMalformed)
	w.dropped("BOOTP with options, of less", w.says(alice, from(alice, short, func(m *message) { m.options = option(12, 'x') })), effect.DropMalformed)
	w.dropped("less than a header", w.says(alice, from(alice)[:239]), effect.DropMalformed)
}

// Section 2.1: "BOOTP messages which [...] are larger than the minimum size specified by [1]
// MUST also be accepted."
func TestRFC1542_2_1b_LargeMessages(t *testing.T) {
	w := newWorld(t)
	for _, pads := range []int{0, 1000, 1400, 60_000} {
		w.asks(alice, from(alice, func(m *message) { m.pads = pads }))
	}
}

// Section 2.1: "The 'op' (opcode) field of the message must contain either the code for a
// BOOTREQUEST (1) or the code for a BOOTREPLY (2)."
func TestRFC1542_2_1c_Op(t *testing.T) {
	w := newWorld(t)
	for _, op := range []byte{0, 3, 255} {
		w.dropped("op", w.says(alice, from(alice, func(m *message) { m.op = op })), effect.DropMalformed)
	}
}

// Section 4.1: a relay agent "MUST accept for local delivery to the relay agent BOOTREQUEST
// messages whose IP source address is 0.0.0.0. BOOTREQUEST messages from legal IP source
// addresses MUST also be accepted."
func TestRFC1542_4_1a_Sources(t *testing.T) {
	w := newWorld(t)
	for source, legal := range map[string]bool{
		"0.0.0.0": true, "10.0.0.77": true, "203.0.113.9": true, "127.0.0.1": false, "224.0.0.1": false, "255.255.255.255": false, "2001:db8::1": false,
	} {
		got := w.packet(inbound.Packet{Link: lan0Index, Source: netip.AddrPortFrom(addr(source), 68), Dest: addr(lan0Addr), Payload: from(alice)})
		if legal {
			if len(got) != 1 {
				t.Errorf("from %s: %d datagrams, drops %v", source, len(got), w.drops)
			}
			continue
		}
		w.dropped("from "+source, got, effect.DropBadSource)
	}
}

// Section 4.1.1: "it MAY use the value of the 'secs' [...] field of the request as a factor
// in deciding whether to relay the request. If such a policy mechanism is implemented, its
// threshold SHOULD be configurable."
func TestRFC1542_4_1_1a_Secs(t *testing.T) {
	w := newWorld(t, rule(func(r *relay4.LinkRule) { r.Secs = 3 }))
	for _, secs := range []uint16{3, 4, 0xffff} {
		w.asks(alice, from(alice, func(m *message) { m.secs = secs }))
	}
	w.dropped("2 s", w.says(alice, from(alice, func(m *message) { m.secs = 2 })), effect.DropTooEarly)
	newWorld(t).asks(alice, from(alice)) // 0 s
}

// Section 4.1.1: "The relay agent MUST silently discard BOOTREQUEST messages whose 'hops'
// field exceeds the value 16."
func TestRFC1542_4_1_1b_SixteenHops(t *testing.T) {
	w := newWorld(t, trusted, rule(func(r *relay4.LinkRule) { r.HopCount = relay4.MaxHopCount }), relayPeer("192.0.2.99"))
	hops := func(n byte) func(*message) { return func(m *message) { m.hops = n } }
	w.asks(alice, from(alice, hops(16)))
	for _, n := range []byte{17, 255} {
		w.dropped("from a client", w.says(alice, from(alice, hops(n))), effect.DropHopLimit)
		w.dropped("from a relay agent", w.relays(lan0Index, "10.0.0.9", from(alice, hops(n), giaddr("10.9.0.1"))), effect.DropHopLimit)
		w.dropped("from a relay agent that is no client's link", w.relays(upIndex, "192.0.2.99", from(alice, hops(n), giaddr("10.9.0.1"))), effect.DropHopLimit)
	}
	if got := w.relays(upIndex, "192.0.2.99", from(alice, hops(16), giaddr("10.9.0.1"))); len(got) != 1 || got[0].Payload[3] != 17 {
		t.Errorf("16 hops from a relay agent: %+v, drops %v", got, w.drops)
	}
}

// Section 4.1.1: "A configuration option SHOULD be provided to set this threshold to a
// smaller value [...]. The default setting for a configurable threshold SHOULD be 4."
func TestRFC1542_4_1_1c_FewerHops(t *testing.T) {
	if relay4.DefaultHopCount != 4 {
		t.Errorf("by default %d hops", relay4.DefaultHopCount)
	}
	w := newWorld(t, trusted, rule(func(r *relay4.LinkRule) { r.HopCount = 2 }))
	hops := func(n byte) func(*message) { return func(m *message) { m.hops = n } }
	w.asks(alice, from(alice, hops(2)))
	w.dropped("3 of 2", w.says(alice, from(alice, hops(3))), effect.DropHopLimit)
	w.dropped("3 of 2 from a relay agent", w.relays(lan0Index, "10.0.0.9", from(alice, hops(3), giaddr("10.9.0.1"))), effect.DropHopLimit)
}

// giaddr is a change of that field, as of a message that a relay agent has forwarded.
func giaddr(a string) func(*message) { return func(m *message) { m.gi = a } }

// Section 4.1.1: "If this field is zero, the relay agent MUST fill this field with the IP
// address of the interface on which the request was received."
func TestRFC1542_4_1_1d_GIAddr(t *testing.T) {
	w := newWorld(t)
	w.same("on lan0", w.asks(alice, from(alice))[24:28], addr(lan0Addr).AsSlice())
	w.same("on lan1", w.asks(carol, from(carol))[24:28], addr(lan1Addr).AsSlice())
}

// Section 4.1.1: "If the interface has more than one IP address logically associated with
// it, the relay agent SHOULD choose one IP address associated with that interface and use it
// consistently for all BOOTP messages it relays."
func TestRFC1542_4_1_1e_OneAddressOfSeveral(t *testing.T) {
	w := newWorld(t)
	for _, addrs := range [][]string{
		{"10.0.0.1/24", "10.7.0.1/24"}, {"10.7.0.1/24", "10.0.0.1/24"}, {"10.8.0.1/16", "10.7.0.1/24", "10.0.0.1/24", "10.9.0.1/32"},
	} {
		w.setLink("lan0", func(l *links.Link) {
			l.Addrs = nil
			for _, a := range addrs {
				l.Addrs = append(l.Addrs, cidr(a))
			}
		})
		w.same("with others", w.asks(alice, from(alice))[24:28], addr(lan0Addr).AsSlice())
	}
	w.core.Reconfigure(w.cfg, &w.eff)
	w.same("after a reload", w.asks(alice, from(alice))[24:28], addr(lan0Addr).AsSlice())
	next := relay4.New(w.cfg, "boot")
	next.Succeed(w.core)
	w.start(next)
	w.same("after a panic", w.asks(alice, from(alice))[24:28], addr(lan0Addr).AsSlice())
}

// Section 4.1.1: "If the 'giaddr' field contains some non-zero value, the 'giaddr' field
// MUST NOT be modified."
func TestRFC1542_4_1_1f_GIAddrStays(t *testing.T) {
	w := newWorld(t, trusted)
	in := from(alice, giaddr("10.9.0.1"), func(m *message) { m.hops = 1 })
	got := w.relays(lan0Index, "10.0.0.9", in)
	if len(got) != 1 {
		t.Fatalf("%d datagrams, drops %v", len(got), w.drops)
	}
	w.same("relayed", got[0].Payload, forwarded(in, "", nil))
}

// Section 4.1.1: "The relay agent MUST NOT, under any circumstances, fill the 'giaddr' field
// with a broadcast address".
func TestRFC1542_4_1_1g_GIAddrIsNoBroadcastAddress(t *testing.T) {
	for _, a := range []string{
		"10.0.0.255/24", "10.0.0.0/24", "10.0.255.255/16", "10.0.0.3/30", "255.255.255.255/32", "0.0.0.0/0", "127.0.0.1/8", "224.0.0.1/4", "169.254.1.1/16",
	} {
		w := newWorld(t)
		w.setLink("lan0", func(l *links.Link) { l.Addrs = []netip.Prefix{cidr(a)} })
		w.dropped(a, w.says(alice, from(alice)), effect.DropNoGIAddr)
		w.setLink("lan0", func(l *links.Link) { l.Addrs = []netip.Prefix{cidr(a), cidr("10.0.7.1/24")} })
		w.same(a, w.asks(alice, from(alice))[24:28], addr("10.0.7.1").AsSlice())
	}
	for _, a := range []string{"10.0.0.255", "10.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1", "0.0.0.0", "2001:db8::1"} {
		w := newWorld(t, rule(func(r *relay4.LinkRule) { r.GIAddr = addr(a) }))
		w.dropped("configured "+a, w.says(alice, from(alice)), effect.DropNoGIAddr)
	}
	for _, a := range []string{"10.0.0.0/31", "10.0.0.255/31", "10.0.0.255/32", "10.0.0.2/30"} {
		w := newWorld(t)
		w.setLink("lan0", func(l *links.Link) { l.Addrs = []netip.Prefix{cidr(a)} })
		w.same(a, w.asks(alice, from(alice))[24:28], cidr(a).Addr().AsSlice())
	}
	w := newWorld(t, unnumbered)
	w.setLink("dum0", func(l *links.Link) { l.Addrs = []netip.Prefix{cidr("10.0.0.255/24")} })
	w.dropped("borrowed", w.says(alice, from(alice)), effect.DropNoGIAddr)
}

// Section 4.1.1: "The value of the 'hops' field MUST be incremented."
func TestRFC1542_4_1_1h_HopsIncremented(t *testing.T) {
	w := newWorld(t, trusted)
	for hops := range byte(5) {
		in := from(alice, func(m *message) { m.hops = hops })
		if got := w.asks(alice, in)[3]; got != hops+1 {
			t.Errorf("%d hops became %d", hops, got)
		}
	}
}

// Section 4.1.1: "All other BOOTP fields MUST be preserved intact."
func TestRFC1542_4_1_1i_AllElseIsPreserved(t *testing.T) {
	odd := func(m *message) {
		m.htype, m.secs, m.flags, m.ci, m.yi = 1, 0xabcd, 0x7fff, "10.0.0.5", "10.0.0.6"
		m.sname, m.file = bytes.Repeat([]byte{0xee}, 64), bytes.Repeat([]byte{0xdd}, 128)
		m.chaddr = append(slices.Clone(alice.mac), 9, 9, 9) // more than hlen says
	}
	for name, change := range map[string][]func(*message){
		"DHCP": {odd}, "BOOTP": {bootp}, "BOOTP with options": {odd, func(m *message) { m.options, m.pads = option(12, 'x'), 80 }},
		"octets behind the End option": {odd, func(m *message) { m.pads = 3 }, with([]byte{255, 7, 7, 7})},
		"no End option":                {odd, func(m *message) { m.pads = -1 }},
		"pads between options":         {odd, with([]byte{0, 0, 0}, option(60, 'a'), []byte{0}, option(60, 'b'))},
		"an unknown type and option":   {ofType(200), with(option(254, 1, 2, 3))},
	} {
		w := newWorld(t, rule(func(r *relay4.LinkRule) { r.AgentInformation = relay4.Off }))
		in := from(alice, change...)
		w.same(name, w.asks(alice, in), forwarded(in, lan0Addr, nil))
	}
}

// Section 4.1.1: "the request is relayed to its new destination (or destinations). This
// destination MUST be configurable."
func TestRFC1542_4_1_1j_Destinations(t *testing.T) {
	w := newWorld(t, config(func(c *relay4.Config) { c.Peers = append(c.Peers, peer("other", "203.0.113.1"), relayOf("10.0.0.9")) }))
	got := w.says(alice, from(alice))
	if len(got) != 2 || got[0].Dest.String() != serverAddr+":67" || got[1].Dest.String() != "203.0.113.1:67" {
		t.Fatalf("%+v, drops %v", got, w.drops)
	}
	for _, s := range got {
		if !s.ToPeer || s.Source != addr(localAddr) || s.LinkLayer.IsValid() {
			t.Errorf("%+v, want from our address, by a socket", s)
		}
	}
	w.same("to each the same", got[0].Payload, got[1].Payload)
}

// relayOf is a relay agent that is a peer, relayPeer has it configured.
func relayOf(address string) trust.Peer {
	p := peer("relay", address)
	p.Role, p.Interfaces = trust.Relay, []string{"*"}
	return p
}

func relayPeer(address string) func(*world) {
	return config(func(c *relay4.Config) { c.Peers = append(c.Peers, relayOf(address)) })
}

// Section 4.1.1: "if the BOOTREQUEST message was received as a broadcast, the relay agent
// MUST NOT rebroadcast the BOOTREQUEST on the physical interface from whence it came."
func TestRFC1542_4_1_1k_NoRebroadcast(t *testing.T) {
	w := newWorld(t, trusted)
	for _, s := range append(w.says(alice, from(alice)), w.relays(lan0Index, "10.0.0.9", from(alice, giaddr("10.9.0.1")))...) {
		if !s.ToPeer || s.Link != 0 || s.Dest.Addr() != addr(serverAddr) {
			t.Errorf("%+v", s)
		}
	}
}

// Section 4.1.1: "A relay agent MUST use the same destination (or set of destinations) for
// all BOOTREQUEST messages it relays from a given client." This is so for forward: all.
func TestRFC1542_4_1_1l_SameDestinations(t *testing.T) {
	w := newWorld(t, config(func(c *relay4.Config) { c.Peers = append(c.Peers, peer("other", "203.0.113.1")) }))
	if w.cfg.Forward != peers.All {
		t.Fatal("forward: all is not the default")
	}
	for n := range byte(8) {
		got := w.says(client{lan0Index, []byte{2, 0, 0, 0, 0, n % 2}}, from(alice, ofType(1+n), func(m *message) { m.xid = uint32(n) }))
		if n+1 == typeOffer || n+1 == typeACK || n+1 == typeNAK {
			continue
		}
		if len(got) != 2 {
			t.Errorf("message type %d: %d destinations", n+1, len(got))
		}
		w.sleep(30e9) // nobody answers
	}
}

// Section 4.1.2: "If the content of the 'giaddr' field does not match one of the relay
// agent's directly-connected logical interfaces, the BOOTREPLY messsage MUST be silently
// discarded."
func TestRFC1542_4_1_2a_GIAddrOfNobody(t *testing.T) {
	w := newWorld(t)
	up := w.asks(alice, from(alice))
	for _, a := range []string{"0.0.0.0", "10.0.0.2", "10.0.0.255", "203.0.113.1", "255.255.255.255", localAddr, lentAddr} {
		w.dropped("giaddr "+a, w.serves(answer(up, typeOffer, false, giaddr(a))), effect.DropNoLink)
		w.dropped("giaddr "+a+" with our circuit-id", w.serves(answer(up, typeOffer, true, giaddr(a))), effect.DropNoLink)
	}
	// An address of the interface that is not its giaddr is one of the interface.
	w.setLink("lan0", func(l *links.Link) { l.Addrs = append(l.Addrs, cidr("10.7.0.1/24")) })
	w.delivers(lan0Index, answer(up, typeOffer, true, giaddr("10.7.0.1")))
}

// Section 4.1.2: "The 'giaddr' field can be used to identify the logical interface from
// which the reply must be sent".
func TestRFC1542_4_1_2b_LinkOfGIAddr(t *testing.T) {
	w := newWorld(t, rule(func(r *relay4.LinkRule) { r.AgentInformation = relay4.Off }))
	w.delivers(lan0Index, answer(w.asks(alice, from(alice)), typeOffer, false))
	w.delivers(lan1Index, answer(w.asks(carol, from(carol)), typeOffer, false))
}

// Section 4.1.2: "If this flag is set to 1, the reply SHOULD be sent as an IP broadcast using
// the IP limited broadcast address 255.255.255.255 as the IP destination address and the
// link-layer broadcast address as the link-layer destination address."
func TestRFC1542_4_1_2c_Broadcast(t *testing.T) {
	w := newWorld(t)
	got := w.delivers(lan0Index, answer(w.asks(alice, from(alice, func(m *message) { m.flags = 0x8000 })), typeOffer, true))
	if got.Dest.Addr() != addr("255.255.255.255") || got.LinkLayer.String() != "ff:ff:ff:ff:ff:ff" {
		t.Errorf("%+v", got)
	}
}

// Section 4.1.2: "If the BROADCAST flag is cleared (0), the reply SHOULD be sent as an IP
// unicast to the IP address specified by the 'yiaddr' field and the link-layer address
// specified in the 'chaddr' field." Section 2.2: the other flags are ignored.
func TestRFC1542_4_1_2d_Unicast(t *testing.T) {
	w := newWorld(t)
	for _, flags := range []uint16{0, 0x7fff} {
		got := w.delivers(lan0Index, answer(w.asks(alice, from(alice, func(m *message) { m.flags = flags })), typeOffer, true))
		if got.Dest.Addr() != addr("10.0.0.77") || got.LinkLayer != linkaddr.From(alice.mac) || got.Source != addr(lan0Addr) {
			t.Errorf("flags %x: %+v", flags, got)
		}
	}
	// A client that has an address, and asks for what is beside one, is given none.
	got := w.delivers(lan0Index, answer(w.asks(alice, from(alice, ofType(8), func(m *message) { m.ci = "10.0.0.9" })), typeACK, true, func(m *message) { m.yi = "" }))
	if got.Dest.Addr() != addr("10.0.0.9") || got.LinkLayer != linkaddr.From(alice.mac) {
		t.Errorf("INFORM: %+v", got)
	}
}

// Section 4.1.2: "If unicasting is not possible, the reply MAY be sent as a broadcast, in
// which case it SHOULD be sent to the link-layer broadcast address using the IP limited
// broadcast address".
func TestRFC1542_4_1_2e_UnicastIsNotPossible(t *testing.T) {
	for name, change := range map[string]func(*message){
		"no address":                        func(m *message) { m.yi, m.ci = "", "" },
		"an address of nobody":              func(m *message) { m.yi = "255.255.255.255" },
		"a group's address":                 func(m *message) { m.yi = "224.0.0.1" },
		"the client's own host":             func(m *message) { m.yi = "127.0.0.1" },
		"another hardware type":             func(m *message) { m.htype = 6 },
		"no hardware address":               func(m *message) { m.hlen = 0 },
		"a hardware address of 8 octets":    func(m *message) { m.hlen = 8 },
		"a hardware address of 16 octets":   func(m *message) { m.hlen = 16 },
		"a group's hardware address":        func(m *message) { m.chaddr = []byte{1, 0, 0x5e, 0, 0, 1} },
		"a hardware address that is all 0s": func(m *message) { m.chaddr = make([]byte, 6) },
	} {
		w := newWorld(t)
		got := w.delivers(lan0Index, answer(w.asks(alice, from(alice)), typeOffer, true, change))
		if got.Dest.Addr() != addr("255.255.255.255") || got.LinkLayer.String() != "ff:ff:ff:ff:ff:ff" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// Without Ethernet there are no frames: the kernel broadcasts.
	for name, change := range map[string]func(*links.Link){
		"PPP":   func(l *links.Link) { l.HardwareType, l.LinkLayer, l.PointToPoint = 512, linkaddr.Addr{}, true },
		"IPoIB": func(l *links.Link) { l.HardwareType, l.LinkLayer = 32, linkaddr.Addr{} },
		"a link of which the link-layer address is not known": func(l *links.Link) { l.LinkLayer = linkaddr.Addr{} },
	} {
		w := newWorld(t)
		w.setLink("lan0", change)
		got := w.delivers(lan0Index, answer(w.asks(alice, from(alice)), typeOffer, true))
		if got.Dest.Addr() != addr("255.255.255.255") || got.LinkLayer.IsValid() {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Section 4.1.2: "All BOOTP fields MUST be preserved intact. The relay agent MUST NOT modify
// any BOOTP field of the BOOTREPLY message when relaying it to the client."
func TestRFC1542_4_1_2f_ReplyIsNotModified(t *testing.T) {
	odd := func(m *message) {
		m.hops, m.secs, m.sname, m.file = 7, 0x1234, bytes.Repeat([]byte{0xee}, 64), bytes.Repeat([]byte{0xdd}, 128)
	}
	for name, change := range map[string][]func(*message){
		"DHCP": {odd}, "BOOTP": {odd, bootp}, "an unknown type": {ofType(200)}, "no End option": {func(m *message) { m.pads = -1 }},
	} {
		w := newWorld(t)
		in := answer(w.asks(alice, from(alice)), typeOffer, false, change...)
		w.same(name, w.delivers(lan0Index, in).Payload, in)
	}
}

// Section 4.1.2: "The reply MUST have its UDP destination port set to BOOTPC (68)."
func TestRFC1542_4_1_2g_ClientPort(t *testing.T) {
	w := newWorld(t)
	for _, flags := range []uint16{0, 0x8000} {
		got := w.delivers(lan0Index, answer(w.asks(alice, from(alice, func(m *message) { m.flags = flags })), typeOffer, true))
		if got.Dest.Port() != 68 || got.SourcePort != 0 {
			t.Errorf("%+v", got)
		}
	}
}
