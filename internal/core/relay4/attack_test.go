package relay4_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/relay4"
	"fairlead/internal/core/trust"
)

// mallory is on Carol's link, with a hardware address like Alice's.
var mallory = client{lan1Index, alice.mac}

// Somebody copies a transaction on another link that uses the same giaddr, before or after
// its owner. The reply that has our circuit-id goes where it belongs. One that has none could
// be for either, and goes to neither.
func TestCopiedTransaction(t *testing.T) {
	for name, order := range map[string][2]client{"after": {alice, mallory}, "before": {mallory, alice}} {
		w := newWorld(t, unnumbered)
		var up [2][]byte
		for i, c := range order {
			up[i] = w.asks(c, from(c))
		}
		for i, c := range order {
			w.delivers(c.link, answer(up[i], typeOffer, true))
			w.dropped(name, w.serves(answer(up[i], typeOffer, false)), effect.DropAmbiguousGIAddr)
		}
		// The copy goes on, and the owner too.
		for range 10 {
			w.sleep(5 * time.Second)
			w.asks(mallory, from(mallory))
			w.sleep(5 * time.Second)
			w.dropped(name+", later", w.serves(answer(w.asks(alice, from(alice)), typeOffer, false)), effect.DropAmbiguousGIAddr)
		}
		// A minute after the last copy it is the owner's alone.
		w.sleep(time.Minute)
		w.delivers(lan0Index, answer(w.asks(alice, from(alice)), typeOffer, false))
		// Another transaction of the same client is not concerned, nor is another client's.
		w.asks(mallory, from(mallory))
		other := func(m *message) { m.xid++ }
		w.delivers(lan0Index, answer(w.asks(alice, from(alice, other)), typeOffer, false))
		w.delivers(lan0Index, answer(w.asks(bob, from(bob)), typeOffer, false))
	}
}

// Nor does the copy get the reply once its owner's link is gone.
func TestCopiedTransactionIsLeft(t *testing.T) {
	w := newWorld(t, unnumbered)
	up := w.asks(alice, from(alice))
	w.asks(mallory, from(mallory))
	w.removeLink("lan0")
	w.dropped("not echoed", w.serves(answer(up, typeOffer, false)), effect.DropAmbiguousGIAddr)
	w.dropped("echoed", w.serves(answer(up, typeOffer, true)), effect.DropAmbiguousGIAddr)
}

// A server that does not echo option 82 answers in time, and nobody has copied anything.
func TestReplyByTransaction(t *testing.T) {
	for _, mode := range []relay4.Insertion{relay4.Off, relay4.Add} {
		w := newWorld(t, unnumbered, rule(func(r *relay4.LinkRule) { r.AgentInformation = mode }))
		fromAlice, fromCarol := w.asks(alice, from(alice)), w.asks(carol, from(carol))
		w.delivers(lan1Index, answer(fromCarol, typeOffer, false))
		w.delivers(lan0Index, answer(fromAlice, typeOffer, false))
		w.sleep(time.Minute - 1)
		w.delivers(lan0Index, answer(fromAlice, typeOffer, false))
		w.sleep(1)
		w.dropped("a minute later", w.serves(answer(fromAlice, typeOffer, false)), effect.DropAmbiguousGIAddr)
		w.dropped("what nobody began", w.serves(answer(fromAlice, typeOffer, false, func(m *message) { m.xid++ })), effect.DropAmbiguousGIAddr)
		if n := w.counters("lan0").NotEchoed; (n == 2) != (mode == relay4.Add) {
			t.Errorf("%v: %d not echoed", mode, n)
		}
	}
}

// Somebody behind a trusted link adds an option 82 with the circuit-id of another link that
// uses the same giaddr: the reply goes where the message came from, or nowhere.
func TestCopiedCircuitID(t *testing.T) {
	copied := agent(circuit("lan1"))
	for _, mode := range []relay4.Insertion{relay4.Off, relay4.Add} {
		w := newWorld(t, lan0Trusted, unnumbered)
		w.cfg.Links[0].AgentInformation = mode
		w.core.Reconfigure(w.cfg, &w.eff)
		in := answer(w.asks(alice, from(alice, with(copied))), typeOffer, true)
		w.same("as it came", w.delivers(lan0Index, in).Payload, in)
		w.sleep(time.Minute)
		w.dropped("when the transaction is forgotten", w.serves(in), effect.DropAmbiguousGIAddr)
		// Carol's copy of the transaction does not get it either.
		in = answer(w.asks(alice, from(alice, with(copied))), typeOffer, true)
		w.asks(mallory, from(mallory))
		w.dropped("copied as well", w.serves(in), effect.DropAmbiguousGIAddr)
	}
	// Where each link has a giaddr of its own there is nothing to gain.
	w := newWorld(t, lan0Trusted)
	in := answer(w.asks(alice, from(alice, with(copied))), typeOffer, true)
	w.same("with a giaddr of its own", w.delivers(lan0Index, in).Payload, in)
	// On an untrusted link the message does not pass.
	w = newWorld(t, unnumbered)
	w.dropped("untrusted", w.says(alice, from(alice, with(copied))), effect.DropAgentInformation)
	// Where it is replaced, ours is the only one.
	w = newWorld(t, unnumbered, trusted, rule(func(r *relay4.LinkRule) { r.AgentInformation = relay4.Replace }))
	w.delivers(lan0Index, answer(w.asks(alice, from(alice, with(copied))), typeOffer, true))
}

// The name of a link is no circuit-id where the link adds another one, or none.
func TestLinkNameIsNoCircuitID(t *testing.T) {
	for _, change := range []func(*relay4.LinkRule){
		func(r *relay4.LinkRule) { r.AgentInformation = relay4.Off },
		func(r *relay4.LinkRule) { r.CircuitID = template("") },
		func(r *relay4.LinkRule) { r.CircuitID = template("{link-layer}") },
		func(r *relay4.LinkRule) { r.CircuitID = template("x{interface}") },
		func(r *relay4.LinkRule) { r.CircuitID = template("everywhere") },
	} {
		w := newWorld(t, unnumbered, rule(change))
		up := w.asks(alice, from(alice))
		w.sleep(time.Minute)
		for _, id := range []string{"lan1", "", "everywhere"} {
			w.dropped("circuit-id "+id, w.serves(answer(up, typeOffer, false, with(agent(circuit(id))))), effect.DropAmbiguousGIAddr)
		}
	}
}

// Replies come from the server, on its uplink, as they must be protected: nobody else's.
func TestRepliesOfOthers(t *testing.T) {
	w := newWorld(t, protected, relayPeer("192.0.2.99"))
	reply := answer(w.asks(alice, from(alice)), typeACK, true)
	from := func(link int, source string, change func(*inbound.Packet)) []effect.Send {
		p := inbound.Packet{Link: link, Source: netip.AddrPortFrom(addr(source), 67), Dest: addr(localAddr), Payload: reply}
		change(&p)
		return w.packet(p)
	}
	as := func(*inbound.Packet) {}
	w.dropped("a client", from(lan0Index, "10.0.0.66", as), effect.DropReplyFromClientLink)
	w.dropped("a client with the server's address", from(lan1Index, serverAddr, as), effect.DropReplyFromClientLink)
	w.dropped("a stranger beside the server", from(upIndex, "192.0.2.66", as), effect.DropUntrustedServer)
	w.dropped("a relay agent that is a peer", from(upIndex, "192.0.2.99", as), effect.DropUntrustedServer)
	w.dropped("the server on no uplink", from(dumIndex, serverAddr, as), effect.DropUntrustedServer)
	w.dropped("a frame, which has passed no IPsec", from(upIndex, serverAddr, func(p *inbound.Packet) { p.Framed = true }), effect.DropUnprotected)
	w.dropped("sent to another address", from(upIndex, serverAddr, func(p *inbound.Packet) { p.Dest = addr("192.0.2.255") }), effect.DropUnprotected)
	w.dropped("on no link", from(77, serverAddr, as), effect.DropUnknownLink)
	if got := from(upIndex, serverAddr, as); len(got) != 1 {
		t.Errorf("the server: %d datagrams, drops %v", len(got), w.drops)
	}
}

// A relay agent is believed by its link or by its address, and as it must be protected.
func TestRelayAgentsOfOthers(t *testing.T) {
	behindIPsec := func(w *world) {
		p := relayOf("10.0.0.9")
		p.Local, p.Protection = addr(lan0Addr), trust.ProtectionIPsec
		w.cfg.Peers = append(w.cfg.Peers, p)
	}
	w := newWorld(t, behindIPsec, trusted)
	in := from(alice, giaddr("10.9.0.1"))
	if got := w.relays(lan0Index, "10.0.0.9", in); len(got) != 1 {
		t.Errorf("to our own address: %d datagrams, drops %v", len(got), w.drops)
	}
	as := func(source string, dest string, framed bool) []effect.Send {
		return w.packet(inbound.Packet{Link: lan0Index, Source: netip.AddrPortFrom(addr(source), 67), Dest: addr(dest), Framed: framed, Payload: in})
	}
	w.dropped("broadcast", as("10.0.0.9", "255.255.255.255", true), effect.DropUnprotected)
	w.cfg.Peers[1].Interfaces = []string{"other"}
	w.core.Reconfigure(w.cfg, &w.eff)
	w.dropped("in the name of a protected one, on a trusted link", as("10.0.0.9", lan0Addr, false), effect.DropUnprotected)
	if got := as("10.0.0.8", lan0Addr, false); len(got) != 1 {
		t.Errorf("another on the trusted link: %d datagrams, drops %v", len(got), w.drops)
	}
}

// What only servers say is not forwarded, nor what asks for the leases of others, however it
// is packed (RFC 4388, and its successors).
func TestTypesOfClients(t *testing.T) {
	w := newWorld(t)
	for n, want := range map[byte]effect.Drop{
		2: effect.DropServerMessage, 5: effect.DropServerMessage, 6: effect.DropServerMessage, 9: effect.DropServerMessage, 11: effect.DropServerMessage,
		12: effect.DropServerMessage, 13: effect.DropServerMessage, 15: effect.DropServerMessage, 17: effect.DropServerMessage,
		10: effect.DropLeasequery, 14: effect.DropLeasequery, 16: effect.DropLeasequery, 18: effect.DropLeasequery,
	} {
		w.dropped("type", w.says(alice, from(alice, ofType(n))), want)
	}
	for _, n := range []byte{1, 3, 4, 7, 8, 19, 200} {
		w.asks(alice, from(alice, ofType(n)))
	}
	for name, in := range map[string][]byte{
		"two types": from(alice, with(option(53, 10))), "two types, the other way": from(alice, ofType(10), with(option(53, 1))),
		"a type of two octets": from(alice, func(m *message) { m.options = option(53, 10, 1) }), "of none": from(alice, func(m *message) { m.options = option(53); m.pads = 90 }),
		"another one in the file field": from(alice, inFile(option(53, 10))),
	} {
		w.dropped(name, w.says(alice, in), effect.DropMalformed)
	}
	w = newWorld(t, rule(func(r *relay4.LinkRule) { r.AllowLeasequery = true }))
	w.asks(alice, from(alice, ofType(10)))
}

// A flood of transactions takes a bounded memory, and does not outlive its time: the newest
// are remembered.
func TestFloodOfTransactions(t *testing.T) {
	w := newWorld(t, unnumbered, rule(func(r *relay4.LinkRule) { r.AgentInformation = relay4.Off }))
	up := w.asks(alice, from(alice))
	var some [][]byte // of what the servers get
	flood := func(n int) {
		for i := range n {
			in := from(carol, func(m *message) { m.xid = uint32(i) | 1<<31 })
			w.core.Handle(w.now, &inbound.Packet{Link: lan1Index, Source: client0, Dest: addr("255.255.255.255"), Payload: in}, &w.eff)
			if i%997 == 0 {
				some = append(some, slices.Clone(w.eff.Sends[0].Payload))
			}
			w.eff.Reset()
		}
	}
	if got := w.core.PendingLen(); got != 1 {
		t.Fatalf("%d remembered, want 1", got)
	}
	flood(30_000)
	w.delivers(lan0Index, answer(up, typeOffer, false))
	for _, up := range some {
		w.delivers(lan1Index, answer(up, typeOffer, false))
	}
	flood(200_000)
	if got := w.core.PendingLen(); got > 1<<16 || got < 1<<15 {
		t.Errorf("%d remembered, want %d at most, and half of that at least", got, 1<<16)
	}
	w.dropped("forgotten", w.serves(answer(up, typeOffer, false)), effect.DropAmbiguousGIAddr)
	w.delivers(lan0Index, answer(w.asks(alice, from(alice)), typeOffer, false))
}
