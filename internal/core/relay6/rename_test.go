package relay6_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// renames has the kernel give a link another name.
func (w *world) renames(old, name string) {
	l := w.links[old]
	delete(w.links, old)
	l.Name = name
	w.links[name] = l
	w.setLink(name, nil)
}

// A link that is renamed is the same link: route, filter, delegation, counters and
// limits go along, and the store knows.
func TestLinkRenamed(t *testing.T) {
	w := newWorld(t, policy(func(p *delegation.Policy) { p.ClientLimit = 1 }))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.core.Block(delegation.Block{Link: "lan0", Client: binding.DUID(carol.duid)}, &w.eff)
	w.carryOut()
	received := w.counts("lan0").Received
	var routes []string
	w.kernel.Fail = func(o hoststate.Op) error {
		if o.Route != nil {
			routes = append(routes, o.Route.String())
		}
		if o.Remove && o.Element != nil && o.Element.Link == "lan0" && !w.kernel.Allows("lan-a", "2001:db8:100::/56") {
			t.Error("the filter of the old name goes before that of the new one is there")
		}
		return nil
	}
	w.renames("lan0", "lan-a")
	w.kernel.Fail = nil
	if len(routes) > 0 {
		t.Errorf("operations on routes: %q", routes)
	}
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
	for e := range w.kernel.Elements {
		if e.Link == "lan0" {
			t.Errorf("left over: %v", e)
		}
	}
	if !w.kernel.Allows("lan-a", "2001:db8:100::/56") || w.counts("lan-a").Received != received {
		t.Errorf("filter %v, counters %v", w.kernel.Elements, w.counts("lan-a").Received)
	}
	w.wants("lan-a 2001:db8:100::/56 via fe80::a for 10m0s")
	if got := w.core.Blocks(); len(got) != 1 || got[0].Link != "lan-a" {
		t.Errorf("blocks %v", got)
	}
	if got := w.says(alice, message(dhcp6.Request, 1, clientID(alice.duid), iaPD(2))); len(got) != 0 {
		t.Error("the client's limit has not come along")
	}
	w.tick()
	w.restart()
	w.wants("lan-a 2001:db8:100::/56 via fe80::a for 10m0s")
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
	if got := w.core.Blocks(); len(got) != 1 || got[0].Link != "lan-a" {
		t.Errorf("blocks after a restart: %v", got)
	}
}

// A name that no rule matches ends the service, as a reload does that takes the rule
// away; the delegations wait for the rule.
func TestLinkRenamedToWhatNoRuleMatches(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.renames("lan0", "wan7")
	if got, want := w.linkNames(), []string{"lan1=11", "up0=2", "wan7=10"}; !slices.Equal(got, want) {
		t.Errorf("links %q, want %q", got, want)
	}
	if got := w.says(alice, message(dhcp6.Solicit, 1)); len(got) != 0 {
		t.Errorf("a link that no rule matches is served: %+v", got)
	}
	w.wants("wan7 2001:db8:100::/56 via fe80::a for 10m0s")
	w.wantRoutes("2001:db8:100::/56")
	w.renames("wan7", "lan0")
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
}

// A Reply that is under way when the link is renamed arrives, and so does one whose
// change is; what is not kept is taken back.
func TestReplyUnderWayWhenLinkIsRenamed(t *testing.T) {
	for _, fail := range []bool{false, true} {
		w := newWorld(t)
		up := w.says(alice, message(dhcp6.Request, 0xabc, clientID(alice.duid)))
		w.renames("lan0", "lan-a")
		w.slow = true
		if fail {
			w.keepFail = errStoreDown
		}
		down := w.serves(w.answer(up[0].Payload, w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))))
		if len(down) != 0 {
			t.Fatalf("sent before it is kept: %+v", down)
		}
		w.renames("lan-a", "lan-b")
		sent := len(w.sent)
		for len(w.flight) > 0 {
			w.finish(1)
		}
		if fail {
			w.wants()
			w.wantRoutes("2001:db8:100::/56")
			if w.kernel.Allows("lan-b", "2001:db8:100::/56") || w.kernel.Allows("lan-a", "2001:db8:100::/56") {
				t.Error("what was not kept is a good source")
			}
			continue
		}
		if got := w.sent[sent:]; len(got) != 1 || got[0].Link != lan0Index {
			t.Errorf("sent %+v, want the Reply on index %d", got, lan0Index)
		}
		w.wants("lan-b 2001:db8:100::/56 via fe80::a for 10m0s")
		w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
		if !w.kernel.Allows("lan-b", "2001:db8:100::/56") || w.kernel.Allows("lan0", "2001:db8:100::/56") {
			t.Errorf("elements %v", w.kernel.Elements)
		}
	}
}

// Order is kept for a client across a rename, and a probe's result is understood.
func TestProbeUnderWayWhenLinkIsRenamed(t *testing.T) {
	w := newWorld(t, rule(func(l *relay6.LinkRule) { l.Delegations.Move = delegation.MoveProbe }))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	up := w.says(bob, message(dhcp6.Request, 0xabc, clientID(bob.duid)))
	w.serves(w.answer(up[0].Payload, w.reply(bob, iaPD(1, prefix("2001:db8:100::/56", 600)))))
	if len(w.probes) != 1 {
		t.Fatalf("%d probes, want 1", len(w.probes))
	}
	w.renames("lan0", "lan-a")
	w.core.Probed(w.now, w.probes[0].Question, false, &w.eff)
	w.carryOut()
	w.wants("lan-a 2001:db8:100::/56 via fe80::b for 10m0s")
	if len(w.probes) != 1 {
		t.Errorf("probed again: %+v", w.probes)
	}
}

// The interface-id that a link had is understood for a time. If another link has it
// now, the link-address says whose a message is; or nobody's.
func TestFormerInterfaceID(t *testing.T) {
	w := newWorld(t)
	forA := func(link string) []byte {
		return relayed(dhcp6.RelayReply, 0, link, alice.addr, message(dhcp6.Advertise, 1), interfaceID("lan0"))
	}
	delivered := func(payload []byte) string {
		down := w.serves(payload)
		if len(down) == 0 {
			return ""
		}
		return fmt.Sprint(down[0].Link)
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: delivered on %q, want %q", what, got, want)
		}
	}
	w.renames("lan0", "lan-a")
	want("nobody else has it", delivered(forA("2001:db8:1::1")), "10")
	want("without a link-address", delivered(forA("::")), "10")
	w.renames("lan1", "lan0")
	want("another has it, the link-address is the old one's", delivered(forA("2001:db8:1::1")), "10")
	want("another has it, and the link-address, too", delivered(forA("2001:db8:2::1")), "11")
	want("another has it, and no link-address", delivered(forA("::")), "")
	want("another has it, and a foreign link-address", delivered(forA("2001:db8:77::1")), "")
	if got := w.dropped(effect.DropAmbiguousInterfaceID); got != 2 {
		t.Errorf("%d dropped as ambiguous, want 2: %v", got, w.drops)
	}
	w.sleep(time.Hour)
	w.tick()
	want("later", delivered(forA("::")), "11")
	want("lan1 later", delivered(relayed(dhcp6.RelayReply, 0, "::", carol.addr, message(dhcp6.Advertise, 1), interfaceID("lan1"))), "")
	// Who is gone is not spoken to, and who has its old name again has it alone.
	w.renames("lan-a", "lan-b")
	w.renames("lan-b", "lan-a")
	want("by its name", delivered(relayed(dhcp6.RelayReply, 0, "::", alice.addr, message(dhcp6.Advertise, 1), interfaceID("lan-a"))), "10")
	w.removeLink("lan-a")
	want("gone", delivered(relayed(dhcp6.RelayReply, 0, "::", alice.addr, message(dhcp6.Advertise, 1), interfaceID("lan-b"))), "")
}

// Former interface-ids are bounded in number.
func TestManyRenames(t *testing.T) {
	w := newWorld(t)
	name := "lan0"
	for n := range 5000 {
		next := fmt.Sprintf("lan-%d", n)
		w.renames(name, next)
		name = next
	}
	down := func(id string) int {
		return len(w.serves(relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, message(dhcp6.Advertise, 1), interfaceID(id))))
	}
	if down("lan0") != 1 || down("lan-4900") != 0 || down(name) != 1 {
		t.Errorf("first %d, one of too many %d, the name %d", down("lan0"), down("lan-4900"), down(name))
	}
}

// What a link that is gone had left under a name belongs to the link that has it
// now, as when one is made anew; what is in another VRF takes nothing.
func TestLinkRenamedToTheNameOfOneThatIsGone(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.lease(carol, iaPD(1, prefix("2001:db8:300::/56", 600)))
	w.removeLink("lan1")
	w.renames("lan0", "lan1")
	w.wants("lan1 2001:db8:100::/56 via fe80::a for 10m0s", "lan1 2001:db8:300::/56 via fe80::c for 10m0s")
	w.wantRoutes("2001:db8:300::/56", "2001:db8:300::/56 via fe80::c dev 10 table 254 metric 1024")
	w.tick()
	if found := w.kernel.Compare(w.core.Kernel(), &w.eff); len(found) > 0 {
		t.Errorf("the kernel differs: %v", found)
	}

	w = newWorld(t)
	w.setLink("lan1", func(l *links.Link) { l.VRF, l.Table = "red", 100 })
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.lease(carol, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.removeLink("lan1")
	w.renames("lan0", "lan1")
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
	w.tick()
	if found := w.kernel.Compare(w.core.Kernel(), &w.eff); len(found) > 0 {
		t.Errorf("the kernel differs: %v", found)
	}
}

// What a link that is gone had left in another VRF comes along, as when one of that name is
// made anew in this VRF.
func TestLinkRenamedToTheNameOfOneInAnotherVRF(t *testing.T) {
	w := newWorld(t)
	w.setLink("lan1", func(l *links.Link) { l.VRF, l.Table = "red", 100 })
	w.lease(carol, iaPD(1, prefix("2001:db8:300::/56", 600)))
	w.removeLink("lan1")
	w.renames("lan0", "lan1")
	w.wants("lan1 2001:db8:300::/56 via fe80::c for 10m0s")
	w.wantRoutes("2001:db8:300::/56", "2001:db8:300::/56 via fe80::c dev 10 table 254 metric 1024")
	w.wantPasses("lan1", "2001:db8:300::1", true)
}

// A point-to-point link that is renamed while it is up is the same line.
func TestLineIsRenamed(t *testing.T) {
	w := newLine(t)
	w.renames("lan0", "lan-a")
	w.wantRoutes(annas, "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
	if !w.kernel.Allows("lan-a", annas) {
		t.Error("the prefix is no good source under the new name")
	}
	w.tick()
	w.lease(anna, iaPD(1, prefix(annas, 900)))
	w.wants("lan-a 2001:db8:100::/56 via fe80::a for 15m0s")
}
