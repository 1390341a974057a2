package server6_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// A crash at any write leaves a declined address with its client, or in quarantine: the end of the lease and the
// record of the quarantine are one Change.
func TestDeclineIsKeptWhole(t *testing.T) {
	w := newWorld(t)
	p := w.asks(alice, dhcp6.Request, iaNA(1)).only()
	from, _ := server6.RecordRange()
	a := p.Addr().As16()
	writes := 0
	w.deed = func() {
		writes++
		_, leased := w.store[string(binding.Key(nil, binding.Server6, "", p))]
		if _, declined := w.store[string(from)+string(a[:])]; leased == declined {
			t.Errorf("leased %v, declined %v", leased, declined)
		}
	}
	w.asks(alice, dhcp6.Decline, iaNA(1, named(p.Addr().String())))
	if writes == 0 {
		t.Error("nothing was kept")
	}
}

// A crash after a grant leaves in the store nothing that overlaps with it: what has ended while the store took
// nothing goes out of the store with the grant, at the latest.
func TestGrantTakesOutWhatHasEnded(t *testing.T) {
	for _, slow := range []bool{false, true} {
		w := newWorld(t, lengths("2001:db8:4000::/55", 55, 55, 56))
		had := w.asks(alice, dhcp6.Request, iaPD(1))
		w.slow, w.keepErr = slow, errStoreDown
		w.says(alice, alice.message(dhcp6.Release, had.taken()...))
		if slow {
			w.says(bob, bob.message(dhcp6.Request, iaPD(1, named("::/56"))))
			w.finish(1)
		}
		w.keepErr = nil
		if slow {
			w.finish(1)
			w.slow = false
		} else {
			w.says(bob, bob.message(dhcp6.Request, iaPD(1, named("::/56"))))
		}
		rec, kept := w.record(had.only())
		if got := w.holds(); len(got) != 1 || kept {
			t.Errorf("slow %v: leases are %q, and the store still has %v", slow, got, rec.Prefix)
		}
	}
}

// A client that asks for another length than that of what waits for it gets that all the same where nothing else is
// free.
func TestWhatWaitsHasAnotherLength(t *testing.T) {
	w := newWorld(t, lengths("2001:db8:4000::/55", 56, 55, 56))
	had := w.asks(alice, dhcp6.Request, iaPD(1)).only()
	w.asks(bob, dhcp6.Request, iaPD(1))
	w.clears(delegation.Selection{Prefix: had})
	if got := w.asks(alice, dhcp6.Request, iaPD(1, named("::/55"))); got.leases() != "PD 1: "+had.String()+" 3000/4000" {
		t.Errorf("%q, want %v", got.leases(), had)
	}
}

// A client that names one of the last two free prefixes, and asks for two, gets both.
func TestNamedAndTheLastOne(t *testing.T) {
	for n := range 40 {
		w := newWorld(t, lengths("2001:db8:4000::/52", 56, 56, 56))
		for i := range 14 {
			w.asks(somebody(100+i), dhcp6.Request, iaPD(1, named(fmt.Sprintf("2001:db8:4000:%x00::/56", i+1))))
		}
		got := w.asks(somebody(n), dhcp6.Request, iaPD(1, named("2001:db8:4000:f00::/56"), named("2001:db8:4000:100::/56")))
		if want := "PD 1: 2001:db8:4000:f00::/56 3000/4000 2001:db8:4000::/56 3000/4000"; got.leases() != want {
			t.Fatalf("client %d gets %q, want %q", n, got.leases(), want)
		}
	}
}

// reserves reserves a lease on lan0 for a client.
func reserves(p netip.Prefix, c client) func(*server6.Config) {
	of := server6.Reservation{DUID: dhcp6.DUID(c.duid)}
	if p.IsSingleIP() {
		of.Addresses = []netip.Addr{p.Addr()}
	} else {
		of.Prefixes = []netip.Prefix{p}
	}
	return subnet(func(sn *server6.Subnet) { sn.Reservations = append(sn.Reservations, of) })
}

// What is reserved waits for nobody, also where it has waited before for the client that it is taken from.
func TestReservedWaitsForNobody(t *testing.T) {
	w := newWorld(t)
	p := w.asks(alice, dhcp6.Request, iaNA(1)).only()
	w.clears(delegation.Selection{Prefix: p})
	w.asks(alice, dhcp6.Request, iaNA(1, named(p.Addr().String())))
	w.reconfigure(reserves(p, bob))
	w.asks(alice, dhcp6.Renew, iaNA(1, named(p.Addr().String())))
	if got := w.asks(bob, dhcp6.Request, iaNA(1)).only(); got != p {
		t.Errorf("the client has %v, and %v is reserved for it", got, p)
	}
}

// What has been reserved while it waited goes to no other client, although nothing else is free.
func TestReservedIsNotWhatHasWaitedLongest(t *testing.T) {
	one := pool("2001:db8:1::1:1", "2001:db8:1::1:1")
	w := newWorld(t, subnet(one))
	p := w.asks(alice, dhcp6.Request, iaNA(1)).only()
	w.sleep(4001 * time.Second)
	w.reconfigure(subnet(one), reserves(p, carol))
	if got := w.asks(bob, dhcp6.Request, iaNA(1)).leases(); got != "NA 1: status 2" {
		t.Errorf("%q, although %v is reserved for another client", got, p)
	}
}

// A lease that an operator has cleared goes on waiting for its client where that is given it and loses it again
// before anything of that is kept: the client knows neither, and may use the lease yet.
func TestWaitsAfterGrantAndEndAreNotKept(t *testing.T) {
	w := newWorld(t, lengths("2001:db8:4000::/55", 56, 55, 56))
	had := w.asks(alice, dhcp6.Request, iaPD(1)).only()
	w.clears(delegation.Selection{Prefix: had})
	w.slow, w.keepErr = true, errStoreDown
	w.says(alice, alice.message(dhcp6.Request, iaPD(1, named(had.String()))))
	w.says(alice, alice.message(dhcp6.Request, iaPD(1, named("::/57"))))
	other := cidr("2001:db8:4000::/56")
	if had == other {
		other = cidr("2001:db8:4000:100::/56")
	}
	w.reconfigure(lengths("2001:db8:4000::/55", 56, 55, 56), reserves(other, alice))
	w.says(alice, alice.message(dhcp6.Request, iaPD(1)))
	w.finish(len(w.flight))
	w.slow, w.keepErr = false, nil
	w.sleep(3 * time.Second)
	if got := w.asks(bob, dhcp6.Request, iaPD(1)); got.leases() != "PD 1: status 6" {
		t.Errorf("%q, although another client may use %v yet", got.leases(), had)
	}
}

// Where another server has given what waits for a client here, the client gets something else.
func TestTakenWhileItWaits(t *testing.T) {
	w := newWorld(t, shared)
	p := w.asks(alice, dhcp6.Request, iaNA(1)).only()
	w.clears(delegation.Selection{Prefix: p})
	w.elsewhere(p)
	if got := w.says(alice, alice.message(dhcp6.Request, iaNA(1))); len(got) != 0 {
		t.Fatalf("%d datagrams, want none", len(got))
	}
	if got := w.asks(alice, dhcp6.Request, iaNA(1)).only(); got == p {
		t.Errorf("the client is given %v, which another server has given", got)
	}
}

// A grant that is not kept goes back into its pool, also where the answer that would have taken it from its client
// again is held back too: the client has heard of neither.
func TestGrantThatHasEndedIsNotKept(t *testing.T) {
	w := newWorld(t, lengths("2001:db8:4000::/55", 56, 56, 56))
	w.slow, w.keepErr = true, errStoreDown
	w.says(alice, alice.message(dhcp6.Request, iaPD(1, named("2001:db8:4000::/56"))))
	w.reconfigure(lengths("2001:db8:4000::/55", 56, 56, 56), reserves(cidr("2001:db8:4000:100::/56"), alice))
	w.says(alice, alice.message(dhcp6.Request, iaPD(1)))
	w.finish(len(w.flight))
	w.slow, w.keepErr = false, nil
	w.sleep(3 * time.Second)
	if got := w.core.Pools(); len(w.sent) != 0 || len(w.holds()) != 0 || got[1].Taken != 0 {
		t.Errorf("%d answers, leases %q, %d of the pool taken: want none", len(w.sent), w.holds(), got[1].Taken)
	}
	w.agrees()
}
