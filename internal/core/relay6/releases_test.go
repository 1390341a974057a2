package relay6_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// releases is a Release or Decline of all that a client holds in IA 1, forwarded.
func (w *world) releases(c client, t dhcp6.MessageType) (forwarded []byte) {
	w.Helper()
	got := w.says(c, message(t, 0xabc, clientID(c.duid), iaPD(1)))
	if len(got) != 1 {
		w.Fatalf("%d datagrams forwarded, want 1", len(got))
	}
	return got[0].Payload
}

// The answer to a Release grants nothing, although it repeats the prefix with its
// lifetimes; it reaches the client all the same.
func TestAnswerToAReleaseGrantsNothing(t *testing.T) {
	for _, mt := range []dhcp6.MessageType{dhcp6.Release, dhcp6.Decline} {
		for _, line := range []bool{false, true} {
			w := newWorld(t, movePolicy(delegation.MoveProbe))
			c := alice
			if line {
				c.mac = linkaddr.Addr{}
			}
			w.lease(c, iaPD(1, prefix("2001:db8:100::/56", 600)))
			w.says(c, message(dhcp6.Release, 0xabb, clientID(c.duid), iaPD(1)))
			forwarded := w.releases(c, mt)
			for range 2 { // servers may be two
				got := w.serves(w.answer(forwarded, w.reply(c, iaPD(1, prefix("2001:db8:100::/56", 600)))))
				if len(got) != 1 {
					t.Fatalf("%v: %d datagrams to the client, want 1 (drops %v)", mt, len(got), w.drops)
				}
			}
			w.wants()
			w.wantRoutes("2001:db8:100::/56")
			if got := w.noted(effect.NoteDelegation); !slices.Equal(got, []string{"answers-release", "answers-release"}) {
				t.Errorf("%v: refusals %q, want answers-release for each", mt, got)
			}
		}
	}
}

// What such an answer takes back ends.
func TestAnswerToAReleaseEnds(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)), iaPD(2, prefix("2001:db8:200::/56", 600)))
	forwarded := w.releases(alice, dhcp6.Release)
	w.serves(w.answer(forwarded, w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 600)), iaPD(2, prefix("2001:db8:200::/56", 0)))))
	w.wants()
}

// A neighbour that copies the transaction-id, the DUID and whatever else it can
// write does not make the answer to a Request one to a Release.
func TestCopiedTransactionID(t *testing.T) {
	release := message(dhcp6.Release, 0xabc, clientID(alice.duid), iaPD(1))
	for name, forges := range map[string]func(*world){
		"from its own address":   func(w *world) { w.says(client{alice.link, alice.duid, bob.addr, bob.mac}, release) },
		"from alice's address":   func(w *world) { w.says(client{alice.link, alice.duid, alice.addr, bob.mac}, release) },
		"without its link-layer": func(w *world) { w.says(client{alice.link, alice.duid, alice.addr, linkaddr.Addr{}}, release) },
		"on another link":        func(w *world) { w.says(client{lan1Index, alice.duid, alice.addr, alice.mac}, release) },
		"with another DUID": func(w *world) {
			w.says(alice, message(dhcp6.Release, 0xabc, clientID(bob.duid), iaPD(1)))
		},
	} {
		for _, before := range []bool{true, false} {
			w := newWorld(t, movePolicy(delegation.MoveProbe))
			if before {
				forges(w)
			}
			asks := w.says(alice, message(dhcp6.Request, 0xabc, clientID(alice.duid), iaPD(1)))
			if !before {
				forges(w)
			}
			w.serves(w.answer(asks[0].Payload, w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))))
			if got := w.delegations(); !slices.Equal(got, []string{"lan0 2001:db8:100::/56 via fe80::a for 10m0s"}) {
				t.Errorf("%s, before the Request %v: %q, want what was granted", name, before, got)
			}
		}
	}
}

// A client that has one transaction-id for all its messages gets what it asks for
// after its Release.
func TestOneTransactionIDForAll(t *testing.T) {
	for _, mt := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Request, dhcp6.Renew, dhcp6.Rebind} {
		w := newWorld(t)
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		w.releases(alice, dhcp6.Release)
		w.exchange(alice, mt, iaPD(1, prefix("2001:db8:100::/56", 900)))
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 15m0s")
	}
}

// An answer may take a minute; a Reply to the same transaction-id after that is not
// one.
func TestAnswerToAReleaseOfLongAgo(t *testing.T) {
	for after, want := range map[time.Duration]int{59 * time.Second: 0, time.Minute: 1} {
		w := newWorld(t)
		forwarded := w.releases(alice, dhcp6.Release)
		w.move(w.now.Boot.After(after))
		w.serves(w.answer(forwarded, w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))))
		if got := len(w.delegations()); got != want {
			t.Errorf("after %v: %d delegations, want %d", after, got, want)
		}
	}
}

// unproved is a client whose messages do not show its link-layer address, as in fragments.
func unproved(c client) client {
	c.mac = linkaddr.Addr{}
	return c
}

// attentiveWorld is a world in which the relay has heard of every message that waits for an answer.
func attentiveWorld(t *testing.T) *world {
	w := newWorld(t, movePolicy(delegation.MoveProbe))
	w.says(bob, message(dhcp6.Solicit, 1, clientID(bob.duid)))
	w.move(w.now.Boot.After(2 * time.Minute))
	return w
}

// The answer to a Release that does not show its link-layer address grants nothing either,
// while nothing else with its transaction-id waits for an answer. The delegation stays as
// it is, as anybody may have sent that Release.
func TestAnswerToAnUnprovedReleaseGrantsNothing(t *testing.T) {
	for _, mt := range []dhcp6.MessageType{dhcp6.Release, dhcp6.Decline} {
		w := attentiveWorld(t)
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		w.move(w.now.Boot.After(2 * time.Minute))
		forwarded := w.releases(unproved(alice), mt)
		for range 2 { // servers may be two
			w.serves(w.answer(forwarded, w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 600), prefix("2001:db8:200::/56", 600)))))
		}
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 8m0s")
		if got := w.noted(effect.NoteDelegation); len(got) != 4 {
			t.Errorf("%v: refusals %q, want answers-release for each", mt, got)
		}
	}
}

// Anybody can send a Release with a client's addresses, DUID and transaction-id that does
// not show its link-layer address. Whether it comes before or after the client's own
// message, what the client is granted is learned. So is what the Reply to a message grants
// that the relay may have forwarded before it was restarted.
func TestUnprovedReleaseTakesNoGrant(t *testing.T) {
	release := message(dhcp6.Release, 0xabc, clientID(alice.duid), iaPD(1))
	for _, mt := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Request, dhcp6.Renew, dhcp6.Rebind} {
		for _, before := range []bool{true, false} {
			w := attentiveWorld(t)
			w.says(alice, message(dhcp6.Solicit, 0xabb, clientID(alice.duid))) // so that her address is known
			if before {
				w.says(unproved(alice), release)
			}
			asks := w.says(alice, message(mt, 0xabc, clientID(alice.duid), iaPD(1)))
			w.move(w.now.Boot.After(59 * time.Second))
			if !before {
				w.says(unproved(alice), release)
			}
			w.serves(w.answer(asks[0].Payload, w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))))
			w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
		}
	}

	w := newWorld(t)
	w.says(alice, message(dhcp6.Solicit, 0xabb, clientID(alice.duid)))
	forwarded := w.says(unproved(alice), release)[0].Payload
	w.move(w.now.Boot.After(59 * time.Second))
	w.serves(w.answer(forwarded, w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
}

// Floods of Releases that show no link-layer address take no other client's grant; nor do
// they, or other messages, cost more than what there is.
func TestFloodOfUnprovedReleases(t *testing.T) {
	w := attentiveWorld(t)
	w.says(alice, message(dhcp6.Solicit, 0xabb, clientID(alice.duid)))
	asks := w.says(alice, message(dhcp6.Request, 0xabc, clientID(alice.duid), iaPD(1)))
	for n := range 10_000 {
		w.says(client{lan0Index, alice.duid, fmt.Sprintf("fe80::1:%x", n), linkaddr.Addr{}}, message(dhcp6.Release, 0xabc, clientID(alice.duid), iaPD(1)))
		w.says(unproved(alice), message(dhcp6.Release, uint32(n), clientID(alice.duid), iaPD(1)))
	}
	w.serves(w.answer(asks[0].Payload, w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
	if got := w.core.Totals().Releases; got > 4096 {
		t.Errorf("%d Releases remembered, want 4096 at most", got)
	}
}

// A flood of Releases costs bounded memory, and the last of them is still known.
func TestReleasesUnderWayAreBounded(t *testing.T) {
	w := newWorld(t)
	for n := range 10_000 {
		c := client{lan0Index, fmt.Sprintf("\x00\x03\x00\x01id%04d", n), alice.addr, alice.mac}
		w.says(c, message(dhcp6.Release, 0xabc, clientID(c.duid), iaPD(1)))
	}
	if got := w.core.Totals().Releases; got > 4096 {
		t.Errorf("%d Releases remembered, want 4096 at most", got)
	}
	forwarded := w.releases(alice, dhcp6.Release)
	w.serves(w.answer(forwarded, w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))))
	w.wants()
	long := client{lan0Index, string(make([]byte, 131)), alice.addr, alice.mac} // no DUID is so long
	before := w.core.Totals().Releases
	w.releases(long, dhcp6.Release)
	if got := w.core.Totals().Releases; got != before {
		t.Errorf("%d Releases remembered, want %d", got, before)
	}
}
