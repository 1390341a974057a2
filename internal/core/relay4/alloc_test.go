package relay4_test

import (
	"net/netip"
	"testing"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/relay4"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/linkaddr"
)

// In steady state a message costs no allocation, either way.
func TestForwardingAllocatesNothing(t *testing.T) {
	twoServers := config(func(c *relay4.Config) {
		c.Peers[0].Protection = trust.ProtectionIPsec
		c.Peers = append(c.Peers, peer("clear", "203.0.113.1"))
	})
	for name, change := range map[string][]func(*world){
		"each with its giaddr": {everySubOption, twoServers},
		"one giaddr":           {unnumbered, everySubOption, twoServers},
		"replace":              {rule(func(r *relay4.LinkRule) { r.AgentInformation = relay4.Replace }), twoServers},
		"trusted":              {trusted, twoServers},
		"off":                  {rule(func(r *relay4.LinkRule) { r.AgentInformation = relay4.Off })},
	} {
		w := newWorld(t, change...)
		up := w.asks2(alice, from(alice))
		w.says(alice, from(alice, with(foreign)))
		w.drops = nil
		client := inbound.Packet{Link: lan0Index, Source: netip.MustParseAddrPort("0.0.0.0:68"), Dest: addr("255.255.255.255"), LinkLayer: linkaddr.From(alice.mac), HardwareType: 1}
		server := inbound.Packet{Link: upIndex, Source: up0, Dest: addr(localAddr)}
		for what, p := range map[string]struct {
			base    inbound.Packet
			payload []byte
		}{
			"DISCOVER": {client, from(alice)}, "REQUEST": {client, from(alice, ofType(typeRequest))}, "BOOTP": {client, from(alice, bootp)},
			"with an option 82": {client, from(alice, with(foreign))}, "relayed": {client, from(alice, giaddr("10.9.0.1"))},
			"OFFER": {server, answer(up, typeOffer, true)}, "NAK": {server, answer(up, typeNAK, true)}, "not echoed": {server, answer(up, typeACK, false)},
			"split":   {server, answer(up, typeOffer, false, with(option(82, 1, 4, 'l', 'a'), option(82, 'n', '0')))},
			"dropped": {client, from(alice, ofType(typeOffer))},
		} {
			packet := p.base
			packet.Payload = p.payload
			if allocs := testing.AllocsPerRun(100, func() {
				w.eff.Reset()
				for range 32 { // a batch
					w.core.Handle(w.now, &packet, &w.eff)
				}
			}); allocs != 0 {
				t.Errorf("%s, %s: %v allocations in a batch of 32, want none (drops %v)", name, what, allocs, w.eff.Drops[:min(1, len(w.eff.Drops))])
			}
		}
	}
}

// asks2 is asks where there may be two servers.
func (w *world) asks2(c client, payload []byte) []byte {
	w.Helper()
	got := w.says(c, payload)
	if len(got) == 0 {
		w.Fatalf("not forwarded, drops %v", w.drops)
	}
	return got[0].Payload
}

// Transactions that are new cost none either, once there is room for as many as there may be.
func TestNewTransactionsAllocateNothing(t *testing.T) {
	w := newWorld(t, unnumbered)
	p := inbound.Packet{Link: lan0Index, Source: client0, Dest: addr("255.255.255.255"), Payload: from(alice)}
	next := func() {
		w.eff.Reset()
		for range 1 << 12 {
			p.Payload[4]++ // the transaction ID, in another order
			if p.Payload[4] == 0 {
				p.Payload[6]++
				if p.Payload[6] == 0 {
					p.Payload[5]++
				}
			}
			w.core.Handle(w.now, &p, &w.eff)
			w.eff.Reset()
		}
	}
	for range 40 {
		next()
	}
	if allocs := testing.AllocsPerRun(40, next); allocs > 1 {
		t.Errorf("%v allocations for %d messages", allocs, 1<<12)
	}
}

// handles measures what one packet costs.
func handles(b *testing.B, w *world, p inbound.Packet) {
	b.ReportAllocs()
	for b.Loop() {
		w.eff.Reset()
		w.core.Handle(w.now, &p, &w.eff)
	}
	if len(w.eff.Drops) > 0 {
		b.Fatal(w.eff.Drops)
	}
}

func BenchmarkDiscover(b *testing.B) {
	handles(b, newWorld(b, rule(func(r *relay4.LinkRule) { r.InsertRelayID = true }), config(func(c *relay4.Config) { c.RelayID = []byte("relay") })),
		inbound.Packet{Link: lan0Index, Source: client0, Dest: addr("255.255.255.255"), Payload: from(alice)})
}

// BenchmarkDiscoverUnnumbered remembers the transaction as well.
func BenchmarkDiscoverUnnumbered(b *testing.B) {
	handles(b, newWorld(b, unnumbered), inbound.Packet{Link: lan0Index, Source: client0, Dest: addr("255.255.255.255"), Payload: from(alice)})
}

func BenchmarkOffer(b *testing.B) {
	w := newWorld(b)
	handles(b, w, inbound.Packet{Link: upIndex, Source: up0, Dest: addr(localAddr), Payload: answer(w.asks(alice, from(alice)), typeOffer, true)})
}

// BenchmarkRenew is a REQUEST and the ACK that extends its lease, with what is kept of that.
func BenchmarkRenew(b *testing.B) {
	w := newWorld(b)
	request := from(alice, ofType(typeRequest), using("10.0.0.77"), identified("\x01\x02\x00\x5e\x00\x53\x0a"))
	ack := answer(w.asks(alice, request), typeACK, true, given("10.0.0.77", 600), identified("\x01\x02\x00\x5e\x00\x53\x0a"))
	up := inbound.Packet{Link: lan0Index, Source: client0, Dest: limited, LinkLayer: linkaddr.From(alice.mac), HardwareType: 1, Payload: request}
	down := inbound.Packet{Link: upIndex, Source: up0, Dest: addr(localAddr), Payload: ack}
	w.eff.OmitExtensions = true
	b.ReportAllocs()
	for b.Loop() {
		w.eff.Reset()
		w.core.Handle(w.now, &up, &w.eff)
		w.core.Handle(w.now, &down, &w.eff)
		for _, c := range w.eff.Changes {
			w.core.Settle(w.now, effect.Outcome{ID: c.ID}, &w.eff)
		}
	}
}
