package relay6_test

import (
	"bytes"
	"testing"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// Each of these is a mistake that was found in another relay.

func TestPeerBug_OnlyFirstIAPD(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1), iaPD(2, status(6)), iaPD(3, prefix("2001:db8:300::/56", 600)), iaPD(4, prefix("2001:db8:400::/56", 600)))
	w.wants("lan0 2001:db8:300::/56 via fe80::a for 10m0s", "lan0 2001:db8:400::/56 via fe80::a for 10m0s")
}

func TestPeerBug_LaterIAPrefixOverwritesTheFirst(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600), prefix("2001:db8:200::/56", 900)))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan0 2001:db8:200::/56 via fe80::a for 15m0s")
}

func TestPeerBug_LifetimeTakenFromIANA(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaNA(1, address("2001:db8:1::55", 60)), iaPD(1, prefix("2001:db8:100::/56", 600)), iaNA(2, address("2001:db8:77::55", 120)))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan0 2001:db8:77::55/128 via fe80::a for 2m0s")
}

func TestPeerBug_ReplyWithoutIAPDClears(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)), iaPD(2, prefix("2001:db8:200::/56", 600)))
	w.exchange(alice, dhcp6.InformationRequest, raw(23, make([]byte, 16)...))
	w.exchange(alice, dhcp6.Confirm, status(0))
	w.exchange(alice, dhcp6.Renew, iaPD(2, prefix("2001:db8:200::/56", 1200)), iaPD(1, status(3)))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan0 2001:db8:200::/56 via fe80::a for 20m0s")
}

func TestPeerBug_RouteOnRequestButNotOnRenewOrRebind(t *testing.T) {
	for _, mt := range []dhcp6.MessageType{dhcp6.Renew, dhcp6.Rebind, dhcp6.Solicit} {
		w := newWorld(t)
		w.exchange(alice, mt, iaPD(1, prefix("2001:db8:100::/56", 600)))
		w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
	}
}

func TestPeerBug_ZeroLifetimeAddsARoute(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 0)))
	w.wants()
	w.wantRoutes("2001:db8:100::/56")
	// Of one IA alone: another IA's zero is not this one's.
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.exchange(alice, dhcp6.Renew, iaPD(2, prefix("2001:db8:100::/56", 0)))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
}

func TestPeerBug_InfinityTreatedAsSeconds(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", dhcp6.Infinity)))
	w.tick() // keeps what is due at every start
	if at := w.core.Deadline(); at != instant.Never {
		t.Errorf("something is due at %v", at)
	}
	w.sleep(200 * 365 * 24 * time.Hour)
	w.tick()
	w.wants("lan0 2001:db8:100::/56 via fe80::a for ever")
}

func TestPeerBug_SpoofedRelease(t *testing.T) {
	release := message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1, prefix("2001:db8:100::/56", 0)))
	for name, spoof := range map[string]func(*client){
		"another source":            func(c *client) { c.addr, c.mac = "fe80::bad", bob.mac },
		"another link-layer source": func(c *client) { c.mac = bob.mac },
		"another link":              func(c *client) { c.link = lan1Index },
	} {
		w := newWorld(t)
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		c := alice
		spoof(&c)
		if got := w.says(c, release); len(got) != 1 {
			t.Errorf("%s: %d datagrams forwarded, want 1: the server decides", name, len(got))
		}
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
	}
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.says(alice, message(dhcp6.Release, 1, clientID(bob.duid), iaPD(1, prefix("2001:db8:100::/56", 0))))   // another DUID
	w.says(alice, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(2, prefix("2001:db8:100::/56", 0)))) // another IAID
	w.says(alice, message(dhcp6.Release, 1, clientID(alice.duid), iaNA(1, address("2001:db8:100::", 0))))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
}

// A Decline is about addresses found in use (RFC 8415 section 18.2.8), about
// those that it names.
func TestPeerBug_DeclineEndsAPrefix(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)), iaNA(1, address("2001:db8:77::1", 600), address("2001:db8:77::2", 600)))
	w.says(alice, message(dhcp6.Decline, 1, clientID(alice.duid), iaPD(1), iaPD(1, prefix("2001:db8:100::/56", 0)), iaNA(1)))
	if got := len(w.delegations()); got != 3 {
		t.Errorf("%d delegations left, want all 3", got)
	}
	w.says(alice, message(dhcp6.Decline, 1, clientID(alice.duid), iaNA(1, address("2001:db8:77::2", 0))))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan0 2001:db8:77::1/128 via fe80::a for 10m0s")
}

func TestPeerBug_MalformedRemoteID(t *testing.T) {
	l := first(t, alice, rule(func(r *relay6.LinkRule) {
		r.RemoteID = &relay6.RemoteID{EnterpriseNumber: 9, ID: template("x")}
	}))
	if got := l.option(37); !bytes.Equal(got, []byte{0, 0, 0, 9, 'x'}) {
		t.Errorf("option 37 is %x, want the enterprise number before the id: 0000000978", got)
	}
}

func TestPeerBug_HopCountNeverChecked(t *testing.T) {
	w := newWorld(t, relayPeer("fe80::99"))
	payload := message(dhcp6.Solicit, 1)
	for range 20 { // a loop of relays: each round comes back to us
		source := relayed(dhcp6.RelayForward, 0, "2001:db8:7::1", "fe80::1", payload)
		if payload[0] == byte(dhcp6.RelayForward) {
			source = payload
		}
		got := w.forwards("fe80::99", 547, source)
		if len(got) == 0 {
			break
		}
		payload = got[0].Payload
	}
	if w.dropped(effect.DropHopLimit) != 1 || readLayer(t, payload).hops != 8 {
		t.Errorf("the loop ended with %v, at hop-count %d", w.drops, readLayer(t, payload).hops)
	}
}

func TestPeerBug_ConfirmAndUnknownTypesRefused(t *testing.T) {
	w := newWorld(t)
	for _, mt := range []dhcp6.MessageType{dhcp6.Confirm, dhcp6.DHCPv4Query, dhcp6.AddrRegInform, 77} {
		if got := w.says(alice, message(mt, 1, clientID(alice.duid))); len(got) != 1 {
			t.Errorf("%v: %d datagrams forwarded, want 1", mt, len(got))
		}
	}
}

func TestPeerBug_ReplyToTheWrongVLAN(t *testing.T) {
	w := newWorld(t)
	upA := w.says(alice, message(dhcp6.Solicit, 1, clientID(alice.duid)))
	twin := alice
	twin.link = lan1Index
	upB := w.says(twin, message(dhcp6.Solicit, 2, clientID(alice.duid)))
	for _, tc := range []struct {
		up   []effect.Send
		link int
	}{{upB, lan1Index}, {upA, lan0Index}, {upB, lan1Index}} {
		down := w.serves(w.answer(tc.up[0].Payload, message(dhcp6.Advertise, 1, clientID(alice.duid))))
		if len(down) != 1 || down[0].Link != tc.link {
			t.Errorf("answer to link %d: %+v", tc.link, down)
		}
	}
}

func TestPeerBug_Port546ForADownstreamRelay(t *testing.T) {
	w := newWorld(t, relayPeer("2001:db8:7::1"))
	up := w.forwards("2001:db8:7::1", 547, relayed(dhcp6.RelayForward, 0, "2001:db8:7::1", "fe80::1", message(dhcp6.Solicit, 1)))
	down := w.serves(w.answer(up[0].Payload, message(dhcp6.Advertise, 1)))
	if len(down) != 1 || down[0].Dest.String() != "[2001:db8:7::1]:547" || !down[0].ToPeer {
		t.Errorf("down: %+v, want [2001:db8:7::1]:547", down)
	}
}

func TestPeerBug_LinkLocalLinkAddressAlthoughThereIsAGlobalOne(t *testing.T) {
	w := newWorld(t)
	w.anew("lan0", func(l *links.Link) { l.Addrs = l.Addrs[:1] }) // fe80::10 alone
	if got := readLayer(t, w.says(alice, message(dhcp6.Solicit, 1))[0].Payload).link; got != addr("fe80::10") {
		t.Errorf("link-address %v while there is no other, want fe80::10", got)
	}
	w.setLink("lan0", func(l *links.Link) { l.Addrs = append(l.Addrs[:1:1], cidr("2001:db8:1::1/64")) })
	if got := readLayer(t, w.says(alice, message(dhcp6.Solicit, 1))[0].Payload).link; got != addr("2001:db8:1::1") {
		t.Errorf("link-address %v once there is a global one, want 2001:db8:1::1", got)
	}
}

func TestPeerBug_MessagesWithoutClientIDDropped(t *testing.T) {
	w := newWorld(t)
	for mt := dhcp6.Solicit; mt <= dhcp6.InformationRequest; mt++ {
		if mt.FromServerOnly() {
			continue
		}
		up := w.says(alice, message(mt, 1, iaPD(1)))
		if len(up) != 1 {
			t.Errorf("%v without Client-ID: %d datagrams forwarded, want 1", mt, len(up))
			continue
		}
		if down := w.serves(w.answer(up[0].Payload, message(dhcp6.Reply, 1, raw(23, make([]byte, 16)...)))); len(down) != 1 {
			t.Errorf("Reply to %v without Client-ID: %d datagrams delivered, want 1", mt, len(down))
		}
	}
}

func TestPeerBug_ReconfigureOnlyForAPendingTransaction(t *testing.T) {
	w := newWorld(t)
	inner := message(dhcp6.Reconfigure, 0, clientID(alice.duid), raw(19, 5))
	got := w.serves(relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, inner, interfaceID("lan0")))
	if len(got) != 1 || !bytes.Equal(got[0].Payload, inner) || got[0].Dest.String() != "[fe80::a]:546" || got[0].Link != lan0Index {
		t.Errorf("Reconfigure out of the blue: %+v (drops %v)", got, w.drops)
	}
}

func TestPeerBug_RouteStaysAfterTheLeaseMoved(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.lease(alice, iaPD(1, prefix("2001:db8:200::/56", 600), prefixOf("2001:db8:100::/56", 0, 0)))
	w.wants("lan0 2001:db8:200::/56 via fe80::a for 10m0s")
	w.wantRoutes("2001:db8:100::/56")
}

// RFC 8415 section 21.21: a client discards an IA_PD whose T1 is greater than
// its T2, and goes on as if it had not been there. Section 21.22: likewise a
// prefix whose preferred lifetime is greater than its valid one. A status that
// is not success says that nothing was granted.
func TestWhatTheClientDiscardsIsNotLearned(t *testing.T) {
	grant := prefix("2001:db8:100::/56", 3600)
	for name, options := range map[string][]option{
		"T1 after T2":                        {ia(dhcp6.OptionIAPD, 1, 900, 600, grant)},
		"preferred after valid":              {iaPD(1, prefixOf("2001:db8:100::/56", 3601, 3600))},
		"preferred after valid, and valid 0": {iaPD(1, prefixOf("2001:db8:100::/56", 60, 0))},
		"preferred infinite":                 {iaPD(1, prefixOf("2001:db8:100::/56", dhcp6.Infinity, 3600))},
		"status of the IA":                   {iaPD(1, grant, status(6))},
		"status of the prefix":               {iaPD(1, prefix("2001:db8:100::/56", 3600, status(6)))},
		"status of the Reply":                {status(1), iaPD(1, grant)},
		"a prefix outside an IA_PD":          {grant, iaNA(1, grant)},
		"an address in an IA_PD":             {iaPD(1, address("2001:db8:100::1", 60))},
	} {
		w := newWorld(t)
		w.exchange(alice, dhcp6.Request, options...)
		w.wants()
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		w.exchange(alice, dhcp6.Renew, options...)
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
		if t.Failed() {
			t.Fatalf("after %q", name)
		}
	}
	for name, o := range map[string]option{
		"T1 0":                 ia(dhcp6.OptionIAPD, 1, 0, 600, grant),
		"T2 0":                 ia(dhcp6.OptionIAPD, 1, 600, 0, grant),
		"T1 as T2":             ia(dhcp6.OptionIAPD, 1, 600, 600, grant),
		"status success":       iaPD(1, grant, status(0)),
		"bits past its length": iaPD(1, prefix("2001:db8:100:ff::1/40", 3600)),
	} {
		w := newWorld(t)
		w.lease(alice, o)
		if got := len(w.delegations()); got != 1 {
			t.Errorf("%s: %d delegations, want 1", name, got)
		}
	}
}
