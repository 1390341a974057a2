package relay6_test

import (
	"bytes"
	"testing"

	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// first is the layer that a client's Solicit is wrapped in.
func first(t *testing.T, c client, change ...func(*relay6.Config)) layer {
	t.Helper()
	w := newWorld(t, change...)
	got := w.says(c, message(dhcp6.Solicit, 1, clientID(c.duid)))
	if len(got) != 1 {
		t.Fatalf("%d datagrams, want 1 (drops %v)", len(got), w.drops)
	}
	return readLayer(t, got[0].Payload)
}

// RFC 6939 section 5: relay agents "that receive messages originating from
// clients (for example, Solicit and Request, but not, for example, Relay-Forward
// or Advertise) MAY include the link-layer source address of the received DHCPv6
// message". Section 4: type and address.
func TestRFC6939_5_ClientLinkLayerAddress(t *testing.T) {
	on := rule(func(r *relay6.LinkRule) { r.InsertLinkLayer, r.Trusted = true, true })
	if got := first(t, alice, on).option(79); !bytes.Equal(got, []byte{0, 1, 2, 0, 0x5e, 0, 0x53, 0x0a}) {
		t.Errorf("option 79 %x, want 0001 02005e00530a", got)
	}
	if l := first(t, alice); l.count(79) != 0 {
		t.Error("option 79 although it is not configured")
	}
	ppp := alice
	ppp.mac = linkaddr.Addr{}
	if l := first(t, ppp, on); l.count(79) != 0 {
		t.Error("option 79 on a link without link-layer addresses")
	}
	w := newWorld(t, on)
	if l := readLayer(t, w.says(alice, throughLDRA(alice, message(dhcp6.Solicit, 1)))[0].Payload); l.count(79) != 0 {
		t.Error("option 79 for a Relay-forward")
	}
}

// RFC 4649 section 3: enterprise-number and remote-id, which is not empty.
func TestRFC4649_3_RemoteID(t *testing.T) {
	with := func(id string) func(*relay6.Config) {
		return rule(func(r *relay6.LinkRule) { r.RemoteID = &relay6.RemoteID{EnterpriseNumber: 32473, ID: template(id)} })
	}
	if got := first(t, alice, with("{interface}/{link-layer}")).option(37); string(got) != "\x00\x00\x7e\xd9lan0/02:00:5e:00:53:0a" {
		t.Errorf("option 37 %q", got)
	}
	ppp := alice
	ppp.mac = linkaddr.Addr{}
	if l := first(t, ppp, with("{link-layer}")); l.count(37) != 0 {
		t.Errorf("option 37 without a remote-id: %x", l.option(37))
	}
}

// RFC 4580 section 2: the subscriber-id, which is not empty.
func TestRFC4580_2_SubscriberID(t *testing.T) {
	with := func(id string) func(*relay6.Config) {
		return rule(func(r *relay6.LinkRule) { r.SubscriberID = template(id) })
	}
	if got := first(t, alice, with("{hostname}:{vrf}:{index}"), protected, func(c *relay6.Config) { c.Hostname = "edge1" }).option(38); string(got) != "edge1::10" {
		t.Errorf("option 38 %q, want edge1::10", got)
	}
	ppp := alice
	ppp.mac = linkaddr.Addr{}
	if l := first(t, ppp, with("{link-layer}"), protected); l.count(38) != 0 {
		t.Errorf("option 38 without a subscriber-id: %x", l.option(38))
	}
}

// RFC 5460 section 5.4.1: "A relay agent MAY include the option in Relay-Forward
// messages that it sends", with a DUID that stays.
func TestRFC5460_5_4_1_RelayID(t *testing.T) {
	id := dhcp6.DUID("\x00\x04sixteen octets!!")
	config := func(c *relay6.Config) { c.RelayID, c.Links[0].InsertRelayID = id, true }
	if got := first(t, alice, config).option(53); !bytes.Equal(got, id) {
		t.Errorf("option 53 %x, want %x", got, id)
	}
	if l := first(t, alice, config, func(c *relay6.Config) { c.Links[0].InsertRelayID = false }); l.count(53) != 0 {
		t.Error("option 53 although it is not configured")
	}
	if l := first(t, alice, config, func(c *relay6.Config) { c.RelayID = nil }); l.count(53) != 0 {
		t.Error("option 53 without an id")
	}
	w := newWorld(t, config, relayPeer("fe80::99"))
	up := w.forwards("fe80::99", 547, relayed(dhcp6.RelayForward, 0, "2001:db8:7::1", "fe80::1", message(dhcp6.Solicit, 1)))
	if l := readLayer(t, up[0].Payload); !bytes.Equal(l.option(53), id) {
		t.Errorf("for a relay below: option 53 %x, want %x", l.option(53), id)
	}
}

// RFC 7839 section 8 (its options in Relay-forward messages, in the order
// configured), from the client's first relay alone.
func TestRFC7839_AccessNetworkIdentifiers(t *testing.T) {
	config := rule(func(r *relay6.LinkRule) {
		r.AccessNetwork = dhcp6.Options("\x00\x69\x00\x02\x00\x04" + "\x00\x6a\x00\x03net" + "\x00\x6d\x00\x04\x00\x00\x7e\xd9")
	})
	l := first(t, alice, config, protected)
	if !bytes.Equal(l.option(105), []byte{0, 4}) || string(l.option(106)) != "net" || !bytes.Equal(l.option(109), []byte{0, 0, 0x7e, 0xd9}) {
		t.Errorf("options %+v", l.options)
	}
	w := newWorld(t, config, protected, relayPeer("fe80::99"))
	up := w.forwards("fe80::99", 547, relayed(dhcp6.RelayForward, 0, "2001:db8:7::1", "fe80::1", message(dhcp6.Solicit, 1)))
	if l := readLayer(t, up[0].Payload); l.count(105)+l.count(106)+l.count(109) != 0 {
		t.Errorf("for a client of a relay below: %+v", l.options)
	}
}

// An interface-id is the same after a restart (RFC 8415 section 21.18), and the
// answer finds its link by it whatever the template.
func TestInterfaceIDTemplate(t *testing.T) {
	config := rule(func(r *relay6.LinkRule) { r.InterfaceID = template("{hostname} {{x}} {interface} {vrf}") })
	w := newWorld(t, config, func(c *relay6.Config) { c.Hostname = "edge1" })
	for range 2 {
		up := w.says(alice, message(dhcp6.Solicit, 1))
		if got := readLayer(t, up[0].Payload).option(18); string(got) != "edge1 {x} lan0 " {
			t.Errorf("interface-id %q", got)
		}
		if down := w.serves(w.answer(up[0].Payload, message(dhcp6.Advertise, 1))); len(down) != 1 || down[0].Link != lan0Index {
			t.Errorf("answer: %+v", down)
		}
		w.restart()
	}
	// One that two links share identifies neither.
	w = newWorld(t, rule(func(r *relay6.LinkRule) { r.InterfaceID = template("same") }))
	if got := w.serves(relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", "fe80::a", w.reply(alice), interfaceID("same"))); len(got) != 0 {
		t.Errorf("an ambiguous interface-id was guessed: %+v", got)
	}
}
