package relay4_test

import (
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay4"
)

// A link without an address has no giaddr, and what its clients say is not forwarded, until
// there is one.
func TestLinkHasNoAddressYet(t *testing.T) {
	w := newWorld(t)
	addrs := w.links["lan0"].Addrs
	w.removeLink("lan0")
	w.links["lan0"] = links.Link{Index: lan0Index, Name: "lan0", Up: true, HardwareType: 1}
	w.setLink("lan0", func(*links.Link) {})
	w.dropped("without", w.says(alice, from(alice)), effect.DropNoGIAddr)
	w.setLink("lan0", func(l *links.Link) {
		l.Addrs = []netip.Prefix{cidr("fe80::1/64"), cidr("2001:db8::1/64"), cidr("169.254.7.7/16")}
	})
	w.dropped("with addresses that are none", w.says(alice, from(alice)), effect.DropNoGIAddr)
	w.setLink("lan0", func(l *links.Link) { l.Addrs = addrs })
	w.asks(alice, from(alice))
	if v := w.core.Links()[1]; v.Name != "lan0" || v.GIAddr != addr(lan0Addr) || v.CircuitID != "lan0" || !v.ClientFacing {
		t.Errorf("%+v", v)
	}
}

// An address that is not on the link any more is not used, also while it may come back: it is
// where replies go. Those that are under way are delivered.
func TestGIAddrChanges(t *testing.T) {
	w := newWorld(t)
	up := w.asks(alice, from(alice))
	w.setLink("lan0", func(l *links.Link) { l.Addrs = nil })
	w.dropped("gone", w.says(alice, from(alice)), effect.DropNoGIAddr)
	if got := w.delivers(lan0Index, answer(up, typeOffer, true)); got.Source != addr(lan0Addr) {
		t.Errorf("from %v", got.Source)
	}
	w.setLink("lan0", func(l *links.Link) { l.Addrs = []netip.Prefix{cidr("10.5.0.1/24")} })
	w.same("another", w.asks(alice, from(alice))[24:28], addr("10.5.0.1").AsSlice())
	if got := w.delivers(lan0Index, answer(up, typeOffer, false)); got.Source != addr("10.5.0.1") {
		t.Errorf("from %v", got.Source)
	}
	w.setLink("lan0", func(l *links.Link) { l.Addrs = []netip.Prefix{cidr(lan0Addr + "/24"), cidr("10.5.0.1/24")} })
	w.same("back", w.asks(alice, from(alice))[24:28], addr(lan0Addr).AsSlice())
	w.setLink("lan0", func(l *links.Link) { l.Addrs = l.Addrs[1:] })
	w.sleep(2 * time.Hour)
	w.setLink("lan0", func(l *links.Link) { l.Addrs = []netip.Prefix{cidr(lan0Addr + "/24"), cidr("10.5.0.1/24")} })
	w.same("back after an hour", w.asks(alice, from(alice))[24:28], addr("10.5.0.1").AsSlice())
}

// Another link has the address by now. What the circuit-id or the transaction does not say
// is said by giaddr.
func TestGIAddrMovesToAnotherLink(t *testing.T) {
	w := newWorld(t)
	up := w.asks(alice, from(alice))
	w.setLink("lan0", func(l *links.Link) { l.Addrs = []netip.Prefix{cidr("10.5.0.1/24")} })
	w.setLink("lan1", func(l *links.Link) { l.Addrs = []netip.Prefix{cidr(lan0Addr + "/24")} })
	w.delivers(lan0Index, answer(up, typeOffer, true))
	w.delivers(lan1Index, answer(up, typeOffer, false))
	w.delivers(lan1Index, answer(w.asks(carol, from(carol)), typeOffer, true))
}

// Unnumbered links borrow an address, follow it, and have none when it is gone.
func TestBorrowedAddress(t *testing.T) {
	w := newWorld(t, unnumbered)
	want := func(what, giaddr string) {
		t.Helper()
		if giaddr == "" {
			w.dropped(what, w.says(alice, from(alice)), effect.DropNoGIAddr)
			return
		}
		up := w.asks(alice, from(alice))
		w.same(what, up[24:28], addr(giaddr).AsSlice())
		if got := w.delivers(lan0Index, answer(up, typeOffer, true)); got.Source != addr(giaddr) {
			t.Errorf("%s: from %v", what, got.Source)
		}
	}
	want("at first", lentAddr)
	w.setLink("dum0", func(l *links.Link) { l.Addrs = []netip.Prefix{cidr("203.0.113.9/32")} })
	want("another", "203.0.113.9")
	w.setLink("dum0", func(l *links.Link) { l.Addrs = nil })
	want("none", "")
	w.setLink("dum0", func(l *links.Link) { l.Addrs = []netip.Prefix{cidr("203.0.113.9/32")} })
	want("back", "203.0.113.9")
	w.setLink("dum0", func(l *links.Link) { l.Name = "dum1" })
	want("renamed", "")
	w.setLink("dum1", func(l *links.Link) { l.Name = "dum0" })
	want("and back", "203.0.113.9")
	w.setLink("lan0", func(l *links.Link) { l.Addrs = []netip.Prefix{cidr("10.0.0.1/24")} })
	want("an address of its own", "10.0.0.1")
	w.setLink("lan0", func(l *links.Link) { l.Addrs = nil })
	want("which is gone", "203.0.113.9")
	lender := w.links["dum0"]
	w.removeLink("dum0")
	want("the lender is gone", "")
	w.core.SetLink(lender, &w.eff)
	want("and comes back", "203.0.113.9")
}

// One link comes to be the only one that uses a giaddr, and then is not.
func TestSharedForAWhile(t *testing.T) {
	w := newWorld(t, unnumbered, rule(func(r *relay4.LinkRule) { r.AgentInformation = relay4.Off }))
	reply := answer(from(alice, giaddr(lentAddr)), typeOffer, false)
	w.dropped("two", w.serves(reply), effect.DropAmbiguousGIAddr)
	l := w.links["lan1"]
	w.removeLink("lan1")
	w.delivers(lan0Index, reply)
	w.core.SetLink(l, &w.eff)
	w.dropped("two again", w.serves(reply), effect.DropAmbiguousGIAddr)
	w.links["lan1"] = l
	w.setLink("lan1", func(l *links.Link) { l.Addrs = []netip.Prefix{cidr("10.0.1.1/24")} })
	w.delivers(lan0Index, reply)
	w.setLink("lan1", func(l *links.Link) { l.Name = "other" })
	w.delivers(lan0Index, reply)
}

// A link that is renamed is the same: replies find it by the circuit-id that it had, by the
// transaction, and by giaddr. Another link that gets the name is another.
func TestRename(t *testing.T) {
	w := newWorld(t, unnumbered)
	fromAlice, fromCarol := w.asks(alice, from(alice)), w.asks(carol, from(carol))
	w.setLink("lan0", func(l *links.Link) { l.Name = "lan7" })
	w.delivers(lan0Index, answer(fromAlice, typeOffer, true))
	w.delivers(lan0Index, answer(fromAlice, typeOffer, false))
	w.same("its circuit-id", optionOf(w.asks(alice, from(alice)), 82), agent(circuit("lan7")))
	if n := w.counters("lan7").Received[typeDiscover]; n != 2 {
		t.Errorf("%d counted", n)
	}
	w.setLink("lan1", func(l *links.Link) { l.Name = "lan0" })
	w.delivers(lan1Index, answer(fromCarol, typeOffer, true))
	// The circuit-id lan0 is that of either, and the transaction says of which.
	w.delivers(lan0Index, answer(fromAlice, typeOffer, true))
	w.sleep(3 * time.Minute)
	w.delivers(lan1Index, answer(fromAlice, typeOffer, true)) // by now it is lan0's own
	if got := w.notes[len(w.notes)-1]; got.Text != "link renamed" || got.Link != "lan0" || got.Reason != "it was lan1" {
		t.Errorf("note %+v", got)
	}
	w.setLink("lan0", func(l *links.Link) { l.Name = "wan0" }) // no rule matches that
	w.dropped("no client's link any more", w.says(carol, from(carol)), effect.DropNotClientLink)
	w.setLink("wan0", func(l *links.Link) { l.Name = "lan7" }) // of which the kernel's word was lost
	w.same("in the place of another", optionOf(w.asks(carol, from(carol)), 82), agent(circuit("lan7")))
	w.dropped("which is gone", w.says(alice, from(alice)), effect.DropUnknownLink)
}

// A reply to a client of a link that is gone goes nowhere.
func TestLinkIsGone(t *testing.T) {
	for name, change := range map[string]func(*world){"with an address": func(*world) {}, "unnumbered": unnumbered} {
		w := newWorld(t, change)
		up := w.asks(alice, from(alice))
		w.removeLink("lan0")
		w.removeLink("lan0")
		w.dropped(name, w.serves(answer(up, typeOffer, true)), effect.DropNoLink)
		w.dropped(name, w.serves(answer(up, typeOffer, false)), effect.DropNoLink)
		w.sleep(time.Minute)
		w.dropped(name+", later", w.serves(answer(up, typeOffer, true)), effect.DropNoLink)
	}
}

// Two VRFs may have the same addresses: they share giaddr like other links.
func TestSameAddressInTwoVRFs(t *testing.T) {
	w := newWorld(t, rule(func(r *relay4.LinkRule) { r.CircuitID = template("{vrf}/{interface}") }))
	for _, name := range []string{"lan0", "lan1"} {
		w.setLink(name, func(l *links.Link) { l.VRF, l.Addrs = "of-"+name, []netip.Prefix{cidr("10.0.0.1/24")} })
	}
	fromAlice, fromCarol := w.asks(alice, from(alice)), w.asks(carol, from(carol))
	w.same("circuit-id", optionOf(fromCarol, 82), agent(circuit("of-lan1/lan1")))
	for _, echo := range []bool{true, false} {
		w.delivers(lan0Index, answer(fromAlice, typeOffer, echo))
		w.delivers(lan1Index, answer(fromCarol, typeOffer, echo))
	}
	w.sleep(time.Minute)
	w.dropped("too late", w.serves(answer(fromAlice, typeOffer, false)), effect.DropAmbiguousGIAddr)
}

// 4 000 links that share an address come and go in reasonable time.
func TestManyLinks(t *testing.T) {
	w := newWorld(t, unnumbered, rule(func(r *relay4.LinkRule) { r.Match = []string{"ppp*", "lan*"} }))
	const n = 4000
	name := func(i int) string {
		return "ppp" + string(rune('0'+i/1000)) + string(rune('0'+i/100%10)) + string(rune('0'+i/10%10)) + string(rune('0'+i%10))
	}
	for i := range n {
		w.core.SetLink(links.Link{Index: 100 + i, Name: name(i), Up: true, HardwareType: 512, PointToPoint: true}, &w.eff)
	}
	w.carryOut()
	for _, i := range []int{0, 1, 2000, n - 1} {
		c := client{100 + i, alice.mac}
		up := w.asks(c, from(c, func(m *message) { m.xid = uint32(i) }))
		w.same("circuit-id", optionOf(up, 82), agent(circuit(name(i))))
		w.delivers(c.link, answer(up, typeOffer, true))
		w.delivers(c.link, answer(up, typeOffer, false))
	}
	for i := range n {
		w.core.RemoveLink(name(i), &w.eff)
	}
	w.carryOut()
	if l := w.core.Links(); len(l) != 4 {
		t.Errorf("%d links are left", len(l))
	}
	if relay4.MaxHopCount != 16 {
		t.Error("RFC 1542 says 16")
	}
}
