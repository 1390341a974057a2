package relay6_test

import (
	"bytes"
	"slices"
	"testing"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// Section 4: "The Relay-reply message is sent toward the client. The
// Relay-forward message and other types of messages are sent toward the server."
func TestRFC7283_4_DirectionByType(t *testing.T) {
	w := newWorld(t, relayPeer("fe80::99"))
	for n := range 256 {
		mt := dhcp6.MessageType(n)
		if mt == dhcp6.RelayReply || mt.FromServerOnly() || mt == dhcp6.LeasequeryRequest || mt == dhcp6.ActiveLeasequery || mt == dhcp6.StartTLS {
			continue
		}
		payload := message(mt, 1)
		if mt == dhcp6.RelayForward {
			payload = relayed(mt, 0, "2001:db8:7::1", "fe80::1", message(dhcp6.Solicit, 1))
		}
		got := w.forwards("fe80::99", 547, payload)
		if len(got) != 1 || !got[0].ToPeer || got[0].Dest.Addr() != addr(serverAddr) {
			t.Errorf("type %d: %+v, want one datagram to the server", n, got)
		}
	}
}

// Section 4.2: "If the relay agent receives messages other than Relay-forward
// and Relay-reply and the relay agent does not recognize its message type, it
// MUST forward them".
func TestRFC7283_4_2_UnknownTowardsTheServer(t *testing.T) {
	w := newWorld(t)
	for n := 38; n < 256; n++ {
		payload := []byte{byte(n)} // whatever follows the type
		got := w.says(alice, payload)
		if len(got) != 1 || !bytes.Equal(readLayer(t, got[0].Payload).inner, payload) {
			t.Errorf("type %d: %+v", n, got)
		}
	}
}

// Section 4.3: "If the relay agent receives a Relay-reply message, it MUST
// process the message [...] regardless of the type of message encapsulated in
// the Relay Message option."
func TestRFC7283_4_3_UnknownTowardsTheClient(t *testing.T) {
	w := newWorld(t)
	for n := 38; n < 256; n++ {
		payload := []byte{byte(n), 0xee}
		got := w.serves(relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, payload, interfaceID("lan0")))
		if len(got) != 1 || !bytes.Equal(got[0].Payload, payload) || got[0].Dest.String() != "[fe80::a]:546" {
			t.Errorf("type %d: %+v", n, got)
		}
	}
}

// Section 6: "Nothing in this update should be construed to mean that relay
// agents may not be administratively configurable to drop messages based on the
// message type". RFC 5007 section 5 asks perimeter relays to keep leasequeries
// of those who are not requestors from the servers.
func TestRFC5007_5_LeasequeryStopsAtThePerimeter(t *testing.T) {
	types := []dhcp6.MessageType{dhcp6.LeasequeryRequest, dhcp6.ActiveLeasequery, dhcp6.StartTLS}
	w := newWorld(t)
	open := newWorld(t, rule(func(r *relay6.LinkRule) { r.AllowLeasequery = true }))
	for _, mt := range types {
		if got := w.says(alice, message(mt, 1)); len(got) != 0 {
			t.Errorf("%v was forwarded", mt)
		}
		if got := open.says(alice, message(mt, 1)); len(got) != 1 {
			t.Errorf("%v where it is allowed: %d datagrams, want 1", mt, len(got))
		}
	}
	if n := w.dropped(effect.DropLeasequery); n != len(types) {
		t.Errorf("%d drops for leasequery, want %d", n, len(types))
	}
}

// Messages that only servers send are not accepted from clients (RFC 6221
// section 6.1.1 has the list for an LDRA).
func TestServerMessagesFromClientsAreDropped(t *testing.T) {
	w := newWorld(t)
	types := []dhcp6.MessageType{dhcp6.Advertise, dhcp6.Reply, dhcp6.Reconfigure, dhcp6.LeasequeryReply, dhcp6.LeasequeryDone, dhcp6.LeasequeryData, dhcp6.ReconfigureReply, dhcp6.DHCPv4Response, dhcp6.AddrRegReply}
	for _, mt := range types {
		if got := w.says(alice, message(mt, 1)); len(got) != 0 {
			t.Errorf("%v of a client was forwarded", mt)
		}
	}
	if n := w.dropped(effect.DropServerMessage); n != len(types) {
		t.Errorf("%d drops for a server's message, want %d", n, len(types))
	}
	// A Relay-reply neither, whatever its source claims.
	spoof := alice
	spoof.addr = serverAddr
	w.says(spoof, relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", bob.addr, w.reply(bob), interfaceID("lan0")))
	if w.dropped(effect.DropReplyFromClientLink) != 1 || len(w.sent) != 0 {
		t.Errorf("Relay-reply from a client link: sent %v, drops %v", w.sent, w.drops)
	}
}

// A Relay-reply is believed from a configured server on its uplinks alone.
func TestRelayReplyFromAnyoneElseIsDropped(t *testing.T) {
	w := newWorld(t)
	reply := relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", bob.addr, w.reply(bob), interfaceID("lan0"))
	stranger := client{link: upIndex, addr: "2001:db8:ffff::66"}
	if got := w.says(stranger, reply); len(got) != 0 || w.dropped(effect.DropUntrustedServer) != 1 {
		t.Errorf("a stranger on the uplink: %+v, drops %v", got, w.drops)
	}
	var reasons []string
	for _, d := range w.drops {
		reasons = append(reasons, d.Reason.String())
	}
	if !slices.Equal(reasons, []string{"untrusted-server"}) {
		t.Errorf("reasons %q", reasons)
	}
}
