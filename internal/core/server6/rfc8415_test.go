package server6_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// The letters count the sentences of a section of RFC 8415 that ask something of a server.

// Section 18.3: "These Advertise and Reply messages MUST always contain the Server Identifier
// option containing the server's DUID and the Client Identifier option from the client message
// if one was present." RFC 8415 18.3.2a, 18.3.3b, 18.3.4e, 18.3.5i, 18.3.6a and
// 16.10a. RFC 7550 4.4.6d and 4.4.7g.
func TestRFC8415_18_3a_Identifiers(t *testing.T) {
	w := newWorld(t, subnet(rapidCommit))
	a := w.obtains(alice, iaNA(1)).onlyAddr()
	for _, m := range []struct {
		name    string
		kind    dhcp6.MessageType
		want    dhcp6.MessageType
		options []option
	}{
		{"Solicit", dhcp6.Solicit, dhcp6.Advertise, []option{iaNA(1)}},
		{"Solicit with rapid commit", dhcp6.Solicit, dhcp6.Reply, []option{iaNA(1), rapid}},
		{"Request", dhcp6.Request, dhcp6.Reply, []option{iaNA(1)}},
		{"Confirm", dhcp6.Confirm, dhcp6.Reply, []option{iaNA(1, named(a))}},
		{"Renew", dhcp6.Renew, dhcp6.Reply, []option{iaNA(1, named(a))}},
		{"Rebind", dhcp6.Rebind, dhcp6.Reply, []option{iaNA(1, named(a))}},
		{"Information-request", dhcp6.InformationRequest, dhcp6.Reply, nil},
		{"Decline", dhcp6.Decline, dhcp6.Reply, []option{iaNA(2)}},
		{"Release", dhcp6.Release, dhcp6.Reply, []option{iaNA(1, named(a))}},
	} {
		got := w.asks(alice, m.kind, m.options...)
		if got.kind != m.want || got.xid != xid || got.server != serverID || got.client != alice.duid {
			t.Errorf("%s: %v %#x from %q to %q, want %v %#x from %q to %q", m.name, got.kind, got.xid, got.server, got.client, m.want, xid, serverID, alice.duid)
		}
		if len(got.payloads(1)) != 1 || len(got.payloads(2)) != 1 {
			t.Errorf("%s: an identifier is there twice", m.name)
		}
	}
}

// Section 16.10: "If the client did not include a Client Identifier option in the original message,
// the Reply message MUST NOT include a Client Identifier option."
func TestRFC8415_16_10b_NoClientID(t *testing.T) {
	w := newWorld(t)
	got := w.says(alice, build(dhcp6.InformationRequest))
	if len(got) != 1 || w.read(got[0].Payload).has(1) {
		t.Errorf("answers %+v, want one without a client-id", got)
	}
}

// Section 16 and its subsections: what "servers MUST discard". RFC 8415 16e, 16.2a, 16.3a, 16.4a,
// 16.5a, 16.6a, 16.7a, 16.8a, 16.9a, 16.10c, 16.11a and 16.12a.
func TestDiscardedMessages(t *testing.T) {
	w := newWorld(t)
	own, other, me := raw(2, []byte(serverID)...), raw(2, []byte("\x00\x02\x00\x00\x7e\xd9other!")...), clientID(alice.duid)
	short := raw(2, 0, 2)
	for _, m := range []struct {
		row     string
		kind    dhcp6.MessageType
		options []option
		want    effect.Drop
	}{
		{"16.2a without client-id", dhcp6.Solicit, []option{iaNA(1)}, effect.DropInvalid},
		{"16.2a with server-id", dhcp6.Solicit, []option{me, own, iaNA(1)}, effect.DropInvalid},
		{"16.2a with another's", dhcp6.Solicit, []option{me, other, iaNA(1)}, effect.DropInvalid},
		{"16.3a", dhcp6.Advertise, []option{me, own}, effect.DropServerMessage},
		{"16.4a without server-id", dhcp6.Request, []option{me, iaNA(1)}, effect.DropInvalid},
		{"16.4a to another", dhcp6.Request, []option{me, other, iaNA(1)}, effect.DropOtherServer},
		{"16.4a to a part of our identifier", dhcp6.Request, []option{me, short, iaNA(1)}, effect.DropOtherServer},
		{"16.4a without client-id", dhcp6.Request, []option{own, iaNA(1)}, effect.DropInvalid},
		{"16.5a without client-id", dhcp6.Confirm, []option{iaNA(1, named("2001:db8:1::1:5"))}, effect.DropInvalid},
		{"16.5a with server-id", dhcp6.Confirm, []option{me, own, iaNA(1, named("2001:db8:1::1:5"))}, effect.DropInvalid},
		{"16.6a without server-id", dhcp6.Renew, []option{me, iaNA(1)}, effect.DropInvalid},
		{"16.6a to another", dhcp6.Renew, []option{me, other, iaNA(1)}, effect.DropOtherServer},
		{"16.6a without client-id", dhcp6.Renew, []option{own, iaNA(1)}, effect.DropInvalid},
		{"16.7a without client-id", dhcp6.Rebind, []option{iaNA(1)}, effect.DropInvalid},
		{"16.7a with server-id", dhcp6.Rebind, []option{me, own, iaNA(1)}, effect.DropInvalid},
		{"16.8a without server-id", dhcp6.Decline, []option{me, iaNA(1)}, effect.DropInvalid},
		{"16.8a to another", dhcp6.Decline, []option{me, other, iaNA(1)}, effect.DropOtherServer},
		{"16.8a without client-id", dhcp6.Decline, []option{own, iaNA(1)}, effect.DropInvalid},
		{"16.9a without server-id", dhcp6.Release, []option{me, iaNA(1)}, effect.DropInvalid},
		{"16.9a to another", dhcp6.Release, []option{me, other, iaNA(1)}, effect.DropOtherServer},
		{"16.9a without client-id", dhcp6.Release, []option{own, iaNA(1)}, effect.DropInvalid},
		{"16.10c", dhcp6.Reply, []option{me, own}, effect.DropServerMessage},
		{"16.11a", dhcp6.Reconfigure, []option{me, own}, effect.DropServerMessage},
		{"16.12a to another", dhcp6.InformationRequest, []option{me, other}, effect.DropOtherServer},
		{"16.12a with an IA_NA", dhcp6.InformationRequest, []option{me, iaNA(1)}, effect.DropInvalid},
		{"16.12a with an IA_TA", dhcp6.InformationRequest, []option{me, raw(4, 0, 0, 0, 1)}, effect.DropInvalid},
		{"16.12a with an IA_PD", dhcp6.InformationRequest, []option{me, iaPD(1)}, effect.DropInvalid},
		{"16.12a with an IA_PD that cannot be read", dhcp6.InformationRequest, []option{me, raw(25, 0)}, effect.DropInvalid},
		{"16e", 38, []option{me}, effect.DropUnknownType},
		{"16e", 255, []option{me}, effect.DropUnknownType},
		{"16e leasequery", dhcp6.LeasequeryRequest, []option{me}, effect.DropUnknownType},
		{"a client-id of two octets", dhcp6.Solicit, []option{clientID("\x00\x01"), iaNA(1)}, effect.DropInvalid},
		{"a client-id of 131 octets", dhcp6.Solicit, []option{clientID(strings.Repeat("x", 131)), iaNA(1)}, effect.DropInvalid},
	} {
		w.ignored(m.row, alice.from(build(m.kind, m.options...)), m.want)
	}
	if n := len(w.holds()); n != 0 {
		t.Errorf("%d leases", n)
	}
	w.ignored("nothing", alice.from(nil), effect.DropEmpty)
	w.ignored("three octets", alice.from([]byte{1, 2, 3}), effect.DropMalformed)
	w.ignored("an option beyond the end", alice.from([]byte{1, 2, 3, 4, 0, 1, 0, 9}), effect.DropMalformed)
	stranger := alice.from(alice.message(dhcp6.Solicit, iaNA(1)))
	stranger.Source = netip.MustParseAddrPort("[::]:546")
	w.ignored("from nobody", stranger, effect.DropBadSource)
	stranger.Source = netip.MustParseAddrPort("[ff02::1]:546")
	w.ignored("from a group", stranger, effect.DropBadSource)
	stranger.Link = 99
	w.ignored("of no link", stranger, effect.DropUnknownLink)
	stranger = alice.from(alice.message(dhcp6.Solicit, iaNA(1)))
	stranger.Link = upIndex
	w.ignored("where there are no clients", stranger, effect.DropNotClientLink)
}

// Section 16.14: "servers MUST discard any received Relay-reply messages."
func TestRFC8415_16_14a_RelayReply(t *testing.T) {
	w := newWorld(t)
	inner := alice.message(dhcp6.Solicit, iaNA(1))
	w.ignored("of a client", alice.from(through("2001:db8:1::1").layer(13, alice.addr, inner)), effect.DropServerMessage)
	w.ignored("of the relay", fromRelay(through("2001:db8:8::1").layer(13, alice.addr, inner)), effect.DropServerMessage)
	nested := through("2001:db8:8::1").around("fe80::1", through("2001:db8:8::1").layer(13, alice.addr, inner))
	w.ignored("in a Relay-forward", fromRelay(nested), effect.DropServerMessage)
}

// Section 16: "A server MUST discard any Solicit, Confirm, Rebind, or Information-request
// messages it receives with a Layer 3 unicast destination address." RFC 9915: "Servers SHOULD NOT
// accept unicast traffic from clients."
func TestRFC8415_16d_Unicast(t *testing.T) {
	w := newWorld(t)
	a := w.obtains(alice, iaNA(1)).onlyAddr()
	for _, kind := range []dhcp6.MessageType{
		dhcp6.Solicit, dhcp6.Confirm, dhcp6.Rebind, dhcp6.Request, dhcp6.Renew, dhcp6.Release, dhcp6.Decline,
	} {
		for _, source := range []string{alice.addr, a} {
			p := alice.from(alice.message(kind, iaNA(1, named(a))))
			p.Source, p.Dest = netip.AddrPortFrom(addr(source), 546), addr("2001:db8:1::1")
			w.ignored(fmt.Sprintf("%v from %s", kind, source), p, effect.DropUnicast)
		}
	}
	p := alice.from(alice.message(dhcp6.InformationRequest))
	p.Dest = addr("fe80::10")
	w.ignored("Information-request", p, effect.DropUnicast)
	if len(w.holds()) != 1 {
		t.Errorf("leases %q, want the one", w.holds())
	}
}

// Section 14: "DHCP servers SHOULD NOT check to see whether the Layer 2 address used was multicast
// or not, as long as the Layer 3 address was correct." A message from a socket tells nothing of it.
func TestRFC8415_14a_Layer2(t *testing.T) {
	w := newWorld(t)
	for _, framed := range []bool{true, false} {
		p := alice.from(alice.message(dhcp6.Solicit, iaNA(1)))
		p.Framed = framed
		if got := w.packet(p); len(got) != 1 {
			t.Errorf("framed %v: %d answers", framed, len(got))
		}
	}
}

// Section 16: "servers MUST NOT discard messages that contain unknown options (or instances of
// vendor options with unknown enterprise-number values)."
func TestRFC8415_16c_UnknownOptions(t *testing.T) {
	w := newWorld(t)
	got := w.asks(alice, dhcp6.Solicit, raw(4711, 1, 2, 3), raw(65535), raw(17, 0, 0, 0x99, 0x99, 0, 1, 0, 0), raw(16, 0, 0, 0x99, 0x99),
		iaNA(1, raw(4711, 9)), raw(0), raw(17, 1))
	got.onlyAddr()
}

// Section 16: servers "MAY [...] extract information from such a message", which has options that
// do not belong there.
func TestRFC8415_16a_OptionsOutOfPlace(t *testing.T) {
	w := newWorld(t)
	got := w.asks(alice, dhcp6.Solicit, raw(7, 255), raw(13, 0, 0), named("2001:db8:1::1:5"), raw(19, 5), interfaceID("x"), iaNA(1, raw(26, 1)))
	got.onlyAddr()
}

// Section 11: "servers MUST treat DUIDs as opaque values and MUST only compare DUIDs for equality.
// [They] SHOULD NOT in any other way interpret DUIDs [and] MUST NOT restrict DUIDs to the types
// defined in this document". RFC 8415 11b and 11c.
func TestRFC8415_11a_DUIDsAreOpaque(t *testing.T) {
	w := newWorld(t)
	seen := make(map[string]bool)
	for _, duid := range []string{
		"\x00\x01\x00", "\x00\x01\x00\x01\x00\x00\x00\x00", "\xff\xff\x00", "\xff\xff\x00\x00", "\x00\x00\x00", "\x00\x00\x00\x00",
		"\x00\x03\x00\x01\x02\x00\x5e\x00\x53\x0a", "\x00\x03\x00\x06\x02\x00\x5e\x00\x53\x0a", strings.Repeat("\x00", 130),
	} {
		c := alice
		c.duid = duid
		a := w.obtains(c, iaNA(1)).onlyAddr()
		if seen[a] {
			t.Errorf("%x gets what another has", duid)
		}
		seen[a] = true
		if again := w.asks(c, dhcp6.Request, iaNA(1)).onlyAddr(); again != a {
			t.Errorf("%x gets %s and then %s", duid, a, again)
		}
	}
}

// Section 18.3.1: a Solicit is answered by an Advertise, which commits to nothing.
func TestRFC8415_18_3_1_Advertise(t *testing.T) {
	w := newWorld(t)
	got := w.asks(alice, dhcp6.Solicit, rapid, iaNA(1), iaPD(2))
	if got.kind != dhcp6.Advertise || got.has(14) || len(got.ias) != 2 || len(w.store) != 0 || len(w.holds()) != 0 {
		t.Errorf("%v %q, with rapid commit %v; kept %d records", got.kind, got.leases(), got.has(14), len(w.store))
	}
	for _, p := range w.core.Pools() {
		if p.Taken != 0 {
			t.Errorf("pool %v: %d taken", p, p.Taken)
		}
	}
	if again := w.asks(alice, dhcp6.Solicit, iaNA(1), iaPD(2)); again.leases() != got.leases() {
		t.Errorf("offered %q, and then %q", got.leases(), again.leases())
	}
}

// Section 18.3.1: "The server MUST commit the assignment of any addresses and delegated prefixes or
// other configuration information before sending a Reply message to a client." Section 21.14: "A
// server MUST include this option in a Reply message sent in response to a Solicit message".
func TestRFC8415_18_3_1a_RapidCommit(t *testing.T) {
	w := newWorld(t, subnet(rapidCommit))
	got := w.asks(alice, dhcp6.Solicit, rapid, iaNA(1), iaPD(2))
	if got.kind != dhcp6.Reply || len(got.payloads(14)) != 1 || got.payloads(14)[0] != "" || len(w.holds()) != 2 {
		t.Errorf("%v %q, rapid commit %q", got.kind, got.leases(), got.payloads(14))
	}
	if want := []string{"keep", "send"}; !slices.Equal(w.order, want) {
		t.Errorf("did %q, want %q", w.order, want)
	}
	if got := w.asks(bob, dhcp6.Solicit, iaNA(1)); got.kind != dhcp6.Advertise || got.has(14) {
		t.Errorf("a Solicit without the option gets %v with rapid commit %v", got.kind, got.has(14))
	}
	if got := w.asks(alice, dhcp6.Request, rapid, iaNA(1)); got.has(14) {
		t.Error("the answer to a Request has the option")
	}
	w.agrees()
}

// What is not assigned is told there as in
// the answer to a Request.
func TestRFC8415_21_14a_RapidCommitOfNothing(t *testing.T) {
	w := newWorld(t, subnet(rapidCommit), subnet(pool("2001:db8:1::1:0", "2001:db8:1::1:0")))
	w.obtains(bob, iaNA(1))
	if got := w.asks(alice, dhcp6.Solicit, rapid, iaNA(1)); got.kind != dhcp6.Reply || got.leases() != "NA 1: status 2" || !got.has(14) {
		t.Errorf("%v %q", got.kind, got.leases())
	}
}

// Section 18.3.2: the Request makes a binding, which is kept before the Reply leaves.
func TestRFC8415_18_3_2_Request(t *testing.T) {
	w := newWorld(t)
	offer := w.asks(alice, dhcp6.Solicit, iaNA(1), iaPD(2))
	got := w.asks(alice, dhcp6.Request, offer.taken()...)
	if got.kind != dhcp6.Reply || got.leases() != offer.leases() || got.status() > 0 {
		t.Errorf("%v %q status %d, offered %q", got.kind, got.leases(), got.status(), offer.leases())
	}
	if want := []string{"send", "keep", "send"}; !slices.Equal(w.order, want) {
		t.Errorf("did %q, want %q", w.order, want)
	}
	for _, x := range got.ias {
		rec, kept := w.record(x.leases[0].prefix)
		if !kept || rec.Link != "lan0" || rec.Lifetime != 4000*time.Second || rec.NextHop != addr(alice.addr) || rec.LinkLayer != alice.mac || rec.IAID != x.id {
			t.Errorf("kept %+v", rec)
		}
	}
	w.agrees()
}

// Section 18.3.2: "If any of the prefixes of the included addresses are not appropriate for the link
// to which the client is connected, the server MUST return the IA to the client with a Status Code
// option with the value NotOnLink."
func TestRFC8415_18_3_2b_NotOnLink(t *testing.T) {
	w := newWorld(t)
	got := w.asks(alice, dhcp6.Request, iaNA(1, named("2001:db8:1::1:7"), named("2001:db8:2::1:7")), iaNA(2), iaPD(3, named("2001:db8:7777::/56")))
	if got.ias[0].status != 4 || len(got.ias[0].leases) != 0 || got.ias[0].t1 != 0 || got.ias[0].t2 != 0 {
		t.Errorf("%q, want no address and NotOnLink in the first IA", got.leases())
	}
	if len(got.ias[1].leases) != 1 || len(got.ias[2].leases) != 1 || got.ias[1].status >= 0 || got.ias[2].status >= 0 {
		t.Errorf("%q, want leases in the other two: a prefix need not be of the link", got.leases())
	}
	// Also where the client has a binding: what it has stays.
	w.obtains(bob, iaNA(1))
	if got := w.asks(bob, dhcp6.Request, iaNA(1, named("2001:db8:2::1:7"))); got.leases() != "NA 1: status 4" {
		t.Errorf("%q", got.leases())
	}
	if n := len(w.holds()); n != 3 {
		t.Errorf("leases %q, want three", w.holds())
	}
	w.agrees()
}

// Section 18.3.2: "If the server [...] cannot assign any IP addresses to an IA, the server MUST
// return the IA option in the Reply message with no addresses in the IA and a Status Code option
// containing status code NoAddrsAvail in the IA." "For any IA_PD option [...] to which the server
// cannot assign any delegated prefixes, the server MUST return the IA_PD option [...] with no
// prefixes in the IA_PD and with [...] NoPrefixAvail". RFC 8415 18.3.2d, 18.3.9l and 18.3.9m. RFC 7550 4.1a,
// 4.1b and 4.1c. RFC 8168 3.2f.
func TestRFC8415_18_3_2c_NothingAvailable(t *testing.T) {
	w := newWorld(t, subnet(func(sn *server6.Subnet) {
		pool("2001:db8:1::1:0", "2001:db8:1::1:0")(sn)
		pdPool(server6.PrefixPool{Prefix: cidr("2001:db8:4000::/56"), Length: 56, Min: 56, Max: 56})(sn)
	}))
	w.obtains(bob, iaNA(1), iaPD(1))
	const want = "NA 7: status 2; PD 8: status 6"
	for _, kind := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Request, dhcp6.Renew} {
		if got := w.asks(alice, kind, iaNA(7), iaPD(8)); got.leases() != want || got.ias[0].t1+got.ias[0].t2+got.ias[1].t1+got.ias[1].t2 != 0 || got.status() >= 0 {
			t.Errorf("%v: %q status %d, want %q", kind, got.leases(), got.status(), want)
		}
	}
	// A pool that is empty altogether, and one that there is not.
	w.reconfigure(subnet(func(sn *server6.Subnet) { sn.Pools, sn.PDPools = nil, nil }))
	if got := w.asks(somebody(1), dhcp6.Request, iaNA(7), iaPD(8)); got.leases() != want {
		t.Errorf("without pools: %q, want %q", got.leases(), want)
	}
}

// Section 18.3.2: "The server MAY assign different addresses and/or delegated prefixes to an IA than
// those included within the IA of the client's Request message." "The server MUST NOT include any
// addresses or delegated prefixes in the IA that the server does not assign to the client."
func TestRFC8415_18_3_2e_OthersThanRequested(t *testing.T) {
	w := newWorld(t)
	had := w.obtains(bob, iaNA(1), iaPD(2))
	got := w.asks(alice, dhcp6.Request, had.taken()...)
	for i, x := range got.ias {
		if len(x.leases) != 1 || x.leases[0].valid == 0 || x.leases[0].prefix == had.ias[i].leases[0].prefix {
			t.Errorf("%q, want others than %q", got.leases(), had.leases())
		}
	}
	w.agrees()
}

// RFC 8415 18.3.2f: also where the client has a lease that it may not have any more.
func TestRFC8415_18_3_2f_OnlyWhatIsAssigned(t *testing.T) {
	w := newWorld(t)
	before := w.obtains(alice, iaNA(1), iaPD(2))
	w.reconfigure(subnet(func(sn *server6.Subnet) {
		pool("2001:db8:1::2:0", "2001:db8:1::2:ffff")(sn)
		pdPool(server6.PrefixPool{Prefix: cidr("2001:db8:7000::/40"), Length: 56, Min: 56, Max: 56})(sn)
	}))
	for _, kind := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Request} {
		got := w.asks(alice, kind, before.taken()...)
		for i, x := range got.ias {
			if len(x.leases) != 1 || x.leases[0].valid == 0 || x.leases[0].prefix == before.ias[i].leases[0].prefix {
				t.Errorf("%v: %q, want one other lease in each, and nothing of %q", kind, got.leases(), before.leases())
			}
		}
	}
	if n := len(w.holds()); n != 2 {
		t.Errorf("leases %q, want two", w.holds())
	}
	w.agrees()
}

// Section 18.3.2: "The T1/T2 times set in each applicable IA option for a Reply MUST be the same
// values across all IAs. The server MUST determine the T1/T2 times across all of the applicable
// client's bindings in the Reply." RFC 8415 18.1a, 18.3.2h, 18.3.4g, 18.3.4h, 18.3.5k and 18.3.5l.
// RFC 7550 4.3a, 4.3b, 4.3c, 4.4.6e, 4.4.6f, 4.4.7h and 4.4.7i.
// Section 21.4: "Recommended values for T1 and T2 are 0.5 and 0.8 times the shortest preferred
// lifetime".
func TestRFC8415_18_3_2g_SameTimesInAllIAs(t *testing.T) {
	shared := func(first, second server6.Lifetimes) func(*server6.Config) {
		return func(c *server6.Config) {
			a, b := c.Networks[0].Subnets[0], c.Networks[1].Subnets[0]
			a.Lifetimes, b.Lifetimes, b.Pools, a.PDPools = first, second, nil, nil // addresses of the one, prefixes of the other
			c.Networks = []server6.Network{{Name: "both", Subnets: []server6.Subnet{a, b}}}
		}
	}
	const forever = dhcp6.Infinity
	for _, tc := range []struct {
		name          string
		first, second server6.Lifetimes
		t1, t2        uint32
	}{
		{"the first is shorter", server6.Lifetimes{Preferred: 1000, Valid: 2000}, server6.Lifetimes{Preferred: 3000, Valid: 4000}, 500, 800},
		{"the second is shorter", server6.Lifetimes{Preferred: 3000, Valid: 4000}, server6.Lifetimes{Preferred: 1001, Valid: 2000}, 500, 800},
		{"said", server6.Lifetimes{Preferred: 3000, Valid: 4000, T1: 100, T2: 200}, server6.Lifetimes{Preferred: 1000, Valid: 2000}, 100, 200},
		{"said, but later than what is shorter", server6.Lifetimes{Preferred: 3000, Valid: 4000, T1: 2000, T2: 2500}, server6.Lifetimes{Preferred: 1000, Valid: 2000}, 1000, 1000},
		{"T1 is said, and later than T2 is", server6.Lifetimes{Preferred: 3000, Valid: 4000, T1: 900}, server6.Lifetimes{Preferred: 1000, Valid: 2000}, 800, 800},
		{"one is infinite", server6.Lifetimes{Preferred: forever, Valid: forever}, server6.Lifetimes{Preferred: 1000, Valid: 2000}, 500, 800},
		{"both are infinite", server6.Lifetimes{Preferred: forever, Valid: forever}, server6.Lifetimes{Preferred: forever, Valid: forever}, uint32(forever), uint32(forever)},
		{"large", server6.Lifetimes{Preferred: 0xfffffffe, Valid: forever}, server6.Lifetimes{Preferred: forever, Valid: forever}, 0x7fffffff, 0xcccccccb},
		{"deprecated: when the client likes", server6.Lifetimes{Preferred: 0, Valid: 2000}, server6.Lifetimes{Preferred: 3000, Valid: 4000}, 0, 0},
	} {
		w := newWorld(t, shared(tc.first, tc.second))
		offer := w.asks(alice, dhcp6.Solicit, iaNA(1), iaPD(2), iaNA(3))
		for _, kind := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Request, dhcp6.Renew, dhcp6.Rebind} {
			got := w.asks(alice, kind, offer.taken()...)
			if len(got.ias) != 3 {
				t.Fatalf("%s: %v: %q", tc.name, kind, got.leases())
			}
			for _, x := range got.ias {
				if x.t1 != tc.t1 || x.t2 != tc.t2 {
					t.Errorf("%s: %v: T1 %d, T2 %d in IA %d, want %d and %d", tc.name, kind, x.t1, x.t2, x.id, tc.t1, tc.t2)
				}
			}
		}
	}
}

// Section 18.3.2: "the server SHOULD generate the response again and not simply retransmit previously
// sent information, even if the "transaction-id" field value matches a previous transmission. The
// server MUST NOT cache its responses." RFC 8415 18.3.2k.
func TestRFC8415_18_3_2j_AnsweredAnew(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaNA(1))
	w.sleep(100 * time.Second)
	rec, _ := w.record(got.only())
	w.reconfigure(subnet(func(sn *server6.Subnet) { sn.Lifetimes = server6.Lifetimes{Preferred: 30, Valid: 5000} }))
	again := w.asks(alice, dhcp6.Request, got.taken()...)
	after, _ := w.record(got.only())
	if again.only() != got.only() || again.ias[0].leases[0].valid != 5000 || after.Valid <= rec.Valid {
		t.Errorf("%q, and then %q", got.leases(), again.leases())
	}
	if n := len(w.holds()); n != 1 {
		t.Errorf("leases %q, want one", w.holds())
	}
}

// Section 21.4: "The server MUST ignore any values in these fields in messages received from a
// client." Sections 21.6, 21.21 and 21.22 say the same. RFC 8415 21.6a, 21.21a and 21.22a.
func TestRFC8415_21_4a_TimesOfClientsAreIgnored(t *testing.T) {
	w := newWorld(t)
	for i, kind := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Request, dhcp6.Renew, dhcp6.Rebind} {
		plain := w.asks(alice, kind, iaNA(1, named("2001:db8:1::1:7")), iaPD(2, named("2001:db8:4000:100::/56")))
		got := w.asks(alice, kind, ia(3, 1, 7, 8, lasting("2001:db8:1::1:7", 9, 5)), ia(25, 2, 0xffffffff, 1, lasting("2001:db8:4000:100::/56", 0xffffffff, 0xffffffff)))
		if got.leases() != plain.leases() || got.ias[0].t1 != plain.ias[0].t1 || got.ias[1].t2 != plain.ias[1].t2 {
			t.Errorf("%d, %v: %q, want %q", i, kind, got.leases(), plain.leases())
		}
	}
}

// Section 18.3.3: the status of a Confirm is Success where all addresses are of the client's link,
// and NotOnLink where any is not.
func TestRFC8415_18_3_3_Confirm(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		ias  []option
		want int
	}{
		{[]option{iaNA(1, named("2001:db8:1::1:7"))}, 0}, // nobody's
		{[]option{iaNA(1, named("2001:db8:1::ffff"), lasting("2001:db8:1::1", 1, 2))}, 0},
		{[]option{iaNA(1, named("2001:db8:1::7")), iaNA(2, named("2001:db8:1::8"))}, 0},
		{[]option{iaNA(1, named("2001:db8:2::7"))}, 4},
		{[]option{iaNA(1, named("2001:db8:1::7"), named("2001:db8:2::7"))}, 4},
		{[]option{iaNA(1, named("2001:db8:2::7")), iaNA(2, named("2001:db8:1::7"))}, 4},
		{[]option{iaNA(1, named("2001:db8:1::7")), iaNA(2, named("2001:db8:2::7"))}, 4},
	} {
		got := w.asks(alice, dhcp6.Confirm, tc.ias...)
		if got.kind != dhcp6.Reply || got.status() != tc.want || len(got.ias) != 0 {
			t.Errorf("%v status %d %q, want status %d alone", got.kind, got.status(), got.leases(), tc.want)
		}
	}
	if len(w.store) > 0 {
		t.Error("a Confirm changes something")
	}
}

// Section 18.3.3: "If the server is unable to perform this test (for example, the server does not
// have information about prefixes on the link to which the client is connected) or there were no
// addresses in any of the IAs sent by the client, the server MUST NOT send a Reply to the client." RFC 7550
// 4.5a.
func TestRFC8415_18_3_3a_NoAnswerToConfirm(t *testing.T) {
	w := newWorld(t)
	for _, ias := range [][]option{nil, {iaNA(1)}, {iaNA(1), iaNA(2)}, {iaPD(1, named("2001:db8:4000::/56"))}} {
		w.ignored("a Confirm without addresses", alice.from(alice.message(dhcp6.Confirm, ias...)), effect.DropNoAnswer)
	}
	w.reconfigure(func(c *server6.Config) { c.Networks = c.Networks[1:] })
	w.ignored("a Confirm of an unknown link", alice.from(alice.message(dhcp6.Confirm, iaNA(1, named("2001:db8:1::7")))), effect.DropNoSubnet)
}

// Section 18.3.4: "the server sends the IA back to the client with new lifetimes and, if applicable,
// T1/T2 times."
func TestRFC8415_18_3_4_Renew(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaNA(1), iaPD(2))
	w.sleep(1500 * time.Second)
	again := w.asks(alice, dhcp6.Renew, got.taken()...)
	if again.leases() != got.leases() || again.ias[0].t1 != 1500 || again.ias[1].t2 != 2400 {
		t.Errorf("%q T1 %d T2 %d, want %q with 1500 and 2400", again.leases(), again.ias[0].t1, again.ias[1].t2, got.leases())
	}
	w.sleep(3999 * time.Second)
	if n := len(w.holds()); n != 2 {
		t.Errorf("leases %q, want two", w.holds())
	}
	w.sleep(time.Second)
	if n := len(w.holds()); n != 0 {
		t.Errorf("leases %q after their valid lifetime, want none", w.holds())
	}
	w.agrees()
}

// Section 18.3.4: "If the server finds that any of the addresses in the IA are not appropriate for the
// link to which the client is attached, the server returns the address to the client with lifetimes
// of 0. If [...] any of the delegated prefixes in the IA are not appropriate [...], the server returns
// the delegated prefix to the client with lifetimes of 0." RFC 8415 18.3.4b: T1 and T2 are then 0 as
// well, unless the IA has other leases.
func TestRFC8415_18_3_4b_ZeroLifetimes(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaNA(1), iaPD(2))
	na, pd := got.ias[0].leases[0].prefix.Addr().String(), got.ias[1].leases[0].prefix.String()
	again := w.asks(alice, dhcp6.Renew, iaNA(1, named(na), named("2001:db8:2::7")), iaPD(2, named("2001:db8:7777::/56"), named(pd)))
	want := fmt.Sprintf("NA 1: %s 3000/4000 2001:db8:2::7 0/0; PD 2: %s 3000/4000 2001:db8:7777::/56 0/0", na, pd)
	if again.leases() != want {
		t.Errorf("%q, want %q", again.leases(), want)
	}
	// Of the pools nothing is left: what the client has is taken back, and nothing takes its place.
	w.reconfigure(subnet(func(sn *server6.Subnet) { sn.Pools, sn.PDPools = nil, nil }))
	again = w.asks(alice, dhcp6.Renew, got.taken()...)
	want = fmt.Sprintf("NA 1: %s 0/0 status 2; PD 2: %s 0/0 status 6", na, pd)
	if again.leases() != want || again.ias[0].t1+again.ias[0].t2+again.ias[1].t1+again.ias[1].t2 != 0 {
		t.Errorf("%q, want %q", again.leases(), want)
	}
	if n := len(w.holds()); n != 0 {
		t.Errorf("leases %q, want none", w.holds())
	}
	w.agrees()
}

// Section 18.3.4: "The server may choose to change the list of addresses or delegated prefixes and
// the lifetimes in IAs that are returned to the client." What it takes back has lifetimes of 0, and
// another lease takes its place. It is told before it is kept.
func TestRFC8415_18_3_4_Renumbering(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaNA(1), iaPD(2))
	w.reconfigure(subnet(func(sn *server6.Subnet) {
		pool("2001:db8:1::2:0", "2001:db8:1::2:ffff")(sn)
		pdPool(server6.PrefixPool{Prefix: cidr("2001:db8:7000::/40"), Length: 56, Min: 56, Max: 56})(sn)
	}))
	w.order = nil
	again := w.asks(alice, dhcp6.Renew, got.taken()...)
	for i, x := range again.ias {
		old := got.ias[i].leases[0].prefix
		at := slices.IndexFunc(x.leases, func(l readLease) bool { return l.prefix == old })
		if len(x.leases) != 2 || at < 0 || x.leases[at].valid != 0 || x.leases[1-at].valid != 4000 || x.status >= 0 || x.t1 != 1500 {
			t.Errorf("%q, want what it had with 0, and another lease", again.leases())
		}
	}
	if want := []string{"keep", "send", "keep"}; !slices.Equal(w.order, want) {
		t.Errorf("did %q, want %q", w.order, want)
	}
	w.agrees()
	if n := len(w.holds()); n != 2 {
		t.Errorf("leases %q, want two", w.holds())
	}
}

// Section 18.3.4: "If the server is configured to create new bindings as a result of processing Renew
// messages, the server SHOULD create a binding and return the IA with assigned addresses or delegated
// prefixes". It always does. RFC 7550 4.4.6b, 4.4.6c and 4.4.8a.
func TestRFC8415_18_3_4c_RenewCreates(t *testing.T) {
	w := newWorld(t)
	had := w.obtains(alice, iaNA(1))
	got := w.asks(alice, dhcp6.Renew, append(had.taken(), iaNA(2), iaPD(3))...)
	if len(got.ias) != 3 || len(got.ias[1].leases) != 1 || len(got.ias[2].leases) != 1 {
		t.Errorf("%q, want a lease in each", got.leases())
	}
	// A server that has lost its store gives the client what it names.
	w = newWorld(t)
	got = w.asks(alice, dhcp6.Renew, iaNA(1, named("2001:db8:1::1:77")), iaPD(2, named("2001:db8:4000:7700::/56")))
	if want := "NA 1: 2001:db8:1::1:77 3000/4000; PD 2: 2001:db8:4000:7700::/56 3000/4000"; got.leases() != want {
		t.Errorf("%q, want %q", got.leases(), want)
	}
	// What another client has is not the client's: it is told so, and gets another lease.
	got = w.asks(bob, dhcp6.Renew, iaNA(1, named("2001:db8:1::1:77")))
	if x := got.ias[0]; len(x.leases) != 2 || !strings.Contains(got.leases(), "2001:db8:1::1:77 0/0") {
		t.Errorf("%q, want the other's with 0, and another lease", got.leases())
	}
	w.agrees()
}

// Section 18.3.5: "If the server finds the client entry for the IA and [...] the addresses or
// delegated prefixes in the IA are appropriate for the link [...], the server SHOULD send the IA back
// to the client with new lifetimes and, if applicable, T1/T2 values." RFC 7550 4.4.7a.
func TestRFC8415_18_3_5a_Rebind(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaNA(1), iaPD(2))
	w.sleep(2400 * time.Second)
	again := w.asks(alice, dhcp6.Rebind, got.taken()...)
	if again.leases() != got.leases() || again.ias[0].t1 != 1500 || again.ias[1].t2 != 2400 {
		t.Errorf("%q T1 %d T2 %d, want %q with 1500 and 2400", again.leases(), again.ias[0].t1, again.ias[1].t2, got.leases())
	}
	w.sleep(3999 * time.Second)
	if n := len(w.holds()); n != 2 {
		t.Errorf("leases %q, want two", w.holds())
	}
}

// Section 18.3.5: "For any address that is not appropriate for the link to which the client's
// interface is attached, the server MAY include the IA Address option with lifetimes of 0." RFC 8415
// 18.3.5e: a prefix that another client has is told so too; any other may be another server's. RFC
// 7550 4.4.7c.
func TestRFC8415_18_3_5d_RebindOnAnotherLink(t *testing.T) {
	w := newWorld(t)
	pd := w.obtains(bob, iaPD(2)).only().String()
	got := w.asks(alice, dhcp6.Rebind, iaNA(1, named("2001:db8:2::1:7")), iaPD(2, named(pd)))
	if want := "NA 1: 2001:db8:2::1:7 0/0; PD 2: " + pd + " 0/0"; got.leases() != want {
		t.Errorf("%q, want %q", got.leases(), want)
	}
	// The client's own leases that are not of the link any more.
	mine := w.obtains(alice, iaNA(1))
	w.reconfigure(subnet(func(sn *server6.Subnet) {
		pool("2001:db8:1::2:0", "2001:db8:1::2:ffff")(sn)
	}))
	got = w.asks(alice, dhcp6.Rebind, mine.taken()...)
	if x := got.ias[0]; len(x.leases) != 2 || !strings.Contains(got.leases(), mine.onlyAddr()+" 0/0") || x.status >= 0 {
		t.Errorf("%q, want %s with 0, and another address", got.leases(), mine.onlyAddr())
	}
	w.agrees()
}

// Section 18.3.5: "the server SHOULD only create new bindings during processing of a Rebind message if
// the server is configured to respond with a Reply message to a Solicit message containing the Rapid
// Commit option." RFC 8415 18.3.5f: then it does. Else "the server returns the IA option containing a
// Status Code option with the NoBinding status code". RFC 7550 4.4.7d, 4.4.7e and 4.4.7f.
func TestRFC8415_18_3_5h_RebindOfAnUnknownClient(t *testing.T) {
	ask := []option{iaNA(1, named("2001:db8:1::1:77")), iaNA(2), iaPD(3, named("2001:db8:4000:7700::/56")), iaPD(4, named("2001:db8:7777::/56"))}
	w := newWorld(t)
	if got, want := w.asks(alice, dhcp6.Rebind, ask...).leases(), "NA 1: status 3; NA 2: status 3; PD 3: status 3; PD 4: status 3"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if n := len(w.holds()); n != 0 {
		t.Errorf("leases %q, want none", w.holds())
	}
	w = newWorld(t, subnet(rapidCommit))
	got := w.asks(alice, dhcp6.Rebind, ask...)
	if len(w.holds()) != 4 || got.ias[0].leases[0].prefix != cidr("2001:db8:1::1:77/128") || got.ias[2].leases[0].prefix != cidr("2001:db8:4000:7700::/56") {
		t.Errorf("%q, want what is named and is free, and other leases", got.leases())
	}
	w.agrees()
	// Nothing is left.
	w = newWorld(t, subnet(rapidCommit), subnet(pool("2001:db8:1::1:0", "2001:db8:1::1:0")))
	w.obtains(bob, iaNA(1))
	if got := w.asks(alice, dhcp6.Rebind, iaNA(1)).leases(); got != "NA 1: status 2" {
		t.Errorf("%q, want NoAddrsAvail", got)
	}
}

// Section 18.3.5: "the server MAY choose not to include" an address or a prefix that it does not
// extend; where there is nothing to say, "the server discards the Rebind message". RFC 7550 4.4.7b.
func TestRFC8415_18_3_5_NothingToSay(t *testing.T) {
	w := newWorld(t)
	had := w.obtains(alice, iaNA(1), iaPD(2))
	na, pd := had.ias[0].leases[0].prefix.Addr().String(), had.ias[1].leases[0].prefix.String()
	if got := w.asks(alice, dhcp6.Rebind, iaNA(1, named("2001:db8:1::77"), named(na)), iaPD(2, named("2001:db8:7777::/56"), named(pd))); got.leases() != had.leases() {
		t.Errorf("%q, want %q without what another server may extend", got.leases(), had.leases())
	}
	w.ignored("a Rebind without IAs", alice.from(alice.message(dhcp6.Rebind)), effect.DropNoAnswer)
}

// Section 18.3.5: "The server MUST NOT return any addresses or delegated prefixes in the IA that the
// server does not assign to the client", those with lifetimes of 0 apart.
func TestRFC8415_18_3_5g_OnlyWhatIsAssigned(t *testing.T) {
	w := newWorld(t, subnet(rapidCommit))
	for _, kind := range []dhcp6.MessageType{dhcp6.Rebind, dhcp6.Renew, dhcp6.Request} {
		got := w.asks(alice, kind, iaNA(1, named("2001:db8:1::1:1"), named("2001:db8:1::1:2")), iaPD(2, named("2001:db8:4000:100::/56"), named("2001:db8:4000:200::/56")))
		var told []string
		for _, x := range got.ias {
			for _, l := range x.leases {
				if l.valid > 0 {
					told = append(told, l.prefix.String())
				}
			}
		}
		slices.Sort(told)
		if !slices.Equal(told, w.holds()) {
			t.Errorf("%v: told %q, holds %q", kind, told, w.holds())
		}
	}
}

// Section 18.3.6: "The server includes options containing configuration information to be returned to
// the client". RFC 8415 18.3.6b: also others than the client asks for.
func TestRFC8415_18_3_6a_InformationRequest(t *testing.T) {
	w := newWorld(t, func(c *server6.Config) {
		c.Options = []server6.Option{{Code: 23, Data: []byte("dns")}, {Code: 24, Data: []byte("search"), Always: true}, {Code: 31, Data: []byte("sntp")}}
	})
	got := w.asks(alice, dhcp6.InformationRequest, oro(23))
	if got.kind != dhcp6.Reply || !slices.Equal(got.payloads(23), []string{"dns"}) || !slices.Equal(got.payloads(24), []string{"search"}) || got.has(31) || got.status() > 0 {
		t.Errorf("%v with %+v", got.kind, got.options)
	}
	if to := w.asks(alice, dhcp6.InformationRequest, raw(2, []byte(serverID)...)); !to.has(24) {
		t.Error("no answer to one that names the server")
	}
}

// Section 18.3.6: "If the Information-request message received from the client did not include a Client
// Identifier option, the server SHOULD respond with a Reply message containing any configuration
// parameters that are not determined by the client's identity."
func TestRFC8415_18_3_6c_WithoutClientID(t *testing.T) {
	w := newWorld(t, func(c *server6.Config) {
		c.Options = []server6.Option{{Code: 23, Data: []byte("dns")}}
	}, subnet(func(sn *server6.Subnet) {
		sn.Reservations = []server6.Reservation{{DUID: dhcp6.DUID(alice.duid), Options: []server6.Option{{Code: 23, Data: []byte("mine")}}}}
	}))
	got := w.read(w.says(alice, build(dhcp6.InformationRequest, oro(23)))[0].Payload)
	if !slices.Equal(got.payloads(23), []string{"dns"}) {
		t.Errorf("%+v", got.options)
	}
	if got := w.asks(alice, dhcp6.InformationRequest, oro(23)); !slices.Equal(got.payloads(23), []string{"mine"}) {
		t.Errorf("with the client-id: %+v", got.options)
	}
}

// Section 18.3.7: "the server deletes the leases from the IAs and makes the leases available for
// assignment to other clients. The server ignores leases not assigned to the IAs". "For each IA in the
// Release message for which the server has no binding information, the server adds an IA option [...]
// with the value NoBinding". The Reply has the status Success.
func TestRFC8415_18_3_7_Release(t *testing.T) {
	w := newWorld(t, subnet(pool("2001:db8:1::1:0", "2001:db8:1::1:1")))
	got := w.obtains(alice, iaNA(1), iaPD(2), iaPD(3))
	w.obtains(bob, iaNA(1))
	released := w.asks(alice, dhcp6.Release, iaNA(1, named(got.ias[0].leases[0].prefix.Addr().String()), named("2001:db8:1::1:55")), iaNA(9, named("2001:db8:1::1:56")), iaPD(3))
	if released.status() != 0 || released.leases() != "NA 9: status 3" {
		t.Errorf("status %d, %q", released.status(), released.leases())
	}
	if n := len(w.holds()); n != 3 {
		t.Errorf("leases %q, want those of both IA_PDs, and Bob's", w.holds())
	}
	w.agrees()
	if a := w.obtains(somebody(1), iaNA(1)); a.only() != got.ias[0].leases[0].prefix {
		t.Errorf("the next client gets %v, want what was released", a.only())
	}
	// What is not the client's stays.
	w.asks(alice, dhcp6.Release, iaPD(2, named(got.ias[2].leases[0].prefix.String())))
	if n := len(w.holds()); n != 4 {
		t.Errorf("leases %q, want four", w.holds())
	}
	w.asks(alice, dhcp6.Release, iaPD(2, named(got.ias[1].leases[0].prefix.String())), iaPD(3, named(got.ias[2].leases[0].prefix.String())))
	if n := len(w.holds()); n != 2 {
		t.Errorf("leases %q, want two", w.holds())
	}
	w.agrees()
}

// A Release of another host ends nothing, although it names the client's DUID and IAID.
func TestForgedReleaseAndDecline(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaNA(1), iaPD(2))
	mallory := alice
	mallory.mac = mac("02:00:5e:00:53:66")
	for _, kind := range []dhcp6.MessageType{dhcp6.Release, dhcp6.Decline} {
		w.asks(mallory, kind, got.taken()...)
		if n := len(w.holds()); n != 2 || w.core.Totals().Declined != 0 {
			t.Errorf("%v: leases %q, want both", kind, w.holds())
		}
	}
	if n := w.core.Totals().Refusals["release-mismatch"]; n != 3 { // a Decline has no prefix
		t.Errorf("%d mismatches are counted, want 3", n)
	}
	if again := w.asks(alice, dhcp6.Renew, got.taken()...); again.leases() != got.leases() {
		t.Errorf("%q, want %q", again.leases(), got.leases())
	}
}

// Section 18.3.8: "the server SHOULD mark the addresses declined by the client so that those addresses
// are not assigned to other clients". RFC 8415 18.3.8b: an event tells of it.
func TestRFC8415_18_3_8a_Decline(t *testing.T) {
	w := newWorld(t, subnet(pool("2001:db8:1::1:0", "2001:db8:1::1:1")))
	a := w.obtains(alice, iaNA(1)).onlyAddr()
	w.notes = nil
	got := w.asks(alice, dhcp6.Decline, iaNA(1, named(a), named("2001:db8:1::1:77")), iaNA(2, named("2001:db8:1::1:78")), iaPD(3, named("2001:db8:4000::/56")))
	if got.status() != 0 || got.leases() != "NA 2: status 3; PD 3: status 3" {
		t.Errorf("status %d, %q", got.status(), got.leases())
	}
	if w.core.Totals().Declined != 1 || len(w.holds()) != 0 || len(w.notes) != 1 || w.notes[0].Reason != "declined" {
		t.Errorf("%d declined, leases %q, notes %+v", w.core.Totals().Declined, w.holds(), w.notes)
	}
	// Nobody gets it: not the next client, not the one that declined it, and not who asks for it.
	b := w.obtains(alice, iaNA(1, named(a))).onlyAddr()
	if b == a {
		t.Errorf("the client gets %s again", a)
	}
	for _, kind := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Request} {
		if got := w.asks(bob, kind, iaNA(1, named(a))).leases(); got != "NA 1: status 2" {
			t.Errorf("%v: %q, want NoAddrsAvail", kind, got)
		}
	}
	w.sleep(24*time.Hour - time.Minute)
	if w.core.Totals().Declined != 1 {
		t.Error("it is given again before a day is over")
	}
	w.sleep(2 * time.Minute)
	from, _ := server6.RecordRange()
	for key := range w.store {
		if strings.HasPrefix(key, string(from)) || w.core.Totals().Declined != 0 {
			t.Errorf("%d declined, and the record %x", w.core.Totals().Declined, key)
		}
	}
	if got := w.obtains(bob, iaNA(1, named(a))).onlyAddr(); got != a {
		t.Errorf("after a day: %s, want %s", got, a)
	}
}

// Section 18.3.9: "The server MAY add a Preference option [...]. The server implementation SHOULD allow
// the setting of a server preference value by the administrator. The server preference value MUST
// default to 0". RFC 8415 18.3.9b, 18.3.9c and 21.8a.
func TestRFC8415_18_3_9a_Preference(t *testing.T) {
	w := newWorld(t, subnet(func(sn *server6.Subnet) { sn.Preference = 255 }))
	if got := w.asks(alice, dhcp6.Solicit, iaNA(1)); !slices.Equal(got.payloads(7), []string{"\xff"}) {
		t.Errorf("preference %q, want 255", got.payloads(7))
	}
	if got := w.asks(alice, dhcp6.Request, iaNA(1)); got.has(7) {
		t.Error("a Reply has a preference")
	}
	if got := w.asks(carol, dhcp6.Solicit, iaNA(1)); got.has(7) {
		t.Error("there is a preference by default")
	}
}

// Section 18.3.9: "The server MUST include options in the Advertise message containing configuration
// parameters for all of the options identified in the Option Request option in the Solicit message that
// the server has been configured to return to the client. [...] The server MAY return additional
// options to the client if it has been configured to do so." RFC 8415 18.3b, 18.3.4f, 18.3.5j, 18.3.9e,
// 18.3.9g, 21.24b and 21.25b: the same in Replies, with whatever the options hold.
func TestRFC8415_18_3_9d_RequestedOptions(t *testing.T) {
	w := newWorld(t, func(c *server6.Config) {
		c.Options = []server6.Option{
			{Code: 23, Data: []byte("dns")},
			{Code: 82, Data: []byte{0, 0, 1, 0}},
			{Code: 83, Data: []byte{0, 0, 2, 0}},
			{Code: 64, Data: []byte("dslite")},
			{Code: 94, Data: []byte("\x00\x59\x00\x01x\x00\x5a\x00\x01y")}, // a container
			{Code: 41, Data: []byte("CET"), Always: true},
			{Code: 0x1234, Data: []byte("high")},
			{Code: 0x1235, Data: []byte("higher"), Always: true},
		}
	})
	had := w.obtains(alice, iaNA(1))
	for _, kind := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Request, dhcp6.Renew, dhcp6.Rebind, dhcp6.InformationRequest} {
		options := []option{oro(82, 23, 99, 94, 0x1234, 83, 23)}
		if kind != dhcp6.InformationRequest {
			options = append(options, had.taken()...)
		}
		got := w.asks(alice, kind, options...)
		for code, want := range map[int][]string{
			23: {"dns"}, 82: {"\x00\x00\x01\x00"}, 83: {"\x00\x00\x02\x00"}, 94: {"\x00\x59\x00\x01x\x00\x5a\x00\x01y"},
			41: {"CET"}, 0x1234: {"high"}, 0x1235: {"higher"}, 64: nil, 99: nil,
		} {
			if !slices.Equal(got.payloads(code), want) {
				t.Errorf("%v: option %d is %q, want %q", kind, code, got.payloads(code), want)
			}
		}
	}
	// Without the option a client gets what is for all.
	if got := w.asks(alice, dhcp6.Renew, had.taken()...); got.has(23) || !got.has(41) || !got.has(0x1235) {
		t.Errorf("%+v", got.options)
	}
	w.ignored("half an option code", alice.from(alice.message(dhcp6.Solicit, iaNA(1), raw(6, 0, 23, 0))), effect.DropMalformed)
}

// Section 18.3.9: "The server MUST include IA options in the Advertise message containing any addresses
// and/or delegated prefixes that would be assigned to IAs contained in the Solicit message from the
// client."
func TestRFC8415_18_3_9h_OffersWhatItGives(t *testing.T) {
	w := newWorld(t)
	for n := range 20 {
		w.obtains(somebody(n), iaNA(1), iaPD(2), iaNA(3), iaPD(4, named("::/60")), iaNA(5, named("2001:db8:1::1:7")))
	}
	w.agrees()
}

// Section 18.3.9: "the server MAY use those addresses as hints [...]. the server MAY use the prefix
// contained in the "IPv6-prefix" field and/or the prefix length [...] as hints". RFC 8415 18.3.9j. "If
// the server is not going to assign an address or delegated prefix received as a hint in the Solicit
// message, the server MUST NOT include this address or delegated prefix in the Advertise message."
func TestRFC8415_18_3_9i_Hints(t *testing.T) {
	w := newWorld(t)
	got := w.asks(alice, dhcp6.Solicit, iaNA(1, named("2001:db8:1::1:abc")), iaPD(2, named("2001:db8:40ab:cd00::/56")))
	if want := "NA 1: 2001:db8:1::1:abc 3000/4000; PD 2: 2001:db8:40ab:cd00::/56 3000/4000"; got.leases() != want {
		t.Errorf("%q, want %q", got.leases(), want)
	}
	// The first that can be given is.
	got = w.asks(alice, dhcp6.Solicit, iaNA(1, named("2001:db8:1::7"), named("::"), named("2001:db8:1::1:abd"), named("2001:db8:1::1:abe")))
	if got.onlyAddr() != "2001:db8:1::1:abd" {
		t.Errorf("%q", got.leases())
	}
}

// RFC 8415 18.3.9k.
func TestRFC8415_18_3_9k_HintsThatAreNotGiven(t *testing.T) {
	w := newWorld(t)
	bobs := w.obtains(bob, iaNA(1), iaPD(2))
	for _, hints := range [][2]string{
		{"2001:db8:1::7", "2001:db8:7777::/56"}, // of no pool
		{"2001:db8:2::1:7", "2001:db8:5000:100::/56"},
		{bobs.ias[0].leases[0].prefix.Addr().String(), bobs.ias[1].leases[0].prefix.String()},
		{"fe80::7", "fe80::/56"},
		{"ff02::1", "ff00::/56"},
		{"::1", "::/0"},
		{"2001:db8:1::1", "2001:db8:4000::/40"}, // our own, and the whole pool
	} {
		got := w.asks(alice, dhcp6.Solicit, iaNA(1, named(hints[0])), iaPD(2, named(hints[1])))
		if len(got.ias) != 2 || len(got.ias[0].leases) != 1 || len(got.ias[1].leases) != 1 || strings.Contains(got.leases(), hints[0]+" ") || strings.Contains(got.leases(), hints[1]+" ") {
			t.Errorf("%q: %q, want others", hints, got.leases())
		}
	}
}

// Section 18.3.10: "The Advertise or Reply message MUST be unicast through the interface on which the
// original message was received", to the address that it came from.
func TestRFC8415_18_3_10a_WhereAnswersGo(t *testing.T) {
	w := newWorld(t)
	for _, c := range []client{alice, carol} {
		p := c.from(c.message(dhcp6.Solicit, iaNA(1)))
		p.Source = netip.AddrPortFrom(addr(c.addr).WithZone("x"), 1234)
		got := w.packet(p)
		if len(got) != 1 || got[0].Link != c.link || got[0].Dest != netip.AddrPortFrom(addr(c.addr), 546) || got[0].LinkLayer != c.mac || got[0].ToPeer || got[0].After != 0 {
			t.Errorf("%+v, want one to %s on link %d", got, c.addr, c.link)
		}
	}
}

// Section 13.1: "A server MUST NOT assign an address that is otherwise reserved for some other
// purpose", as those of routers and of the server are.
func TestRFC8415_13_1c_AddressesOfOthers(t *testing.T) {
	w := newWorld(t, subnet(pool("2001:db8:1::", "2001:db8:1::3")), subnetOf(2, pool("2001:db8:8::1", "2001:db8:8::2")))
	for n := range 2 { // 0 is the routers', 1 ours
		w.obtains(somebody(n), iaNA(1))
	}
	if want := []string{"2001:db8:1::2/128", "2001:db8:1::3/128"}; !slices.Equal(w.holds(), want) {
		t.Errorf("leases %q, want %q", w.holds(), want)
	}
	for _, a := range []string{"2001:db8:1::", "2001:db8:1::1"} {
		if got := w.asks(alice, dhcp6.Request, iaNA(1, named(a))).leases(); got != "NA 1: status 2" {
			t.Errorf("%s: %q", a, got)
		}
	}
	// That of the relay agent on the client's link.
	if got := w.obtainsBy(through("2001:db8:8::1"), alice, iaNA(1, named("2001:db8:8::1"))).onlyAddr(); got != "2001:db8:8::2" {
		t.Errorf("behind a relay agent: %s, want 2001:db8:8::2", got)
	}
}

// Section 13.1: "a server MUST NOT assign addresses that use a reserved IPv6 Interface Identifier
// [RFC5453] [RFC7136] [IANA-RESERVED-IID]."
func TestRFC8415_13_1d_ReservedInterfaceIdentifiers(t *testing.T) {
	for _, tc := range []struct{ first, last, want string }{
		{"2001:db8:1::", "2001:db8:1::2", "2001:db8:1::2"},
		{"2001:db8:1:0:fdff:ffff:ffff:ff7f", "2001:db8:1:0:fdff:ffff:ffff:ff81", "2001:db8:1:0:fdff:ffff:ffff:ff7f"},
		{"2001:db8:1:0:fdff:ffff:ffff:fffe", "2001:db8:1:0:fe00::", "2001:db8:1:0:fe00::"},
		{"2001:db8:1:0:200:5eff:fdff:ffff", "2001:db8:1:0:200:5eff:fe00:0", "2001:db8:1:0:200:5eff:fdff:ffff"},
		{"2001:db8:1:0:200:5eff:feff:ffff", "2001:db8:1:0:200:5eff:ff00:0", "2001:db8:1:0:200:5eff:ff00:0"},
	} {
		w := newWorld(t, subnet(pool(tc.first, tc.last)))
		for _, a := range []string{tc.first, tc.last} {
			if got := w.asks(alice, dhcp6.Solicit, iaNA(1, named(a))).onlyAddr(); got != tc.want {
				t.Errorf("of %s to %s a client that asks for %s is offered %s, want %s", tc.first, tc.last, a, got, tc.want)
			}
		}
		w.obtains(alice, iaNA(1))
		if got := w.asks(bob, dhcp6.Request, iaNA(1)).leases(); got != "NA 1: status 2" {
			t.Errorf("of %s to %s the second client gets %q", tc.first, tc.last, got)
		}
	}
}

// Section 13.1: "By default, DHCP server implementations SHOULD NOT generate predictable addresses".
// What clients get does not follow from what others have, and not from what others know of them.
func TestRFC8415_13_1b_NotPredictable(t *testing.T) {
	far := func(c *server6.Config) { c.Secret[31] = 9 }
	w, other := newWorld(t), newWorld(t, far)
	near, same := 0, 0
	before := uint32(0)
	for n := range 100 {
		a := w.obtains(somebody(n), iaNA(1)).only().Addr().As16()
		now := uint32(a[14])<<8 | uint32(a[15])
		if d := int(now) - int(before); d > -100 && d < 100 {
			near++
		}
		before = now
		if other.obtains(somebody(n), iaNA(1)).only().Addr().As16() == a {
			same++
		}
	}
	if near > 5 || same > 5 {
		t.Errorf("of 100 addresses %d are near to the one before, and %d are the same with another secret", near, same)
	}
}

// Section 21: "each instance is considered separate and the data areas of the options MUST NOT be
// concatenated". Several IAs of a kind are several; a second one of the same IAID is passed over, as
// "each must have a unique IAID" (section 21.4).
func TestRFC8415_21a_RepeatedOptions(t *testing.T) {
	w := newWorld(t)
	got := w.obtains(alice, iaNA(1), iaNA(2), iaPD(1), iaNA(1, named("2001:db8:1::1:7")), iaPD(1), iaPD(3))
	var ids []string
	for _, x := range got.ias {
		ids = append(ids, fmt.Sprint(x.code, x.id, len(x.leases)))
	}
	if want := []string{"3 1 1", "3 2 1", "25 1 1", "25 3 1"}; !slices.Equal(ids, want) {
		t.Errorf("IAs %q, want %q", ids, want)
	}
	if n := len(w.holds()); n != 4 {
		t.Errorf("leases %q, want four", w.holds())
	}
	w.agrees()
}

// RFC 9915 section 21.5: the IA_TA is obsolete. It is passed over.
func TestTemporaryAddressesAreIgnored(t *testing.T) {
	w := newWorld(t)
	for _, kind := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Request, dhcp6.Renew} {
		got := w.asks(alice, kind, holding(4, []byte{0, 0, 0, 5}, named("2001:db8:2::7")), iaNA(1))
		if got.has(4) || len(got.ias) != 1 {
			t.Errorf("%v: %q, with an IA_TA: %v", kind, got.leases(), got.has(4))
		}
	}
	w.ignored("a Rebind with an IA_TA alone", alice.from(alice.message(dhcp6.Rebind, raw(4, 0, 0, 0, 5))), effect.DropNoAnswer)
}

// Section 21.13: a status-message "MUST NOT be null-terminated".
func TestRFC8415_21_13a_StatusMessages(t *testing.T) {
	w := newWorld(t, subnet(func(sn *server6.Subnet) { sn.Pools, sn.PDPools = nil, nil }))
	var all []string
	for _, got := range []answer{
		w.asks(alice, dhcp6.Solicit, iaNA(1), iaPD(2)), w.asks(alice, dhcp6.Request, iaNA(1, named("2001:db8:2::1"))),
		w.asks(alice, dhcp6.Rebind, iaNA(1)), w.asks(alice, dhcp6.Release, iaNA(1)), w.asks(alice, dhcp6.Confirm, iaNA(1, named("2001:db8:2::1"))),
	} {
		all = append(all, got.payloads(13)...)
		for _, o := range got.options {
			if o.code == 3 || o.code == 25 {
				for _, in := range rawOptions(t, o.payload[12:]) {
					all = append(all, string(in.payload))
				}
			}
		}
	}
	if len(all) != 7 {
		t.Errorf("%d statuses, want 7", len(all))
	}
	for _, s := range all {
		if len(s) < 5 || strings.ContainsRune(s[2:], 0) {
			t.Errorf("status %q", s)
		}
	}
}

// Section 21.17: "servers MUST NOT send more than one instance of the Vendor-specific Information option
// with the same Enterprise Number" (the configuration has one of each), and "MAY return all configured
// Vendor-specific Information options", where the client asks for the option. RFC 8415 21.17c.
func TestRFC8415_21_17a_VendorOptions(t *testing.T) {
	one, two := []byte("\x00\x00\x00\x01\x00\x01\x00\x01x"), []byte("\x00\x00\x00\x02\x00\x01\x00\x01y")
	w := newWorld(t, func(c *server6.Config) {
		c.Options = []server6.Option{{Code: 17, Data: one}, {Code: 23, Data: []byte("dns")}, {Code: 17, Data: two}}
	}, subnetOf(1, func(sn *server6.Subnet) { sn.Options = []server6.Option{{Code: 17, Data: two}} }))
	if got := w.asks(alice, dhcp6.Solicit, iaNA(1), oro(17)); !slices.Equal(got.payloads(17), []string{string(one), string(two)}) {
		t.Errorf("%q, want both", got.payloads(17))
	}
	if got := w.asks(carol, dhcp6.Solicit, iaNA(1), oro(17)); !slices.Equal(got.payloads(17), []string{string(two)}) {
		t.Errorf("%q, want that of the subnet alone", got.payloads(17))
	}
	if got := w.asks(carol, dhcp6.Solicit, iaNA(1)); got.has(17) {
		t.Error("it is there although nobody asks for it")
	}
}

// Section 21.23: "A server sending a Reply to an Information-request message SHOULD include this option
// if it is requested in the Option Request option of the Information-request. [...] This option MUST
// only appear in the top-level options area of Reply messages." RFC 8415 21.23c.
func TestRFC8415_21_23a_InformationRefreshTime(t *testing.T) {
	w := newWorld(t, func(c *server6.Config) {
		c.Options = []server6.Option{{Code: 32, Data: []byte{0, 0, 2, 88}, Always: true}}
	})
	if got := w.asks(alice, dhcp6.InformationRequest, oro(32)); !slices.Equal(got.payloads(32), []string{"\x00\x00\x02\x58"}) {
		t.Errorf("%q", got.payloads(32))
	}
	for _, kind := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Request, dhcp6.Renew} {
		if got := w.asks(alice, kind, iaNA(1), oro(32)); got.has(32) {
			t.Errorf("the answer to %v has it", kind)
		}
	}
}
