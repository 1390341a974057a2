package relay6_test

import (
	"bytes"
	"slices"
	"testing"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// noticeCode is the code of the Relay Agent Assignment Notification option here.
const noticeCode = 65280

// encrypted is a message of a type that nobody knows.
var encrypted = []byte{200, 1, 2, 3}

// asking is a world whose server is protected, and asked what it assigns.
func asking(t *testing.T, change ...func(*relay6.Config)) *world {
	return newWorld(t, append([]func(*relay6.Config){protected, func(c *relay6.Config) {
		c.AssignmentOption = noticeCode
		c.Peers[0].Assignments = true
	}}, change...)...)
}

// notice is the option with what the server has assigned.
func notice(assigned ...option) option {
	var b []byte
	for _, o := range assigned {
		b = o(b)
	}
	return raw(noticeCode, b...)
}

// tells is the server's answer to alice with what it has assigned beside it.
func (w *world) tells(inner []byte, assigned ...option) int {
	return len(w.serves(relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, inner, interfaceID("lan0"), notice(assigned...))))
}

// A relay asks by its option request in the Relay-forward, whatever message it relays, and
// protected servers alone that are to tell it.
func TestAssignmentsAreAskedOfProtectedServersAlone(t *testing.T) {
	w := asking(t, clearServer)
	for _, m := range [][]byte{encrypted, message(dhcp6.Solicit, 1, clientID(alice.duid))} {
		asked := make(map[string][]byte)
		for _, s := range w.says(alice, m) {
			asked[s.Peer.Name] = readLayer(t, s.Payload).option(int(dhcp6.OptionORO))
		}
		if want := []byte{noticeCode >> 8, noticeCode & 0xff}; len(asked) != 2 || !bytes.Equal(asked["srv"], want) || asked["clear"] != nil {
			t.Errorf("%x: asked %x, want srv alone by %x", m[0], asked, want)
		}
	}
}

// What a server has assigned beside a message that the relay cannot read is kept and installed
// before that message leaves, without DUID and IAID. What is missing in a later notice has not
// ended; a valid lifetime of 0 ends it.
func TestAssignmentsBesideAnEncryptedMessage(t *testing.T) {
	w := asking(t)
	w.says(alice, encrypted)
	one, two := "2001:db8:a100::/56", "2001:db8:a200::/56"
	if n := w.tells(encrypted, prefix(one, 3600), prefix(two, 3600)); n != 1 {
		t.Fatalf("%d datagrams to the client, drops %v", n, w.drops)
	}
	if len(w.kernel.RoutesOf(one)) != 1 || len(w.kernel.RoutesOf(two)) != 1 {
		t.Errorf("routes %q and %q", w.kernel.RoutesOf(one), w.kernel.RoutesOf(two))
	}
	d, _ := w.holder(one)
	if d.Client != binding.AtAddress(addr(alice.addr), alice.mac) || !d.NoIAID || d.Source != binding.Notified || d.Server != "srv" {
		t.Errorf("the delegation is %+v", d)
	}
	w.tells(encrypted, prefix(one, 3600))
	w.wants("lan0 "+one+" via fe80::a for 1h0m0s", "lan0 "+two+" via fe80::a for 1h0m0s")
	w.tells(encrypted, prefixOf(one, 0, 0))
	w.wants("lan0 " + two + " via fe80::a for 1h0m0s")
	w.tells(encrypted) // an empty notice says nothing
	w.wants("lan0 " + two + " via fe80::a for 1h0m0s")
	// What the client asks in clear afterwards tells who it is.
	w.lease(alice, iaPD(7, prefix(two, 1800)))
	if d, _ := w.holder(two); d.Client != binding.DUID(alice.duid) || d.IAID != 7 || d.NoIAID {
		t.Errorf("after a readable Reply the delegation is %+v", d)
	}
}

// The store refuses it: the message that nobody can read does not leave.
func TestAssignmentsThatAreNotKept(t *testing.T) {
	w := asking(t)
	w.says(alice, encrypted)
	w.keepFail = errStoreDown
	if n := w.tells(encrypted, prefix("2001:db8:a100::/56", 3600)); n != 0 {
		t.Errorf("%d datagrams to the client", n)
	}
	w.wants()
}

// Beside a Reply that the relay can read, the Reply wins, and beside any other message that it can
// read the notice says nothing.
func TestAssignmentsBesideAReadableMessage(t *testing.T) {
	w := asking(t)
	w.says(alice, message(dhcp6.Request, 0xabc, clientID(alice.duid)))
	w.tells(w.reply(alice, iaPD(1, prefix("2001:db8:a100::/56", 3600))), prefix("2001:db8:a200::/56", 3600))
	w.wants("lan0 2001:db8:a100::/56 via fe80::a for 1h0m0s")
	w.tells(message(dhcp6.Advertise, 0xabc, clientID(alice.duid)), prefix("2001:db8:a300::/56", 3600))
	w.wants("lan0 2001:db8:a100::/56 via fe80::a for 1h0m0s")
}

// Who is not to tell it is not believed, and the refusal is counted; the message passes.
func TestAssignmentsOfOthers(t *testing.T) {
	for name, change := range map[string]func(*relay6.Config){
		"in clear":    func(c *relay6.Config) { c.AssignmentOption = noticeCode },
		"not to tell": func(c *relay6.Config) { c.AssignmentOption = noticeCode; protected(c) },
	} {
		w := newWorld(t, change)
		w.says(alice, encrypted)
		if n := w.tells(encrypted, prefix("2001:db8:a100::/56", 3600)); n != 1 {
			t.Errorf("%s: %d datagrams to the client", name, n)
		}
		w.wants()
		if got := w.counts("up0").AssignmentsRefused; got != 1 {
			t.Errorf("%s: %d refusals counted, want 1", name, got)
		}
	}
	w := asking(t)
	w.serves(relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, encrypted, interfaceID("lan0"), raw(noticeCode, 0, 26, 0, 99)))
	if got := w.counts("up0").AssignmentsRefused; got != 1 {
		t.Errorf("a malformed notice: %d refusals counted, want 1", got)
	}
}

// Bounds and limits are those of a Reply.
func TestAssignmentsHaveTheBoundsOfAReply(t *testing.T) {
	w := asking(t, policy(func(p *delegation.Policy) { p.ClientLimit, p.HostLimit = 1, 0 }))
	w.says(alice, encrypted)
	w.tells(encrypted, prefix("2001:db8:a100::/56", 3600), prefix("2001:db8:a200::/56", 3600), prefix("2001:db8:1::/64", 3600), prefix("fe80::/64", 3600))
	w.wants("lan0 2001:db8:a100::/56 via fe80::a for 1h0m0s")
	if got := w.noted(effect.NoteDelegation); !slices.Contains(got, "limit-client") || !slices.Contains(got, "not-delegable") {
		t.Errorf("refusals %q", got)
	}
}
