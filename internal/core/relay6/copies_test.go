package relay6_test

import (
	"testing"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// Somebody who writes alice's address into messages of their own is not her:
// while two hosts use an address, answers for it go by socket, and what she holds
// stays bound to her own link-layer address.
func TestContestedAddress(t *testing.T) {
	w := newWorld(t, movePolicy(delegation.MoveProbe))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	copied := client{alice.link, bob.duid, alice.addr, bob.mac}
	between := func() {
		sent := w.says(alice, message(dhcp6.Renew, 1, clientID(alice.duid), iaPD(1)))
		w.says(copied, message(dhcp6.InformationRequest, 2, clientID(bob.duid)))
		before := len(w.sent)
		w.serves(w.answer(sent[0].Payload, w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 900)))))
		w.probed(true)
		if got := w.sent[before:]; len(got) != 1 || got[0].LinkLayer.IsValid() {
			t.Errorf("the answer to alice leaves as %+v, want one by socket", got)
		}
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 15m0s")
		w.stays("2001:db8:100::/56", alice.mac)
	}
	between()
	between()
	w.move(w.now.Boot.After(31 * time.Second))
	got := w.exchange(alice, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 900)))
	if len(got) != 1 || got[0].LinkLayer.IsValid() {
		t.Errorf("her first message after the other's: %+v, want an answer by socket", got)
	}
	w.move(w.now.Boot.After(31 * time.Second))
	got = w.exchange(alice, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 900)))
	if len(got) != 1 || got[0].LinkLayer != alice.mac {
		t.Errorf("once nobody else uses her address: %+v, want a frame to %s", got, alice.mac)
	}
}

// What is granted to a contested address is bound to nobody's link-layer address,
// and no Release ends it, for as long as the other host may be just silent.
func TestGrantToAContestedAddress(t *testing.T) {
	w := newWorld(t, movePolicy(delegation.MoveProbe))
	copied := client{alice.link, bob.duid, alice.addr, bob.mac}
	asks := message(dhcp6.InformationRequest, 2, clientID(bob.duid))
	w.says(copied, asks)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.stays("2001:db8:100::/56", linkaddr.Addr{})
	w.says(copied, asks) // and is the last, for long
	w.move(w.now.Boot.After(time.Minute))
	for _, c := range []client{{alice.link, alice.duid, alice.addr, bob.mac}, {alice.link, alice.duid, alice.addr, linkaddr.Addr{}}} {
		w.says(c, message(dhcp6.Release, 3, clientID(alice.duid), iaPD(1)))
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 9m0s")
	}
	w.lease(client{alice.link, alice.duid, alice.addr, bob.mac}, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.stays("2001:db8:100::/56", linkaddr.Addr{})
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 90_000)))
	w.stays("2001:db8:100::/56", linkaddr.Addr{})
	w.move(w.now.Boot.After(24 * time.Hour))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.stays("2001:db8:100::/56", alice.mac)
}

// A router that was swapped for one with the same address: the old one is silent,
// and the new one gets what it held.
func TestSwappedRouterWithTheSameAddress(t *testing.T) {
	w := newWorld(t, movePolicy(delegation.MoveProbe))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.exchange(client{alice.link, alice.duid, alice.addr, bob.mac}, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 900)))
	w.probed(false)
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 15m0s")
	w.stays("2001:db8:100::/56", bob.mac)
}

// A Release shows nothing where it does not show the link-layer address that the
// delegation is bound to: a unicast, or one in fragments.
func TestReleaseWithoutLinkLayerAddress(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	unseen := alice
	unseen.mac = linkaddr.Addr{}
	release := message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1, prefix("2001:db8:100::/56", 0)))
	if got := w.says(unseen, release); len(got) != 1 {
		t.Errorf("%d datagrams forwarded, want 1", len(got))
	}
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
	if n := w.core.Totals().Refusals["release-mismatch"]; n != 1 {
		t.Errorf("%d Releases counted as somebody else's, want 1", n)
	}
	w.says(alice, release)
	w.wants()
}

// The server takes a prefix back in an answer to somebody who copied alice's
// identifiers: that is a move to nowhere, under the same policy.
func TestWithdrawalElsewhere(t *testing.T) {
	for policy, stays := range map[delegation.MovePolicy]bool{delegation.MoveFollow: false, delegation.MoveDeny: true} {
		w := newWorld(t, movePolicy(policy))
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		w.exchange(client{alice.link, alice.duid, bob.addr, bob.mac}, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 0)))
		if stays {
			w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
		} else {
			w.wants()
		}
	}
	for _, answers := range []bool{true, false} {
		w := newWorld(t, movePolicy(delegation.MoveProbe))
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		w.exchange(client{alice.link, alice.duid, bob.addr, bob.mac}, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 0)))
		if len(w.probes) != 1 {
			t.Fatalf("probes %+v, want one", w.probes)
		}
		w.probed(answers)
		if answers {
			w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
		} else {
			w.wants()
		}
	}
	w := newWorld(t, movePolicy(delegation.MoveDeny))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 0))) // to herself
	w.wants()
}

// A host with a copy of alice's DUID uses up its own share of the limit, where
// hosts have one.
func TestCopiedDUIDHasAShareOfItsOwn(t *testing.T) {
	w := newWorld(t, policy(func(p *delegation.Policy) { p.ClientLimit, p.HostLimit = 1, 2 }))
	w.lease(client{alice.link, alice.duid, bob.addr, bob.mac}, iaPD(7, prefix("2001:db8:700::/56", 600)))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan0 2001:db8:700::/56 via fe80::b for 10m0s")
	if got := w.says(alice, message(dhcp6.Request, 1, clientID(alice.duid), iaPD(2))); len(got) != 0 || w.dropped(effect.DropLimit) != 1 {
		t.Errorf("her second: %d datagrams forwarded and %d dropped, want 0 and 1", len(got), w.dropped(effect.DropLimit))
	}
}
