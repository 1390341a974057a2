package relay6_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// What no server may delegate through us: the Reply is forwarded, the prefix is
// not learned, and the refusal is told.
func TestNotDelegable(t *testing.T) {
	infrastructure := func(c *relay6.Config) { c.Infrastructure = []netip.Prefix{cidr("2001:db8:ffff::/48")} }
	peer := func(ranges ...trust.Range) func(*relay6.Config) {
		return func(c *relay6.Config) { c.Peers[0].Delegable = ranges }
	}
	link := func(ranges ...trust.Range) func(*relay6.Config) {
		return policy(func(p *delegation.Policy) { p.Delegable = ranges })
	}
	pool := trust.Range{Prefix: cidr("2001:db8::/32"), Min: 48, Max: 60}
	open := func(*relay6.Config) {}
	for _, tc := range []struct {
		prefix string
		change func(*relay6.Config)
		ok     bool
	}{
		{"2001:db8:100::/56", open, true},
		{"::/0", open, false},
		{"::/56", open, false},
		{"::ffff:0:0/96", open, false},
		{"fe80:1::/56", open, false},
		{"fe80::/9", open, false},
		{"ff05::/56", open, false},
		{"8000::/1", open, false}, // holds link-local and multicast
		{"2001:db8:1::/64", open, false},
		{"2001:db8:1::/56", open, false},        // holds a link's own
		{"2001:db8:1:0:8000::/65", open, false}, // lies in one
		{"2001:db8:2::/64", open, false},        // another link's
		{"2001:db8:ffff::/64", open, false},     // the uplink's
		{"2001:db8:ffff:100::/56", infrastructure, false},
		{"2001:db8:ff00::/40", infrastructure, false},
		{"2001:db8:100::/48", peer(pool), true},
		{"2001:db8:100::/60", peer(pool), true},
		{"2001:db8:100::/61", peer(pool), false}, // too long
		{"2001:db8::/47", peer(pool), false},     // too short, and outside
		{"2001:db9:100::/56", peer(pool), false},
		{"2001:db9:100::/56", peer(pool, trust.Range{Prefix: cidr("2001:db9::/32"), Min: 56, Max: 56}), true},
		{"2001:db8:100::/56", link(pool), true},
		{"2001:db9:100::/56", link(pool), false},
	} {
		w := newWorld(t, tc.change)
		if got := w.exchange(alice, dhcp6.Request, iaPD(1, prefix(tc.prefix, 600))); len(got) != 1 {
			t.Errorf("%s: %d datagrams, want 1", tc.prefix, len(got))
		}
		if learned := len(w.delegations()) == 1; learned != tc.ok {
			t.Errorf("%s: learned %v, want %v (%q)", tc.prefix, learned, tc.ok, w.noted(effect.NoteDelegation))
		}
		if want := []string{"not-delegable"}; !tc.ok && !slices.Equal(w.noted(effect.NoteDelegation), want) {
			t.Errorf("%s: refusals %q, want %q", tc.prefix, w.noted(effect.NoteDelegation), want)
		}
	}
	// Both the peer's and the link's bounds hold.
	w := newWorld(t, peer(pool), link(trust.Range{Prefix: cidr("2001:db8:100::/40"), Min: 56, Max: 56}))
	w.exchange(alice, dhcp6.Request, iaPD(1, prefix("2001:db8:200::/56", 600), prefix("2001:db8:100::/48", 600), prefix("2001:db8:1aa::/56", 600)))
	w.wants("lan0 2001:db8:1aa::/56 via fe80::a for 10m0s")
}

// An on-link prefix that comes or goes bounds what may be learned from then on.
func TestOnLinkPrefixesFollowTheLinks(t *testing.T) {
	w := newWorld(t)
	own := cidr("2001:db8:500::1/64")
	w.setLink("lan1", func(l *links.Link) { l.Addrs = append(slices.Clone(l.Addrs), own) })
	w.exchange(alice, dhcp6.Request, iaPD(1, prefix("2001:db8:500::/56", 600)))
	w.wants()
	w.setLink("lan0", func(l *links.Link) { l.Addrs = append(slices.Clone(l.Addrs), own) }) // on two links now
	w.removeLink("lan1")
	w.exchange(alice, dhcp6.Request, iaPD(1, prefix("2001:db8:500::/56", 600)))
	w.wants()
	w.setLink("lan0", func(l *links.Link) { l.Addrs = l.Addrs[:len(l.Addrs)-1] })
	w.lease(alice, iaPD(1, prefix("2001:db8:500::/56", 600)))
	w.wants("lan0 2001:db8:500::/56 via fe80::a for 10m0s")
}

// Overlap with another client's live delegation is a conflict; with one's own it
// is not.
func TestOverlap(t *testing.T) {
	for _, p := range []string{"2001:db8:100::/48", "2001:db8:100::/57", "2001:db8:100:80::/64", "2001:db8:100::/40"} {
		w := newWorld(t)
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		for _, c := range []client{bob, carol, {lan1Index, alice.duid, alice.addr, alice.mac}} {
			w.exchange(c, dhcp6.Request, iaPD(1, prefix(p, 600)))
		}
		if got, want := w.noted(effect.NoteDelegation), []string{"overlap", "overlap", "overlap"}; !slices.Equal(got, want) {
			t.Errorf("%s: refusals %q, want %q", p, got, want)
		}
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
	}
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.lease(alice, iaPD(2, prefix("2001:db8:100::/60", 600)), iaNA(3, address("2001:db8:100::9", 600)))
	if got := len(w.delegations()); got != 3 {
		t.Errorf("%d delegations of one client inside each other, want 3", got)
	}
	// An address inside another client's prefix is a conflict as well.
	w.exchange(bob, dhcp6.Request, iaNA(1, address("2001:db8:100::99", 600)))
	if got := len(w.delegations()); got != 3 {
		t.Errorf("%d delegations, want 3: an address in another's prefix was learned", got)
	}
	// What ended is no conflict.
	w.sleep(time.Hour)
	w.lease(bob, iaPD(1, prefix("2001:db8:100::/48", 600)))
}

// clear --block: not learned again until unblocked, whoever says so.
func TestBlocks(t *testing.T) {
	for name, tc := range map[string]struct {
		s     delegation.Selection
		b     delegation.Block
		other client // whom it does not touch
		p     string
	}{
		"prefix":          {delegation.Selection{Prefix: cidr("2001:db8:100::/56")}, delegation.Block{Prefix: cidr("2001:db8:100::/56")}, alice, "2001:db8:101::/56"},
		"client":          {delegation.Selection{Client: binding.DUID(alice.duid)}, delegation.Block{Client: binding.DUID(alice.duid)}, bob, "2001:db8:100::/56"},
		"link":            {delegation.Selection{Link: "lan0"}, delegation.Block{Link: "lan0"}, carol, "2001:db8:100::/56"},
		"client and link": {delegation.Selection{Link: "lan0", Client: binding.DUID(alice.duid)}, delegation.Block{Link: "lan0", Client: binding.DUID(alice.duid)}, bob, "2001:db8:100::/56"},
	} {
		w := newWorld(t)
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		w.core.Block(delegation.Block{Prefix: tc.s.Prefix, Client: tc.s.Client, Link: tc.s.Link}, &w.eff)
		if n := w.core.Clear(w.now, tc.s, &w.eff); n != 1 {
			t.Errorf("%s: %d cleared, want 1", name, n)
		}
		w.carryOut()
		for range 2 {
			if got := w.exchange(alice, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 600))); len(got) != 1 {
				t.Errorf("%s: the Reply: %d datagrams, want 1", name, len(got))
			}
			w.wants()
			w.restart() // a block outlives the process
		}
		if got := w.core.Blocks(); !slices.Equal(got, []delegation.Block{tc.b}) {
			t.Errorf("%s: blocks %+v, want %+v", name, got, tc.b)
		}
		w.lease(tc.other, iaPD(1, prefix(tc.p, 600)))
		if got := len(w.delegations()); got != 1 {
			t.Errorf("%s: %d delegations of another, want 1", name, got)
		}
		w.core.Clear(w.now, delegation.Selection{All: true}, &w.eff)
		if !w.core.Unblock(tc.b, &w.eff) || w.core.Unblock(tc.b, &w.eff) {
			t.Errorf("%s: unblocking must do something once", name)
		}
		w.carryOut()
		w.restart()
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
	}
}

// A cleared delegation stays cleared until the server says something newer.
func TestClearedUntilTheServerSaysSomethingNewer(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.core.Clear(w.now, delegation.Selection{Client: binding.DUID(alice.duid)}, &w.eff)
	w.carryOut()
	w.restart()
	w.wants()
	w.exchange(alice, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
}

// A Reply with Server Unicast is counted and told of: renewals may pass us by.
func TestServerUnicastIsTold(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, raw(12, make([]byte, 16)...), iaPD(1, prefix("2001:db8:100::/56", 600)))
	if n := w.core.Totals().ServerUnicast; n != 1 {
		t.Errorf("counted %d, want 1", n)
	}
	if got := w.noted(effect.NoteServerUnicast); len(got) != 1 {
		t.Errorf("notes %q, want one", got)
	}
}
