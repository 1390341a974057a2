package server6_test

import (
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// What the server delegates on a link of this machine has its route and its part of the filter by the
// same code as what the DHCPv6 relay learns (core/ledger, core/hoststate). These tests show that the
// server connects it all.

// router has this machine route for the clients on its links.
func router(c *server6.Config) {
	c.Links[0].Router = true
	c.Links[0].Match = []string{"lan*", "new*"}
	c.Links[0].Host = hoststate.Policy{Filter: hoststate.FilterLink, Loop: hoststate.LoopDrop, Metric: 1024}
}

// delegated is a prefix of 56 bits that a client gets.
func (w *world) delegated(c client) string {
	w.Helper()
	return w.obtains(c, iaPD(1)).only().String()
}

// wantWay checks the one route of a prefix, and whether hosts on lan0 may use it; "": there is none.
func (w *world) wantWay(when, p, way string, permitted bool) {
	w.Helper()
	want := []string{way}
	if way == "" {
		want = nil
	}
	if got := w.kernel.RoutesOf(p); !slices.Equal(got, want) {
		w.Errorf("%s: %s has the routes %q, want %q", when, p, got, want)
	}
	if got := w.kernel.Allows("lan0", p); got != permitted {
		w.Errorf("%s: %s is permitted as source on lan0: %v, want %v", when, p, got, permitted)
	}
}

// to is the route of a prefix to a client, and nowhere its stand-in.
func to(c client, p string) string {
	return hoststate.Route{Table: hoststate.MainTable, Prefix: cidr(p), Metric: 1024, Link: c.link, Gateway: addr(c.addr)}.String()
}

func nowhere(p string) string {
	return hoststate.Route{Table: hoststate.MainTable, Prefix: cidr(p), Metric: 1024}.String()
}

// A prefix has its route and its filter element from the grant to the end, also after a restart, while
// its link is down or gone, and under another name of the link.
func TestRouteOfAPrefix(t *testing.T) {
	w := newWorld(t, router)
	p := w.delegated(alice)
	w.wantWay("granted", p, to(alice, p), true)
	w.restart()
	w.wantWay("restarted", p, to(alice, p), true)
	w.reboot(w.now.Wall.Add(time.Minute), true)
	w.wantWay("rebooted", p, to(alice, p), true)
	w.setLink("lan0", func(l *links.Link) { l.Up = false })
	w.wantWay("down", p, nowhere(p), true)
	w.setLink("lan0", func(l *links.Link) { l.Up = true })
	w.wantWay("up again", p, to(alice, p), true)
	l := w.links["lan0"]
	w.removeLink("lan0")
	w.wantWay("gone", p, nowhere(p), true)
	w.links["lan0"] = l
	w.tellLink("lan0")
	w.carryOut()
	w.wantWay("there again", p, to(alice, p), true)
	w.setLink("lan0", func(l *links.Link) { l.Name = "new0" })
	w.wantWay("renamed", p, to(alice, p), false)
	if !w.kernel.Allows("new0", p) {
		t.Error("the prefix is not permitted on the link's new name")
	}
	w.clears(delegation.Selection{All: true})
	w.wantWay("cleared", p, "", false)
}

// A lease of a client behind a relay agent is nothing to the kernel of this machine, and neither is one
// where another machine routes.
func TestNoRouteForOthers(t *testing.T) {
	w := newWorld(t, router)
	p := w.obtainsBy(through("2001:db8:8::1"), bob, iaPD(1)).only().String()
	w.wantWay("behind a relay agent", p, "", false)
	p = w.delegated(alice)
	w.reconfigure()
	w.wantWay("another machine routes", p, "", false)
	w.reconfigure(router)
	w.wantWay("this machine routes again", p, to(alice, p), true)
}

// On a point-to-point link the next line of the same name may be another customer's: the route stays away
// until the client has renewed the prefix there (RFC 8987 R-3).
func TestRouteOnAPointToPointLink(t *testing.T) {
	w := newWorld(t, router)
	w.setLink("lan0", func(l *links.Link) { l.PointToPoint = true })
	got := w.obtains(alice, iaPD(1))
	p := got.only().String()
	w.wantWay("granted", p, to(alice, p), true)
	l := w.links["lan0"]
	w.removeLink("lan0")
	w.links["lan0"] = l
	w.setLink("lan0", func(l *links.Link) { l.Index = lan0Index + 100 })
	w.wantWay("another line", p, nowhere(p), false)
	b := slices.Collect(w.core.Leases)[0]
	if !w.core.Unproved(&b) || w.core.Kernel().Counts().Unproved != 1 {
		t.Errorf("on another line: unproved %v, %+v", w.core.Unproved(&b), w.core.Kernel().Counts())
	}
	she := alice
	she.link += 100
	w.asks(she, dhcp6.Renew, got.taken()...)
	w.wantWay("renewed", p, to(she, p), true)
}

// What a client is not given of its prefix (RFC 6603) is not permitted as its source, and its traffic does
// not go to the client.
func TestRouteOfAPrefixWithAnExclusion(t *testing.T) {
	w := newWorld(t, router, subnet(pdPool(server6.PrefixPool{
		Prefix: cidr("2001:db8:4000::/40"), Length: 56, Min: 56, Max: 56, Exclude: cidr("2001:db8:4000:ff::/64"),
	})))
	w.asks(alice, dhcp6.Request, oro(int(dhcp6.OptionPDExclude)), iaPD(1))
	b := slices.Collect(w.core.Leases)[0]
	for _, when := range []string{"granted", "restarted"} {
		w.wantWay(when, b.Prefix.String(), to(alice, b.Prefix.String()), true)
		stands := hoststate.Route{Table: hoststate.MainTable, Prefix: b.Exclude, Metric: hoststate.StandingMetric}
		w.wantWay(when, b.Exclude.String(), stands.String(), false)
		w.restart()
	}
}

// No client is given a prefix that takes the prefix of an interface away, whatever the pools are.
// It may be given one from which that of the interface is excluded (RFC 6603).
func TestPrefixOfAnInterfaceIsNotDelegated(t *testing.T) {
	pool := server6.PrefixPool{Prefix: cidr("2001:db8:4000::/40"), Length: 56, Min: 56, Max: 56}
	excluding := pool
	excluding.Exclude = cidr("2001:db8:4000:ff::/64")
	for what, c := range map[string]struct {
		pool  server6.PrefixPool
		addr  string
		vrf   string
		given bool
	}{
		"a part of it":               {pool, "2001:db8:4000:101::1/64", "", false},
		"all of it":                  {pool, "2001:db8:4000:100::1/56", "", false},
		"more than it":               {pool, "2001:db8:4000::1/48", "", false},
		"its first /64":              {pool, "2001:db8:4000:100::1/64", "", false},
		"in another VRF":             {pool, "2001:db8:4000:101::1/64", "red", true},
		"beside it":                  {pool, "2001:db8:4000:201::1/64", "", true},
		"the part that is excluded":  {excluding, "2001:db8:4000:1ff::1/64", "", true},
		"a part that is not":         {excluding, "2001:db8:4000:101::1/64", "", false},
		"more than what is excluded": {excluding, "2001:db8:4000:1f0::1/60", "", false},
	} {
		w := newWorld(t, router, subnet(pdPool(c.pool)))
		w.setLink("up0", func(l *links.Link) { l.Addrs, l.VRF = append(slices.Clip(l.Addrs), cidr(c.addr)), c.vrf })
		const p = "2001:db8:4000:100::/56"
		if got := w.asks(alice, dhcp6.Request, oro(int(dhcp6.OptionPDExclude)), iaPD(1, named(p))).only(); got == cidr(p) != c.given {
			t.Errorf("the interface has %s: the client is given %s; the prefix that it asks for is given: want %v", what, got, c.given)
		}
		w.setLink("up0", func(l *links.Link) { l.Addrs = l.Addrs[:2] })
		if got := w.asks(bob, dhcp6.Request, oro(int(dhcp6.OptionPDExclude)), iaPD(1, named(p))).only(); got == cidr(p) == c.given {
			t.Errorf("the interface had %s: the next client is given %s; the prefix that it asks for was given before: %v", what, got, c.given)
		}
	}
}

// A reload that exempts a client from the loop drop, or ends that, changes it at once.
func TestLoopExemptionIsReloaded(t *testing.T) {
	exempt := func(c *server6.Config) { c.Links[0].LoopExemptClient = []dhcp6.DUID{dhcp6.DUID(alice.duid)} }
	w := newWorld(t, router)
	p := w.delegated(alice)
	drops := func() bool {
		for e := range w.kernel.Elements {
			if e.Set == hoststate.LoopShared && e.Link == "lan0" && e.Prefix == cidr(p) {
				return true
			}
		}
		return false
	}
	if !drops() {
		t.Fatalf("no loop drop for %s: %v", p, w.kernel.Elements)
	}
	if w.reconfigure(router, exempt); drops() {
		t.Error("the client is exempt, and its loops are dropped")
	}
	if w.reconfigure(router); !drops() {
		t.Error("the client is not exempt any more, and its loops pass")
	}
}

// bereft is a world whose store was lost while alice and bob had a prefix each. What it cannot explain
// stays for an hour.
func bereft(t *testing.T) (w *world, hers, his string) {
	t.Helper()
	w = newWorld(t, router)
	hers, his = w.delegated(alice), w.delegated(somebody(1))
	clear(w.store)
	w.orphansEnd = w.now.Boot.After(time.Hour)
	w.restart()
	w.wantOrphans(hers, his)
	return w, hers, his
}

func (w *world) wantOrphans(want ...string) {
	w.Helper()
	var got []string
	for _, o := range w.core.Kernel().Orphans {
		got = append(got, o.Prefix.String())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || w.core.Kernel().Counts().Orphans != len(want) {
		w.Errorf("orphans %q, want %q; %+v", got, want, w.core.Kernel().Counts())
	}
}

// What a lost store does not explain stays routed until its client asks for it, or until its time is over.
// A client that asks for another's gets something else, and so does one that names nothing.
func TestOrphansOfTheServer(t *testing.T) {
	w, hers, his := bereft(t)
	w.wantWay("the store is lost", hers, to(alice, hers), true)
	thief := somebody(2)
	for _, wish := range []option{iaPD(1, named(hers)), iaPD(1)} {
		if got := w.asks(thief, dhcp6.Solicit, wish).only(); got == cidr(hers) || got == cidr(his) {
			t.Errorf("another client is offered %v", got)
		}
	}
	if got := w.asks(alice, dhcp6.Renew, iaPD(1, named(hers))).only(); got != cidr(hers) {
		t.Errorf("the client renews %s, and gets %v", hers, got)
	}
	w.wantOrphans(his)
	w.wantWay("taken over", hers, to(alice, hers), true)
	w.sleep(time.Hour)
	w.wantOrphans()
	w.wantWay("its time is over", his, "", false)
	w.wantWay("explained", hers, to(alice, hers), true)
}

// An operator ends orphans by prefix and by link; what names a client ends none. They count in what a
// reload would take away, and the successor of a server that panicked has them.
func TestOrphansOfTheServerForOperators(t *testing.T) {
	w, hers, his := bereft(t)
	if n := w.clears(delegation.Selection{Client: binding.DUID(alice.duid)}); n != 0 {
		t.Errorf("%d cleared of a client that has nothing", n)
	}
	for _, v := range w.core.Prospects(w.cfg) {
		if want := map[string]int{"lan0": 2}[v.Link]; v.Prefixes != want {
			t.Errorf("%s: %d prefixes, want %d", v.Link, v.Prefixes, want)
		}
	}
	next := server6.New(w.cfg, w.bootID)
	next.Succeed(w.core)
	w.orphansEnd = 0
	w.start(next)
	w.wantOrphans(hers, his)
	if n := w.clears(delegation.Selection{Prefix: cidr(hers)}); n != 1 {
		t.Errorf("%d cleared by prefix, want 1", n)
	}
	w.wantOrphans(his)
	if n := w.clears(delegation.Selection{Link: "lan0"}); n != 1 {
		t.Errorf("%d cleared by link, want 1", n)
	}
	w.wantOrphans()
	w.wantWay("cleared", his, "", false)
}
