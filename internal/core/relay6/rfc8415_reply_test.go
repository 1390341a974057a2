package relay6_test

import (
	"bytes"
	"testing"

	"fairlead/internal/core/effect"
	"fairlead/internal/wire/dhcp6"
)

// Section 19.2: "The relay agent processes any options included in the
// Relay-reply message in addition to the Relay Message option." Those that it
// does not know change nothing.
func TestRFC8415_19_2a_ProcessesOptionsOfTheRelayReply(t *testing.T) {
	w := newWorld(t)
	inner := w.reply(alice)
	for _, options := range [][]option{{interfaceID("lan0"), raw(777, 1)}, {raw(777), interfaceID("lan0"), raw(37, 0, 0, 0, 9, 1)}, {interfaceID("lan0"), relayPort(0)}} {
		got := w.serves(relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, inner, options...))
		if len(got) != 1 || !bytes.Equal(got[0].Payload, inner) || got[0].Dest.String() != "[fe80::a]:546" {
			t.Errorf("delivered %+v, want the message to [fe80::a]:546 (drops %v)", got, w.drops)
		}
	}
}

// Section 19.2: "The relay agent extracts the message from the Relay Message
// option and relays it to the address contained in the peer-address field of the
// Relay-reply message."
func TestRFC8415_19_2b_ToThePeerAddress(t *testing.T) {
	w := newWorld(t)
	inner := w.reply(alice)
	for _, peer := range []string{"fe80::a", "fe80::dead", "2001:db8:1::50"} {
		got := w.serves(relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", peer, inner, interfaceID("lan0")))
		if len(got) != 1 || got[0].Dest.Addr() != addr(peer) || got[0].Link != lan0Index || !bytes.Equal(got[0].Payload, inner) {
			t.Errorf("for %s: %+v", peer, got)
		}
	}
	for _, peer := range []string{"::", "ff02::1", "::1", "::ffff:192.0.2.1"} {
		if got := w.serves(relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", peer, inner, interfaceID("lan0"))); len(got) != 0 {
			t.Errorf("for %s, where no client can be: %+v", peer, got)
		}
	}
	if n := w.dropped(effect.DropBadPeerAddress); n != 4 {
		t.Errorf("%d drops for a bad peer-address, want 4: %v", n, w.drops)
	}
	for name, inner := range map[string][]byte{"no message": nil, "an empty one": {}} {
		b := dhcp6.AppendRelayHeader(nil, dhcp6.RelayReply, 0, addr("2001:db8:1::1"), addr("fe80::a"))
		if inner != nil {
			b = dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, inner)
		}
		before := w.dropped(effect.DropNoRelayMessage)
		if got := w.serves(b); len(got) != 0 || w.dropped(effect.DropNoRelayMessage) != before+1 {
			t.Errorf("%s: %+v, drops %v", name, got, w.drops)
		}
	}
}

// Section 19.2: "Relay agents MUST NOT modify the message."
func TestRFC8415_19_2c_MessageIsNotModified(t *testing.T) {
	w := newWorld(t)
	for _, inner := range [][]byte{
		w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 600)), raw(12, make([]byte, 16)...), raw(888)),
		message(dhcp6.Reply, 1, clientID(alice.duid), raw(25, 1)),
		{7},
		{7, 1, 2, 3, 0},
		{1, 2},
	} {
		got := w.serves(relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, inner, interfaceID("lan0")))
		if len(got) != 1 || !bytes.Equal(got[0].Payload, inner) {
			t.Errorf("delivered %+v, want %x", got, inner)
		}
	}
}

// Section 19.2: "If the Relay-reply message includes an Interface-Id option, the
// relay agent relays the message from the server to the client on the link
// identified by the Interface-Id option."
func TestRFC8415_19_2d_OnTheLinkOfTheInterfaceID(t *testing.T) {
	w := newWorld(t)
	for id, index := range map[string]int{"lan0": lan0Index, "lan1": lan1Index} {
		for _, linkAddress := range []string{"2001:db8:1::1", "2001:db8:2::1", "::"} {
			got := w.serves(relayed(dhcp6.RelayReply, 0, linkAddress, "fe80::a", w.reply(alice), interfaceID(id)))
			if len(got) != 1 || got[0].Link != index {
				t.Errorf("interface-id %s, link-address %s: %+v, want link %d", id, linkAddress, got, index)
			}
		}
	}
	for _, id := range []string{"lan7", "", "lan0\x00", "LAN0"} {
		if got := w.serves(relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", "fe80::a", w.reply(alice), interfaceID(id))); len(got) != 0 {
			t.Errorf("interface-id %q, which is none of ours: %+v", id, got)
		}
	}
	if n := w.dropped(effect.DropUnknownInterfaceID); n != 4 {
		t.Errorf("%d drops for an unknown interface-id, want 4: %v", n, w.drops)
	}
}

// Section 19.2: "Otherwise, if the link-address field is not set to 0, the relay
// agent relays the message on the link identified by the link-address field."
func TestRFC8415_19_2e_OtherwiseByLinkAddress(t *testing.T) {
	w := newWorld(t)
	for linkAddress, index := range map[string]int{"2001:db8:1::1": lan0Index, "2001:db8:2::1": lan1Index, "2001:db8:2::abcd": lan1Index, "fe80::11": lan1Index} {
		got := w.serves(relayed(dhcp6.RelayReply, 0, linkAddress, "fe80::a", w.reply(alice)))
		if len(got) != 1 || got[0].Link != index {
			t.Errorf("link-address %s: %+v, want link %d", linkAddress, got, index)
		}
	}
	for _, linkAddress := range []string{"2001:db8:77::1", "::"} {
		if got := w.serves(relayed(dhcp6.RelayReply, 0, linkAddress, "fe80::a", w.reply(alice))); len(got) != 0 {
			t.Errorf("link-address %s, which is on none of our links: %+v", linkAddress, got)
		}
	}
	if n := w.dropped(effect.DropNoLink); n != 2 {
		t.Errorf("%d drops for no link, want 2: %v", n, w.drops)
	}
}

// Section 19.2: "If the relay agent receives a Relay-reply message, it MUST
// process the message as defined above, regardless of the type of message
// encapsulated in the Relay Message option."
func TestRFC8415_19_2f_WhateverTheTypeInside(t *testing.T) {
	w := newWorld(t)
	for n := range 256 {
		inner := []byte{byte(n), 1, 2, 3}
		got := w.serves(relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", "fe80::a", inner, interfaceID("lan0")))
		if len(got) != 1 || !bytes.Equal(got[0].Payload, inner) {
			t.Errorf("type %d: %+v (drops %v)", n, got, w.drops)
		}
	}
}

// Section 19.4: "Each relay is allowed to insert additional options on the
// encapsulation level it added but MUST NOT change anything in the packet being
// encapsulated."
func TestRFC8415_19_4a_OnlyItsOwnLayer(t *testing.T) {
	w := newWorld(t, everyOption, relayPeer("fe80::99"))
	below := relayed(dhcp6.RelayForward, 2, "2001:db8:7::1", "fe80::1", message(dhcp6.Solicit, 1, raw(37, 1, 2, 3)), interfaceID("far"), raw(37, 0, 0, 0, 1, 1))
	got := w.forwards("fe80::99", 547, below)
	if len(got) != 1 || !bytes.Equal(readLayer(t, got[0].Payload).inner, below) {
		t.Errorf("%x was carried as %+v", below, got)
	}
}

// Section 19.4: "Each time a response packet is relayed back towards a client,
// one encapsulation level is removed."
func TestRFC8415_19_4b_OneLevelIsRemoved(t *testing.T) {
	w := newWorld(t, relayPeer("fe80::99"))
	below := relayed(dhcp6.RelayReply, 0, "2001:db8:7::1", "fe80::1", w.reply(alice))
	got := w.serves(relayed(dhcp6.RelayReply, 1, "2001:db8:2::1", "fe80::99", below, interfaceID("lan1")))
	if len(got) != 1 || !bytes.Equal(got[0].Payload, below) || got[0].Dest.String() != "[fe80::99]:547" {
		t.Errorf("delivered %+v, want %x to [fe80::99]:547", got, below)
	}
}
