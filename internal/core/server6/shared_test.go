package server6_test

import (
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// shared has the server know that others write into the store too.
func shared(c *server6.Config) { c.Records.Shared = true }

// elsewhere has another server, with the same store, give a lease to somebody.
func (w *world) elsewhere(p netip.Prefix) {
	b := binding.Binding{Link: "lan0", Prefix: p, Kind: binding.Address, Client: binding.DUID(somebody(99).duid), IAID: 1, Valid: w.now.Boot.After(time.Hour)}
	w.store[string(binding.Key(nil, binding.Server6, "", p))] = binding.AppendRecord(nil, binding.Server6, &b, w.now, w.bootID)
}

// Where the store says that another server has given a lease, the client is not told of it, and
// gets another one when it asks again.
func TestTakenByAnotherServer(t *testing.T) {
	w := newWorld(t, shared)
	offer := w.asks(alice, dhcp6.Solicit, iaNA(1))
	p := offer.only()
	w.elsewhere(p)
	kept := w.store[string(binding.Key(nil, binding.Server6, "", p))]
	if got := w.says(alice, alice.message(dhcp6.Request, offer.taken()...)); len(got) != 0 || len(w.holds()) != 0 {
		t.Fatalf("told %d datagrams, and the server has %v: want nothing", len(got), w.holds())
	}
	again := w.asks(alice, dhcp6.Request, offer.taken()...).only()
	if again == p {
		t.Errorf("the client is given %v, which another server has given", p)
	}
	if now := w.store[string(binding.Key(nil, binding.Server6, "", p))]; string(now) != string(kept) {
		t.Errorf("the record of the other server is now %x, it was %x", now, kept)
	}
	if got := w.asks(alice, dhcp6.Renew, iaNA(1, named(again.Addr().String()))).only(); got != again {
		t.Errorf("renewed %v, got %v", again, got)
	}
	// Another client may not have it either, until it is looked at again.
	if got := w.asks(bob, dhcp6.Request, iaNA(1, named(p.Addr().String()))).only(); got == p {
		t.Errorf("another client is given %v", p)
	}
	w.sleep(10 * time.Minute)
	delete(w.store, string(binding.Key(nil, binding.Server6, "", p)))
	if got := w.asks(carolOn(lan0Index), dhcp6.Request, iaNA(1, named(p.Addr().String()))).only(); got != p {
		t.Errorf("a client that names %v is given %v, although the other server has it no more", p, got)
	}
}

// carolOn is carol on another link.
func carolOn(link int) client {
	c := carol
	c.link = link
	return c
}

// A pool of one address that another server has given is full.
func TestTakenAndNothingLeft(t *testing.T) {
	w := newWorld(t, shared, subnet(pool("2001:db8:1::1:1", "2001:db8:1::1:1")))
	w.elsewhere(cidr("2001:db8:1::1:1/128"))
	if got := w.says(alice, alice.message(dhcp6.Request, iaNA(1))); len(got) != 0 {
		t.Fatalf("%d datagrams, want none", len(got))
	}
	if got := w.asks(alice, dhcp6.Request, iaNA(1)).leases(); got != "NA 1: status 2" {
		t.Errorf("got %q, want NoAddrsAvail", got)
	}
}

// What is reserved for a client and another server has given is withheld from it, and it is given
// something out of the pool.
func TestReservedAndTaken(t *testing.T) {
	mine := addr("2001:db8:1::5")
	w := newWorld(t, shared, subnet(func(sn *server6.Subnet) {
		sn.Reservations = []server6.Reservation{{DUID: dhcp6.DUID(alice.duid), Addresses: []netip.Addr{mine}}}
	}))
	w.elsewhere(netip.PrefixFrom(mine, 128))
	if got := w.says(alice, alice.message(dhcp6.Request, iaNA(1))); len(got) != 0 {
		t.Fatalf("%d datagrams, want none", len(got))
	}
	if got := w.asks(alice, dhcp6.Request, iaNA(1)).only(); got.Addr() == mine {
		t.Errorf("the client is given %v, which another server has given", got)
	}
	w.sleep(10 * time.Minute)
	delete(w.store, string(binding.Key(nil, binding.Server6, "", netip.PrefixFrom(mine, 128))))
	if got := w.asks(alice, dhcp6.Solicit, iaNA(7)).only(); got.Addr() != mine {
		t.Errorf("the client is given %v, want %v, which is free again", got, mine)
	}
}
