package relay6_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

func (w *world) linkNames() (names []string) {
	for _, l := range w.core.Links() {
		names = append(names, fmt.Sprintf("%s=%d", l.Name, l.Index))
	}
	return names
}

// A link that appears is served, without a restart.
func TestLinkAppears(t *testing.T) {
	w := newWorld(t)
	late := client{77, alice.duid, alice.addr, alice.mac}
	if got := w.says(late, message(dhcp6.Solicit, 1)); len(got) != 0 || w.dropped(effect.DropUnknownLink) != 1 {
		t.Errorf("on an unknown interface: %+v, drops %v", got, w.drops)
	}
	w.links["lan9"] = links.Link{Index: 77, Name: "lan9", Up: true, Running: true, Table: hoststate.MainTable, Addrs: []netip.Prefix{cidr("fe80::19/64"), cidr("2001:db8:9::1/64")}}
	w.setLink("lan9", nil)
	if got := w.says(late, message(dhcp6.Solicit, 1)); len(got) != 1 || readLayer(t, got[0].Payload).link != addr("2001:db8:9::1") {
		t.Errorf("on lan9: %+v", got)
	}
}

// Two interfaces swap their names, by way of a third name.
func TestLinksSwapNames(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.lease(carol, iaPD(1, prefix("2001:db8:300::/56", 600)))
	w.renames("lan1", "/11")
	w.renames("lan0", "lan1")
	w.renames("/11", "lan0")
	w.tick()
	if got, want := w.linkNames(), []string{"lan0=11", "lan1=10", "up0=2"}; !slices.Equal(got, want) {
		t.Errorf("links %q, want %q", got, want)
	}
	w.wants("lan0 2001:db8:300::/56 via fe80::c for 10m0s", "lan1 2001:db8:100::/56 via fe80::a for 10m0s")
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
	w.wantRoutes("2001:db8:300::/56", "2001:db8:300::/56 via fe80::c dev 11 table 254 metric 1024")
	if !w.kernel.Allows("lan0", "2001:db8:300::/56") || w.kernel.Allows("lan0", "2001:db8:100::/56") {
		t.Errorf("elements %v", w.kernel.Elements)
	}
	for _, c := range []client{alice, carol} { // on indexes 10 and 11
		up := w.says(c, message(dhcp6.Solicit, 1))
		if len(up) != 1 {
			t.Fatalf("on index %d: %d datagrams, want 1", c.link, len(up))
		}
		want := map[int]string{lan0Index: "lan1", lan1Index: "lan0"}[c.link]
		if got := string(readLayer(t, up[0].Payload).option(18)); got != want {
			t.Errorf("on index %d: interface-id %q, want %q", c.link, got, want)
		}
		if down := w.serves(w.answer(up[0].Payload, message(dhcp6.Advertise, 1))); len(down) != 1 || down[0].Link != c.link {
			t.Errorf("answer for index %d: %+v", c.link, down)
		}
	}
}

// A link that vanishes and returns under another index has its counters, its
// delegations and its routes again.
func TestLinkVanishesAndReturns(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	before := w.counts("lan0").Received
	l := w.links["lan0"]
	w.removeLink("lan0")
	w.removeLink("lan0") // to be told twice does no harm
	if got := w.serves(relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, w.reply(alice), interfaceID("lan0"))); len(got) != 0 {
		t.Errorf("sent to a link that is gone: %+v", got)
	}
	l.Index = 42
	w.links["lan0"] = l
	w.setLink("lan0", nil)
	if got := w.counts("lan0").Received; got != before {
		t.Errorf("received %v after the return, want %v", got, before)
	}
	back := alice
	back.link = 42
	w.lease(back, iaPD(1, prefix("2001:db8:100::/56", 900)))
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 42 table 254 metric 1024")
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 15m0s")
}

// Many names that come and go leave nothing behind that grows.
func TestNamesThatComeAndGo(t *testing.T) {
	w := newWorld(t)
	for n := range 10000 {
		name := fmt.Sprintf("lan-%d", n)
		w.core.SetLink(links.Link{Index: 100 + n, Name: name, Up: true, Table: hoststate.MainTable}, &w.eff)
		w.core.RemoveLink(name, &w.eff)
		w.carryOut()
	}
	if got := len(w.core.Links()); got != 3 {
		t.Errorf("%d links, want 3", got)
	}
}

// A link that moves into a VRF, or out of one, takes its delegations along: to
// renew there is to extend, and the route follows.
func TestLinkMovesIntoAVRF(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.setLink("lan0", func(l *links.Link) { l.VRF, l.Table = "red", 100 })
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 100 metric 1024")
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 900)))
	if got := len(w.delegations()); got != 1 {
		t.Errorf("%d delegations, want 1: %q", got, w.delegations())
	}
	w.sleep(12 * time.Minute) // beyond the first lifetime
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 3m0s")
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 100 metric 1024")
	w.restart()
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 3m0s")
	n := 0
	for key := range w.store {
		if letter(key) == 'd' {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d records kept, want 1", n)
	}
	w.sleep(3 * time.Minute)
	w.wants()
	w.wantRoutes("2001:db8:100::/56")
}

// Two VRFs may use the same prefix, and what is reserved in one is not in the
// other.
func TestSamePrefixInTwoVRFs(t *testing.T) {
	w := newWorld(t)
	w.setLink("lan0", func(l *links.Link) { l.VRF, l.Table = "red", 100 })
	for _, c := range []client{alice, carol} {
		w.lease(c, iaPD(1, prefix("2001:db8:100::/56", 600)))
	}
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan1 2001:db8:100::/56 via fe80::c for 10m0s")
	w.wantRoutes("2001:db8:100::/56",
		"2001:db8:100::/56 via fe80::a dev 10 table 100 metric 1024", "2001:db8:100::/56 via fe80::c dev 11 table 254 metric 1024")
	w.lease(alice, iaPD(2, prefix("2001:db8:2::/64", 600))) // lan1's own, in the other VRF
	w.restart()
	if got := len(w.delegations()); got != 3 {
		t.Errorf("%d delegations after a restart, want 3: %q", got, w.delegations())
	}
	// The other's VRF is taken when lan0 leaves its own: nothing is lost, and
	// nothing is taken from the other.
	w.kernel.Fail = func(o hoststate.Op) error {
		if o.Route != nil && o.Route.Table == hoststate.MainTable && o.Route.Prefix == cidr("2001:db8:100::/56") && (o.Remove || o.Route.Link != lan1Index) {
			t.Errorf("operation on the other's route: %v", o.Route)
		}
		return nil
	}
	others := "2001:db8:100::/56 via fe80::c dev 11 table 254 metric 1024"
	w.setLink("lan0", func(l *links.Link) { l.VRF, l.Table = "", hoststate.MainTable })
	if got := len(w.delegations()); got != 3 {
		t.Errorf("%d delegations after lan0 left its VRF, want 3: %q", got, w.delegations())
	}
	w.wantRoutes("2001:db8:100::/56", others)
	if w.kernel.Allows("lan0", "2001:db8:100::/56") {
		t.Error("what is another's is a good source on lan0")
	}
	w.restart()
	w.wantRoutes("2001:db8:100::/56", others)
	w.setLink("lan0", func(l *links.Link) { l.VRF, l.Table = "red", 100 })
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 100 metric 1024", others)
	if !w.kernel.Allows("lan0", "2001:db8:100::/56") {
		t.Error("what is delegated is no good source on lan0 after its return")
	}
	// The same by way of a link that is made anew outside its VRF.
	w.removeLink("lan0")
	w.links["lan0"] = links.Link{Index: 12, Name: "lan0", Up: true, Running: true, MTU: 1500, HardwareType: 1, Table: hoststate.MainTable}
	w.setLink("lan0", nil)
	w.wantRoutes("2001:db8:100::/56", others)
	w.setLink("lan0", func(l *links.Link) { l.VRF, l.Table = "red", 100 })
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 12 table 100 metric 1024", others)
}

// A glob may match devices that nobody is behind; they do not face clients.
func TestHollowDevicesNeverFaceClients(t *testing.T) {
	w := newWorld(t, rule(func(l *relay6.LinkRule) { l.Match = []string{"*"} }))
	for name, l := range map[string]links.Link{
		"lo":  {Index: 1, Name: "lo", Up: true, HardwareType: 772, Table: hoststate.MainTable},
		"red": {Index: 20, Name: "red", Up: true, HardwareType: 1, VRF: "red", Table: 100},
	} {
		w.links[name] = l
		w.setLink(name, nil)
		if w.core.Rule(name) != nil || w.kernel.Elements[hoststate.Element{Set: hoststate.Checked, Link: name}] {
			t.Errorf("%s faces clients", name)
		}
	}
	if w.core.Rule("lan0") == nil {
		t.Error("lan0 does not face clients")
	}
}

// An unnumbered link uses the address that it borrows, as it comes and goes.
func TestBorrowedLinkAddress(t *testing.T) {
	w := newWorld(t, rule(func(r *relay6.LinkRule) { r.Borrow = "up0" }))
	w.anew("lan0", func(l *links.Link) { l.Addrs = l.Addrs[:1] })
	link := func() netip.Addr { return readLayer(t, w.says(alice, message(dhcp6.Solicit, 1))[0].Payload).link }
	if got := link(); got != addr(localAddr) {
		t.Errorf("link-address %v, want up0's %s", got, localAddr)
	}
	w.setLink("up0", func(l *links.Link) { l.Addrs = []netip.Prefix{cidr("2001:db8:ffff::77/64")} })
	if got := link(); got != addr("2001:db8:ffff::77") {
		t.Errorf("link-address %v, want up0's new one", got)
	}
	w.setLink("up0", func(l *links.Link) { l.Addrs = nil })
	w.sleep(2 * time.Hour) // for an hour it would stand for the lost one
	if got := link(); got != addr("fe80::10") {
		t.Errorf("link-address %v, want the last resort fe80::10", got)
	}
}

// An interface on which a server is heard never faces clients.
func TestUplinkNeverFacesClients(t *testing.T) {
	w := newWorld(t, rule(func(r *relay6.LinkRule) { r.Match = []string{"*"} }))
	stray := client{link: upIndex, addr: "fe80::a"}
	if got := w.says(stray, message(dhcp6.Solicit, 1)); len(got) != 0 || w.dropped(effect.DropNotClientLink) != 1 {
		t.Errorf("a client on the uplink: %+v, drops %v", got, w.drops)
	}
	if w.core.Rule("up0") != nil || w.core.Rule("lan0") == nil {
		t.Error("up0 faces clients, or lan0 does not")
	}
	// Nor is a client's message delivered there.
	if got := w.serves(relayed(dhcp6.RelayReply, 0, "::", "fe80::a", w.reply(alice), interfaceID("up0"))); len(got) != 0 {
		t.Errorf("a client's message was sent up the uplink: %+v", got)
	}
}

// A new configuration holds from then on; delegations stay.
func TestReconfigure(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.lease(carol, iaPD(1, prefix("2001:db8:300::/56", 600)))
	cfg := baseConfig()
	cfg.Links[0].Match = []string{"lan0"}
	cfg.Links[0].Host.Metric = 50
	cfg.Links[0].InterfaceID = template("x-{interface}")
	cfg.Peers = []trust.Peer{server("other", "2001:db8:ffff::9")}
	cfg.Aggregates = []hoststate.Aggregate{{Prefix: cidr("2001:db8::/32")}}
	w.cfg = cfg
	w.core.Reconfigure(cfg, &w.eff)
	w.carryOut()
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan1 2001:db8:300::/56 via fe80::c for 10m0s")
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 50")
	w.wantRoutes("2001:db8:300::/56") // lan1 no longer faces clients
	w.wantRoutes("2001:db8::/32", "unreachable 2001:db8::/32 table 254 metric 4096")
	up := w.says(alice, message(dhcp6.Solicit, 1))
	if len(up) != 1 || up[0].Dest.Addr() != addr("2001:db8:ffff::9") || string(readLayer(t, up[0].Payload).option(18)) != "x-lan0" {
		t.Errorf("Solicit: %+v", up)
	}
	if got := w.serves(w.answer(up[0].Payload, w.reply(alice))); len(got) != 0 || w.dropped(effect.DropUntrustedServer) != 1 {
		t.Errorf("a server that is no longer configured was believed: %+v", got)
	}
	if got := w.says(carol, message(dhcp6.Solicit, 1)); len(got) != 0 {
		t.Errorf("lan1 is still served: %+v", got)
	}
	old := baseConfig()
	w.cfg = old
	w.core.Reconfigure(old, &w.eff)
	w.carryOut()
	w.wantRoutes("2001:db8:300::/56", "2001:db8:300::/56 via fe80::c dev 11 table 254 metric 1024")
	w.wantRoutes("2001:db8::/32")
}

// A link that was gone at the restart keeps its delegations, behind stand-ins,
// until it comes.
func TestRestartWithoutTheLink(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	l := w.links["lan0"]
	delete(w.links, "lan0")
	w.reboot(w.now.Wall.Add(time.Minute), true)
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 9m0s")
	w.wantRoutes("2001:db8:100::/56", "unreachable 2001:db8:100::/56 table 254 metric 1024")
	l.Index = 55
	w.links["lan0"] = l
	w.setLink("lan0", nil)
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 55 table 254 metric 1024")
}

// What another did to our routes is mended at the next look, and reported.
func TestComparisonMends(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	clear(w.kernel.Routes)
	found := w.kernel.Compare(w.core.Kernel(), &w.eff)
	w.carryOut()
	if len(found) != 1 || found[0].Kind != hoststate.Missing {
		t.Errorf("found %v, want one missing route", found)
	}
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
}
