package relay6_test

import (
	"bytes"
	"slices"
	"testing"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

func trusted(r *relay6.LinkRule) { r.Trusted = true }

// throughLDRA is a client's message as a lightweight relay passes it on: the
// client's own source address and link-layer source, link-address ::.
func throughLDRA(c client, inner []byte) []byte {
	return relayed(dhcp6.RelayForward, 0, "::", c.addr, inner, interfaceID("port 1/7"))
}

// Section 7.2: what the relay above a lightweight one sends on.
func TestRFC6221_7_2_RelayAboveAnLDRA(t *testing.T) {
	w := newWorld(t, rule(trusted), everyOption)
	payload := throughLDRA(alice, message(dhcp6.Solicit, 1, clientID(alice.duid)))
	got := w.says(alice, payload)
	if len(got) != 1 {
		t.Fatalf("%d datagrams, want 1 (drops %v)", len(got), w.drops)
	}
	l := readLayer(t, got[0].Payload)
	if l.hops != 1 || l.link != addr("2001:db8:1::1") || l.peer != addr(alice.addr) || !bytes.Equal(l.inner, payload) {
		t.Errorf("forwarded %+v, want hop-count 1, link-address 2001:db8:1::1, the client's address and the LDRA's message", l)
	}
	// It is the client's first relay with knowledge of its own, but RFC 6939
	// section 5 leaves the link-layer address to the relay that the client's own
	// message reached. A client's port is not a relay's (RFC 8357).
	if codes := l.codes(); !slices.Equal(codes, []int{18, 53, 37, 38, 105, 9}) {
		t.Errorf("options %v, want 18 53 37 38 105 9", codes)
	}
	down := w.serves(w.answer(got[0].Payload, w.reply(alice)))
	if len(down) != 1 || down[0].Dest.String() != "[fe80::a]:547" || down[0].Link != lan0Index || down[0].LinkLayer != alice.mac {
		t.Errorf("back down: %+v, want [fe80::a]:547 on lan0 at %v", down, alice.mac)
	}
	if inner := readLayer(t, down[0].Payload); string(inner.option(18)) != "port 1/7" || inner.msgType != 13 {
		t.Errorf("the LDRA gets %+v, want its interface-id in a Relay-reply", inner)
	}
}

// Below an LDRA is the client itself: we are its delegating relay.
func TestRFC6221_7_2_DelegationsBehindAnLDRA(t *testing.T) {
	w := newWorld(t, rule(trusted))
	ask := func(c client, inner []byte, layers int) []effect.Send {
		for range layers {
			inner = throughLDRA(c, inner)
		}
		return w.says(c, inner)
	}
	for layers, p := range []string{"2001:db8:100::/56", "2001:db8:200::/56", "2001:db8:300::/56"} {
		up := ask(alice, message(dhcp6.Request, 1, clientID(alice.duid), iaPD(uint32(layers))), layers)
		w.serves(w.answer(up[0].Payload, w.reply(alice, iaPD(uint32(layers), prefix(p, 600)))))
	}
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan0 2001:db8:200::/56 via fe80::a for 10m0s", "lan0 2001:db8:300::/56 via fe80::a for 10m0s")
	// Its Release counts, and a neighbour's does not.
	release := message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1))
	ask(bob, release, 1)
	ask(alice, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(2)), 2)
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan0 2001:db8:200::/56 via fe80::a for 10m0s")
	ask(alice, release, 1)
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
}

// Section 7.3: behind a layer-3 relay, with or without an LDRA before us, the
// client is that relay's (RFC 8987 section 1): we only forward.
func TestRFC6221_7_3_BehindALayer3RelayNothingIsLearned(t *testing.T) {
	for _, ldra := range []bool{false, true} {
		w := newWorld(t, rule(trusted))
		payload := relayed(dhcp6.RelayForward, 0, "2001:db8:7::1", "fe80::1", message(dhcp6.Request, 1, clientID(alice.duid), iaPD(1)))
		below := alice
		if ldra {
			payload = relayed(dhcp6.RelayForward, 1, "::", below.addr, payload, interfaceID("port 1"))
		}
		up := w.says(below, payload)
		if len(up) != 1 {
			t.Fatalf("LDRA %v: %d datagrams, want 1 (drops %v)", ldra, len(up), w.drops)
		}
		reply := w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		down := w.serves(w.answer(up[0].Payload, reply))
		if len(down) != 1 || !bytes.Contains(down[0].Payload, reply) {
			t.Errorf("LDRA %v: delivered %+v", ldra, down)
		}
		w.wants()
	}
}

// Section 6.1.2: "When a client-facing interface is deemed untrusted, the LDRA
// MUST discard any message of type RELAY-FORW (12)": so does this relay, but for
// relays that are configured.
func TestRFC6221_6_1_2_UntrustedInterfaces(t *testing.T) {
	w := newWorld(t, relayPeer("fe80::99"))
	payload := throughLDRA(alice, message(dhcp6.Solicit, 1))
	if got := w.says(alice, payload); len(got) != 0 || w.dropped(effect.DropUntrustedRelay) != 1 {
		t.Errorf("on an untrusted link: %+v, drops %v", got, w.drops)
	}
	if got := w.forwards("fe80::98", 547, payload); len(got) != 0 || w.dropped(effect.DropUntrustedRelay) != 2 {
		t.Errorf("of another relay: %+v, drops %v", got, w.drops)
	}
	elsewhere := client{link: lan0Index, addr: "fe80::99", mac: alice.mac}
	if got := w.says(elsewhere, payload); len(got) != 0 || w.dropped(effect.DropUntrustedRelay) != 3 {
		t.Errorf("of the configured relay on another link: %+v, drops %v", got, w.drops)
	}
	if got := w.forwards("fe80::99", 547, payload); len(got) != 1 {
		t.Errorf("of the configured relay: %+v", got)
	}
}

// A Relay-reply inside a Relay-forward is no lightweight relay's layer: nothing
// in it is taken for the client's word.
func TestRelayReplyInsideRelayForwardProvesNothing(t *testing.T) {
	w := newWorld(t, rule(trusted))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	inner := relayed(dhcp6.RelayReply, 0, "::", alice.addr, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1)))
	w.says(alice, relayed(dhcp6.RelayForward, 0, "::", alice.addr, inner))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
}

// A lightweight relay that names no possible client brings no delegation about.
func TestLDRAWithoutAClientAddressTeachesNothing(t *testing.T) {
	w := newWorld(t, rule(trusted))
	for _, peer := range []string{"::", "ff02::1", "::1"} {
		reply := relayed(dhcp6.RelayReply, 0, "::", peer, w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 600))))
		w.serves(relayed(dhcp6.RelayReply, 1, "2001:db8:1::1", "fe80::a", reply, interfaceID("lan0")))
	}
	w.wants()
}
