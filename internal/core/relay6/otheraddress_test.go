package relay6_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// secondAddress is alice at another link-local address of hers.
var secondAddress = client{alice.link, alice.duid, "fe80::1", alice.mac}

// A client that has got a second address renews from it: the Reply passes at once,
// lifetimes follow it (RFC 8987 G-8), and the route goes to the new address once
// that answers from the client's link-layer address.
func TestHolderRenewsFromAnotherAddress(t *testing.T) {
	for _, move := range []delegation.MovePolicy{delegation.MoveProbe, delegation.MoveDeny} {
		for _, answers := range []bool{true, false} {
			name := fmt.Sprintf("%v, answers %v", move, answers)
			w := newWorld(t, movePolicy(move))
			w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600), prefix("2001:db8:101::/56", 600)))
			renewed := iaPD(1, prefix("2001:db8:100::/56", 900), prefix("2001:db8:101::/56", 900))
			for range 3 { // a probe is out: nothing more is asked
				if got := w.exchange(secondAddress, dhcp6.Renew, renewed); len(got) != 1 {
					t.Fatalf("%s: %d datagrams, want the Reply at once (drops %v)", name, len(got), w.drops)
				}
			}
			w.wants("lan0 2001:db8:100::/56 via fe80::a for 15m0s", "lan0 2001:db8:101::/56 via fe80::a for 15m0s")
			want := effect.Probe{Index: lan0Index}
			want.NextHop = binding.NextHop{Link: "lan0", Addr: addr("fe80::1"), LinkLayer: alice.mac}
			if !slices.Equal(w.probes, []effect.Probe{want}) {
				t.Fatalf("%s: probes %+v, want %+v", name, w.probes, want)
			}
			w.probed(answers)
			via := "fe80::a"
			if answers {
				via = "fe80::1"
			}
			w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via "+via+" dev 10 table 254 metric 1024")
			w.wantRoutes("2001:db8:101::/56", "2001:db8:101::/56 via "+via+" dev 10 table 254 metric 1024")
			w.stays("2001:db8:100::/56", alice.mac)
			w.restart() // the store has it as well
			w.wants("lan0 2001:db8:100::/56 via "+via+" for 15m0s", "lan0 2001:db8:101::/56 via "+via+" for 15m0s")
			if got := w.noted(effect.NoteDelegation); len(got) != 0 {
				t.Errorf("%s: refused for %q", name, got)
			}
		}
	}
}

// The lease of a client that always asks from its second address does not end at
// the relay while the server renews it, although that address never answers.
func TestHolderLivesAtAnotherAddress(t *testing.T) {
	w := newWorld(t, movePolicy(delegation.MoveProbe))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	for range 5 {
		w.sleep(5 * time.Minute)
		w.exchange(secondAddress, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 600)))
		w.probed(false)
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
	}
}

// An answer that comes late, or after the delegation has ended or gone to another,
// moves nothing.
func TestAnswerOfAnotherAddressTooLate(t *testing.T) {
	for name, meanwhile := range map[string]func(*world){
		"a minute passes": func(w *world) { w.move(w.now.Boot.After(time.Minute)) },
		"it ends":         func(w *world) { w.says(alice, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1))) },
		"it ends, and is bob's": func(w *world) {
			w.says(alice, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1)))
			w.lease(bob, iaPD(1, prefix("2001:db8:100::/56", 900)))
		},
	} {
		w := newWorld(t, movePolicy(delegation.MoveProbe))
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		w.exchange(secondAddress, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 900)))
		meanwhile(w)
		before := w.delegations()
		w.probed(true)
		if got := w.delegations(); !slices.Equal(got, before) {
			t.Errorf("%s: %q, want %q", name, got, before)
		}
	}
}

// Whoever lacks one of the four things that tell the holder is somebody else at
// another address: the holder's next hop is asked, as for any move.
func TestNotTheHolderAtAnotherAddress(t *testing.T) {
	for name, ask := range map[string]func(*world){
		"another host": func(w *world) {
			w.exchange(client{alice.link, alice.duid, "fe80::1", bob.mac}, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 900)))
		},
		"no link-layer address": func(w *world) {
			w.exchange(client{alice.link, alice.duid, "fe80::1", linkaddr.Addr{}}, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 900)))
		},
		"another IAID": func(w *world) { w.exchange(secondAddress, dhcp6.Renew, iaPD(2, prefix("2001:db8:100::/56", 900))) },
		"another DUID": func(w *world) {
			w.exchange(client{alice.link, bob.duid, "fe80::1", alice.mac}, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 900)))
		},
		"an address that two hosts use": func(w *world) {
			w.says(client{alice.link, bob.duid, "fe80::1", bob.mac}, message(dhcp6.InformationRequest, 2, clientID(bob.duid)))
			w.exchange(secondAddress, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 900)))
		},
	} {
		w := newWorld(t, movePolicy(delegation.MoveProbe))
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		ask(w)
		if len(w.probes) != 1 || w.probes[0].NextHop.Addr != addr(alice.addr) {
			t.Fatalf("%s: probes %+v, want one of %s", name, w.probes, alice.addr)
		}
		w.probed(true)
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
	}
}

// A Release or Decline is the holder's from any of its addresses, and ends what it
// names; so does a lifetime of 0 in an answer to one.
func TestHolderReleasesFromAnotherAddress(t *testing.T) {
	w := newWorld(t, movePolicy(delegation.MoveProbe))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600), prefix("2001:db8:101::/56", 600)), iaNA(1, address("2001:db8:77::1", 600)))
	w.says(secondAddress, message(dhcp6.Decline, 1, clientID(alice.duid), iaNA(1, address("2001:db8:77::1", 600))))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan0 2001:db8:101::/56 via fe80::a for 10m0s")
	w.says(secondAddress, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1, prefix("2001:db8:100::/56", 600))))
	w.wants("lan0 2001:db8:101::/56 via fe80::a for 10m0s")
	w.exchange(secondAddress, dhcp6.Renew, iaPD(1, prefix("2001:db8:101::/56", 0)))
	w.wants()
	if len(w.probes) != 0 {
		t.Errorf("probes %+v, want none", w.probes)
	}
}

// A delegation that is bound to no link-layer address is its next hop's alone.
func TestHolderWithoutLinkLayerAddress(t *testing.T) {
	w := newWorld(t, movePolicy(delegation.MoveProbe))
	line := client{alice.link, alice.duid, alice.addr, linkaddr.Addr{}}
	w.lease(line, iaPD(1, prefix("2001:db8:100::/56", 600)))
	other := line
	other.addr = secondAddress.addr
	w.says(other, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1)))
	w.exchange(other, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 900)))
	w.probed(true)
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
	w.says(line, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1)))
	w.wants()
}

// What waits for answers is bounded, and what was forgotten makes room.
func TestOtherAddressesAreBounded(t *testing.T) {
	w := newWorld(t, movePolicy(delegation.MoveProbe))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 90_000)))
	ask := func(n int) {
		c := secondAddress
		c.addr = fmt.Sprintf("fe80::1:%x", n)
		w.exchange(c, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 90_000)))
	}
	for n := range 300 {
		ask(n)
	}
	if got := len(w.probes); got != 256 {
		t.Errorf("%d probes at once, want 256", got)
	}
	w.move(w.now.Boot.After(time.Minute))
	ask(300)
	if got := len(w.probes); got != 257 {
		t.Errorf("%d probes after a minute, want one more than 256", got)
	}
}

// Where nobody could be asked nothing moves: neither the next hop of a holder to its
// other address, nor a prefix to another client.
func TestNextHopThatCannotBeAsked(t *testing.T) {
	w := newWorld(t, movePolicy(delegation.MoveProbe))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.exchange(secondAddress, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 900)))
	w.exchange(bob, dhcp6.Request, iaPD(1, prefix("2001:db8:100::/56", 900)))
	if len(w.probes) != 2 {
		t.Fatalf("probes %+v, want one of each address", w.probes)
	}
	for _, p := range w.probes {
		w.core.Unprobed(w.now, p.Question, &w.eff)
		w.carryOut()
	}
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 15m0s")
	if got := w.core.Totals().Refusals["still-answers"]; got != 1 {
		t.Errorf("%d grants refused because the holder counts as there, want 1", got)
	}
}
