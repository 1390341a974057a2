package relay4_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/links"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/relay4"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
)

// protected has the server behind IPsec.
var protected = config(func(c *relay4.Config) { c.Peers[0].Protection = trust.ProtectionIPsec })

// RFC 2131 section 4.1: "A server or relay agent sending or relaying a DHCP message directly
// to a DHCP client [...] SHOULD examine the BROADCAST bit in the 'flags' field." What it
// says then is what RFC 1542 section 4.1.2 says.
func TestRFC2131_4_1a_BroadcastBit(t *testing.T) {
	w := newWorld(t)
	for flags, want := range map[uint16]string{0x8000: "255.255.255.255", 0xffff: "255.255.255.255", 0: "10.0.0.77", 0x4000: "10.0.0.77"} {
		for _, messageType := range []byte{typeOffer, typeACK} {
			up := w.asks(alice, from(alice, func(m *message) { m.flags = flags }))
			if got := w.delivers(lan0Index, answer(up, messageType, true)); got.Dest.Addr() != addr(want) {
				t.Errorf("flags %x: to %v, want %s", flags, got.Dest, want)
			}
		}
	}
}

// RFC 2131 section 4.3.2: the relay agent "will broadcast the DHCPNAK to the client, because
// the client may not have a correct network address or subnet mask, and the client may not be
// answering ARP requests." The server must set the bit; we do not rely on it.
func TestRFC2131_4_3_2a_NAKIsBroadcast(t *testing.T) {
	w := newWorld(t)
	for _, flags := range []uint16{0, 0x8000} {
		up := w.asks(alice, from(alice, ofType(typeRequest), func(m *message) { m.ci, m.flags = "10.0.0.77", flags }))
		got := w.delivers(lan0Index, answer(up, typeNAK, true))
		if got.Dest.String() != "255.255.255.255:68" || got.LinkLayer.String() != "ff:ff:ff:ff:ff:ff" {
			t.Errorf("flags %x: %+v", flags, got)
		}
	}
}

// RFC 2131 section 4.1: "DHCP messages from a client to a server are sent to the 'DHCP
// server' port (67), and DHCP messages from a server to a client are sent to the 'DHCP
// client' port (68)."
func TestRFC2131_4_1b_Ports(t *testing.T) {
	w := newWorld(t)
	up := w.says(alice, from(alice))
	if up[0].Dest.Port() != 67 || up[0].SourcePort != 0 {
		t.Errorf("up: %+v", up[0])
	}
	if down := w.delivers(lan0Index, answer(up[0].Payload, typeOffer, true)); down.Dest.Port() != 68 {
		t.Errorf("down: %+v", down)
	}
}

// authentication is an option 90 that covers everything but hops, giaddr and option 82 (RFC
// 3118 section 2).
var authentication = option(90, append([]byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7}, bytes.Repeat([]byte{0xaa}, 16)...)...)

// RFC 3118 section 3: what a relay agent may alter is not in the message authentication
// code: hops, giaddr, and option 82 as the last option. Nothing else may be altered, in
// either direction.
func TestRFC3118_3a_AuthenticationSurvives(t *testing.T) {
	covered := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[3] = 0
		clear(b[24:28])
		if o := optionOf(b, 82); o != nil {
			at := bytes.Index(b, o)
			b = slices.Delete(b, at, at+len(o))
		}
		return b
	}
	for name, change := range map[string]func(*world){"all there is": everySubOption, "a trusted link": trusted} {
		w := newWorld(t, change, protected)
		in := from(alice, with(authentication), func(m *message) { m.sname, m.file = []byte("boot"), []byte("image") })
		up := w.asks(alice, in)
		w.same(name+": to the server", covered(up), covered(in))
		down := answer(up, typeACK, true, with(authentication))
		got := w.packet(inbound.Packet{Link: upIndex, Source: up0, Dest: addr(localAddr), Payload: down})
		if len(got) != 1 {
			t.Fatalf("%s: %d datagrams, drops %v", name, len(got), w.drops)
		}
		w.same(name+": to the client", got[0].Payload, answer(up, typeACK, false, with(authentication)))
	}
}

// RFC 3527 section 3: the address of the subnet is that of any address in it with "the
// remaining (address) bits [...] set to zero", and the relay agent "adds it whenever it sets
// the giaddr value (i.e., on all messages relayed to the DHCP server)."
func TestRFC3527_3a_LinkSelection(t *testing.T) {
	w := newWorld(t, rule(func(r *relay4.LinkRule) { r.LinkSelection, r.GIAddr = true, addr("192.0.2.2") }))
	for n := byte(1); n <= 8; n++ {
		if n == typeOffer || n == typeACK || n == typeNAK {
			continue
		}
		up := w.asks(carol, from(carol, ofType(n)))
		if got := w.subOptions(up)[5]; got != string(addr("10.0.1.0").AsSlice()) {
			t.Errorf("type %d: %x", n, got)
		}
		w.same("giaddr", up[24:28], addr("192.0.2.2").AsSlice())
	}
	w.setLink("lan1", func(l *links.Link) { l.Addrs[0] = cidr("172.16.77.9/12") })
	if got := w.subOptions(w.asks(carol, from(carol)))[5]; got != string(addr("172.16.0.0").AsSlice()) {
		t.Errorf("of a /12: %x", got)
	}
	w = newWorld(t, unnumbered, rule(func(r *relay4.LinkRule) { r.LinkSelection = true }))
	if got, ok := w.subOptions(w.asks(carol, from(carol)))[5]; ok {
		t.Errorf("of a link without a subnet: %x", got)
	}
}

// RFC 3527 section 3: "A relay agent which uses this sub-option MUST NOT take different
// actions based on whether this sub-option appears or does not appear in the response packet
// from the server."
func TestRFC3527_3b_ResponseWithoutIt(t *testing.T) {
	w := newWorld(t, rule(func(r *relay4.LinkRule) { r.LinkSelection = true }))
	up := w.asks(carol, from(carol))
	with82 := w.delivers(lan1Index, answer(up, typeOffer, true))
	without := w.delivers(lan1Index, answer(up, typeOffer, false, with(agent(circuit("lan1")))))
	if with82.Dest != without.Dest || with82.LinkLayer != without.LinkLayer || with82.Source != without.Source {
		t.Errorf("%+v and %+v", with82, without)
	}
	w.same("the same", without.Payload, with82.Payload)
}

// RFC 3993 section 3.1: "The string MUST NOT be NULL terminated", "The minimum length of the
// ID string is 1 octet." RFC 8213 section 3 is why it goes to protected hops alone.
func TestRFC3993_3_1a_SubscriberID(t *testing.T) {
	w := newWorld(t, protected, rule(func(r *relay4.LinkRule) {
		r.SubscriberID, r.Ports = template("s-{interface}"), map[string]relay4.Port{"lan1": {SubscriberID: "customer 7"}}
	}))
	if got := w.subOptions(w.asks(alice, from(alice)))[6]; got != "s-lan0" {
		t.Errorf("%q", got)
	}
	if got := w.subOptions(w.asks(carol, from(carol)))[6]; got != "customer 7" {
		t.Errorf("of the port: %q", got)
	}
	w = newWorld(t, protected, rule(func(r *relay4.LinkRule) { r.SubscriberID = template("{vrf}") }))
	if got, ok := w.subOptions(w.asks(alice, from(alice)))[6]; ok {
		t.Errorf("an empty one: %q", got)
	}
}

// RFC 5010 section 4: "A DHCP relay agent that claims to conform to this specification MUST
// include this suboption in every Relay Agent Information Option [RFC3046] it adds to a
// forwarded DHCP request", "whether the packet it is forwarding was received as a broadcast
// or as a unicast."
func TestRFC5010_4a_InEveryOption(t *testing.T) {
	w := newWorld(t, rule(func(r *relay4.LinkRule) { r.RelayFlags = true }))
	for dest, want := range map[string]string{
		"255.255.255.255": "\x00", "10.0.0.255": "\x00", lan0Addr: "\x80", localAddr: "\x80",
	} {
		for n := byte(1); n <= 8; n++ {
			if n == typeOffer || n == typeACK || n == typeNAK {
				continue
			}
			got := w.packet(inbound.Packet{Link: lan0Index, Source: client0, Dest: addr(dest), Payload: from(alice, ofType(n))})
			if len(got) != 1 || w.subOptions(got[0].Payload)[10] != want {
				t.Errorf("type %d to %s: %+v, want %x", n, dest, got, want)
			}
		}
	}
}

// RFC 5107 section 4: the sub-option holds the address "that MUST be inserted into the Server
// Identifier option by the DHCP Server upon reply", so that clients renew through us: one at
// which they reach us. "The DHCP relay agent should fill in the giaddr field when relaying
// the message, just as it normally would do."
func TestRFC5107_4a_Override(t *testing.T) {
	w := newWorld(t, rule(func(r *relay4.LinkRule) { r.ServerIDOverride, r.GIAddr = true, addr("192.0.2.2") }))
	up := w.asks(carol, from(carol))
	if got := w.subOptions(up)[11]; got != string(addr(lan1Addr).AsSlice()) {
		t.Errorf("%x, want the address on the client's link", got)
	}
	w.same("giaddr", up[24:28], addr("192.0.2.2").AsSlice())
	w = newWorld(t, unnumbered, rule(func(r *relay4.LinkRule) { r.ServerIDOverride = true }))
	if got := w.subOptions(w.asks(carol, from(carol)))[11]; got != string(addr(lentAddr).AsSlice()) {
		t.Errorf("of an unnumbered link: %x", got)
	}
	// A renewal comes by unicast then, and its answer goes back by unicast.
	w = newWorld(t, rule(func(r *relay4.LinkRule) { r.ServerIDOverride, r.RelayFlags = true, true }))
	renew := from(alice, ofType(typeRequest), func(m *message) { m.ci = "10.0.0.77" })
	got := w.packet(inbound.Packet{Link: lan0Index, Source: client0, Dest: addr(lan0Addr), Payload: renew})
	if len(got) != 1 || w.subOptions(got[0].Payload)[10] != "\x80" {
		t.Fatalf("%+v, drops %v", got, w.drops)
	}
	if down := w.delivers(lan0Index, answer(got[0].Payload, typeACK, true)); down.Dest.String() != "10.0.0.77:68" || down.Source != addr(lan0Addr) {
		t.Errorf("%+v", down)
	}
}

// RFC 5107 section 4: "the DHCP relay agent SHOULD forward all DHCP messages to all servers.
// This applies to RENEW DHCPREQUEST messages as well."
func TestRFC5107_4b_AllServers(t *testing.T) {
	w := newWorld(t, rule(func(r *relay4.LinkRule) { r.ServerIDOverride = true }), config(func(c *relay4.Config) { c.Peers = append(c.Peers, peer("other", "203.0.113.1")) }))
	for name, in := range map[string][]byte{
		"DISCOVER": from(alice), "REQUEST": from(alice, ofType(typeRequest), with(option(54, addr(lan0Addr).AsSlice()...))),
		"renewal": from(alice, ofType(typeRequest), func(m *message) { m.ci = "10.0.0.77" }), "RELEASE": from(alice, ofType(7)),
	} {
		if got := w.says(alice, in); len(got) != 2 {
			t.Errorf("%s: %d datagrams", name, len(got))
		}
	}
}

// RFC 5107 section 4: relay agents "implementing this suboption SHOULD also implement and use
// the DHCPv4 Relay Agent Flags Suboption".
func TestRFC5107_4c_WithFlags(t *testing.T) {
	w := newWorld(t, rule(func(r *relay4.LinkRule) { r.ServerIDOverride, r.RelayFlags = true, true }))
	got := w.subOptions(w.asks(alice, from(alice)))
	if got[11] != string(addr(lan0Addr).AsSlice()) || got[10] != "\x00" {
		t.Errorf("%q", got)
	}
}

// RFC 6607 section 5: a relay agent that receives a request from a client on a VPN "SHOULD
// include VSS information", in "a DHCPv4 VSS sub-option in a Relay Agent Information option".
func TestRFC6607_5a_VSS(t *testing.T) {
	w := newWorld(t, inVPN)
	if got := w.subOptions(w.asks(alice, from(alice)))[151]; got != "\x00blue" {
		t.Errorf("%q", got)
	}
	w = newWorld(t, rule(func(r *relay4.LinkRule) { r.VSS = &dhcp4.VSS{Type: dhcp4.VSSGlobal} }))
	if got := w.subOptions(w.asks(alice, from(alice)))[151]; got != "\xff" {
		t.Errorf("the global VPN: %q", got)
	}
}

// inVPN has clients on the VPN "blue".
var inVPN = rule(func(r *relay4.LinkRule) { r.VSS = &dhcp4.VSS{Type: dhcp4.VSSName, Information: []byte("blue")} })

// RFC 6607 sections 4.1 and 5: a relay agent "MUST, in addition, include a DHCPv4 VSS-Control
// sub-option (which has a length of zero)".
func TestRFC6607_5b_VSSControl(t *testing.T) {
	got := newWorld(t, inVPN)
	if value, ok := got.subOptions(got.asks(alice, from(alice)))[152]; !ok || value != "" {
		t.Errorf("%q, %v", value, ok)
	}
	w := newWorld(t)
	if _, ok := w.subOptions(w.asks(alice, from(alice)))[152]; ok {
		t.Error("without VSS")
	}
}

// RFC 6607 section 5: "If both sub-options appear in the response [...], then the DHCPv4 relay
// agent MUST assume that the DHCPv4 server did not act on the VSS information". "If only the
// VSS sub-option appears [...] the relay agent SHOULD assume that the DHCPv4 server acted
// successfully". It "MUST check the response". Section 4.1: "If any misconfiguration exists,
// it SHOULD result in a DHCP client being unable to acquire an IP address."
func TestRFC6607_5c_ResponseIsChecked(t *testing.T) {
	blue := option(151, append([]byte{0}, "blue"...)...)
	w := newWorld(t, inVPN)
	up := w.asks(alice, from(alice))
	w.delivers(lan0Index, answer(up, typeOffer, false, with(agent(circuit("lan0"), blue))))
	for name, in := range map[string][]byte{
		"not heeded":          answer(up, typeOffer, true),
		"not echoed":          answer(up, typeOffer, false),
		"without the VPN":     answer(up, typeOffer, false, with(agent(circuit("lan0")))),
		"another VPN":         answer(up, typeOffer, false, with(agent(circuit("lan0"), option(151, append([]byte{0}, "red"...)...)))),
		"a longer name":       answer(up, typeOffer, false, with(agent(circuit("lan0"), option(151, append([]byte{0}, "blue2"...)...)))),
		"another type of VPN": answer(up, typeOffer, false, with(agent(circuit("lan0"), option(151, append([]byte{1}, "blue"...)...)))),
		"of no VPN":           answer(up, typeOffer, false, with(agent(circuit("lan0"), option(151)))),
		"malformed":           answer(up, typeOffer, false, with(option(82, 1, 99))),
	} {
		before := w.counters("lan0").VSSIgnored
		w.dropped(name, w.serves(in), effect.DropWrongVPN)
		if n := w.counters("lan0").VSSIgnored; n != before+1 {
			t.Errorf("%s: %d counted", name, n-before)
		}
	}
}

// RFC 6607 section 5.1: "If the relay agent cannot respond correctly to the DHCP server's
// requirement to place the DHCP client into that VPN [...], it MUST drop the packet and not
// send it to the DHCP client."
func TestRFC6607_5_1a_ServerDemandsAVPN(t *testing.T) {
	w := newWorld(t)
	up := w.asks(alice, from(alice))
	demand := answer(up, typeOffer, false, with(agent(circuit("lan0"), option(151, append([]byte{0}, "red"...)...))))
	w.dropped("on no VPN", w.serves(demand), effect.DropWrongVPN)
	w.delivers(lan0Index, answer(up, typeOffer, true))
}

// RFC 6925 section 4: the identifier has one octet or more, and section 5: "the identifier
// needs to be present in all DHCP message types where its value is being used".
func TestRFC6925_5a_InEveryMessageType(t *testing.T) {
	w := newWorld(t, rule(func(r *relay4.LinkRule) { r.InsertRelayID = true }), config(func(c *relay4.Config) { c.RelayID = []byte{0, 1, 2} }))
	for n := byte(1); n < 255; n++ {
		got := w.says(alice, from(alice, ofType(n)))
		if len(got) == 0 {
			continue
		}
		if id := w.subOptions(got[0].Payload)[12]; id != "\x00\x01\x02" {
			t.Errorf("type %d: %x", n, id)
		}
	}
	w.core.Reconfigure(&relay4.Config{Peers: w.cfg.Peers, Links: w.cfg.Links}, &w.eff)
	if id, ok := w.subOptions(w.asks(alice, from(alice)))[12]; ok {
		t.Errorf("without an identifier: %x", id)
	}
}

// RFC 6925 section 5: "A relay agent SHOULD use a single identifier value consistently", and
// "the Relay-ID should be administratively configurable". It is the configuration's on every
// link, also after a panic, and 253 octets fit.
func TestRFC6925_5b_OneIdentifier(t *testing.T) {
	id := strings.Repeat("i", dhcp4.MaxRelayIDLen)
	w := newWorld(t, rule(func(r *relay4.LinkRule) { r.InsertRelayID, r.CircuitID = true, template("") }), config(func(c *relay4.Config) { c.RelayID = []byte(id) }))
	check := func(what string) {
		t.Helper()
		for _, c := range []client{alice, bob, carol} {
			if got := w.subOptions(w.asks(c, from(c)))[12]; got != id {
				t.Errorf("%s: %x", what, got)
			}
		}
	}
	check("at first")
	next := relay4.New(w.cfg, "boot")
	next.Succeed(w.core)
	w.start(next)
	check("after a panic")
}

// RFC 6925 section 6.2: a relay agent that is to be told by its token "should simply refuse
// to relay DHCP packets" without it. So it does where a message has no room for the
// identifier, if the operator wants that.
func TestRFC6925_6_2a_RefusesWithoutIdentifier(t *testing.T) {
	required := config(func(c *relay4.Config) { c.RelayID, c.RequireRelayID = []byte("id"), true })
	w := newWorld(t, required, rule(func(r *relay4.LinkRule) { r.InsertRelayID, r.MaxSize = true, 320 }))
	w.asks(alice, from(alice, func(m *message) { m.pads = 1 }))
	w.dropped("no room", w.says(alice, from(alice, func(m *message) { m.pads = 100 })), effect.DropTooBig)
	w.dropped("BOOTP without options", w.says(alice, from(alice, bootp)), effect.DropTooBig)
	w = newWorld(t, required, rule(func(r *relay4.LinkRule) { r.MaxSize = 320 }))
	w.asks(alice, from(alice, func(m *message) { m.pads = 100 })) // a link that does not insert it
}

// RFC 7839 section 6: the sub-options of the access network go as they are configured.
func TestRFC7839_6a_AccessNetwork(t *testing.T) {
	w := newWorld(t, protected, everySubOption)
	got := w.subOptions(w.asks(alice, from(alice)))
	if got[13] != "\x00\x04" || got[14] != "ssid" {
		t.Errorf("%q", got)
	}
}

// RFC 8357 section 5.1: "When a relay agent uses a non-DHCP UDP port (not 67) to communicate
// with the DHCP server, it MUST include the "Source Port Sub-option" in Relay-forward messages
// to indicate that." What cannot say so leaves from port 67.
func TestRFC8357_5_1_SourcePort(t *testing.T) {
	for own, want := range map[uint16]bool{0: false, 67: false, 1067: true} {
		w := newWorld(t, trusted, config(func(c *relay4.Config) { c.SourcePort = own }))
		got := w.says(alice, from(alice))
		value, ok := w.subOptions(got[0].Payload)[19]
		if ok != want || value != "" || want && got[0].SourcePort != own || got[0].Dest.Port() != 67 {
			t.Errorf("port %d: %+v, sub-option %v %q", own, got[0], ok, value)
		}
		for name, in := range map[string][]byte{
			"no place for the option": from(alice, bootp), "no room": from(alice, func(m *message) { m.pads = 2000 }),
			"another's option": from(alice, with(foreign)), "relayed": from(alice, giaddr("10.9.0.1")),
		} {
			if got := w.says(alice, in); len(got) != 1 || got[0].SourcePort != 0 {
				t.Errorf("port %d, %s: %+v, drops %v", own, name, got, w.drops)
			}
		}
	}
}

// RFC 8213 section 3: what tells of a subscriber goes to protected servers alone. Others get
// the message without it.
func TestSensitiveSubOptions(t *testing.T) {
	inClear := config(func(c *relay4.Config) {
		c.Peers[0].Protection = trust.ProtectionIPsec
		c.Peers = append(c.Peers, peer("clear", "203.0.113.1"))
	})
	for _, sensitive := range []bool{false, true} {
		w := newWorld(t, everySubOption, inClear, rule(func(r *relay4.LinkRule) { r.SensitiveRemoteID = sensitive }))
		got := w.says(alice, from(alice))
		if len(got) != 2 {
			t.Fatalf("%d datagrams", len(got))
		}
		whole, part := w.subOptions(got[0].Payload), w.subOptions(got[1].Payload)
		want := map[byte]bool{6: true, 13: true, 14: true, 2: sensitive}
		for code := range whole {
			if _, there := part[code]; there == want[code] {
				t.Errorf("sensitive remote-id %v: sub-option %d in clear: %v", sensitive, code, there)
			}
		}
		if len(whole) != 10 || whole[2] != "edge/02:00:5e:00:53:0a" || whole[6] != "s-10" {
			t.Errorf("protected: %q", whole)
		}
		if n := w.counters("lan0").SensitiveOmitted; n != 1 {
			t.Errorf("%d omitted, want 1", n)
		}
	}
	// What turns out empty is not withheld.
	w := newWorld(t, inClear, rule(func(r *relay4.LinkRule) { r.SubscriberID = template("{vrf}") }))
	if w.says(alice, from(alice)); w.counters("lan0").SensitiveOmitted != 0 {
		t.Error("an empty text counts as withheld")
	}
	if w.cfg.Forward != peers.All {
		t.Error("not to all servers")
	}
}
