package relay6_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

func movePolicy(m delegation.MovePolicy) func(*relay6.Config) {
	return policy(func(p *delegation.Policy) { p.Move = m })
}

// elsewhere are ways in which a grant takes a live delegation elsewhere.
var elsewhere = map[string]client{
	"another host":               {lan0Index, alice.duid, "fe80::a2", bob.mac},
	"another link-layer address": {lan0Index, alice.duid, alice.addr, bob.mac},
	"another link":               {lan1Index, alice.duid, alice.addr, alice.mac},
	"another client":             bob,
}

func TestMoveFollow(t *testing.T) {
	for name, c := range elsewhere {
		w := newWorld(t, movePolicy(delegation.MoveFollow))
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		w.lease(c, iaPD(1, prefix("2001:db8:100::/56", 900)))
		link := map[int]string{lan0Index: "lan0", lan1Index: "lan1"}[c.link]
		w.wants(link + " 2001:db8:100::/56 via " + c.addr + " for 15m0s")
		w.wantRoutes("2001:db8:100::/56", fmt.Sprintf("2001:db8:100::/56 via %s dev %d table 254 metric 1024", c.addr, c.link))
		if old := link != "lan0"; old && w.kernel.Allows("lan0", "2001:db8:100::/56") {
			t.Errorf("%s: still allowed as a source on lan0", name)
		}
		moved := slices.ContainsFunc(w.notes, func(n effect.Note) bool { return n.Event.Kind == binding.Moved })
		if !moved {
			t.Errorf("%s: no note of a move", name)
		}
	}
}

// stays fails if a delegation is not bound to a link-layer address.
func (w *world) stays(p string, want linkaddr.Addr) {
	w.Helper()
	w.core.Delegations(func(d binding.Binding) bool {
		if d.Prefix == netip.MustParsePrefix(p) && d.LinkLayer != want {
			w.Errorf("%s is bound to %s, want %s", p, d.LinkLayer, want)
		}
		return true
	})
}

func TestMoveDeny(t *testing.T) {
	for name, c := range elsewhere {
		w := newWorld(t, movePolicy(delegation.MoveDeny))
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		if got := w.exchange(c, dhcp6.Rebind, iaPD(1, prefix("2001:db8:100::/56", 900))); len(got) != 1 {
			t.Errorf("%s: %d datagrams, want 1: the Reply is the server's word to its client", name, len(got))
		}
		left, refused := 10*time.Minute, []string{"move-denied"}
		if c.addr == alice.addr && c.link == alice.link {
			left, refused = 15*time.Minute, nil // her address: whoever asked, it is hers
		}
		w.wants("lan0 2001:db8:100::/56 via fe80::a for " + left.String())
		w.stays("2001:db8:100::/56", alice.mac)
		if got := w.noted(effect.NoteDelegation); !slices.Equal(got, refused) {
			t.Errorf("%s: refusals %q, want %q", name, got, refused)
		}
		w.sleep(left) // until it ends
		w.lease(c, iaPD(1, prefix("2001:db8:100::/56", 900)))
		if got := len(w.delegations()); got != 1 {
			t.Errorf("%s: %d delegations after the old one ended, want 1", name, got)
		}
	}
}

func TestMoveProbe(t *testing.T) {
	for name, c := range elsewhere {
		for _, answers := range []bool{true, false} {
			w := newWorld(t, movePolicy(delegation.MoveProbe))
			w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
			if got := w.exchange(c, dhcp6.Rebind, iaPD(1, prefix("2001:db8:100::/56", 900))); len(got) != 0 {
				t.Fatalf("%s: delivered before the probe: %+v", name, got)
			}
			want := binding.NextHop{Link: "lan0", Addr: addr(alice.addr), LinkLayer: alice.mac}
			if len(w.probes) != 1 || w.probes[0].NextHop != want || w.probes[0].Index != lan0Index {
				t.Fatalf("%s: probes %+v, want %+v on %d", name, w.probes, want, lan0Index)
			}
			if got := w.probed(answers); len(got) != 1 {
				t.Errorf("%s: after the probe %d datagrams, want 1", name, len(got))
			}
			if answers {
				left := "10m0s"
				if c.addr == alice.addr && c.link == alice.link {
					left = "15m0s" // her address: whoever asked, it is hers
				}
				w.wants("lan0 2001:db8:100::/56 via fe80::a for " + left)
				w.stays("2001:db8:100::/56", alice.mac)
			} else if got := w.delegations(); len(got) != 1 || got[0][len(got[0])-5:] != "15m0s" {
				t.Errorf("%s: the old next hop is silent: %q", name, got)
			}
		}
	}
}

// While a probe is out, repeats cost nothing, and a result that comes too late
// decides nothing.
func TestProbeOnceAndInTime(t *testing.T) {
	w := newWorld(t, movePolicy(delegation.MoveProbe))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	for range 5 {
		w.exchange(bob, dhcp6.Rebind, iaPD(1, prefix("2001:db8:100::/56", 900)))
	}
	if len(w.probes) != 1 || w.dropped(effect.DropProbing) != 4 {
		t.Errorf("%d probes, drops %v; want 1, and 4 for probing", len(w.probes), w.drops)
	}
	w.move(w.now.Boot.After(time.Minute))
	if got := w.probed(false); len(got) != 0 {
		t.Errorf("a Reply of a minute ago was delivered: %+v", got)
	}
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 9m0s")
}

// Probes whose results never come are forgotten.
func TestForgottenProbesDoNotPileUp(t *testing.T) {
	w := newWorld(t, movePolicy(delegation.MoveProbe), policy(func(p *delegation.Policy) { p.ClientLimit = 1000 }))
	for n := range 300 {
		c := client{lan0Index, fmt.Sprintf("\x00\x03\x00\x01id%04d", n), fmt.Sprintf("fe80::1:%x", n), mac(fmt.Sprintf("02:00:00:00:%02x:%02x", n>>8, n&0xff))}
		p := prefix(fmt.Sprintf("2001:db8:%x::/48", 0x1000+n), 600)
		w.lease(c, iaPD(1, p))
		w.exchange(bob, dhcp6.Rebind, iaPD(uint32(n), p))
		w.move(w.now.Boot.After(time.Second))
	}
	if held := w.core.Totals().WaitForProbe; held > 256 {
		t.Errorf("%d Replies held", held)
	}
	if got := len(w.probes); got != 300 {
		t.Errorf("%d probes, want 300: those forgotten made room", got)
	}
}

// The old link is gone: nobody is there to answer.
func TestProbeOfALinkThatIsGone(t *testing.T) {
	w := newWorld(t, movePolicy(delegation.MoveProbe))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.removeLink("lan0")
	w.exchange(carol, dhcp6.Rebind, iaPD(1, prefix("2001:db8:100::/56", 900)))
	if len(w.probes) != 1 || w.probes[0].Index != 0 {
		t.Fatalf("probes %+v, want one without a link", w.probes)
	}
	w.probed(false)
	w.wants("lan1 2001:db8:100::/56 via fe80::c for 15m0s")
}

// Several next hops to ask: one after the other, then the Reply as a whole.
func TestProbeSeveral(t *testing.T) {
	w := newWorld(t, movePolicy(delegation.MoveProbe))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.lease(bob, iaPD(1, prefix("2001:db8:200::/56", 600)))
	w.exchange(carol, dhcp6.Rebind, iaPD(1, prefix("2001:db8:100::/56", 900), prefix("2001:db8:200::/56", 900), prefix("2001:db8:300::/56", 900)))
	if got := w.probed(false); len(got) != 0 {
		t.Errorf("delivered after the first of two probes: %+v", got)
	}
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan0 2001:db8:200::/56 via fe80::b for 10m0s")
	if got := w.probed(true); len(got) != 1 {
		t.Errorf("after both probes: %d datagrams, want 1", len(got))
	}
	w.wants("lan1 2001:db8:100::/56 via fe80::c for 15m0s", "lan0 2001:db8:200::/56 via fe80::b for 10m0s", "lan1 2001:db8:300::/56 via fe80::c for 15m0s")
}

// Where the operator leaves it to the link: follow on a point-to-point link,
// probe on a shared one.
func TestMovePolicyFollowsTheLink(t *testing.T) {
	auto := rule(func(r *relay6.LinkRule) { r.SharedAuto, r.Delegations.Move = true, delegation.MoveAuto })
	for _, pointToPoint := range []bool{true, false} {
		w := newWorld(t, auto)
		w.setLink("lan0", func(l *links.Link) { l.PointToPoint = pointToPoint })
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		w.exchange(bob, dhcp6.Rebind, iaPD(1, prefix("2001:db8:100::/56", 900)))
		if probed := len(w.probes) == 1; probed == pointToPoint {
			t.Errorf("point to point %v: probed %v", pointToPoint, probed)
		}
	}
}

// A client that changed its DUID and nothing else has its prefix, and what the
// old one was told is no longer durable knowledge.
func TestNewDUIDInTheSamePlace(t *testing.T) {
	w := newWorld(t, movePolicy(delegation.MoveDeny))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	renamed := alice
	renamed.duid = "\x00\x03\x00\x01alic2"
	w.lease(renamed, iaPD(1, prefix("2001:db8:100::/56", 900)))
	w.restart()
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 15m0s")
	w.says(alice, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1)))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 15m0s")
	w.says(renamed, message(dhcp6.Release, 1, clientID(renamed.duid), iaPD(1)))
	w.wants()
}
