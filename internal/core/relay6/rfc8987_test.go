package relay6_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/wire/dhcp6"
)

// Section 4: "relays MUST forward packets that either contain message codes it
// may not understand (Section 19 of [RFC8415]) or options that it does not
// understand (Section 16 of [RFC8415])."
func TestRFC8987_S4_ForwardsUnknownTypesAndOptions(t *testing.T) {
	w := newWorld(t)
	strange := []option{clientID(alice.duid), raw(4711, 1, 2, 3), raw(4711), raw(65535, 9)}
	for n := range 256 {
		mt := dhcp6.MessageType(n)
		up := message(mt, 0x123456, strange...)
		if !mt.IsRelay() && !mt.FromServerOnly() && !slices.Contains([]byte{14, 22, 23}, byte(n)) {
			got := w.says(alice, up)
			if len(got) != 1 || !bytes.Equal(readLayer(t, got[0].Payload).inner, up) {
				t.Errorf("type %d from a client: %d datagrams forwarded, want the message in 1 (drops %v)", n, len(got), w.drops)
			}
		}
		if mt.IsRelay() {
			continue
		}
		down := w.serves(relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, up, interfaceID("lan0"), raw(4711, 7)))
		if len(down) != 1 || !bytes.Equal(down[0].Payload, up) {
			t.Errorf("type %d from the server: %d datagrams delivered, want the message in 1 (drops %v)", n, len(down), w.drops)
		}
	}
}

// G-1: "The delegating relay MUST forward messages bidirectionally between the
// client and server without changing the contents of the message."
func TestRFC8987_G1_CarriesEveryOctetBothWays(t *testing.T) {
	w := newWorld(t)
	for _, payload := range [][]byte{
		message(dhcp6.Solicit, 1, clientID(alice.duid), iaPD(1), raw(8, 0, 0), raw(8, 0, 1), raw(6, 0, 23)),
		message(dhcp6.Renew, 2, iaPD(1, prefix("2001:db8:100::/56", 0)), clientID(alice.duid), raw(3)),
		message(dhcp6.Request, 3, clientID(alice.duid), raw(25, 0, 0)),                                     // an IA_PD too short to be one
		append(message(dhcp6.Solicit, 4, clientID(alice.duid)), 0, 25, 0xff, 0xff, 1, 2, 3),                // an option that runs past the end
		append(message(dhcp6.Reply, 5, clientID(alice.duid), iaPD(1, prefix("2001:db8:100::/56", 60))), 0), // one octet left over
	} {
		if dhcp6.MessageType(payload[0]) != dhcp6.Reply {
			up := w.says(alice, payload)
			if len(up) != 1 {
				t.Fatalf("%x: %d datagrams forwarded, want 1 (drops %v)", payload, len(up), w.drops)
			}
			if got := readLayer(t, up[0].Payload).inner; !bytes.Equal(got, payload) {
				t.Errorf("towards the server:\n got  %x\n want %x", got, payload)
			}
		}
		down := w.serves(relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, payload, interfaceID("lan0")))
		if len(down) != 1 || !bytes.Equal(down[0].Payload, payload) {
			t.Errorf("towards the client:\n got  %d datagrams\n want %x (drops %v)", len(down), payload, w.drops)
		}
	}
}

// Section 3.1: the relay neither drops what it did not expect nor answers a
// client in the server's place.
func TestRFC8987_G1_OriginatesNothingAndStopsNothing(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 3600)))
	newcomer := bob
	for _, c := range []client{alice, newcomer} {
		for _, mt := range []dhcp6.MessageType{
			dhcp6.Solicit, dhcp6.Request, dhcp6.Confirm, dhcp6.Renew, dhcp6.Rebind, dhcp6.Release, dhcp6.Decline, dhcp6.InformationRequest,
		} {
			got := w.says(c, message(mt, 9, clientID(c.duid), iaPD(77, prefix("2001:db8:999::/56", 0))))
			if len(got) != 1 || !got[0].ToPeer {
				t.Errorf("%v of %s, which holds no such lease: sends %v, want one to the server", mt, c.addr, got)
			}
		}
	}
}

// G-2: "The relay MUST allow for multiple prefixes to be delegated for the same
// client IA_PD. These delegations may have different lifetimes."
func TestRFC8987_G2_SeveralPrefixesInOneIAPDWithTheirOwnLifetimes(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600), prefix("2001:db8:200::/60", 1200), prefix("2001:db8:300::/64", dhcp6.Infinity)))
	w.wants(
		"lan0 2001:db8:100::/56 via fe80::a for 10m0s",
		"lan0 2001:db8:200::/60 via fe80::a for 20m0s",
		"lan0 2001:db8:300::/64 via fe80::a for ever",
	)
	w.sleep(15 * time.Minute)
	w.wants("lan0 2001:db8:200::/60 via fe80::a for 5m0s", "lan0 2001:db8:300::/64 via fe80::a for ever")
	w.wantRoutes("2001:db8:100::/56")
	w.wantRoutes("2001:db8:200::/60", "2001:db8:200::/60 via fe80::a dev 10 table 254 metric 1024")
}

// G-3: "The relay MUST allow for multiple prefixes (with or without separate
// IA_PDs) to be delegated to a single client connected to a single interface,
// identified by its DHCPv6 Client Identifier (DUID)."
func TestRFC8987_G3_SeveralIAPDsOfOneClient(t *testing.T) {
	w := newWorld(t)
	w.lease(alice,
		iaPD(1, prefix("2001:db8:100::/56", 600), prefix("2001:db8:101::/56", 600)),
		iaNA(1, address("2001:db8:1::77", 60)),
		iaPD(2, prefix("2001:db8:200::/56", 1200)))
	w.lease(alice, iaPD(3, prefix("2001:db8:300::/56", 1800)))
	w.wants(
		"lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan0 2001:db8:101::/56 via fe80::a for 10m0s",
		"lan0 2001:db8:200::/56 via fe80::a for 20m0s", "lan0 2001:db8:300::/56 via fe80::a for 30m0s",
	)
}

// G-4: "The relay SHOULD allow the same client identifier (DUID) to have active
// delegated prefix leases on more than one interface simultaneously ..."
func TestRFC8987_G4_SameDUIDOnTwoInterfaces(t *testing.T) {
	w := newWorld(t)
	twin := client{lan1Index, alice.duid, "fe80::a", alice.mac}
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.lease(twin, iaPD(1, prefix("2001:db8:200::/56", 600)))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s", "lan1 2001:db8:200::/56 via fe80::a for 10m0s")
	w.wantRoutes("2001:db8:100::/56", "2001:db8:100::/56 via fe80::a dev 10 table 254 metric 1024")
	w.wantRoutes("2001:db8:200::/56", "2001:db8:200::/56 via fe80::a dev 11 table 254 metric 1024")

	// The one's Release is not the other's.
	w.says(twin, message(dhcp6.Release, 1, clientID(twin.duid), iaPD(1, prefix("2001:db8:200::/56", 0))))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
}

// G-4: "... unless client DUID uniqueness is necessary for the functioning or
// security of the network."
func TestRFC8987_G4_UniqueDUIDByConfiguration(t *testing.T) {
	w := newWorld(t, policy(func(p *delegation.Policy) { p.UniqueDUID = true }))
	twin := client{lan1Index, alice.duid, "fe80::a", alice.mac}
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
	w.lease(twin, iaPD(1, prefix("2001:db8:200::/56", 600)))
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 10m0s")
	if got := w.noted(effect.NoteDelegation); !slices.Equal(got, []string{"duplicate-duid"}) {
		t.Errorf("refusals noted: %q, want duplicate-duid", got)
	}
}

// G-4: messages from an interface that does not face clients are not relayed.
func TestRFC8987_G4_NotOnOtherInterfaces(t *testing.T) {
	w := newWorld(t)
	stray := alice
	stray.link = upIndex
	if got := w.says(stray, message(dhcp6.Solicit, 1, clientID(stray.duid))); len(got) != 0 || w.dropped(effect.DropNotClientLink) != 1 {
		t.Errorf("Solicit on the uplink: %d datagrams, drops %v; want none, not-client-link", len(got), w.drops)
	}
}

// G-5: "The maximum number of simultaneous prefixes delegated to a single client
// MUST be configurable."
func TestRFC8987_G5_LimitPerClient(t *testing.T) {
	for _, limit := range []int{1, 3} {
		w := newWorld(t, policy(func(p *delegation.Policy) { p.ClientLimit = limit }))
		for n := range limit {
			w.lease(alice, iaPD(uint32(n), prefix(fmt.Sprintf("2001:db8:%x00::/56", n+1), 600)))
		}
		if got := w.says(alice, message(dhcp6.Request, 1, clientID(alice.duid), iaPD(99))); len(got) != 0 || w.dropped(effect.DropLimit) != 1 {
			t.Errorf("limit %d: a Request for one more: %d datagrams forwarded, drops %v; want none, limit", limit, len(got), w.drops)
		}
		if got := w.exchange(alice, dhcp6.Rebind, iaPD(99, prefix("2001:db8:9900::/56", 600))); len(got) != 0 || w.dropped(effect.DropLimit) != 2 {
			t.Errorf("limit %d: a Reply with only excess: %d datagrams delivered, drops %v; want none, limit", limit, len(got), w.drops)
		}
		if got := len(w.delegations()); got != limit {
			t.Errorf("limit %d: %d delegations", limit, got)
		}
		w.lease(bob, iaPD(1, prefix("2001:db8:aa00::/56", 600)))
	}
}

// G-6: "The relay MUST implement a mechanism to limit the maximum number of
// active prefix delegations on a single port for all client identifiers and
// IA_PDs. This value MUST be configurable."
func TestRFC8987_G6_LimitPerPort(t *testing.T) {
	for _, limit := range []int{1, 4} {
		w := newWorld(t, policy(func(p *delegation.Policy) { p.LinkLimit = limit }))
		for n := range limit {
			c := client{lan0Index, fmt.Sprintf("\x00\x03\x00\x01cl%03d", n), fmt.Sprintf("fe80::%x", 0x100+n), mac(fmt.Sprintf("02:00:00:00:00:%02x", n))}
			w.lease(c, iaPD(1, prefix(fmt.Sprintf("2001:db8:%x00::/56", n+1), 600)))
		}
		if got := w.says(alice, message(dhcp6.Request, 1, clientID(alice.duid), iaPD(1))); len(got) != 0 || w.dropped(effect.DropLimit) != 1 {
			t.Errorf("limit %d: Request on a full port: %d datagrams forwarded, drops %v; want none, limit", limit, len(got), w.drops)
		}
		if got := w.exchange(alice, dhcp6.Rebind, iaPD(1, prefix("2001:db8:9900::/56", 600))); len(got) != 0 {
			t.Errorf("limit %d: Reply with only excess: %d datagrams delivered, want none", limit, len(got))
		}
		if got := len(w.delegations()); got != limit {
			t.Errorf("limit %d: %d delegations", limit, got)
		}
		w.lease(carol, iaPD(1, prefix("2001:db8:aa00::/56", 600))) // another port
	}
}

// G-7: "It is RECOMMENDED that delegating relays support at least 8 active
// delegated leases per client device and use this as the default limit."
func TestRFC8987_G7_EightByDefault(t *testing.T) {
	w := newWorld(t) // its limit is the package's default
	for n := range 8 {
		w.lease(alice, iaPD(uint32(n), prefix(fmt.Sprintf("2001:db8:%x00::/56", n+1), 600)))
	}
	if got := len(w.delegations()); got != 8 {
		t.Errorf("%d delegations, want 8", got)
	}
	if got := w.exchange(alice, dhcp6.Rebind, iaPD(8, prefix("2001:db8:900::/56", 600))); len(got) != 0 {
		t.Errorf("a ninth prefix was delivered")
	}
	if got := len(w.delegations()); got != 8 {
		t.Errorf("%d delegations after a ninth, want 8", got)
	}
}

// G-8: "The delegating relay MUST update the lease lifetimes based on the
// client's reply messages it forwards to the client ..."
func TestRFC8987_G8_LifetimesFollowEveryReply(t *testing.T) {
	for _, mt := range []dhcp6.MessageType{dhcp6.Request, dhcp6.Renew, dhcp6.Rebind, dhcp6.Solicit} {
		w := newWorld(t)
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)))
		w.sleep(5 * time.Minute)
		w.exchange(alice, mt, iaPD(1, prefix("2001:db8:100::/56", 3600)))
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 1h0m0s")
		w.exchange(alice, mt, iaPD(1, prefix("2001:db8:100::/56", 120))) // shortened
		w.wants("lan0 2001:db8:100::/56 via fe80::a for 2m0s")
		w.exchange(alice, mt, iaPD(1, prefixOf("2001:db8:100::/56", 0, 0))) // withdrawn
		w.wants()
	}
}

// G-8: "... and only expire the delegated prefixes when the valid lifetime has
// elapsed."
func TestRFC8987_G8_ExpiresOnlyWhenValidLifetimeElapsed(t *testing.T) {
	w := newWorld(t)
	w.lease(alice, iaPD(1, prefixOf("2001:db8:100::/56", 60, 600)))
	for _, reply := range [][]option{
		nil,                            // no IA_PD at all
		{iaPD(1)},                      // an empty IA_PD
		{iaPD(1, status(3))},           // one with NoBinding alone
		{iaPD(2, status(6))},           // another IA_PD
		{iaNA(1, status(2))},           // an IA_NA
		{status(1)},                    // a failure as a whole
		{iaPD(1, prefix("::/56", 60))}, // a prefix that is none
	} {
		w.exchange(alice, dhcp6.Renew, reply...)
	}
	w.sleep(599 * time.Second)
	w.wants("lan0 2001:db8:100::/56 via fe80::a for 1s")
	w.sleep(time.Second)
	w.wants()
	w.wantRoutes("2001:db8:100::/56")
}

// G-9: "On receipt of a Release message from the client, the delegating relay
// MUST expire the active leases for each of the IA_PDs in the message."
func TestRFC8987_G9_ReleaseEndsEachIAPD(t *testing.T) {
	grant := func() *world {
		w := newWorld(t)
		w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600), prefix("2001:db8:101::/56", 600)), iaPD(2, prefix("2001:db8:200::/56", 600)), iaPD(3, prefix("2001:db8:300::/56", 600)))
		return w
	}
	left := "lan0 2001:db8:300::/56 via fe80::a for 10m0s"

	w := grant()
	got := w.says(alice, message(dhcp6.Release, 1, clientID(alice.duid),
		iaPD(1, prefix("2001:db8:100::/56", 0), prefix("2001:db8:101::/56", 0)), iaPD(2, prefix("2001:db8:200::/56", 0))))
	if len(got) != 1 {
		t.Errorf("the Release: %d datagrams forwarded, want 1", len(got))
	}
	w.wants(left)
	w.wantRoutes("2001:db8:100::/56")
	w.wantRoutes("2001:db8:200::/56")

	w = grant() // IA_PDs without any prefix: all of each
	w.says(alice, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1), iaPD(2)))
	w.wants(left)
}
