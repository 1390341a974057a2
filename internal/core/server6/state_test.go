package server6_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/links"
	"fairlead/internal/core/server6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// What becomes of leases while time passes, the store fails, the process or the machine begins anew, and
// the operator changes his mind.

// two is a pool with two addresses and two prefixes.
func two(sn *server6.Subnet) {
	pool("2001:db8:1::1:0", "2001:db8:1::1:1")(sn)
	pdPool(server6.PrefixPool{Prefix: cidr("2001:db8:4000::/55"), Length: 56, Min: 56, Max: 56})(sn)
}

// Section 18.3.7: "A server may choose to retain a record of assigned leases and IAs after the lifetimes on
// the leases have expired to allow the server to reassign the previously assigned leases to a client." A
// client that comes within ten minutes gets what it had, wherever in the pool that is.
func TestExpiredLeaseWaitsForItsClient(t *testing.T) {
	w := newWorld(t, subnet(func(sn *server6.Subnet) { pool("2001:db8:1::1:0", "2001:db8:1::1:7")(sn) }))
	var had []netip.Prefix
	for n := range 8 {
		had = append(had, w.obtains(somebody(n), iaNA(1)).only())
	}
	w.sleep(4000 * time.Second)
	if len(w.holds()) != 0 {
		t.Fatalf("leases %q", w.holds())
	}
	for n := 7; n > 1; n-- {
		if again := w.obtains(somebody(n), iaNA(1)).only(); again != had[n] {
			t.Errorf("%d has %v, and had %v", n, again, had[n])
		}
	}
	w.agrees()
	// Ten minutes later what nobody has come for is as all else.
	w.sleep(11 * time.Minute)
	if p := w.core.Pools()[0]; p.Taken != 6 {
		t.Errorf("%+v, want 6 taken", p)
	}
}

// Where all is leased or waits for its client, a new client gets what has waited the longest.
func TestWaitingLeaseIsGivenToAnother(t *testing.T) {
	w := newWorld(t, subnet(two))
	first := w.obtains(alice, iaNA(1), iaPD(1))
	w.sleep(5 * time.Second)
	second := w.obtains(somebody(1), iaNA(1), iaPD(1))
	w.sleep(3999 * time.Second) // both have expired
	w.sleep(30 * time.Second)
	got := w.obtains(bob, iaNA(1), iaPD(1))
	if got.leases() != first.leases() {
		t.Errorf("%q, want what has waited longer, %q", got.leases(), first.leases())
	}
	if again := w.obtains(somebody(1), iaNA(1), iaPD(1)); again.leases() != second.leases() {
		t.Errorf("%q, want %q", again.leases(), second.leases())
	}
	if late := w.asks(alice, dhcp6.Request, iaNA(1), iaPD(1)); late.leases() != "NA 1: status 2; PD 1: status 6" {
		t.Errorf("%q", late.leases())
	}
	w.agrees()
}

// What an operator clears is given to another only once its client cannot use it any more, or has asked
// for it again.
func TestClearedLease(t *testing.T) {
	w := newWorld(t, subnet(two))
	got := w.obtains(alice, iaNA(1), iaPD(2))
	if n := w.clears(delegation.Selection{Client: binding.DUID(alice.duid)}); n != 2 || len(w.holds()) != 0 {
		t.Errorf("%d cleared, leases %q", n, w.holds())
	}
	w.agrees()
	for n := range 2 {
		other := w.asks(somebody(n), dhcp6.Request, iaNA(1, named(got.ias[0].leases[0].prefix.Addr().String())), iaPD(1, named(got.ias[1].leases[0].prefix.String())))
		for i, x := range other.ias {
			if len(x.leases) == 1 && x.leases[0].prefix == got.ias[i].leases[0].prefix {
				t.Errorf("another client has %v", x.leases[0].prefix)
			}
		}
	}
	if again := w.asks(alice, dhcp6.Renew, got.taken()...); again.leases() != got.leases() {
		t.Errorf("she has %q, want %q", again.leases(), got.leases())
	}
	w.clears(delegation.Selection{Prefix: got.ias[1].leases[0].prefix})
	w.clears(delegation.Selection{Link: "lan0"})
	if len(w.holds()) != 0 {
		t.Errorf("leases %q", w.holds())
	}
	w.sleep(3990 * time.Second)
	if late := w.asks(bob, dhcp6.Request, iaPD(9)); late.leases() != "PD 9: status 6" && late.only() == got.ias[1].leases[0].prefix {
		t.Errorf("%q while the client may use it", late.leases())
	}
	w.sleep(30 * time.Second)
	w.sleep(10 * time.Second)
	if w.core.Pools()[0].Taken > 2 {
		t.Errorf("%+v", w.core.Pools())
	}
	w.agrees()
}

// A host can have no more declined than one client may have.
func TestDeclinesOfOneHost(t *testing.T) {
	w := newWorld(t, subnet(pool("2001:db8:1::1:0", "2001:db8:1::1:ff")), limits(func(p *delegation.Policy) { p.ClientLimit = 3 }))
	for n := range 20 {
		c := somebody(n)
		c.mac = alice.mac
		a := w.obtains(c, iaNA(1)).onlyAddr()
		w.asks(c, dhcp6.Decline, iaNA(1, named(a)))
	}
	if n := w.core.Totals().Declined; n != 3 || w.core.Pools()[0].Taken != 3 {
		t.Errorf("%d declined, %d taken, want 3", n, w.core.Pools()[0].Taken)
	}
	w.sleep(25 * time.Hour)
	a := w.obtains(alice, iaNA(1)).onlyAddr()
	w.asks(alice, dhcp6.Decline, iaNA(1, named(a)))
	if n := w.core.Totals().Declined; n != 1 {
		t.Errorf("a day later: %d declined, want 1", n)
	}
}

// What is declined is kept: a restart and a reboot change nothing, and the time goes on. Where the clock
// cannot be trusted, it begins anew.
func TestDeclinedIsKept(t *testing.T) {
	for name, again := range map[string]func(w *world){
		"restart":             func(w *world) { w.restart() },
		"reboot":              func(w *world) { w.reboot(w.now.Wall.Add(time.Hour), true) },
		"reboot without time": func(w *world) { w.reboot(time.Unix(0, 0), false) },
		"the clock was ahead": func(w *world) { w.reboot(w.now.Wall.Add(-time.Hour*1000), true) },
	} {
		w := newWorld(t, subnet(two))
		a := w.obtains(alice, iaNA(1)).onlyAddr()
		w.asks(alice, dhcp6.Decline, iaNA(1, named(a)))
		w.sleep(time.Hour)
		again(w)
		if n := w.core.Totals().Declined; n != 1 || w.core.Pools()[0].Taken != 1 {
			t.Errorf("%s: %d declined, %d taken", name, n, w.core.Pools()[0].Taken)
		}
		if got := w.obtains(bob, iaNA(1, named(a))).onlyAddr(); got == a {
			t.Errorf("%s: it is given to another", name)
		}
		w.sleep(21*time.Hour + 50*time.Minute)
		if n := w.core.Totals().Declined; n != 1 {
			t.Errorf("%s: after 22 hours %d are declined", name, n)
		}
		w.sleep(3 * time.Hour)
		if n := w.core.Totals().Declined; n != 0 {
			t.Errorf("%s: after 25 hours %d are declined", name, n)
		}
		from, to := server6.RecordRange()
		for key := range w.store {
			if key >= string(from) && key < string(to) {
				t.Errorf("%s: the record %x is left", name, key)
			}
		}
		w.obtains(somebody(1), iaNA(1))
		w.agrees()
	}
}

// Records that were damaged do no harm: they are refused, or mean no more than a whole one could.
func TestDamagedRecords(t *testing.T) {
	w := newWorld(t, subnet(two))
	a := w.obtains(alice, iaNA(1)).onlyAddr()
	w.asks(alice, dhcp6.Decline, iaNA(1, named(a)))
	from, to := server6.RecordRange()
	var key, value []byte
	for k, v := range w.store {
		if k >= string(from) && k < string(to) {
			key, value = []byte(k), v
		}
	}
	if key == nil {
		t.Fatal("no record")
	}
	fresh := server6.New(w.cfg, w.bootID)
	for _, torn := range [][2][]byte{
		{nil, nil}, {key, nil}, {key, value[:15]}, {key[:15], value}, {key[:len(key)-1], value}, {append(slices.Clone(key), 1), value}, {slices.Concat([]byte("X6"), key[2:]), value},
	} {
		if err := fresh.RestoreRecord(w.now, torn[0], torn[1]); !errors.Is(err, server6.ErrRecord) {
			t.Errorf("key %x with %x is taken", torn[0], torn[1])
		}
	}
	if fresh.Totals().Declined != 0 {
		t.Error("something is declined")
	}
	// A time that no server writes is bounded.
	forever := slices.Concat([]byte{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, value[8:])
	w.store[string(key)] = forever
	w.restart()
	w.sleep(25 * time.Hour)
	if n := w.core.Totals().Declined; n != 0 {
		t.Errorf("%d are declined for ever", n)
	}
	// A lease in a pool that is another's, and two that overlap: the server goes on.
	w = newWorld(t, lengths("2001:db8:4000::/40", 56, 52, 60))
	had := w.obtains(alice, iaPD(1)).only()
	rec, _ := w.record(had)
	rec.Prefix = netip.PrefixFrom(had.Addr(), 52).Masked()
	w.store[string(binding.Key(nil, binding.Server6, "", rec.Prefix))] = rec.Append(nil)
	w.restart()
	if got := w.obtains(bob, iaPD(1)).only(); got.Overlaps(rec.Prefix) {
		t.Errorf("Bob has %v", got)
	}
	for range 3 {
		w.asks(alice, dhcp6.Renew, iaPD(1))
	}
	w.sleep(4001 * time.Second)
	w.sleep(11 * time.Minute)
	if p := w.core.Pools()[1]; p.Taken != 0 || len(w.holds()) != 0 {
		t.Errorf("%+v; leases %q", p, w.holds())
	}
}

// A grant that could not be kept is not told: its client has no answer, the pool has it free again, and the
// client gets it later.
func TestGrantThatIsNotKept(t *testing.T) {
	w := newWorld(t, subnet(two), subnet(rapidCommit))
	offer := w.asks(alice, dhcp6.Solicit, iaNA(1), iaPD(2))
	w.keepErr = errStoreDown
	for _, m := range [][]byte{
		alice.message(dhcp6.Request, offer.taken()...), alice.message(dhcp6.Renew, offer.taken()...), alice.message(dhcp6.Solicit, append(offer.taken(), rapid)...),
	} {
		if got := w.says(alice, m); len(got) != 0 || len(w.holds()) != 0 {
			t.Fatalf("%d answers, leases %q", len(got), w.holds())
		}
		for _, p := range w.core.Pools()[:2] {
			if p.Taken != 0 {
				t.Fatalf("%+v", p)
			}
		}
	}
	if len(w.held) != 3 || w.core.Totals().Refusals["not-kept"] != 6 || w.core.Totals().KeepFailed == 0 {
		t.Errorf("%d held back, %+v", len(w.held), w.core.Totals())
	}
	// An offer needs no store.
	if again := w.asks(alice, dhcp6.Solicit, iaNA(1), iaPD(2)); again.leases() != offer.leases() {
		t.Errorf("%q, want %q", again.leases(), offer.leases())
	}
	w.keepErr = nil
	w.sleep(time.Minute)
	if w.core.Unkept() != 0 {
		t.Errorf("%d records are lacking", w.core.Unkept())
	}
	if got := w.asks(alice, dhcp6.Request, offer.taken()...); got.leases() != offer.leases() {
		t.Errorf("%q, want %q", got.leases(), offer.leases())
	}
	w.agrees()
}

// An answer that gives another lease in place of one, and that could not be kept, is not told: the client has
// what it had, and nobody else gets that while it may use it. While it is not clear which of the two the client
// has, no other message of it is decided on, but for an offer.
func TestReplacementThatIsNotKept(t *testing.T) {
	w := newWorld(t, lengths("2001:db8:4000::/54", 56, 55, 56))
	had := w.asks(alice, dhcp6.Request, iaPD(1)).only()
	w.slow = true
	longer := alice.message(dhcp6.Request, iaPD(1, named("::/55")))
	w.says(alice, longer)
	for _, m := range [][]byte{longer, alice.message(dhcp6.Release, iaPD(1, named(had.String())))} {
		w.ignored("a message before it is clear what the client has", alice.from(m), effect.DropAnswerWaits)
	}
	if len(w.sent) != 1 || slices.Equal(w.holds(), []string{had.String()}) {
		t.Fatalf("%d answers, leases %q, want another prefix", len(w.sent), w.holds())
	}
	if offer := w.asks(alice, dhcp6.Solicit, iaPD(1)); offer.only().Bits() != 55 {
		t.Errorf("%q", offer.leases())
	}
	for n := range 4 { // who take all else that is free
		w.says(somebody(n), somebody(n).message(dhcp6.Request, iaPD(1)))
	}
	if got := w.asks(bob, dhcp6.Solicit, iaPD(1, named(had.String()))); got.leases() != "PD 1: status 6" {
		t.Errorf("another client is offered %q", got.leases())
	}
	w.keepErr = errStoreDown
	w.finish(10)
	w.keepErr, w.slow = nil, false
	if len(w.held) != 2 || !slices.Equal(w.holds(), []string{had.String()}) {
		t.Errorf("%d answers held back, leases %q, want %v", len(w.held), w.holds(), had)
	}
	w.sleep(time.Minute)
	w.agrees()
	if p := w.core.Pools()[1]; p.Taken != 1 {
		t.Errorf("%+v", p)
	}
	w.restart()
	if got := w.asks(alice, dhcp6.Renew, iaPD(1, named(had.String()))); got.only() != had {
		t.Errorf("%q", got.leases())
	}
	w.agrees()
}

// Where it is kept, what was taken back waits for its client for a while: the answer may get lost. It is given
// to another before that only where nothing else is free.
func TestReplacementWaits(t *testing.T) {
	w := newWorld(t, lengths("2001:db8:4000::/54", 56, 55, 56))
	had := w.asks(alice, dhcp6.Request, iaPD(1)).only()
	w.asks(alice, dhcp6.Request, iaPD(1, named("::/55")))
	if got := w.asks(bob, dhcp6.Request, iaPD(1, named(had.String()))); got.only() == had {
		t.Errorf("another client has %v at once, while others are free", had)
	}
	if p := w.core.Pools()[1]; p.Taken != 4 {
		t.Errorf("%+v", p)
	}
	if got := w.asks(somebody(1), dhcp6.Solicit, iaPD(1)); got.only() != had {
		t.Errorf("%q, want %v, where nothing else is free", got.leases(), had)
	}
	w.sleep(11 * time.Minute)
	if p := w.core.Pools()[1]; p.Taken != 3 {
		t.Errorf("%+v", p)
	}
}

// A lifetime that an answer shortens, and that could not be kept, stays as long as the client knows it.
func TestShorteningThatIsNotKept(t *testing.T) {
	w := newWorld(t, subnet(two))
	w.obtains(alice, iaNA(1))
	w.reconfigure(subnet(two), subnet(func(sn *server6.Subnet) { sn.Lifetimes = server6.Lifetimes{Preferred: 300, Valid: 400} }))
	w.keepErr = errStoreDown
	if got := w.says(alice, alice.message(dhcp6.Request, iaNA(1), iaPD(2))); len(got) != 0 {
		t.Fatalf("%d answers, although the prefix is not kept", len(got))
	}
	w.keepErr = nil
	w.sleep(3000 * time.Second)
	if len(w.holds()) != 1 {
		t.Errorf("leases %q, want the address for the 4000 s that its client was told", w.holds())
	}
	w.agrees()
	w.asks(alice, dhcp6.Request, iaNA(1), iaPD(2))
	w.sleep(401 * time.Second)
	if len(w.holds()) != 0 {
		t.Errorf("leases %q", w.holds())
	}
	w.agrees()
}

// A lease that is durable is renewed although the store is down; what it lacks is kept once the store is
// back.
func TestRenewWhileTheStoreIsDown(t *testing.T) {
	w := newWorld(t, subnet(two))
	got := w.obtains(alice, iaNA(1), iaPD(2))
	w.sleep(1500 * time.Second)
	w.keepErr = errStoreDown
	if again := w.asks(alice, dhcp6.Renew, got.taken()...); again.leases() != got.leases() {
		t.Errorf("%q, want %q", again.leases(), got.leases())
	}
	w.sleep(3000 * time.Second)
	if len(w.holds()) != 2 {
		t.Errorf("leases %q, want both", w.holds())
	}
	w.keepErr = nil
	w.sleep(10 * time.Second)
	w.agrees()
	// A Release while it is down: the lease ends, and its record with it.
	w.keepErr = errStoreDown
	if again := w.asks(alice, dhcp6.Release, got.taken()...); again.status() != 0 || len(w.holds()) != 0 {
		t.Errorf("status %d, leases %q", again.status(), w.holds())
	}
	w.keepErr = nil
	w.sleep(10 * time.Second)
	w.agrees()
	// So is a Decline.
	a := w.obtains(alice, iaNA(1)).onlyAddr()
	w.keepErr = errStoreDown
	w.asks(alice, dhcp6.Decline, iaNA(1, named(a)))
	w.keepErr = nil
	w.sleep(10 * time.Second)
	w.restart()
	if w.core.Totals().Declined != 1 || len(w.holds()) != 0 {
		t.Errorf("%d declined, leases %q", w.core.Totals().Declined, w.holds())
	}
	w.agrees()
}

// A lease that waits for its client goes on waiting where a grant of it is not kept.
func TestGrantOfWhatWaitsIsNotKept(t *testing.T) {
	w := newWorld(t, lengths("2001:db8:4000::/55", 56, 56, 56))
	had := w.asks(alice, dhcp6.Request, iaPD(1))
	w.asks(somebody(1), dhcp6.Request, iaPD(1))
	w.clears(delegation.Selection{Prefix: had.only()})
	fails := func(c client) {
		w.keepErr = errStoreDown
		if got := w.says(c, c.message(dhcp6.Request, iaPD(1))); len(got) != 0 {
			t.Errorf("%d answers", len(got))
		}
		w.keepErr = nil
		w.sleep(3 * time.Second)
	}
	fails(alice)
	if got := w.asks(bob, dhcp6.Request, iaPD(1, named(had.only().String()))); got.leases() != "PD 1: status 6" {
		t.Errorf("%q for another client, although the first one may use it", got.leases())
	}
	if got := w.asks(alice, dhcp6.Request, iaPD(1)); got.only() != had.only() {
		t.Errorf("%q", got.leases())
	}
	w.sleep(4001 * time.Second) // both expire
	fails(bob)
	fails(alice)
	if got := w.asks(alice, dhcp6.Request, iaPD(1)); got.only() != had.only() {
		t.Errorf("%q", got.leases())
	}
	w.agrees()
}

// While a Change is under way, nobody else gets what it grants, the client's next message waits for it, and
// if it fails both are taken back.
func TestGrantUnderWay(t *testing.T) {
	w := newWorld(t, subnet(two))
	w.slow = true
	for _, c := range []client{alice, bob} {
		if got := w.says(c, c.message(dhcp6.Request, iaNA(1), iaPD(2))); len(got) != 0 {
			t.Fatal("told before it is kept")
		}
	}
	if got := w.says(alice, alice.message(dhcp6.Request, iaNA(1), iaPD(2))); len(got) != 0 {
		t.Fatal("told before it is kept")
	}
	if got := w.asks(somebody(1), dhcp6.Solicit, iaNA(1), iaPD(2)); got.leases() != "NA 1: status 2; PD 2: status 6" {
		t.Errorf("a third client is offered %q", got.leases())
	}
	w.finish(1)
	w.keepErr = errStoreDown
	w.finish(10)
	if len(w.holds()) != 2 || len(w.held) != 2 {
		t.Errorf("leases %q, want Alice's; %d held back, want what was to tell Bob and Alice's second answer", w.holds(), len(w.held))
	}
	w.keepErr, w.slow = nil, false
	w.sleep(time.Minute)
	w.agrees()
	w.obtains(bob, iaNA(1), iaPD(2))
	w.agrees()
}

// A process that begins anew has every lease, and its pools.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	var got []answer
	for n := range 30 {
		got = append(got, w.obtains(somebody(n), iaNA(1), iaPD(2)))
	}
	behind := w.obtainsBy(through("2001:db8:8::1"), alice, iaNA(1), iaPD(2))
	before := w.holds()
	w.sleep(1000 * time.Second)
	w.restart()
	if !slices.Equal(w.holds(), before) || w.core.Pools()[0].Taken != 30 || w.core.Pools()[4].Taken != 1 {
		t.Errorf("leases %q, want %q; pools %+v", w.holds(), before, w.core.Pools())
	}
	for n := range 30 {
		if again := w.asks(somebody(n), dhcp6.Renew, got[n].taken()...); again.leases() != got[n].leases() {
			t.Errorf("%q, want %q", again.leases(), got[n].leases())
		}
	}
	if again := w.asksBy(through("2001:db8:8::1"), alice, dhcp6.Rebind, behind.taken()...); again.leases() != behind.leases() {
		t.Errorf("%q, want %q", again.leases(), behind.leases())
	}
	w.sleep(3500 * time.Second)
	if len(w.holds()) != 62 {
		t.Errorf("%d leases, want all", len(w.holds()))
	}
	w.agrees()
}

// After a reboot a lease has the time that is left of it by the wall clock. While that cannot be trusted
// no lease ends.
func TestReboot(t *testing.T) {
	w := newWorld(t)
	w.obtains(alice, iaNA(1))
	w.sleep(1000 * time.Second)
	wall := w.now.Wall
	w.reboot(wall.Add(1000*time.Second), true)
	w.sleep(1990 * time.Second)
	if len(w.holds()) != 1 {
		t.Error("it has ended too early")
	}
	w.sleep(20 * time.Second)
	if len(w.holds()) != 0 {
		t.Error("it has not ended")
	}
	w = newWorld(t)
	got := w.obtains(alice, iaNA(1))
	w.reboot(time.Unix(0, 0), false)
	if w.core.Totals().WaitForClock != 1 || !slices.ContainsFunc(w.notes, func(n effect.Note) bool { return n.Kind == effect.NoteClock }) {
		t.Errorf("%+v", w.core.Totals())
	}
	w.sleep(3900 * time.Second)
	if len(w.holds()) != 1 {
		t.Error("it has ended although nobody knows the time")
	}
	if again := w.asks(alice, dhcp6.Renew, got.taken()...); again.leases() != got.leases() {
		t.Errorf("%q, want %q", again.leases(), got.leases())
	}
	w.sleep(3990 * time.Second)
	if len(w.holds()) != 1 {
		t.Error("it has ended although it was renewed")
	}
	w = newWorld(t)
	w.obtains(alice, iaNA(1))
	wall = w.now.Wall
	w.reboot(time.Unix(0, 0), false)
	w.now.Wall, w.now.Synced = wall.Add(2*time.Hour), true
	w.core.Tick(w.now, &w.eff)
	w.carryOut()
	if len(w.holds()) != 0 {
		t.Error("it has not ended although the clock is right now")
	}
	// A step of the wall clock changes nothing.
	w = newWorld(t)
	w.obtains(alice, iaNA(1))
	w.now.Wall = w.now.Wall.Add(1000 * time.Hour)
	w.sleep(3990 * time.Second)
	if len(w.holds()) != 1 {
		t.Error("a step of the clock ends leases")
	}
}

// A lease without an end stays.
func TestInfiniteLease(t *testing.T) {
	w := newWorld(t, subnet(func(sn *server6.Subnet) {
		sn.Lifetimes = server6.Lifetimes{Preferred: dhcp6.Infinity, Valid: dhcp6.Infinity}
	}))
	got := w.obtains(alice, iaNA(1))
	if l := got.ias[0].leases[0]; l.valid != 0xffffffff || got.ias[0].t1 != 0xffffffff {
		t.Errorf("%q T1 %d", got.leases(), got.ias[0].t1)
	}
	w.sleep(100000 * time.Hour)
	w.reboot(w.now.Wall.Add(100000*time.Hour), true)
	w.sleep(100000 * time.Hour)
	if len(w.holds()) != 1 {
		t.Error("it has ended")
	}
}

// What one client, one host and one link may have is bounded, and who runs into it is shown.
func TestLimits(t *testing.T) {
	w := newWorld(t, limits(func(p *delegation.Policy) { p.ClientLimit, p.HostLimit, p.LinkLimit = 2, 3, 5 }))
	third := w.asks(alice, dhcp6.Solicit, iaNA(1), iaNA(2), iaNA(3), iaPD(1))
	if len(third.ias[0].leases) != 1 || len(third.ias[1].leases) != 1 || third.ias[2].status != 2 || len(third.ias[3].leases) != 1 {
		t.Errorf("offered %q, want two addresses", third.leases())
	}
	if len(w.core.LimitsMet()) != 0 {
		t.Error("a Solicit counts")
	}
	w.obtains(alice, iaNA(1), iaNA(2), iaNA(3), iaPD(1))
	met := w.core.LimitsMet()
	if len(met) != 1 || met[0].Reason != binding.LimitClient || met[0].Client.DUID() != alice.duid || met[0].Link != "lan0" || w.core.Totals().Refusals["limit-client"] != 1 {
		t.Errorf("%+v; %v", met, w.core.Totals().Refusals)
	}
	// Another DUID of the same host.
	again := alice
	again.duid += "2"
	if got := w.obtains(again, iaNA(1), iaNA(2)); len(got.ias[0].leases) != 1 || got.ias[1].status != 2 {
		t.Errorf("%q, want one address", got.leases())
	}
	if met = w.core.LimitsMet(); len(met) != 2 || met[1].Reason != binding.LimitHost || met[1].Host != alice.mac {
		t.Errorf("%+v", met)
	}
	// Other hosts, until the link is full.
	w.obtains(bob, iaNA(1), iaNA(2))
	if got := w.obtains(somebody(1), iaNA(1), iaPD(1)); got.ias[0].status != 2 || len(got.ias[1].leases) != 1 {
		t.Errorf("%q, want no address", got.leases())
	}
	if met = w.core.LimitsMet(); !slices.ContainsFunc(met, func(m delegation.LimitMet) bool { return m.Reason == binding.LimitLink }) {
		t.Errorf("%+v", met)
	}
	w.agrees()
	// Who has its leases keeps them, and there is room once one has ended.
	if got := w.asks(alice, dhcp6.Renew, iaNA(1), iaNA(2)); len(got.ias[0].leases)+len(got.ias[1].leases) != 2 {
		t.Errorf("%q", got.leases())
	}
	if got := w.asks(bob, dhcp6.Renew, iaNA(1)); len(got.ias[0].leases) != 1 {
		t.Errorf("%q", got.leases())
	} else {
		w.asks(bob, dhcp6.Release, got.taken()...)
	}
	if got := w.obtains(somebody(1), iaNA(1)); len(got.ias[0].leases) != 1 {
		t.Errorf("%q", got.leases())
	}
	w.agrees()
}

// A client at its limit whose lease is taken back gets another one in its place at once.
func TestReplacedAtTheLimit(t *testing.T) {
	w := newWorld(t, limits(func(p *delegation.Policy) { p.ClientLimit, p.HostLimit, p.LinkLimit = 1, 1, 1 }))
	got := w.obtains(alice, iaNA(1))
	w.reconfigure(limits(func(p *delegation.Policy) { p.ClientLimit, p.HostLimit, p.LinkLimit = 1, 1, 1 }), subnet(pool("2001:db8:1::2:0", "2001:db8:1::2:f")))
	again := w.asks(alice, dhcp6.Renew, got.taken()...)
	if ls := again.ias[0].leases; len(ls) != 2 || ls[0].valid != 0 || ls[1].valid == 0 {
		t.Errorf("%q", again.leases())
	}
	if w.agrees(); len(w.holds()) != 1 {
		t.Errorf("leases %q", w.holds())
	}
}

// A reserved lease counts against the client's limit as any other, and what is offered is given.
func TestReservationsAndLimits(t *testing.T) {
	w := newWorld(t, limits(func(p *delegation.Policy) { p.ClientLimit = 2 }), subnet(func(sn *server6.Subnet) {
		r := server6.Reservation{DUID: dhcp6.DUID(alice.duid)}
		for n := range 4 {
			r.Addresses = append(r.Addresses, addr(fmt.Sprintf("2001:db8:1::%d", n+5)))
		}
		sn.Reservations = []server6.Reservation{r}
	}))
	if got := w.obtains(alice, iaNA(1)); len(got.ias[0].leases) != 2 {
		t.Errorf("%q, want two", got.leases())
	}
	w.agrees()
}

// Behind a relay agent one host cannot have more than on a link, where the relay agent tells who it is; and
// one client never.
func TestLimitsBehindARelayAgent(t *testing.T) {
	w := newWorld(t)
	var ias []option
	for n := range uint32(10) {
		ias = append(ias, iaNA(n))
	}
	got := w.obtainsBy(through("2001:db8:8::1"), alice, ias...)
	if n := len(w.holds()); n != delegation.DefaultClientLimit {
		t.Errorf("%d leases of one client: %q", n, got.leases())
	}
	w = newWorld(t)
	for n := range 40 {
		w.obtainsBy(through("2001:db8:8::1", linkLayer(bob.mac)), somebody(n), iaNA(1))
	}
	if n := len(w.holds()); n != 2*delegation.DefaultClientLimit {
		t.Errorf("%d leases of one host", n)
	}
	if met := w.core.LimitsMet(); len(met) != 1 || met[0].Reason != binding.LimitHost {
		t.Errorf("%+v", met)
	}
	w.reconfigure(func(c *server6.Config) { c.Relayed.ClientLimit, c.Relayed.HostLimit = 9, 18 })
	if met := w.core.LimitsMet(); len(met) != 0 {
		t.Errorf("with higher limits: %+v", met)
	}
	w.obtainsBy(through("2001:db8:8::1"), alice, ias...)
	for n := range 40 {
		w.obtainsBy(through("2001:db8:8::1", linkLayer(bob.mac)), somebody(n), iaNA(1))
	}
	if n := len(w.holds()); n != 9+18 {
		t.Errorf("%d leases with higher limits of one client and one host", n)
	}
}

// An interface that is renamed is the same link, with its leases.
func TestLinkIsRenamed(t *testing.T) {
	w := newWorld(t, limits(func(*delegation.Policy) {}), func(c *server6.Config) { c.Links[0].Match = []string{"lan*", "new*"} })
	got := w.obtains(alice, iaNA(1), iaPD(2))
	w.slow = true
	w.says(bob, bob.message(dhcp6.Request, iaNA(1)))
	w.setLink("lan0", func(l *links.Link) { l.Name = "new0" })
	w.slow = false
	w.finish(10)
	if again := w.asks(alice, dhcp6.Renew, got.taken()...); again.leases() != got.leases() {
		t.Errorf("%q, want %q", again.leases(), got.leases())
	}
	w.sleep(10 * time.Second)
	if rec, _ := w.record(got.ias[0].leases[0].prefix); rec.Link != "new0" {
		t.Errorf("kept %+v", rec)
	}
	w.restart()
	if again := w.asks(alice, dhcp6.Renew, got.taken()...); again.leases() != got.leases() || len(w.holds()) != 3 {
		t.Errorf("%q, want %q; leases %q", again.leases(), got.leases(), w.holds())
	}
	w.agrees()
	for _, v := range w.core.Links() {
		if v.Name == "new0" && (v.Addresses != 2 || v.Prefixes != 1) || v.Name == "lan0" {
			t.Errorf("%+v", v)
		}
	}
}

// A link that goes takes no lease along. Its counters come back with it.
func TestLinkGoesAndComes(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaNA(1))
	l := w.links["lan0"]
	w.removeLink("lan0")
	w.ignored("a message of a link that is gone", alice.from(alice.message(dhcp6.Renew, got.taken()...)), effect.DropUnknownLink)
	if len(w.holds()) != 1 {
		t.Error("the lease is gone")
	}
	w.links["lan0"] = l
	w.core.SetLink(l, &w.eff)
	w.carryOut()
	if again := w.asks(alice, dhcp6.Renew, got.taken()...); again.leases() != got.leases() {
		t.Errorf("%q, want %q", again.leases(), got.leases())
	}
	for _, v := range w.core.Links() {
		if v.Name == "lan0" && (v.Counters.Received[dhcp6.Solicit] != 1 || v.Counters.Received[dhcp6.Renew] != 1 || v.Counters.Sent[dhcp6.Reply] != 2 || v.Counters.Sent[dhcp6.Advertise] != 1) {
			t.Errorf("%+v", v)
		}
	}
	if sum := w.core.Traffic(); sum.Unknown[effect.DropUnknownLink] != 1 || sum.Sent[dhcp6.Reply] != 2 {
		t.Errorf("sum %+v", sum)
	}
}

// A host device with nobody behind it, and a link on which a server is heard, have no clients.
func TestLinksWithoutClients(t *testing.T) {
	w := newWorld(t)
	w.setLink("lan0", func(l *links.Link) { l.HardwareType = 772 })
	w.ignored("loopback", alice.from(alice.message(dhcp6.Solicit, iaNA(1))), effect.DropNotClientLink)
	w = newWorld(t, func(c *server6.Config) {
		c.Peers = append(c.Peers, trust.Peer{Name: "kea", Address: addr("2001:db8:ffff::1"), Prefix: cidr("2001:db8:ffff::1/128"), Role: trust.Server, Interfaces: []string{"lan0"}, Protection: trust.ProtectionNone})
	})
	w.ignored("an uplink", alice.from(alice.message(dhcp6.Solicit, iaNA(1))), effect.DropNotClientLink)
	cfg := baseConfig()
	cfg.Links[0].Match = []string{"lan1"}
	p := w.core.Prospects(cfg)
	if len(p) != 1 || p[0].Link != "lan1" || p[0].Now == nil || p[0].Then == nil {
		t.Errorf("%+v", p)
	}
}

// What a configuration would mean is told, and changes nothing.
func TestProspects(t *testing.T) {
	w := newWorld(t)
	w.obtains(alice, iaNA(1), iaPD(2))
	cfg := baseConfig()
	cfg.Links[0].Match = []string{"lan1"}
	p := w.core.Prospects(cfg)
	if len(p) != 2 || p[0].Link != "lan0" || p[0].Now == nil || p[0].Then != nil || p[0].Addresses != 1 || p[0].Prefixes != 1 || p[1].Link != "lan1" || p[1].Then == nil {
		t.Errorf("%+v", p)
	}
	w.asks(alice, dhcp6.Solicit, iaNA(1))
}

// A reload changes what clients get at their next message, and nothing of what they have until then.
func TestReconfigure(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaNA(1), iaPD(2))
	behind := w.obtainsBy(through("2001:db8:8::1"), bob, iaNA(1))
	a := w.obtains(somebody(1), iaNA(1)).onlyAddr()
	w.asks(somebody(1), dhcp6.Decline, iaNA(1, named(a)))
	w.reconfigure(func(c *server6.Config) { c.Networks = c.Networks[1:] })
	if len(w.holds()) != 3 {
		t.Errorf("leases %q", w.holds())
	}
	w.ignored("a link without a subnet", alice.from(alice.message(dhcp6.Renew, got.taken()...)), effect.DropNoSubnet)
	w.reconfigure()
	if pools := w.core.Pools(); pools[0].Taken != 2 || pools[1].Taken != 1 || pools[4].Taken != 1 || w.core.Totals().Declined != 1 {
		t.Errorf("%+v", pools)
	}
	if again := w.asks(alice, dhcp6.Renew, got.taken()...); again.leases() != got.leases() {
		t.Errorf("%q, want %q", again.leases(), got.leases())
	}
	if again := w.asksBy(through("2001:db8:8::1"), bob, dhcp6.Renew, behind.taken()...); again.leases() != behind.leases() {
		t.Errorf("%q, want %q", again.leases(), behind.leases())
	}
	// Another server-id: the client that renews with the former one is another server's, until it rebinds.
	w.reconfigure(func(c *server6.Config) { c.ServerID = dhcp6.DUID("\x00\x02\x00\x00\x7e\xd9newer!") })
	w.ignored("the former server-id", alice.from(alice.message(dhcp6.Renew, got.taken()...)), effect.DropOtherServer)
	if again := w.asks(alice, dhcp6.Rebind, got.taken()...); again.leases() != got.leases() || again.server != "\x00\x02\x00\x00\x7e\xd9newer!" {
		t.Errorf("%q from %q", again.leases(), again.server)
	}
	w.agrees()
}

// The successor of a server that panicked goes on where it was: with what is kept, with the figures, and
// with numbers of Changes that come after the former ones.
func TestSucceed(t *testing.T) {
	w := newWorld(t, limits(func(p *delegation.Policy) { p.ClientLimit = 1 }))
	got := w.obtains(alice, iaNA(1), iaNA(2), iaPD(3))
	behind := w.obtainsBy(through("2001:db8:8::1"), bob, iaNA(1))
	a := w.obtains(somebody(1), iaNA(1)).onlyAddr()
	w.asks(somebody(1), dhcp6.Decline, iaNA(1, named(a)))
	before, sum := w.core.Totals(), w.core.Links()
	old := w.core
	next := server6.New(w.cfg, w.bootID)
	next.Succeed(old)
	w.start(next)
	after := w.core.Totals()
	if after.Prefixes != before.Prefixes || after.Addresses != before.Addresses || after.Declined != 1 || fmt.Sprint(after.Events, after.Ends, after.Refusals) != fmt.Sprint(before.Events, before.Ends, before.Refusals) {
		t.Errorf("%+v\nwant %+v", after, before)
	}
	for i, v := range w.core.Links() {
		if v.Counters != sum[i].Counters {
			t.Errorf("%+v\nwant %+v", v, sum[i])
		}
	}
	if len(w.core.LimitsMet()) != 1 || w.core.Peers(w.now)[0].Counters.Received != 2 {
		t.Errorf("%+v; %+v", w.core.LimitsMet(), w.core.Peers(w.now))
	}
	if again := w.asks(alice, dhcp6.Renew, got.taken()[0], got.taken()[2]); strings.Contains(again.leases(), "status") {
		t.Errorf("%q", again.leases())
	}
	if again := w.asksBy(through("2001:db8:8::1"), bob, dhcp6.Renew, behind.taken()...); again.leases() != behind.leases() {
		t.Errorf("%q, want %q", again.leases(), behind.leases())
	}
	w.agrees()
}

// The same client gets the same again: after a Release, after long away, and by another order of clients.
func TestSameClientSameLease(t *testing.T) {
	w := newWorld(t)
	got := make(map[int]string)
	for n := range 20 {
		a := w.obtains(somebody(n), iaNA(1), iaPD(2))
		got[n] = a.leases()
		w.asks(somebody(n), dhcp6.Release, a.taken()...)
	}
	w.sleep(100 * time.Hour)
	w.restart()
	for n := range 20 {
		if a := w.obtains(somebody(19-n), iaNA(1), iaPD(2)); a.leases() != got[19-n] {
			t.Errorf("%d has %q, and had %q", 19-n, a.leases(), got[19-n])
		}
	}
}

// A client that loses its memory while it has a lease gets that, also where it was not at its own place.
func TestSolicitOfAClientWithALease(t *testing.T) {
	w := newWorld(t, subnet(two))
	first := w.obtains(alice, iaNA(1), iaPD(2))
	second := w.obtains(bob, iaNA(1), iaPD(2))
	for range 2 {
		if again := w.obtains(bob, iaNA(1), iaPD(2)); again.leases() != second.leases() {
			t.Errorf("%q, want %q", again.leases(), second.leases())
		}
		if again := w.obtains(alice, iaNA(1, named(second.ias[0].leases[0].prefix.Addr().String())), iaPD(2)); again.leases() != first.leases() {
			t.Errorf("%q, want %q", again.leases(), first.leases())
		}
	}
	w.agrees()
}
