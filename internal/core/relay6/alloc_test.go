package relay6_test

import (
	"net/netip"
	"testing"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// In steady state a message that changes nothing costs no allocation, either
// way.
func TestForwardingAllocatesNothing(t *testing.T) {
	w := newWorld(t, everyOption, clearServer, func(c *relay6.Config) { c.Links[0].SubscriberID = template("s-{interface}") })
	solicit := message(dhcp6.Solicit, 1, clientID(alice.duid), iaPD(1))
	w.says(bob, message(dhcp6.Release, 1, clientID(bob.duid), iaPD(1))) // whose answer is waited for
	up := w.says(alice, solicit)
	source := netip.AddrPortFrom(addr(alice.addr), 546)
	server := netip.AddrPortFrom(addr(serverAddr), 547)
	for name, p := range map[string]inbound.Packet{
		"Solicit":   {Link: lan0Index, Source: source, LinkLayer: alice.mac, HardwareType: 1, Payload: solicit},
		"Renew":     {Link: lan0Index, Source: source, LinkLayer: alice.mac, HardwareType: 1, Payload: message(dhcp6.Renew, 1, clientID(alice.duid), iaPD(1))},
		"Request":   {Link: lan0Index, Source: source, LinkLayer: alice.mac, HardwareType: 1, Payload: message(dhcp6.Request, 1, clientID(alice.duid), iaPD(1))},
		"Advertise": {Link: upIndex, Source: server, Dest: addr(localAddr), Payload: w.answer(up[0].Payload, message(dhcp6.Advertise, 1, clientID(alice.duid), iaPD(1, prefix("2001:db8:100::/56", 60))))},
		"dropped":   {Link: lan0Index, Source: source, Payload: message(dhcp6.Reply, 1)},
	} {
		allocs := testing.AllocsPerRun(100, func() {
			w.eff.Reset()
			for range 32 { // a batch
				w.core.Handle(w.now, &p, &w.eff)
			}
		})
		if (len(w.eff.Drops) > 0) != (name == "dropped") {
			t.Errorf("%s: dropped %v", name, w.eff.Drops)
		}
		if allocs != 0 {
			t.Errorf("%s: %v allocations in a batch of 32, want none", name, allocs)
		}
	}
}

// handles measures what one packet costs.
func handles(b *testing.B, w *world, p inbound.Packet) {
	b.ReportAllocs()
	for b.Loop() {
		w.eff.Reset()
		w.core.Handle(w.now, &p, &w.eff)
	}
}

// solicit is a Solicit of Alice.
func solicit() inbound.Packet {
	return inbound.Packet{
		Link: lan0Index, Source: netip.AddrPortFrom(addr(alice.addr), 546), LinkLayer: alice.mac, HardwareType: 1,
		Payload: message(dhcp6.Solicit, 1, clientID(alice.duid), iaPD(1)),
	}
}

func BenchmarkSolicit(b *testing.B) { handles(b, newWorld(b), solicit()) }

// BenchmarkSolicitBoth is one that is wrapped twice: for a server that is
// protected, with options that another does not get.
func BenchmarkSolicitBoth(b *testing.B) {
	handles(b, newWorld(b, everyOption, clearServer), solicit())
}

func BenchmarkAdvertise(b *testing.B) {
	handles(b, newWorld(b), inbound.Packet{
		Link: upIndex, Source: netip.AddrPortFrom(addr(serverAddr), 547),
		Payload: relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, message(dhcp6.Advertise, 1, clientID(alice.duid)), interfaceID("lan0")),
	})
}

// BenchmarkRenew is a Renew and its Reply, with the change that keeps it.
func BenchmarkRenew(b *testing.B) {
	w := newWorld(b)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 3600)))
	p := inbound.Packet{
		Link: upIndex, Source: netip.AddrPortFrom(addr(serverAddr), 547),
		Payload: relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 3600))), interfaceID("lan0")),
	}
	b.ReportAllocs()
	for b.Loop() {
		w.eff.Reset()
		w.core.Handle(w.now, &p, &w.eff)
		for _, c := range w.eff.Changes {
			w.core.Settle(w.now, effect.Outcome{ID: c.ID}, &w.eff)
		}
	}
}
