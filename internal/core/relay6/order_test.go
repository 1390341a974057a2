package relay6_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/wire/dhcp6"
)

// asks is a client's Request, whose answer the test gives later.
func (w *world) asks(c client, t dhcp6.MessageType) (forwarded []byte) {
	w.Helper()
	up := w.says(c, message(t, 0xabc, clientID(c.duid)))
	if len(up) != 1 {
		w.Fatalf("%v of %s: %d datagrams, want 1", t, c.addr, len(up))
	}
	return up[0].Payload
}

func (w *world) answers(forwarded []byte, c client, options ...option) []effect.Send {
	return w.serves(w.answer(forwarded, w.reply(c, options...)))
}

func TestReplyIsKeptThenInstalledThenSent(t *testing.T) {
	w := newWorld(t)
	up := w.asks(alice, dhcp6.Request)
	w.order = nil
	w.answers(up, alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	if want := []string{"keep", "install", "send"}; !slices.Equal(w.order, want) {
		t.Errorf("done in the order %q, want %q", w.order, want)
	}
}

func TestNothingIsSentBeforeItsChangeIsDone(t *testing.T) {
	w := newWorld(t)
	w.slow = true
	up := w.asks(alice, dhcp6.Request)
	if got := w.answers(up, alice, iaPD(1, prefix("2001:db8:100::/56", 600))); len(got) != 0 {
		t.Fatalf("sent before it was kept: %+v", got)
	}
	// What waits for nothing leaves at once, for others and for the same client.
	for _, c := range []client{alice, bob} {
		if got := w.says(c, message(dhcp6.Solicit, 5, clientID(c.duid))); len(got) != 1 || got[0].After != 0 {
			t.Errorf("Solicit of %s while the store is slow: %+v", c.addr, got)
		}
	}
	up = w.asks(bob, dhcp6.Solicit)
	if got := w.serves(w.answer(up, message(dhcp6.Advertise, 5, clientID(bob.duid)))); len(got) != 1 {
		t.Errorf("Advertise for another client while the store is slow: %+v", got)
	}
	before := len(w.sent)
	w.finish(1)
	if got := w.sent[before:]; len(got) != 1 || got[0].Payload[0] != byte(dhcp6.Reply) {
		t.Errorf("after the change was done: %+v, want the Reply", got)
	}
}

// Nothing overtakes within a client, whatever its type.
func TestNothingOvertakesWithinAClient(t *testing.T) {
	w := newWorld(t)
	w.slow = true
	up := w.asks(alice, dhcp6.Request)
	w.answers(up, alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	for _, inner := range [][]byte{
		w.reply(alice), // a Reply without any lease
		message(dhcp6.Advertise, 6, clientID(alice.duid)),
		message(dhcp6.Reconfigure, 0, clientID(alice.duid)),
		w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 900))),
		message(99, 6, clientID(alice.duid)),
	} {
		if got := w.serves(w.answer(up, inner)); len(got) != 0 {
			t.Errorf("type %d overtook the client's Reply", inner[0])
		}
	}
	before := len(w.sent)
	w.finish(100)
	var types []byte
	for _, s := range w.sent[before:] {
		types = append(types, s.Payload[0])
	}
	if want := []byte{7, 7, 2, 10, 7, 99}; !slices.Equal(types, want) {
		t.Errorf("delivered types %v, want %v", types, want)
	}
	if len(w.flight) != 0 {
		t.Errorf("%d changes in flight", len(w.flight))
	}
}

func TestFailedKeepHoldsBackItsOwnAlone(t *testing.T) {
	w := newWorld(t)
	w.lease(carol, iaPD(1, prefix("2001:db8:300::/56", 600)))
	w.slow = true
	w.answers(w.asks(alice, dhcp6.Request), alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.answers(w.asks(bob, dhcp6.Request), bob, iaPD(1, prefix("2001:db8:200::/56", 600)))
	before := len(w.sent)
	w.keepFail = errStoreDown
	w.finish(1)
	w.keepFail = nil
	w.finish(100)
	if got := w.sent[before:]; len(got) != 1 || got[0].Dest.Addr() != addr(bob.addr) || len(w.held) != 1 {
		t.Errorf("sent %+v, held back %+v; want bob's sent and alice's held back", got, w.held)
	}
	w.wants("lan0 2001:db8:200::/56 via fe80::b for 10m0s", "lan1 2001:db8:300::/56 via fe80::c for 10m0s")
	w.wantRoutes("2001:db8:100::/56")
	if got := w.noted(effect.NoteStore); !slices.Equal(got, []string{"not kept"}) {
		t.Errorf("notes %q, want not kept", got)
	}
	// The client asks again, and gets it.
	w.slow = false
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.restart()
	if got := len(w.delegations()); got != 3 {
		t.Errorf("%d delegations after a restart, want 3", got)
	}
}

// A full disk stops new grants, and not renewals (a Change that is not kept is taken back).
func TestExtensionLeavesAlthoughNotKept(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.keepFail = errStoreDown
	w.sleep(time.Minute)
	if got := w.exchange(alice, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 600))); len(got) != 1 {
		t.Errorf("an extension: %d datagrams, want 1", len(got))
	}
	if got := w.exchange(alice, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 600)), iaPD(2, prefix("2001:db8:200::/56", 600))); len(got) != 0 {
		t.Errorf("an extension and a grant: %d datagrams, want none", len(got))
	}
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
	w.wantRoutes("2001:db8:200::/56")
	// Once the store is back it gets what it has missed.
	w.sleep(time.Minute)
	w.keepFail = nil
	w.sleep(3 * time.Second)
	if n := w.core.Totals().Unkept; n != 0 {
		t.Errorf("%d records are still not kept", n)
	}
	w.restart()
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 8m57s")
}

// What extends a grant that is itself not durable yet may not leave either.
func TestExtensionOfWhatIsNotDurableYet(t *testing.T) {
	w := newWorld(t)
	w.slow = true
	up := w.asks(alice, dhcp6.Request)
	for range 3 { // the server's retransmissions
		w.answers(up, alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	}
	w.keepFail = errStoreDown
	before := len(w.sent)
	w.finish(3)
	w.keepFail = nil
	w.finish(100)
	if got := w.sent[before:]; len(got) != 0 || len(w.held) != 3 {
		t.Errorf("sent %d, held back %d; want 0 and 3", len(got), len(w.held))
	}
	w.wants()
	w.wantRoutes("2001:db8:100::/56")
}

func TestExtensionKeptAlthoughItsGrantWasNot(t *testing.T) {
	w := newWorld(t)
	w.slow = true
	up := w.asks(alice, dhcp6.Request)
	for range 2 {
		w.answers(up, alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	}
	w.keepFail = errStoreDown
	w.finish(1)
	w.keepFail = nil
	w.finish(100)
	if got := len(w.held); got != 1 {
		t.Errorf("%d datagrams held back, want 1", got)
	}
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
	w.slow = false
	w.restart()
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
}

// A move that was not kept is taken back: the old client has its prefix again.
func TestMoveThatWasNotKeptIsTakenBack(t *testing.T) {
	for _, to := range []client{bob, carol} {
		w := newWorld(t)
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		w.keepFail = errStoreDown
		if got := w.exchange(to, dhcp6.Request, iaPD(1, prefix("2001:db8:100::/56", 900))); len(got) != 0 {
			t.Errorf("to %s: the Reply left", to.addr)
		}
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
		w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
		w.keepFail = nil
		w.sleep(5 * time.Second)
		w.restart()
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 9m55s")
	}
}

// What ends beside a grant that was not kept leaves the kernel all the same.
func TestEndBesideAGrantThatWasNotKept(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.keepFail = errStoreDown
	w.exchange(alice, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 0), prefix("2001:db8:200::/56", 600)))
	w.wants()
	w.wantRoutes("2001:db8:100::/56")
	w.wantRoutes("2001:db8:200::/56")
	if w.kernel.Allows("lan0", "2001:db8:100::/56") {
		t.Error("2001:db8:100::/56 is still allowed as a source")
	}
}

func TestFailedInstallHoldsTheReplyBack(t *testing.T) {
	w := newWorld(t)
	outage := errors.New("no memory")
	w.kernel.Fail = func(op hoststate.Op) error {
		if op.Route != nil && op.Route.Prefix == cidr("2001:db8:100::/56") {
			return outage
		}
		return nil
	}
	if got := w.exchange(alice, dhcp6.Request, iaPD(1, prefix("2001:db8:100::/56", 600))); len(got) != 0 {
		t.Errorf("the Reply left although its route was refused: %+v", got)
	}
	w.lease(bob, iaPD(1, prefix("2001:db8:200::/56", 600)))
	w.kernel.Fail = nil
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600))) // the client asks again
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
	if f := w.core.Totals(); f.InstallFailed != 1 || f.KeepFailed != 0 {
		t.Errorf("failures %+v, want one of installing", f)
	}
}

// The kernel refuses a route over a device that went down behind our back: an
// unreachable one stands in until the link is up.
func TestRefusedRouteGetsAStandIn(t *testing.T) {
	w := newWorld(t)
	w.kernel.Link(lan0Index, false)
	w.exchange(alice, dhcp6.Request, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.wantRoutes("2001:db8:100::/56", "unreachable 2001:db8:100::/56 table 254 metric 1024")
	w.setLink("lan0", nil)
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
}

// Every change is numbered, rising, and a restart in the middle loses nothing
// that a client was told.
func TestKillBetweenEffects(t *testing.T) {
	for done := range 4 {
		w := newWorld(t)
		w.slow = true
		for i, c := range []client{alice, bob, carol} {
			w.answers(w.asks(c, dhcp6.Request), c, iaPD(1, prefix([]string{"2001:db8:100::/56", "2001:db8:200::/56", "2001:db8:300::/56"}[i], 600)))
		}
		last := effect.ChangeID(0)
		for _, f := range w.flight {
			if f.change.ID <= last {
				t.Errorf("change %d after %d", f.change.ID, last)
			}
			last = f.change.ID
		}
		w.finish(done)
		told := 0
		for _, s := range w.sent {
			if !s.ToPeer {
				told++
			}
		}
		w.slow = false
		w.restart()
		if got := len(w.delegations()); told != done || got != done {
			t.Errorf("killed after %d changes: %d clients told, %d delegations; want %d and %d", done, told, got, done, done)
		}
	}
}

func TestClearIsKeptBeforeItCounts(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.keepFail = errStoreDown
	w.core.Clear(w.now, delegation.Selection{All: true}, &w.eff)
	w.carryOut()
	w.wantRoutes("2001:db8:100::/56")
	w.keepFail = nil
	w.sleep(5 * time.Second)
	w.restart()
	w.wants()
}
