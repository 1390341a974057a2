package relay6_test

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// exclude is a Prefix Exclude option.
func exclude(delegated, excluded string) option {
	return func(b []byte) []byte { return dhcp6.AppendPDExclude(b, cidr(delegated), cidr(excluded)) }
}

// passes reports what the filter makes of a source on a link: the longest prefix that
// it is in allows it.
func (w *world) passes(link, source string) (ok bool) {
	longest := -1
	for e := range w.kernel.Elements {
		if e.Link != link || !e.Prefix.IsValid() || !e.Prefix.Contains(addr(source)) || e.Prefix.Bits() < longest {
			continue
		}
		allows := e.Set == hoststate.SourceLink || e.Set == hoststate.SourceStrict
		if allows || e.Set == hoststate.SourceCovered {
			ok = allows || ok && e.Prefix.Bits() == longest
			longest = e.Prefix.Bits()
		}
	}
	return ok
}

func (w *world) wantPasses(link, source string, want bool) {
	w.Helper()
	if got := w.passes(link, source); got != want {
		w.Errorf("%s as a source on %s: passes %v, want %v", source, link, got, want)
	}
}

// Section 4: a delegation may contain the prefix of the link that it is delegated
// on, if the server excludes that from it. What is excluded is not the client's:
// its addresses are sources on their link as before, and a route stands for them
// when the interface is down. All that lasts as long as the delegation, and is
// there again after a restart and after a reboot.
func TestRFC6603_4_DelegationAroundItsOwnLink(t *testing.T) {
	w := newWorld(t)
	w.on("lan0", "fe80::10/64", "2001:db8:100:ff::1/64")
	w.on("lan1", "fe80::11/64", "2001:db8:2::1/64")
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 7200, exclude("2001:db8:100::/56", "2001:db8:100:ff::/64"))))
	holds := func(when string) {
		t.Helper()
		w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
		w.wantRoutes("2001:db8:100:ff::/64", "unreachable 2001:db8:100:ff::/64 table 254 metric 4294967295")
		w.wantPasses("lan0", "2001:db8:100:1::9", true)
		w.wantPasses("lan0", "2001:db8:100:ff::9", true)
		w.wantPasses("lan1", "2001:db8:100:ff::9", false)
		if t.Failed() {
			t.Fatalf("%s: %q", when, w.noted(effect.NoteDelegation))
		}
	}
	holds("granted")
	w.exchange(alice, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 7200, exclude("2001:db8:100::/56", "2001:db8:100:ff::/64"))))
	holds("renewed")
	w.restart()
	holds("restarted")
	w.reboot(w.now.Wall.Add(time.Minute), true)
	holds("rebooted")

	// The interface goes down, and its address with it.
	w.setLink("lan0", func(l *links.Link) { l.Up, l.Addrs = false, nil })
	w.wantRoutes("2001:db8:100:ff::/64", "unreachable 2001:db8:100:ff::/64 table 254 metric 4294967295")
	w.setLink("lan0", func(l *links.Link) { l.Up, l.Addrs = true, cidrs("fe80::10/64") })
	w.wantRoutes("2001:db8:100:ff::/64", "unreachable 2001:db8:100:ff::/64 table 254 metric 4294967295")
	w.wantPasses("lan0", "2001:db8:100:ff::9", false) // it is not the client's, and not on the link
	w.on("lan0", "fe80::10/64", "2001:db8:100:ff::1/64")
	holds("up again")

	// The server excludes it no more: then the prefix may not be delegated.
	w.exchange(alice, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 7200)))
	if got := w.noted(effect.NoteDelegation); !slices.Contains(got, "not-delegable") {
		t.Errorf("refusals %q, want not-delegable", got)
	}
	w.exchange(alice, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 0)))
	w.wants()
	w.wantRoutes("2001:db8:100:ff::/64")
	w.wantPasses("lan0", "2001:db8:100:ff::9", true)
	for e := range w.kernel.Elements {
		if e.Set == hoststate.SourceCovered || e.Set == hoststate.LoopExempt {
			t.Errorf("left behind: %v", e)
		}
	}
}

// RFC 6603 section 4.2: "The OPTION_PD_EXCLUDE option MUST only be included in the
// OPTION_IAPREFIX IAprefix-options field." Elsewhere it excludes nothing.
func TestRFC6603_4_2c_OnlyInAnIAPrefix(t *testing.T) {
	const p = "2001:db8:100::/56"
	out := exclude(p, "2001:db8:100:ff::/64")
	for name, options := range map[string][]option{
		"beside the IA_PD":        {iaPD(1, prefix(p, 7200)), out},
		"in the IA_PD":            {iaPD(1, prefix(p, 7200), out)},
		"in the IAPREFIX, for it": {iaPD(1, prefix(p, 7200, out))},
	} {
		w := newWorld(t)
		w.lease(alice, options...)
		w.wantPasses("lan0", "2001:db8:100:ff::9", name != "in the IAPREFIX, for it")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// RFC 6603 section 4.2: "Any prefix excluded from the delegated prefix MUST be contained
// in OPTION_PD_EXCLUDE options within the corresponding OPTION_IAPREFIX." What another
// delegation excludes, of this client or another, does not make room in this one.
func TestRFC6603_4_2d_InTheCorrespondingIAPrefix(t *testing.T) {
	const p, other = "2001:db8:100::/56", "2001:db8:200::/56"
	w := newWorld(t)
	w.on("lan0", "fe80::10/64", "2001:db8:100:ff::1/64")
	w.exchange(alice, dhcp6.Request, iaPD(1, prefix(p, 7200), prefix(other, 7200, exclude(other, "2001:db8:200:ff::/64"))))
	w.wants("lan0 " + other + " via fe80::a for 2h0m0s")
	if got := w.noted(effect.NoteDelegation); !slices.Equal(got, []string{"not-delegable"}) {
		t.Errorf("refusals %q, want not-delegable", got)
	}
}

// RFC 6603 section 4.2: the excluded prefix is longer than the delegated one, and so a
// part of it. An option that says anything else is passed over, and the prefix is
// delegated whole.
func TestRFC6603_4_2f_PartOfTheDelegatedPrefix(t *testing.T) {
	const p = "2001:db8:100::/56"
	for name, payload := range map[string][]byte{
		"as long":          {56, 0},
		"shorter":          {48, 1},
		"the rest is gone": {64},
		"too much":         {64, 0xff, 0xff},
	} {
		w := newWorld(t)
		w.lease(alice, iaPD(1, prefix(p, 7200, raw(dhcp6.OptionPDExclude, payload...))))
		w.wants("lan0 " + p + " via fe80::a for 2h0m0s")
		w.wantPasses("lan0", "2001:db8:100:ff::9", true)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// RFC 6603 section 6.1: a Release has the excluded prefix with the prefix that is
// released. It ends both; also where it names an excluded prefix that it must not name.
func TestRFC6603_6_1a_ReleaseEndsBoth(t *testing.T) {
	const p, out = "2001:db8:100::/56", "2001:db8:100:ff::/64"
	for name, inner := range map[string][]option{
		"the same": {exclude(p, out)},
		"none":     nil,
		"another":  {exclude(p, "2001:db8:100:f0::/64")},
	} {
		w := newWorld(t)
		w.lease(alice, iaPD(1, prefix(p, 7200, exclude(p, out))))
		w.says(alice, message(dhcp6.Release, 0xabd, clientID(alice.duid), iaPD(1, prefix(p, 0, inner...))))
		w.wants()
		w.wantRoutes(p)
		w.wantRoutes(out)
		w.wantPasses("lan0", "2001:db8:100:1::9", false)
		for e := range w.kernel.Elements {
			if e.Set == hoststate.SourceCovered || e.Set == hoststate.LoopExempt {
				t.Errorf("%s: left behind: %v", name, e)
			}
		}
	}
}

// An exclusion that comes with a renewal is taken in.
func TestRFC6603_6_ExclusionComesLater(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 7200)))
	w.wantPasses("lan0", "2001:db8:100:ff::9", true)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 7200, exclude("2001:db8:100::/56", "2001:db8:100:ff::/64"))))
	w.wantPasses("lan0", "2001:db8:100:ff::9", false)
	w.restart()
	w.wantPasses("lan0", "2001:db8:100:ff::9", false)
	w.wantPasses("lan0", "2001:db8:100:fe::9", true)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 7200)))
	w.wantPasses("lan0", "2001:db8:100:ff::9", true)
}

// What a delegation may cover, and what it may not; a refusal says what is in the
// way.
func TestDelegationsThatCoverPrefixes(t *testing.T) {
	ranges := []trust.Range{{Prefix: cidr("2001:db8::/32"), Min: 40, Max: 64}}
	byPeer := func(c *relay6.Config) { c.Peers[0].Delegable = ranges }
	byLink := policy(func(p *delegation.Policy) { p.Delegable = ranges })
	far := func(c *relay6.Config) { c.Peers[0] = server("srv", "2001:db8:e00::1") }
	infrastructure := func(c *relay6.Config) {
		byPeer(c)
		c.Infrastructure = []netip.Prefix{cidr("2001:db8:100:ee::/64")}
	}
	open := func(*relay6.Config) {}
	const p = "2001:db8:100::/56"
	for _, tc := range []struct {
		name    string
		change  func(*relay6.Config)
		link    string // that has the address
		address string
		exclude string
		refused string // empty: it is granted
	}{
		{"own link, excluded", open, "lan0", "2001:db8:100:ff::1/64", "2001:db8:100:ff::/64", ""},
		{"own link, in what is excluded", open, "lan0", "2001:db8:100:ff::1/64", "2001:db8:100:f0::/60", ""},
		{"own link, full length", open, "lan0", "2001:db8:100:ff::1/128", "2001:db8:100:ff::/64", ""},
		{"own link, not excluded", byPeer, "lan0", "2001:db8:100:ff::1/64", "", "covers 2001:db8:100:ff::/64 of lan0"},
		{"own link, another excluded", open, "lan0", "2001:db8:100:ff::1/64", "2001:db8:100:fe::/64", "covers 2001:db8:100:ff::/64 of lan0"},
		{"own link, a part excluded", open, "lan0", "2001:db8:100:ff::1/64", "2001:db8:100:ff::/65", "covers 2001:db8:100:ff::/64 of lan0"},
		{"other link", open, "lan1", "2001:db8:100:ff::1/64", "", "covers 2001:db8:100:ff::/64 of lan1"},
		{"other link, excluded", open, "lan1", "2001:db8:100:ff::1/64", "2001:db8:100:ff::/64", "covers 2001:db8:100:ff::/64 of lan1"},
		{"other link, delegable of the peer", byPeer, "lan1", "2001:db8:100:ff::1/64", "", ""},
		{"other link, delegable on the link", byLink, "lan1", "2001:db8:100:ff::1/64", "", ""},
		{"uplink", byPeer, "up0", "2001:db8:100:ff::1/64", "", "covers 2001:db8:100:ff::/64 of up0"},
		{"management, excluded", byPeer, "mgmt", "2001:db8:100:ff::1/64", "2001:db8:100:ff::/64", "covers 2001:db8:100:ff::/64 of mgmt"},
		{"equal", byPeer, "lan1", "2001:db8:100::1/56", "", "equals 2001:db8:100::/56 of lan1"},
		{"inside", byPeer, "lan1", "2001:db8:100::1/48", "", "inside 2001:db8:100::/48 of lan1"},
		{"loopback, which is not on its prefix", byPeer, "lo", "2001:db8:fff::1/32", "", ""},
		{"loopback's address", byPeer, "lo", "2001:db8:100:ff::1/32", "", "covers 2001:db8:100:ff::1/128 of lo"},
		{"dummy, which is not on its prefix", byPeer, "dummy0", "2001:db8:fff::1/32", "", ""},
		{"dummy's address", byPeer, "dummy0", "2001:db8:100:ff::1/32", "", "covers 2001:db8:100:ff::1/128 of dummy0"},
		{"infrastructure", infrastructure, "lan1", "2001:db8:7::1/64", "", "covers 2001:db8:100:ee::/64 of the infrastructure"},
		{"peer", func(c *relay6.Config) { c.Peers[0] = server("srv", "2001:db8:100:e::1") }, "lan1", "2001:db8:7::1/64", "", "covers 2001:db8:100:e::1/128 of a peer, or of ours towards it"},
		{"nothing", far, "lan1", "2001:db8:7::1/64", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.change)
			forwarded := w.says(alice, message(dhcp6.Request, 0xabc, clientID(alice.duid)))
			if _, known := w.links[tc.link]; !known {
				l := links.Link{Index: 99, Name: tc.link, Up: true, HardwareType: 1, Table: hoststate.MainTable, Dummy: tc.link == "dummy0"}
				if tc.link == "lo" {
					l.HardwareType = 772
				}
				w.links[tc.link] = l
			}
			w.setLink(tc.link, func(l *links.Link) { l.Addrs = cidrs("fe80::99/64", tc.address) })
			inner := []option{}
			if tc.exclude != "" {
				inner = append(inner, exclude(p, tc.exclude))
			}
			reply := w.answer(forwarded[0].Payload, w.reply(alice, iaPD(1, prefix(p, 600, inner...))))
			w.packet(inbound.Packet{Link: upIndex, Source: netip.AddrPortFrom(w.cfg.Peers[0].Address, 547), Dest: addr(localAddr), Payload: reply})
			var details []string
			for _, n := range w.notes {
				if n.Kind == effect.NoteDelegation && n.Event.Kind == binding.Refused {
					details = append(details, n.Reason+": "+n.Event.Detail)
				}
			}
			got := strings.Join(details, "; ")
			want := ""
			if tc.refused != "" {
				want = "not-delegable: " + tc.refused
			}
			if got != want || len(w.delegations()) == 1 != (want == "") {
				t.Errorf("refused %q, want %q; delegations %q", got, want, w.delegations())
			}
		})
	}
}

// A delegation on one link that covers the prefix of another with clients: the
// addresses of that prefix are sources there, and nowhere else; while its interface
// is down a route stands for it.
func TestDelegationAroundAnotherLink(t *testing.T) {
	w := newWorld(t, func(c *relay6.Config) {
		c.Peers[0].Delegable = []trust.Range{{Prefix: cidr("2001:db8::/32"), Min: 40, Max: 64}}
	})
	w.on("lan1", "fe80::11/64", "2001:db8:100:ff::1/64")
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 1<<20)))
	check := func(when string) {
		t.Helper()
		w.wantRoutes("2001:db8:100:ff::/64", "unreachable 2001:db8:100:ff::/64 table 254 metric 4294967295")
		w.wantPasses("lan0", "2001:db8:100:ff::9", false)
		w.wantPasses("lan0", "2001:db8:100:fe::9", true)
		if t.Failed() {
			t.Fatal(when)
		}
	}
	check("granted")
	w.wantPasses("lan1", "2001:db8:100:ff::9", true)
	w.setLink("lan1", func(l *links.Link) { l.Up, l.Addrs = false, nil })
	check("down")
	w.setLink("lan1", func(l *links.Link) { l.Up, l.Addrs = true, cidrs("fe80::11/64") })
	check("up, without its address yet")
	w.on("lan1", "fe80::11/64", "2001:db8:100:ff::1/64")
	check("up again")
	w.restart()
	check("restarted")
	// Once the link has another prefix for good, the whole is the client's.
	w.on("lan1", "fe80::11/64", "2001:db8:7::1/64")
	w.wantRoutes("2001:db8:100:ff::/64")
	w.wantPasses("lan0", "2001:db8:100:ff::9", true)
	// A prefix that comes to a link after the delegation is treated no differently.
	w.on("lan1", "fe80::11/64", "2001:db8:7::1/64", "2001:db8:100:ff::1/64")
	check("there again")
	// So is the removal of the interface: its prefix is not the client's at once.
	w.removeLink("lan1")
	check("removed")
}

// Where the routes of delegations are in another table than that of the link, what is
// for a prefix of an interface is to be found in the latter: the one throws it back. What
// is excluded and no interface's may be another client's, with a route in the former.
func TestCoveredWithATableOfRoutes(t *testing.T) {
	const p, own, out = "2001:db8:100::/56", "2001:db8:100:ff::/64", "2001:db8:100:f0::/60"
	for table, want := range map[uint32][][]string{
		0:   {{"unreachable " + own + " table 10"}, {"unreachable " + out + " table 10"}},
		10:  {{"unreachable " + own + " table 10"}, {"unreachable " + out + " table 10"}},
		100: {{"throw " + own + " table 100", "unreachable " + own + " table 10"}, {"unreachable " + out + " table 100"}},
	} {
		w := newWorld(t, func(c *relay6.Config) { c.Links[0].Host.Table = table })
		inBlue := func(l *links.Link) { l.VRF, l.Table = "blue", 10 }
		w.setLink("up0", inBlue)
		w.setLink("lan0", inBlue)
		w.on("lan0", "fe80::10/64", "2001:db8:100:ff::1/64")
		w.lease(alice, iaPD(1, prefix(p, 7200, exclude(p, out))))
		check := func(when string) {
			t.Helper()
			for i, of := range []string{own, out} {
				var routes []string
				for _, r := range want[i] {
					routes = append(routes, r+" metric 4294967295")
				}
				w.wantRoutes(of, routes...)
			}
			if t.Failed() {
				t.Fatalf("table %d, %s", table, when)
			}
		}
		check("granted")
		w.restart()
		check("restarted")
		w.setLink("lan0", func(l *links.Link) { l.Up, l.Addrs = false, nil })
		check("down")
		w.onLan0up()
		w.sleep(61 * time.Minute)
		want[0] = nil
		check("the prefix is the link's no more")
		w.exchange(alice, dhcp6.Renew, iaPD(1, prefix(p, 0)))
		want[1] = nil
		check("ended")
	}
}

func (w *world) onLan0up() {
	w.setLink("lan0", func(l *links.Link) { l.Up, l.Addrs = true, cidrs("fe80::10/64") })
}

// panics is the core gone and another in its place: what is kept is read anew, the
// kernel is as it was.
func (w *world) panics() {
	old := w.core
	w.tick()
	w.core = relay6.New(w.cfg, w.bootID)
	w.core.Succeed(old)
	for key, value := range w.store {
		if link, p, err := relay6.ParseLinkRecord([]byte(key), value); err == nil {
			w.core.RestoreLink(link, p)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.links)) {
		w.core.SetLink(w.links[name], &w.eff)
	}
	records, blocks, lastWall := w.kept()
	w.core.Restore(w.now, slices.Values(records), blocks, lastWall, &w.eff)
	w.carryOut()
	w.kernel.Compare(w.core.Kernel(), &w.eff)
	w.carryOut()
}

// A grant that could not be kept leaves nothing of what it covered behind.
func TestExclusionThatWasNotKept(t *testing.T) {
	w := newWorld(t)
	w.keepFail = errStoreDown
	w.exchange(alice, dhcp6.Request, iaPD(1, prefix("2001:db8:100::/56", 7200, exclude("2001:db8:100::/56", "2001:db8:100:ff::/64"))))
	w.wants()
	w.wantRoutes("2001:db8:100:ff::/64")
	for e := range w.kernel.Elements {
		if e.Set == hoststate.SourceCovered {
			t.Errorf("left behind: %v", e)
		}
	}
}

// A Reply that shortens a lifetime and changes what is excluded does both; and an end
// that waits until it is told leaves nothing behind where the prefix is granted anew.
func TestExclusionAmongOtherChanges(t *testing.T) {
	const p, one, two = "2001:db8:100::/56", "2001:db8:100:f0::/64", "2001:db8:100:f1::/64"
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix(p, 7200, exclude(p, one))))
	w.lease(alice, iaPD(1, prefix(p, 600, exclude(p, two))))
	w.wantPasses("lan0", "2001:db8:100:f0::9", true)
	w.wantPasses("lan0", "2001:db8:100:f1::9", false)
	w.wantRoutes(one)
	w.wantRoutes(two, "unreachable "+two+" table 254 metric 4294967295")

	w.slow = true
	w.exchange(alice, dhcp6.Renew, iaPD(1, prefix(p, 0)))
	w.exchange(alice, dhcp6.Request, iaPD(1, prefix(p, 600)))
	for len(w.flight) > 0 {
		w.finish(1)
	}
	w.slow = false
	w.wants("lan0 " + p + " via fe80::a for 10m0s")
	w.wantPasses("lan0", "2001:db8:100:f1::9", true)
	w.wantRoutes(two)
}

// What is excluded from a client's prefix is not the client's: the server may give it
// to another, and take it in again when nobody has it.
func TestExcludedIsFreeForOthers(t *testing.T) {
	const p, out = "2001:db8:100::/56", "2001:db8:100:f0::/64"
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix(p, 7200, exclude(p, out))))
	w.lease(bob, iaPD(1, prefix(out, 7200)))
	w.wantPasses("lan0", "2001:db8:100:f0::9", true)
	if got := len(w.delegations()); got != 2 {
		t.Fatalf("delegations %q", w.delegations())
	}
	w.exchange(alice, dhcp6.Renew, iaPD(1, prefix(p, 7200)))
	if got := w.noted(effect.NoteDelegation); !slices.Contains(got, "overlap") {
		t.Errorf("refusals %q, want overlap", got)
	}
	w.wantRoutes(out, out+" via fe80::b dev 10 table 254 metric 1024", "unreachable "+out+" table 254 metric 4294967295")
}

// A client who was given what is excluded from another's prefix has its traffic,
// whatever the metric of delegations is: of two routes the lower metric wins, and with
// the highest there is one route.
func TestExcludedIsRoutedToItsClient(t *testing.T) {
	const p, out = "2001:db8:100::/56", "2001:db8:100:f0::/64"
	for metric, want := range map[uint32][]string{
		8700:      {out + " via fe80::b dev 10 table 254 metric 8700", "unreachable " + out + " table 254 metric 4294967295"},
		1<<32 - 2: {out + " via fe80::b dev 10 table 254 metric 4294967294", "unreachable " + out + " table 254 metric 4294967295"},
		1<<32 - 1: {out + " via fe80::b dev 10 table 254 metric 4294967295"},
	} {
		w := newWorld(t, func(c *relay6.Config) { c.Links[0].Host.Metric = metric })
		w.lease(alice, iaPD(1, prefix(p, 7200, exclude(p, out))))
		w.lease(bob, iaPD(1, prefix(out, 7200)))
		w.wantRoutes(out, want...)
		w.restart()
		w.wantRoutes(out, want...)
		w.exchange(bob, dhcp6.Renew, iaPD(1, prefix(out, 0)))
		w.wantRoutes(out, "unreachable "+out+" table 254 metric 4294967295")
	}
}

// A link that is renamed takes along what its delegations cover.
func TestCoveringLinkIsRenamed(t *testing.T) {
	const p = "2001:db8:100::/56"
	w := newWorld(t)
	w.on("lan0", "fe80::10/64", "2001:db8:100:ff::1/64")
	w.lease(alice, iaPD(1, prefix(p, 7200, exclude(p, "2001:db8:100:f0::/60"))))
	w.renames("lan0", "lan-a")
	check := func(when string) {
		t.Helper()
		w.wantPasses("lan-a", "2001:db8:100:1::9", true)
		w.wantPasses("lan-a", "2001:db8:100:f1::9", false)
		w.wantPasses("lan-a", "2001:db8:100:ff::9", true)
		w.wantRoutes("2001:db8:100:f0::/60", "unreachable 2001:db8:100:f0::/60 table 254 metric 4294967295")
		w.wantRoutes("2001:db8:100:ff::/64", "unreachable 2001:db8:100:ff::/64 table 254 metric 4294967295")
		if t.Failed() {
			t.Fatal(when)
		}
	}
	check("renamed")
	w.exchange(alice, dhcp6.Renew, iaPD(1, prefix(p, 7200, exclude(p, "2001:db8:100:f8::/61"))))
	w.wantPasses("lan-a", "2001:db8:100:f1::9", true)
	w.wantPasses("lan-a", "2001:db8:100:f9::9", false)
	w.exchange(alice, dhcp6.Renew, iaPD(1, prefix(p, 7200, exclude(p, "2001:db8:100:f0::/60"))))
	check("renewed")
	w.exchange(alice, dhcp6.Renew, iaPD(1, prefix(p, 0)))
	w.wants()
	w.wantRoutes("2001:db8:100:f0::/60")
	w.wantRoutes("2001:db8:100:ff::/64")
	for e := range w.kernel.Elements {
		if e.Set == hoststate.SourceCovered || e.Link == "lan0" {
			t.Errorf("left behind: %v", e)
		}
	}
}
