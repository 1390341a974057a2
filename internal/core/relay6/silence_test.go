package relay6_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// said are the notes about peers since the last call, a line each.
func (w *world) said() (lines []string) {
	for _, n := range w.notes {
		if n.Kind == effect.NotePeer {
			line := n.Peer + ": " + n.Text
			if n.Err != nil {
				line += ": " + n.Err.Error()
			}
			lines = append(lines, line)
		}
	}
	w.notes = nil
	return lines
}

// somebody is the client of that number on lan0.
func somebody(n int) client {
	return client{lan0Index, fmt.Sprintf("\x00\x03\x00\x01some%d", n), fmt.Sprintf("fe80::5:%x", n), mac(fmt.Sprintf("02:00:5e:00:54:%02x", n))}
}

// seeks is a client's message with an IA_PD, as it was forwarded.
func (w *world) seeks(c client, t dhcp6.MessageType) []byte {
	w.Helper()
	sent := w.says(c, message(t, 7, clientID(c.duid), iaPD(1)))
	if len(sent) == 0 {
		w.Fatalf("a %v of %s was not forwarded (drops %v)", t, c.addr, w.drops)
	}
	return sent[0].Payload
}

// crowd has clients solicit, from the number given on.
func (w *world) crowd(first, count int) {
	w.Helper()
	for i := range count {
		w.seeks(somebody(first+i), dhcp6.Solicit)
	}
}

const isSilent, isBack = "srv: server is silent", "srv: peer answers again"

// A server is silent once nothing has come from it for ten seconds while a holder of
// its lease waits for an answer to a Request or Renew, or four clients wait for any.
func TestServerFallsSilent(t *testing.T) {
	const moment = 10 * time.Second
	for _, c := range []struct {
		name  string
		do    func(*world) // ends with what the server owes
		after time.Duration
		never bool
	}{
		{name: "a holder renews", after: moment, do: func(w *world) { w.seeks(alice, dhcp6.Renew) }},
		{name: "a holder requests", after: moment, do: func(w *world) { w.seeks(alice, dhcp6.Request) }},
		{name: "a holder solicits", never: true, do: func(w *world) { w.seeks(alice, dhcp6.Solicit) }},
		{name: "whose lease has ended renews", never: true, do: func(w *world) {
			w.core.Clear(w.now, delegation.Selection{All: true}, &w.eff)
			w.carryOut()
			w.seeks(alice, dhcp6.Renew)
		}},
		{name: "one client, over and over", never: true, do: func(w *world) {
			for range 40 {
				w.seeks(bob, dhcp6.Renew)
				w.sleep(5 * time.Second)
			}
		}},
		{name: "three clients", never: true, do: func(w *world) { w.crowd(0, 3) }},
		{name: "four clients", after: moment, do: func(w *world) { w.crowd(0, 4) }},
		{name: "the fourth asks later", after: moment, do: func(w *world) { w.crowd(0, 3); w.sleep(30 * time.Second); w.crowd(3, 1) }},
		{name: "the first ask again with the fourth", after: moment, do: func(w *world) { w.crowd(0, 3); w.sleep(30 * time.Second); w.crowd(0, 4) }},
		{name: "the first have given up when the fourth asks", never: true, do: func(w *world) { w.crowd(0, 3); w.sleep(time.Hour); w.crowd(3, 1) }},
		{name: "four on one link and address are one", never: true, do: func(w *world) {
			for i := range 4 {
				c := somebody(i)
				c.addr = alice.addr
				w.seeks(c, dhcp6.Solicit)
			}
		}},
		{name: "the same address on another link is somebody else", after: moment, do: func(w *world) {
			w.crowd(0, 3)
			c := somebody(0)
			c.link = lan1Index
			w.seeks(c, dhcp6.Solicit)
		}},
		{name: "one of four is answered", never: true, do: func(w *world) {
			w.crowd(0, 3)
			c := somebody(3)
			w.serves(w.answer(w.seeks(c, dhcp6.Solicit), message(dhcp6.Advertise, 7, clientID(c.duid))))
		}},
		{name: "four ask again after an answer", after: moment, do: func(w *world) {
			w.crowd(0, 4)
			w.serves(w.answer(w.seeks(bob, dhcp6.Solicit), message(dhcp6.Advertise, 7, clientID(bob.duid))))
			w.sleep(20 * time.Second)
			w.crowd(0, 4)
		}},
		{name: "messages that nobody has to answer", never: true, do: func(w *world) {
			for i := range 4 {
				w.says(somebody(i), message(200, 7))
			}
		}},
		{name: "four clients behind one relay", after: moment, do: func(w *world) {
			for i := range 4 {
				w.forwards("fe80::99", 547, relayed(dhcp6.RelayForward, 0, "2001:db8:8::1", fmt.Sprintf("fe80::7:%x", i), message(dhcp6.Solicit, 1)))
			}
		}},
		{name: "a holder behind a lightweight relay", after: moment, do: func(w *world) {
			w.forwards("fe80::99", 547, relayed(dhcp6.RelayForward, 0, "::", carol.addr, message(dhcp6.Renew, 1, clientID(carol.duid))))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, relayPeer("fe80::99"))
			w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 36000)))
			w.lease(carol, iaPD(1, prefix("2001:db8:200::/56", 36000)))
			c.do(w)
			if got := w.said(); got != nil {
				t.Fatalf("already said: %q", got)
			}
			if c.never {
				if w.sleep(10 * time.Minute); w.said() != nil || !w.core.Peers(w.now)[0].Silent.IsZero() {
					t.Fatalf("the server counts as silent: %+v", w.core.Peers(w.now)[0])
				}
				return
			}
			since := w.now.Wall
			if w.sleep(c.after - 1); w.said() != nil {
				t.Fatalf("said before %v have passed", c.after)
			}
			w.sleep(1)
			if got := w.said(); !slices.Equal(got, []string{isSilent}) {
				t.Fatalf("said %q, want %q", got, isSilent)
			}
			if v := w.core.Peers(w.now)[0]; !v.Silent.Equal(since) {
				t.Errorf("silent since %v, want %v", v.Silent, since)
			}
			if w.sleep(time.Hour); w.said() != nil {
				t.Errorf("said more than once")
			}
			w.serves(w.answer(w.seeks(bob, dhcp6.Solicit), message(dhcp6.Advertise, 7, clientID(bob.duid))))
			if got := w.said(); !slices.Equal(got, []string{isBack}) || !w.core.Peers(w.now)[0].Silent.IsZero() {
				t.Errorf("said %q, want %q; %+v", got, isBack, w.core.Peers(w.now)[0])
			}
			if w.sleep(time.Minute); w.said() != nil {
				t.Errorf("silent again, although nobody asks")
			}
		})
	}
}

// Who waits alone for an answer is shown, and nothing else happens.
func TestClientsThatWait(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.seeks(bob, dhcp6.Solicit)
		w.sleep(4 * time.Second)
	}
	w.seeks(carol, dhcp6.Solicit)
	got := w.core.Peers(w.now)[0].Waiting
	if len(got) != 1 || got[0].Link != "lan0" || got[0].Source != netip.MustParseAddr(bob.addr) || got[0].Messages != 3 || got[0].For != 12*time.Second {
		t.Fatalf("waiting %+v, want bob's three messages for 12 s", got)
	}
	forwarded := w.seeks(carol, dhcp6.Solicit)
	w.sleep(10 * time.Second)
	if got := w.core.Peers(w.now)[0].Waiting; len(got) != 2 {
		t.Errorf("waiting %+v, want bob and carol", got)
	}
	w.serves(w.answer(forwarded, message(dhcp6.Advertise, 7, clientID(carol.duid))))
	if got := w.core.Peers(w.now)[0].Waiting; len(got) != 1 || got[0].Link != "lan0" {
		t.Errorf("waiting %+v, want bob alone: carol was answered", got)
	}
	if w.sleep(5 * time.Minute); len(w.core.Peers(w.now)[0].Waiting) != 0 {
		t.Errorf("still waiting %+v, although he has given up", w.core.Peers(w.now)[0].Waiting)
	}
}

// forward: first tells when it goes over to another server, and back.
func TestForwardFirstTells(t *testing.T) {
	w := newWorld(t, twoServers)
	want := func(what string, lines ...string) {
		t.Helper()
		if got := w.said(); !slices.Equal(got, lines) {
			t.Errorf("%s: said %q, want %q", what, got, lines)
		}
	}
	const goes = ": forward first: messages go to this server"
	w.speaks("2001:db8:ffff::5")
	want("the second answers", "srv2"+goes)
	w.speaks(serverAddr)
	want("the first answers", "srv"+goes)
	for range 20 {
		w.to()
		w.sleep(10 * time.Second)
	}
	want("one client has no answer")
	w.crowd(0, 4)
	w.sleep(10 * time.Second)
	want("four have none", isSilent, "srv2"+goes)
	w.crowd(0, 4)
	w.sleep(10 * time.Second)
	want("the second falls silent as well", "srv2: server is silent", "srv2: forward first: no server answers, messages go to all")
	w.speaks("2001:db8:ffff::5")
	want("the second is back", "srv2: peer answers again", "srv2"+goes)
	w.speaks(serverAddr)
	want("the first is back", isBack, "srv"+goes)
}

// What the network says of messages to a server is shown until that speaks again,
// told once, and changes nothing over.
func TestServerUnreachable(t *testing.T) {
	w := newWorld(t, twoServers)
	w.speaks("2001:db8:ffff::5")
	w.speaks(serverAddr)
	w.said()
	refused := errors.New("port unreachable")
	fails := func(address string, err error) []string {
		w.core.Unreachable(w.now, addr(address), 0, err, &w.eff)
		w.carryOut()
		return w.said()
	}
	if got := fails(serverAddr, refused); !slices.Equal(got, []string{"srv: peer cannot be reached: port unreachable"}) {
		t.Errorf("said %q", got)
	}
	if got := fails(serverAddr, errors.New("port unreachable")); got != nil {
		t.Errorf("said again: %q", got)
	}
	if got := fails("2001:db8:ffff::99", refused); got != nil {
		t.Errorf("said of an address that is no peer's: %q", got)
	}
	v := w.core.Peers(w.now)[0]
	if v.Failure != refused || !v.FailedAt.Equal(w.now.Wall) || v.Counters.Unreachable != 2 || !v.Preferred || !slices.Equal(w.to(), []string{"srv"}) {
		t.Errorf("view %+v", v)
	}
	w.speaks(serverAddr)
	if got := w.said(); !slices.Equal(got, []string{isBack}) {
		t.Errorf("said %q", got)
	}
	if v := w.core.Peers(w.now)[0]; v.Failure != nil || !v.FailedAt.IsZero() {
		t.Errorf("view after an answer %+v", v)
	}
}

// waitsOn is how many clients wait for an answer of a server, by what status shows.
func (w *world) waitsOn(server string) int {
	for _, p := range w.core.Peers(w.now) {
		if p.Name == server {
			return len(p.Waiting)
		}
	}
	w.Fatalf("no peer %s", server)
	return 0
}

// A message that names a server is not owed an answer by the other servers, which
// discard it: only a server of whose leases the client holds one counts, and one that
// is alone.
func TestMessagesThatNameAServer(t *testing.T) {
	w := newWorld(t, func(c *relay6.Config) { c.Peers = append(c.Peers, server("srv2", "2001:db8:ffff::2")) })
	forwarded := w.seeks(alice, dhcp6.Request)
	w.serves(w.answer(forwarded, w.reply(alice, iaPD(1, prefix("2001:db8:100::/56", 3600)))))
	for range 4 {
		w.seeks(alice, dhcp6.Renew)
		w.sleep(5 * time.Second)
	}
	if n := w.waitsOn("srv2"); n != 0 {
		t.Errorf("%d clients wait for the server that their messages do not name", n)
	}
	if n := w.waitsOn("srv"); n != 1 {
		t.Errorf("%d clients wait for the server of their lease, want one", n)
	}
}

// What a relay below forwarded is answered when the Relay-reply for its client comes.
func TestClientsBelowARelayAreAnswered(t *testing.T) {
	w := newWorld(t, rule(func(r *relay6.LinkRule) { r.Trusted = true }))
	below := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, addr("2001:db8:7::1"), addr("fe80::77"))
	below = dhcp6.AppendOption(below, dhcp6.OptionRelayMessage, message(dhcp6.Solicit, 7, clientID(alice.duid)))
	relay := client{lan0Index, "", "fe80::99", mac("02:00:5e:00:53:99")}
	for range 3 {
		sent := w.says(relay, below)
		if len(sent) != 1 {
			t.Fatalf("%d datagrams forwarded, want one (drops %v)", len(sent), w.drops)
		}
		w.serves(w.answer(sent[0].Payload, message(dhcp6.Advertise, 7, clientID(alice.duid))))
		w.sleep(6 * time.Second)
	}
	if n := w.waitsOn("srv"); n != 0 {
		t.Errorf("%d clients wait although each was answered", n)
	}
}
