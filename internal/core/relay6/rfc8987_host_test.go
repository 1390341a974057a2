package relay6_test

import (
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

// R-1: "The relay MUST maintain a local routing table that is dynamically
// updated with leases and the associated next hops as they are delegated to
// clients. When a delegated prefix is released or expires, the associated route
// MUST be removed from the relay's routing table."
func TestRFC8987_R1_RoutesComeAndGoWithLeases(t *testing.T) {
	w := newWorld(t)
	const p = "2001:db8:100::/56"
	const route = "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024"
	for name, end := range map[string]func(){
		"released":  func() { w.says(alice, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1, prefix(p, 0)))) },
		"expired":   func() { w.sleep(time.Hour) },
		"withdrawn": func() { w.exchange(alice, dhcp6.Renew, iaPD(1, prefix(p, 0))) },
		"cleared":   func() { w.core.Clear(w.now, delegation.Selection{Prefix: cidr(p)}, &w.eff); w.carryOut() },
	} {
		w.lease(alice, iaPD(1, prefix(p, 600)))
		w.wantRoutes(p, route)
		end()
		if got := w.kernel.RoutesOf(p); len(got) != 0 {
			t.Errorf("%s: routes %q, want none", name, got)
		}
	}
	// The next hop follows the client.
	w.lease(alice, iaPD(1, prefix(p, 600)))
	moved := alice
	moved.addr = "fe80::a2"
	w.lease(moved, iaPD(1, prefix(p, 600)))
	w.wantRoutes(p, "2001:db8:100::/56 via fe80::a2 dev 10 table 254 metric 1024")
}

// R-2: "The delegating relay's routing entry MUST use the same prefix length for
// the delegated prefix as given in the IA_PD."
func TestRFC8987_R2_RouteHasTheLengthDelegated(t *testing.T) {
	for _, p := range []string{"2001:db8:4000::/34", "2001:db8:100::/48", "2001:db8:100::/56", "2001:db8:100:10::/60", "2001:db8:100::/64", "2001:db8:100::8/127", "2001:db8:100::7/128"} {
		w := newWorld(t)
		w.lease(alice, iaPD(1, prefix(p, 600)))
		w.wantRoutes(p, p+" via fe80::a dev 10 table 254 metric 1024")
		n := 0
		for _, r := range w.kernel.Actual().Routes {
			if r.Link != 0 {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s: %d routes in the kernel, want 1: %v", p, n, w.kernel.Actual().Routes)
		}
	}
}

// R-3: "The relay MUST provide a mechanism to dynamically update ingress filters
// permitting ingress traffic sourced from client delegated leases and blocking
// packets from invalid source prefixes. [...] The delegating relay's ingress
// filter entry MUST use the same prefix length for the delegated prefix as given
// in the IA_PD."
func TestRFC8987_R3_FilterFollowsLeases(t *testing.T) {
	w := newWorld(t)
	checked := hoststate.Element{Set: hoststate.Checked, Link: "lan0"}
	if !w.kernel.Elements[checked] {
		t.Error("lan0 is not checked before any lease: every source would pass")
	}
	for _, p := range []string{"2001:db8:100::/56", "2001:db8:200::/61"} {
		w.lease(alice, iaPD(1, prefix(p, 600)))
		if !w.kernel.Allows("lan0", p) || w.kernel.Allows("lan1", p) {
			t.Errorf("%s delegated on lan0: allowed on lan0 %v, on lan1 %v; want true, false", p, w.kernel.Allows("lan0", p), w.kernel.Allows("lan1", p))
		}
	}
	w.says(alice, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1, prefix("2001:db8:100::/56", 0))))
	w.sleep(time.Hour)
	for _, p := range []string{"2001:db8:100::/56", "2001:db8:200::/61"} {
		if w.kernel.Allows("lan0", p) {
			t.Errorf("%s ended, and is still allowed as a source", p)
		}
	}
	if !w.kernel.Elements[checked] {
		t.Error("lan0 is no longer checked")
	}
}

// R-5: "the relay SHOULD implement a configurable policy to drop potential
// looping packets received on any DHCP-PD client-facing interfaces. The policy
// SHOULD be configurable on a per-client or per-destination basis."
func TestRFC8987_R5_LoopPolicyByLinkClientAndDestination(t *testing.T) {
	loops := func(w *world) (sets []hoststate.Set) {
		for e := range w.kernel.Elements {
			if e.Link == "lan0" && (e.Set == hoststate.LoopPoint || e.Set == hoststate.LoopShared || e.Set == hoststate.LoopExempt || e.Set == hoststate.Rejecting) {
				sets = append(sets, e.Set)
			}
		}
		slices.Sort(sets)
		return sets
	}
	for _, tc := range []struct {
		name   string
		change func(*relay6.LinkRule)
		want   []hoststate.Set
	}{
		{"point to point", func(*relay6.LinkRule) {}, []hoststate.Set{hoststate.LoopPoint}},
		{"multi-access", func(r *relay6.LinkRule) { r.Shared = true }, []hoststate.Set{hoststate.LoopShared}},
		{"off", func(r *relay6.LinkRule) { r.Host.Loop = hoststate.LoopForward }, nil},
		{"with ICMPv6", func(r *relay6.LinkRule) { r.Host.Loop = hoststate.LoopReject }, []hoststate.Set{hoststate.LoopPoint, hoststate.Rejecting}},
		{"client exempt", func(r *relay6.LinkRule) { r.LoopExemptClient = []dhcp6.DUID{dhcp6.DUID(alice.duid)} }, nil},
		{"other client exempt", func(r *relay6.LinkRule) { r.LoopExemptClient = []dhcp6.DUID{dhcp6.DUID(bob.duid)} }, []hoststate.Set{hoststate.LoopPoint}},
		{"destination exempt", func(r *relay6.LinkRule) { r.Host.LoopExempt = append(r.Host.LoopExempt, cidr("2001:db8:100::/56")) }, []hoststate.Set{hoststate.LoopPoint, hoststate.LoopExempt}},
	} {
		w := newWorld(t, rule(tc.change))
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		if got := loops(w); !slices.Equal(got, tc.want) {
			t.Errorf("%s: loop elements %v, want %v", tc.name, got, tc.want)
		}
		w.sleep(time.Hour)
		for e := range w.kernel.Elements {
			if e.Set == hoststate.LoopPoint || e.Set == hoststate.LoopShared {
				t.Errorf("%s: %v outlives its lease", tc.name, e)
			}
		}
	}
}

// S-1: "the relay SHOULD implement at least one of the following: [...] Store
// active prefix delegations in persistent storage so they can be reread after
// the reboot."
func TestRFC8987_S1_StoredDelegationsComeBack(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 3600), prefix("2001:db8:200::/60", dhcp6.Infinity)))
	w.lease(carol, iaPD(7, prefix("2001:db8:300::/56", 600)))
	w.says(carol, message(dhcp6.Release, 1, clientID(carol.duid), iaPD(7, prefix("2001:db8:300::/56", 0))))

	w.restart() // the process alone
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 1h0m0s", "lan0 2001:db8:200::/60 via fe80::a for ever")

	w.reboot(w.now.Wall.Add(10*time.Minute), true)
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 50m0s", "lan0 2001:db8:200::/60 via fe80::a for ever")
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
	w.wantRoutes("2001:db8:200::/60", "2001:db8:200::/60 via fe80::a dev 10 table 254 metric 1024")
	if !w.kernel.Allows("lan0", "2001:db8:100::/56") {
		t.Error("2001:db8:100::/56 is not allowed as a source after the reboot")
	}
	// Whose it is came back too: the client alone can release it.
	w.says(bob, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1, prefix("2001:db8:100::/56", 0))))
	w.says(alice, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1, prefix("2001:db8:200::/60", 0))))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 50m0s")
}

// S-2: "If a client's next-hop link-local address becomes unreachable (e.g., due
// to a link-down event on the relevant physical interface), routes for the
// client's delegated prefixes MUST be retained by the delegating relay unless
// they are released or removed due to expiring DHCP timers."
func TestRFC8987_S2_RoutesAreRetainedWhileTheNextHopIsGone(t *testing.T) {
	const p = "2001:db8:100::/56"
	const own = p + " via fe80::a dev 10 table 254 metric 1024"
	const standIn = "unreachable " + p + " table 254 metric 1024"
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix(p, 3600)))

	w.setLink("lan0", func(l *links.Link) { l.Running = false }) // carrier lost
	w.wantRoutes(p, own)
	w.setLink("lan0", func(l *links.Link) { l.Up = false }) // down
	w.wantRoutes(p, standIn)
	w.setLink("lan0", func(l *links.Link) { l.Up, l.Running = true, true })
	w.wantRoutes(p, own)

	lan0 := w.links["lan0"]
	w.removeLink("lan0")
	w.wantRoutes(p, standIn)
	w.wants("lan0 " + p + " via fe80::a for 1h0m0s")
	lan0.Index = 33 // made anew
	w.links["lan0"] = lan0
	w.setLink("lan0", nil)
	w.wantRoutes(p, p+" via fe80::a dev 33 table 254 metric 1024")

	w.removeLink("lan0")
	w.sleep(time.Hour) // timers run on
	w.wantRoutes(p)
}

// O-1: "The relay SHOULD implement an interface allowing the operator to view the
// active delegated prefixes. This SHOULD provide information about the delegated
// lease and client details such as the client identifier, next-hop address,
// connected interface, and remaining lifetimes."
func TestRFC8987_O1_DelegationsCanBeViewed(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(42, prefixOf("2001:db8:100::/56", 100, 600)))
	w.sleep(time.Minute)
	got := slices.Collect(w.core.Delegations)
	if len(got) != 1 {
		t.Fatalf("%d delegations in view, want 1", len(got))
	}
	d := got[0]
	if d.Client.DUID() != alice.duid || d.IAID != 42 || d.NextHop != addr("fe80::a") || d.Link != "lan0" || d.LinkLayer != alice.mac ||
		d.Prefix != cidr("2001:db8:100::/56") || d.Server != "srv" || d.Kind != binding.Prefix {
		t.Errorf("in view: %+v", d)
	}
	if p, v := w.now.Until(d.Preferred), w.now.Until(d.Valid); p != 40*time.Second || v != 540*time.Second {
		t.Errorf("remaining lifetimes %v and %v, want 40s and 9m", p, v)
	}
}

// O-2: "The relay SHOULD provide a method for the operator to clear active
// bindings for an individual lease, client, or all bindings on a port."
func TestRFC8987_O2_ClearByLeaseClientOrPort(t *testing.T) {
	const a1, a2, b1, c1 = "lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan0 2001:db8:101::/56 via fe80::a for 10m0s",
		"lan0 2001:db8:200::/56 via fe80::b for 10m0s", "lan1 2001:db8:300::/56 via fe80::c for 10m0s"
	for _, tc := range []struct {
		name string
		s    delegation.Selection
		n    int
		left []string
	}{
		{"lease", delegation.Selection{Prefix: cidr("2001:db8:100::/56")}, 1, []string{a2, b1, c1}},
		{"client", delegation.Selection{Client: binding.DUID(alice.duid)}, 2, []string{b1, c1}},
		{"port", delegation.Selection{Link: "lan0"}, 3, []string{c1}},
		{"client on another port", delegation.Selection{Client: binding.DUID(alice.duid), Link: "lan1"}, 0, []string{a1, a2, b1, c1}},
		{"nothing selected", delegation.Selection{}, 0, []string{a1, a2, b1, c1}},
		{"all", delegation.Selection{All: true}, 4, nil},
	} {
		w := newWorld(t)
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600), prefix("2001:db8:101::/56", 600)))
		w.lease(bob, iaPD(1, prefix("2001:db8:200::/56", 600)))
		w.lease(carol, iaPD(1, prefix("2001:db8:300::/56", 600)))
		n := w.core.Clear(w.now, tc.s, &w.eff)
		w.carryOut()
		if n != tc.n {
			t.Errorf("%s: %d cleared, want %d", tc.name, n, tc.n)
		}
		w.wants(tc.left...)
		for _, p := range []string{"2001:db8:100::/56", "2001:db8:101::/56", "2001:db8:200::/56", "2001:db8:300::/56"} {
			live := slices.ContainsFunc(w.delegations(), func(s string) bool { return s[5:5+len(p)] == p })
			if routed := len(w.kernel.RoutesOf(p)) > 0; routed != live {
				t.Errorf("%s: %s is live %v, has a route %v", tc.name, p, live, routed)
			}
		}
		w.restart() // what was cleared does not come back
		w.wants(tc.left...)
	}
}

// O-3: "it is RECOMMENDED that a time synchronization protocol be used by the
// delegating relays and DHCP servers." While it is not, nothing that was
// restored is ended by a clock that may be wrong.
func TestRFC8987_O3_UnsynchronisedClockEndsNothing(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	later := w.now.Wall.Add(24 * time.Hour)
	w.reboot(later, false)
	w.tick()
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
	if got := w.noted(effect.NoteClock); len(got) != 1 {
		t.Errorf("notes about the clock: %q, want one", got)
	}
	w.now.Synced = true
	w.tick()
	w.wants()
}
