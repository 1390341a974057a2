package relay6_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// The letters count the sentences of a section that ask something of a relay
// agent. RFC 9915 keeps them as they are, with the same numbers; it drops IA_TA
// and Server Unicast, neither of which a relay agent acts on.

// Section 19: "The relay agent SHOULD be configured to use a list of destination
// addresses that includes unicast addresses."
func TestRFC8415_19a_UnicastDestinations(t *testing.T) {
	w := newWorld(t, func(c *relay6.Config) { c.Peers = append(c.Peers, server("srv2", "2001:db8:ffff::5")) })
	var to []string
	for _, s := range w.says(alice, message(dhcp6.Solicit, 1, clientID(alice.duid))) {
		to = append(to, s.Dest.String()+" from "+s.Source.String())
	}
	want := []string{"[2001:db8:ffff::1]:547 from " + localAddr, "[2001:db8:ffff::5]:547 from " + localAddr}
	if !slices.Equal(to, want) {
		t.Errorf("sent to %q, want %q", to, want)
	}
}

// multicast makes the one server All_DHCP_Servers on up0.
func multicast(c *relay6.Config) {
	c.Peers[0].Address, c.Peers[0].Prefix, c.Peers[0].Zone = addr("ff05::1:3"), netip.PrefixFrom(addr("ff05::1:3"), 128), "up0"
}

// Section 19: "The list of destination addresses MAY include the
// All_DHCP_Servers multicast address or other addresses selected by the network
// administrator." An answer then comes from whoever is there.
func TestRFC8415_19b_MulticastDestination(t *testing.T) {
	w := newWorld(t, multicast)
	got := w.says(alice, message(dhcp6.Solicit, 1, clientID(alice.duid)))
	if len(got) != 1 || got[0].Dest.String() != "[ff05::1:3]:547" || got[0].Link != upIndex {
		t.Fatalf("sends %+v, want one to [ff05::1:3]:547 on link %d", got, upIndex)
	}
	if down := w.serves(w.answer(got[0].Payload, w.reply(alice))); len(down) != 1 {
		t.Errorf("the answer of %s: %d datagrams delivered, want 1 (drops %v)", serverAddr, len(down), w.drops)
	}
}

// Section 19: "If the relay agent relays messages to the All_DHCP_Servers
// multicast address or other multicast addresses, it sets the Hop Limit field to
// 8."
func TestRFC8415_19d_HopLimitOfMulticast(t *testing.T) {
	for _, tc := range []struct {
		change func(*relay6.Config)
		want   uint8
	}{{multicast, 8}, {func(*relay6.Config) {}, 0}} {
		w := newWorld(t, tc.change)
		if got := w.says(alice, message(dhcp6.Solicit, 1)); len(got) != 1 || got[0].HopLimit != tc.want {
			t.Errorf("sends %+v, want one with hop limit %d", got, tc.want)
		}
	}
}

// Section 19: "If the relay agent receives a message other than Relay-forward
// and Relay-reply and the relay agent does not recognize its message type, it
// MUST forward the message as described in Section 19.1.1."
func TestRFC8415_19e_UnrecognizedTypeIsForwarded(t *testing.T) {
	w := newWorld(t)
	for _, payload := range [][]byte{{38, 1, 2, 3}, {200}, {255, 0, 0, 0, 0, 1, 0, 0}, append([]byte{99}, make([]byte, 3000)...)} {
		got := w.says(alice, payload)
		if len(got) != 1 {
			t.Fatalf("%d octets of type %d: %d datagrams, want 1", len(payload), payload[0], len(got))
		}
		l := readLayer(t, got[0].Payload)
		if l.msgType != 12 || l.hops != 0 || l.link != addr("2001:db8:1::1") || l.peer != addr(alice.addr) || !bytes.Equal(l.inner, payload) {
			t.Errorf("type %d: forwarded as %+v", payload[0], l)
		}
	}
}

// Section 19.1: "When a relay agent receives a Relay-forward message, a
// recognized message type for which it is not the intended target, or an
// unrecognized message type, it constructs a new Relay-forward message."
func TestRFC8415_19_1a_ConstructsRelayForward(t *testing.T) {
	w := newWorld(t, rule(func(r *relay6.LinkRule) { r.Trusted = true }))
	below := relayed(dhcp6.RelayForward, 0, "2001:db8:7::1", "fe80::99", message(dhcp6.Solicit, 1))
	for _, payload := range [][]byte{below, message(dhcp6.Solicit, 1), message(dhcp6.AddrRegInform, 1), message(222, 1)} {
		got := w.says(alice, payload)
		if len(got) != 1 || got[0].Payload[0] != byte(dhcp6.RelayForward) {
			t.Errorf("type %d: %d datagrams, want 1 Relay-forward", payload[0], len(got))
		}
	}
}

// Section 19.1: "The relay agent copies the source address from the header of
// the IP datagram in which the message was received into the peer-address field
// of the Relay-forward message."
func TestRFC8415_19_1b_PeerAddressIsTheSource(t *testing.T) {
	w := newWorld(t)
	for _, source := range []string{"fe80::1:2:3:4", "2001:db8:1::99", "fd00::5"} {
		c := alice
		c.addr = source
		got := w.says(c, message(dhcp6.Solicit, 1))
		if len(got) != 1 || readLayer(t, got[0].Payload).peer != addr(source) {
			t.Errorf("from %s: %v", source, got)
		}
	}
}

// Section 19.1: "The relay agent copies the received DHCP message (excluding any
// IP or UDP headers) into a Relay Message option in the new message."
func TestRFC8415_19_1c_CopiesTheMessage(t *testing.T) {
	w := newWorld(t, rule(func(r *relay6.LinkRule) { r.Trusted = true }))
	below := relayed(dhcp6.RelayForward, 3, "2001:db8:7::1", "fe80::99", message(dhcp6.Solicit, 1, raw(999, 1)), raw(18, 7), raw(18, 8))
	for _, payload := range [][]byte{message(dhcp6.Solicit, 1, raw(1), raw(1)), below, append(message(dhcp6.Renew, 1), 1, 2)} {
		got := w.says(alice, payload)
		if len(got) != 1 || !bytes.Equal(readLayer(t, got[0].Payload).inner, payload) {
			t.Errorf("%x is not what was carried: %v", payload, got)
		}
	}
}

// Section 19.1: "The relay agent adds to the Relay-forward message any other
// options it is configured to include."
func TestRFC8415_19_1d_ConfiguredOptions(t *testing.T) {
	w := newWorld(t)
	got := w.says(alice, message(dhcp6.Solicit, 1))
	if codes := readLayer(t, got[0].Payload).codes(); !slices.Equal(codes, []int{18, 9}) {
		t.Errorf("options %v by default, want 18 and 9", codes)
	}
	w = newWorld(t, everyOption)
	got = w.says(alice, message(dhcp6.Solicit, 1))
	if codes := readLayer(t, got[0].Payload).codes(); !slices.Equal(codes, []int{18, 53, 37, 38, 105, 79, 9}) {
		t.Errorf("options %v, want those configured", codes)
	}
}

// everyOption is a relay that says all there is to say: to a protected server.
func everyOption(c *relay6.Config) {
	protected(c)
	c.RelayID = dhcp6.DUID("\x00\x02\x00\x00\x7e\x57relay")
	r := &c.Links[0]
	r.InsertRelayID, r.InsertLinkLayer = true, true
	r.RemoteID = &relay6.RemoteID{EnterpriseNumber: 32473, ID: template("port {interface}")}
	r.SubscriberID = template("s-{link-layer}")
	r.AccessNetwork = dhcp6.Options("\x00\x69\x00\x02\x00\x04")
}

// Section 19.1.1: "the relay agent places a globally scoped unicast address
// (i.e., GUA or ULA) from a prefix assigned to the link on which the client
// should be assigned leases into the link-address field. If such an address is
// not available, the relay agent may set the link-address field to a link-local
// address" (RFC 8415 19.1.1b).
func TestRFC8415_19_1_1a_LinkAddress(t *testing.T) {
	for _, tc := range []struct {
		addrs  []string
		change func(*relay6.LinkRule)
		want   string
	}{
		{[]string{"fe80::10/64", "2001:db8:1::1/64"}, nil, "2001:db8:1::1"},
		{[]string{"fe80::10/64", "fd00:1::1/64", "2001:db8:1::1/64"}, nil, "2001:db8:1::1"},
		{[]string{"fe80::10/64", "fd00:1::1/64"}, nil, "fd00:1::1"},
		{[]string{"fe80::10/64"}, nil, "fe80::10"}, // the last resort
		{[]string{"fe80::10/64"}, func(r *relay6.LinkRule) { r.Borrow = "lan1" }, "2001:db8:2::1"},
		{[]string{"fe80::10/64", "2001:db8:1::1/64"}, func(r *relay6.LinkRule) { r.Borrow = "lan1" }, "2001:db8:1::1"},
		{[]string{"fe80::10/64", "2001:db8:1::1/64"}, func(r *relay6.LinkRule) { r.LinkAddress = addr("2001:db8:5::1") }, "2001:db8:5::1"},
	} {
		w := newWorld(t, rule(func(r *relay6.LinkRule) {
			if tc.change != nil {
				tc.change(r)
			}
		}))
		w.anew("lan0", func(l *links.Link) {
			l.Addrs = nil
			for _, a := range tc.addrs {
				l.Addrs = append(l.Addrs, cidr(a))
			}
		})
		got := w.says(alice, message(dhcp6.Solicit, 1))
		if l := readLayer(t, got[0].Payload); l.link != addr(tc.want) {
			t.Errorf("addresses %v: link-address %v, want %s", tc.addrs, l.link, tc.want)
		}
	}
}

// Section 19.1.1: "The hop-count value in the Relay-forward message is set to 0."
func TestRFC8415_19_1_1c_HopCountStartsAtZero(t *testing.T) {
	w := newWorld(t)
	got := w.says(alice, message(dhcp6.Solicit, 0xffffff))
	if l := readLayer(t, got[0].Payload); l.hops != 0 {
		t.Errorf("hop-count %d, want 0", l.hops)
	}
}

// Section 19.1.1: "If the relay agent cannot use the address in the link-address
// field to identify the interface through which the response to the client will
// be relayed, the relay agent MUST include an Interface-Id option in the
// Relay-forward message."
func TestRFC8415_19_1_1d_InterfaceIDWhereTheAddressDoesNotIdentify(t *testing.T) {
	none := func(r *relay6.LinkRule) { r.InterfaceID = links.Template{} }
	for _, tc := range []struct {
		name   string
		change func(*relay6.LinkRule)
		addrs  []string
		want   bool
	}{
		{"an address of its own", func(*relay6.LinkRule) {}, []string{"fe80::10/64", "2001:db8:1::1/64"}, false},
		{"a link-local address", func(*relay6.LinkRule) {}, []string{"fe80::10/64"}, true},
		{"another link's address as well", func(*relay6.LinkRule) {}, []string{"fe80::10/64", "2001:db8:2::1/64"}, true},
		{"a borrowed address", func(r *relay6.LinkRule) { r.Borrow = "lan1" }, []string{"fe80::10/64"}, true},
		{"one configured for several links", func(r *relay6.LinkRule) { r.LinkAddress = addr("2001:db8:9::1") }, []string{"fe80::10/64"}, true},
	} {
		w := newWorld(t, rule(none), rule(tc.change))
		w.anew("lan0", func(l *links.Link) {
			l.Addrs = nil
			for _, a := range tc.addrs {
				l.Addrs = append(l.Addrs, cidr(a))
			}
		})
		got := w.says(alice, message(dhcp6.Solicit, 1))
		if has := readLayer(t, got[0].Payload).count(18) == 1; has != tc.want {
			t.Errorf("%s: Interface-Id sent %v, want %v", tc.name, has, tc.want)
		}
		down := w.serves(w.answer(got[0].Payload, w.reply(alice)))
		if len(down) != 1 || down[0].Link != lan0Index {
			t.Errorf("%s: the answer went to %+v, want link %d (drops %v)", tc.name, down, lan0Index, w.drops)
		}
	}
}

// Section 19.1.1: "The relay agent sets the link-address field as described
// earlier in this subsection, regardless of whether the relay agent includes an
// Interface-Id option in the Relay-forward message."
func TestRFC8415_19_1_1e_LinkAddressBesideInterfaceID(t *testing.T) {
	w := newWorld(t)
	l := readLayer(t, w.says(alice, message(dhcp6.Solicit, 1))[0].Payload)
	if string(l.option(18)) != "lan0" || l.link != addr("2001:db8:1::1") {
		t.Errorf("interface-id %q, link-address %v; want lan0 and 2001:db8:1::1", l.option(18), l.link)
	}
}

// relayPeer is a configured relay below us, on lan1 or beyond it.
func relayPeer(address string) func(*relay6.Config) {
	return func(c *relay6.Config) {
		c.Peers = append(c.Peers, trust.Peer{
			Name: "below", Address: addr(address), Prefix: netip.PrefixFrom(addr(address), 128),
			Role: trust.Relay, Interfaces: []string{"lan1"}, Protection: trust.ProtectionNone,
		})
	}
}

// forwards is a Relay-forward of a relay below us on lan1.
func (w *world) forwards(source string, port uint16, payload []byte) []effect.Send {
	return w.packet(inbound.Packet{
		Link: lan1Index, Source: netip.AddrPortFrom(addr(source), port), Dest: addr("ff02::1:2"),
		LinkLayer: mac("02:00:5e:00:53:99"), HardwareType: 1, Payload: payload,
	})
}

// Section 19.1.2: "If the message received by the relay agent is a Relay-forward
// message and the hop-count value in the message is greater than or equal to
// HOP_COUNT_LIMIT, the relay agent discards the received message."
func TestRFC8415_19_1_2a_HopCountLimit(t *testing.T) {
	w := newWorld(t, relayPeer("fe80::99"))
	for hops := range 256 {
		before := w.dropped(effect.DropHopLimit)
		got := w.forwards("fe80::99", 547, relayed(dhcp6.RelayForward, uint8(hops), "2001:db8:7::1", "fe80::1", message(dhcp6.Solicit, 1)))
		if discarded := w.dropped(effect.DropHopLimit) > before; discarded != (hops >= 8) || discarded != (len(got) == 0) {
			t.Errorf("hop-count %d: %d datagrams, discarded %v", hops, len(got), discarded)
		}
	}
}

// Section 19.1.2: "The relay agent copies the source address from the IP datagram
// in which the message was received into the peer-address field in the
// Relay-forward message and sets the hop-count field to the value of the
// hop-count field in the received message incremented by 1."
func TestRFC8415_19_1_2b_PeerAddressAndHopCount(t *testing.T) {
	w := newWorld(t, relayPeer("fe80::99"))
	for hops := range uint8(8) {
		got := w.forwards("fe80::99", 547, relayed(dhcp6.RelayForward, hops, "2001:db8:7::1", "fe80::1", message(dhcp6.Solicit, 1)))
		if l := readLayer(t, got[0].Payload); l.peer != addr("fe80::99") || l.hops != hops+1 {
			t.Errorf("peer-address %v, hop-count %d; want fe80::99, %d", l.peer, l.hops, hops+1)
		}
	}
}

// Section 19.1.2: "If the source address from the IP datagram header of the
// received message is a globally scoped unicast address (i.e., GUA or ULA), the
// relay agent sets the link-address field to 0; otherwise, the relay agent sets
// the link-address field to a globally scoped unicast address assigned to the
// interface on which the message was received or includes an Interface-Id
// option".
func TestRFC8415_19_1_2c_LinkAddressForARelay(t *testing.T) {
	for source, want := range map[string]string{"2001:db8:7::1": "::", "fd00::7": "::", "fe80::99": "2001:db8:2::1"} {
		w := newWorld(t, relayPeer(source))
		got := w.forwards(source, 547, relayed(dhcp6.RelayForward, 0, "2001:db8:7::1", "fe80::1", message(dhcp6.Solicit, 1)))
		if l := readLayer(t, got[0].Payload); l.link != addr(want) || string(l.option(18)) != "lan1" {
			t.Errorf("from %s: link-address %v, interface-id %q; want %s, lan1", source, l.link, l.option(18), want)
		}
	}
	// No global address on the interface: the Interface-Id alone says which.
	w := newWorld(t, relayPeer("fe80::99"), rule(func(r *relay6.LinkRule) { r.InterfaceID = links.Template{} }))
	w.anew("lan1", func(l *links.Link) { l.Addrs = []netip.Prefix{cidr("fe80::11/64")} })
	got := w.forwards("fe80::99", 547, relayed(dhcp6.RelayForward, 0, "2001:db8:7::1", "fe80::1", message(dhcp6.Solicit, 1)))
	if l := readLayer(t, got[0].Payload); string(l.option(18)) != "lan1" {
		t.Errorf("without a global address: interface-id %q, want lan1", l.option(18))
	}
}

// Section 19.1.3: "A relay agent forwards messages containing prefix delegation
// options in the same way as it would relay addresses".
func TestRFC8415_19_1_3_PrefixDelegationIsRelayedLikeAddresses(t *testing.T) {
	w := newWorld(t)
	headers := make(map[string]bool)
	for _, o := range []option{iaNA(1), iaPD(1)} {
		got := w.says(alice, message(dhcp6.Solicit, 1, clientID(alice.duid), o))
		l := readLayer(t, got[0].Payload)
		headers[fmt.Sprint(l.msgType, l.hops, l.link, l.peer, l.codes())] = true
	}
	if len(headers) != 1 {
		t.Errorf("relayed differently: %v", headers)
	}
}
