package relay6_test

import (
	"fmt"
	"slices"
	"testing"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// What counts against a limit is a new IA_PD; renewing and asking again do not.
func TestLimitLetsWhatIsHeldPass(t *testing.T) {
	w := newWorld(t, policy(func(p *delegation.Policy) { p.ClientLimit = 2 }))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)), iaPD(2, prefix("2001:db8:200::/56", 600)))
	for _, mt := range []dhcp6.MessageType{dhcp6.Request, dhcp6.Renew, dhcp6.Rebind} {
		if got := w.says(alice, message(mt, 1, clientID(alice.duid), iaPD(1), iaPD(2))); len(got) != 1 {
			t.Errorf("%v for what it holds: %d datagrams, want 1", mt, len(got))
		}
	}
	for _, ias := range [][]option{{iaPD(3)}, {iaPD(1), iaPD(3)}} {
		if got := w.says(alice, message(dhcp6.Request, 1, append([]option{clientID(alice.duid)}, ias...)...)); len(got) != 0 {
			t.Errorf("Request for a third: %d datagrams, want none", len(got))
		}
	}
	if got := w.says(alice, message(dhcp6.Solicit, 1, clientID(alice.duid), iaPD(3))); len(got) != 1 {
		t.Error("a Solicit was stopped by a limit")
	}
	if got := w.noted(relay6.NoteLimit); len(got) != 2 {
		t.Errorf("notes %q, want two", got)
	}
}

// A mixed Reply is forwarded: what is known renewed, the excess not installed.
func TestMixedReplyIsForwardedWithoutItsExcess(t *testing.T) {
	w := newWorld(t, policy(func(p *delegation.Policy) { p.ClientLimit = 2 }))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 900), prefix("2001:db8:200::/56", 900), prefix("2001:db8:300::/56", 900)))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 15m0s", "lan0 2001:db8:200::/56 via fe80::a for 15m0s")
	w.wantRoutes("2001:db8:300::/56")
	if got := w.noted(relay6.NoteDelegation); !slices.Equal(got, []string{"limit-client"}) {
		t.Errorf("refusals %q, want limit-client", got)
	}
	if got := w.counts("lan0").Refused; got != 1 {
		t.Errorf("%d grants refused on lan0, want 1", got)
	}
}

// An address beside the excess is no excess: the client must get it.
func TestExcessBesideAnAddressIsForwarded(t *testing.T) {
	for _, a := range []string{"2001:db8:1::77", "2001:db8:77::77"} { // on the link, and not
		w := newWorld(t, policy(func(p *delegation.Policy) { p.ClientLimit = 1 }))
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		if got := w.exchange(alice, dhcp6.Rebind, iaPD(2, prefix("2001:db8:200::/56", 600)), iaNA(1, address(a, 600))); len(got) != 1 {
			t.Errorf("with %s: %d datagrams, want 1", a, len(got))
		}
		w.wantRoutes("2001:db8:200::/56")
	}
}

// One host on a shared link cannot use up the link's share.
func TestLimitPerHostOnASharedLink(t *testing.T) {
	shared := rule(func(r *relay6.LinkRule) {
		r.Shared = true
		r.Delegations.ClientLimit, r.Delegations.HostLimit = 2, delegation.HostLimitAuto
	})
	w := newWorld(t, shared)
	for n := range 4 { // twice the client's limit, under as many names as it likes
		c := client{lan0Index, fmt.Sprintf("\x00\x03\x00\x01id%04d", n), fmt.Sprintf("fe80::%x", 0x100+n), alice.mac}
		w.lease(c, iaPD(1, prefix(fmt.Sprintf("2001:db8:%x00::/56", n+1), 600)))
	}
	fifth := client{lan0Index, "\x00\x03\x00\x01id9999", "fe80::999", alice.mac}
	if got := w.says(fifth, message(dhcp6.Request, 1, clientID(fifth.duid), iaPD(1))); len(got) != 0 {
		t.Error("a fifth client of one host was let through")
	}
	if got := w.exchange(fifth, dhcp6.Rebind, iaPD(1, prefix("2001:db8:9900::/56", 600))); len(got) != 0 {
		t.Error("a fifth prefix of one host was delivered")
	}
	if got := w.noted(relay6.NoteDelegation); !slices.Equal(got, []string{"limit-host"}) {
		t.Errorf("refusals %q, want limit-host", got)
	}
	w.lease(bob, iaPD(1, prefix("2001:db8:aa00::/56", 600))) // a neighbour has its share
}

// A prefix that changes hands on a full link needs no room.
func TestTakeoverOnAFullLink(t *testing.T) {
	w := newWorld(t, policy(func(p *delegation.Policy) { p.LinkLimit = 1 }))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.exchange(bob, dhcp6.Rebind, iaPD(1, prefix("2001:db8:100::/56", 900)))
	w.wants("lan0 2001:db8:100::/56 via fe80::b for 15m0s")
}

// probed brings the result of the only probe that is out.
func (w *world) probed(answers bool) []relay6.Send {
	w.Helper()
	if len(w.probes) != 1 {
		w.Fatalf("%d probes, want 1: %+v", len(w.probes), w.probes)
	}
	hop := w.probes[0].Hop
	w.probes = nil
	before := len(w.sent)
	w.core.Probed(w.now, hop, answers, &w.eff)
	w.carryOut()
	return w.sent[before:]
}

// on-limit: replace-unreachable, for ports of one customer whose router was
// swapped.
func TestReplaceUnreachable(t *testing.T) {
	grant := func(answers bool) (*world, []relay6.Send) {
		w := newWorld(t, policy(func(p *delegation.Policy) { p.LinkLimit, p.OnLimit = 2, delegation.LimitReplaceUnreachable }))
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600), prefix("2001:db8:101::/56", 900)))
		if got := w.exchange(bob, dhcp6.Request, iaPD(1, prefix("2001:db8:200::/56", 600))); len(got) != 0 {
			t.Fatalf("delivered before the old router was asked: %+v", got)
		}
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan0 2001:db8:101::/56 via fe80::a for 15m0s")
		return w, w.probed(answers)
	}
	w, got := grant(false)
	if len(got) != 1 || got[0].Dest.Addr() != addr(bob.addr) {
		t.Errorf("the old router is silent: %+v, want the Reply", got)
	}
	w.wants("lan0 2001:db8:200::/56 via fe80::b for 10m0s")
	w.wantRoutes("2001:db8:100::/56")
	w.restart()
	w.wants("lan0 2001:db8:200::/56 via fe80::b for 10m0s")

	w, got = grant(true)
	if len(got) != 0 || w.dropped(relay6.DropLimit) != 1 {
		t.Errorf("the old router answers: %+v, drops %v", got, w.drops)
	}
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan0 2001:db8:101::/56 via fe80::a for 15m0s")
}
