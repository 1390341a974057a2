package relay4_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay4"
	"fairlead/internal/wire/linkaddr"
)

// given is what an ACK has that gives an address for a time.
func given(address string, seconds uint32) func(*message) {
	return func(m *message) {
		m.yi = address
		m.options = append(m.options, option(51, binary.BigEndian.AppendUint32(nil, seconds)...)...)
	}
}

// identified is a client identifier.
func identified(id string) func(*message) { return with(option(61, []byte(id)...)) }

// wanting is the option of the address that is asked for.
func wanting(address string) func(*message) { return with(option(50, addr(address).AsSlice()...)) }

// using is a client that has an address.
func using(address string) func(*message) { return func(m *message) { m.ci = address } }

// obtain is a client's REQUEST and the server's ACK, which has to reach the client.
func (w *world) obtain(c client, address string, seconds uint32, change ...func(*message)) {
	w.Helper()
	up := w.asks(c, from(c, append(change, ofType(typeRequest), wanting(address))...))
	w.delivers(c.link, answer(up, typeACK, true, given(address, seconds)))
}

// sends is a message of a client that has an address, to an address of ours: it does not show
// which link-layer address it came from.
func (w *world) sends(c client, source string, payload []byte) []effect.Send {
	return w.packet(inbound.Packet{Link: c.link, Source: netip.AddrPortFrom(addr(source), 68), Dest: addr(lan0Addr), Payload: payload})
}

// shown are the leases on view, in words, by address.
func (w *world) shown() (all []string) {
	for b := range w.core.Leases {
		who := fmt.Sprintf("%x", b.Client.Identifier())
		if b.Client.Kind() == binding.ByClientID {
			who = b.Client.Identifier()
		}
		left := "ever"
		if b.Lifetime != binding.Infinite {
			left = w.now.Until(b.Valid).String()
		}
		all = append(all, fmt.Sprintf("%v %s %s %v %s", b.Prefix.Addr(), b.Link, who, b.LinkLayer, left))
		if b.Kind != binding.Address || b.Prefix.Bits() != 32 || b.NextHop != b.Prefix.Addr() || !b.NoIAID {
			w.Errorf("odd: %+v", b)
		}
	}
	slices.Sort(all)
	return all
}

func (w *world) wantShown(what string, want ...string) {
	w.Helper()
	if got := w.shown(); !slices.Equal(got, want) {
		w.Errorf("%s: on view\n got  %q\n want %q", what, got, want)
	}
}

// happened are the notes of leases since it was last asked.
func (w *world) happened() (all []string) {
	for _, n := range w.notes {
		switch n.Kind {
		case effect.NoteDelegation:
			all = append(all, strings.TrimSpace(fmt.Sprintf("%s %v %s", n.Text, n.Event.Subject().Prefix.Addr(), n.Reason)))
		case effect.NoteRelease, effect.NoteLimit:
			all = append(all, strings.TrimSpace(n.Kind.String()+" "+n.Type+" "+n.Reason))
		}
	}
	w.notes = nil
	return all
}

func (w *world) wantHappened(what string, want ...string) {
	w.Helper()
	if got := w.happened(); !slices.Equal(got, want) {
		w.Errorf("%s: happened\n got  %q\n want %q", what, got, want)
	}
}

const (
	alices = "10.0.0.77 lan0 0102005e00530a 02:00:5e:00:53:0a "
	bobs   = "10.0.0.78 lan0 0102005e00530b 02:00:5e:00:53:0b "
	carols = "10.0.1.77 lan1 0102005e00530c 02:00:5e:00:53:0c "
)

// RFC 2131 section 3.1, 5.: "The client receives the DHCPACK message with configuration
// parameters. [...] the client is configured", for the duration of the lease in it; section
// 4.4.5: a DHCPACK that answers a renewal extends it. Section 3.3: "The time value of 0xffffffff
// is reserved to represent 'infinity'."
func TestRFC2131_3_1a_ACKGivesALease(t *testing.T) {
	w := newWorld(t)
	w.obtain(alice, "10.0.0.77", 600)
	w.obtain(carol, "10.0.1.77", 0xffffffff)
	w.wantShown("two clients", alices+"10m0s", carols+"ever")
	w.wantHappened("two clients", "granted 10.0.0.77", "granted 10.0.1.77")
	w.sleep(5 * time.Minute)
	up := w.asks(alice, from(alice, ofType(typeRequest), using("10.0.0.77"), func(m *message) { m.xid++ }))
	w.delivers(lan0Index, answer(up, typeACK, true, given("10.0.0.77", 900)))
	w.wantShown("renewed", alices+"15m0s", carols+"ever")
	w.wantHappened("renewed", "extended 10.0.0.77")
	w.sleep(15*time.Minute - 1)
	w.wantShown("just before its end", alices+"1ns", carols+"ever")
	w.sleep(1)
	w.wantShown("at its end", carols+"ever")
	w.wantHappened("at its end", "ended 10.0.0.77 expired")
	totals := w.core.Totals()
	if e := totals.Events; e["granted"] != 2 || e["extended"] != 1 || e["ended"] != 1 || e["moved"] != 0 || totals.Ends["expired"] != 1 || totals.Ends["released"] != 0 {
		t.Errorf("events %v, ends %v", e, totals.Ends)
	}
	w.sleep(1000 * time.Hour)
	w.wantShown("later", carols+"ever")
}

// RFC 2131 section 4.3.5: the answer to a DHCPINFORM "MUST NOT send a lease expiration time to
// the client and SHOULD NOT fill in 'yiaddr'": it gives no address, nor do the messages that give
// none by their types, nor those of BOOTP.
func TestRFC2131_4_3_5a_InformGivesNothing(t *testing.T) {
	w := newWorld(t)
	up := w.asks(alice, from(alice, ofType(typeInform), using("10.0.0.77")))
	w.delivers(lan0Index, answer(up, typeACK, true, func(m *message) { m.yi = "" }))
	w.delivers(lan0Index, answer(up, typeACK, true)) // with yiaddr, but without a time
	w.delivers(lan0Index, answer(up, typeACK, true, given("0.0.0.0", 600)))
	w.delivers(lan0Index, answer(up, typeACK, true, given("10.0.0.77", 600), with(option(51, 0, 0, 0, 9)))) // of eight octets together
	w.delivers(lan0Index, answer(up, typeOffer, true, given("10.0.0.77", 600)))
	up = w.asks(alice, from(alice, bootp))
	w.delivers(lan0Index, answer(up, typeOffer, true, given("10.0.0.77", 600), func(m *message) { m.options = m.options[3:]; m.pads = 300 }))
	w.wantShown("nothing was given")
	if len(w.store) > 0 {
		t.Errorf("kept %q", slices.Collect(maps.Keys(w.store)))
	}
}

// RFC 2131 section 4.2: "If the client supplies a 'client identifier', the client MUST use the
// same 'client identifier' in all subsequent messages, and the server MUST use that identifier to
// identify the client. If the client does not provide a 'client identifier' option, the server
// MUST use the contents of the 'chaddr' field to identify the client." Table 3 has servers not
// send the identifier back, RFC 6842 has them.
func TestRFC2131_4_2a_WhoTheClientIs(t *testing.T) {
	const long = "\xff0123456789abcdef0123456789abcdef0123456789abcdef" // RFC 4361: 255, IAID, DUID
	for what, c := range map[string]struct {
		id   string
		echo bool
		want string
	}{
		"echoed": {"\x01alice", true, "\x01alice"}, "not echoed": {"\x01alice", false, "\x01alice"}, "long, not echoed": {long, false, long},
		"none": {"", false, "0102005e00530a"}, "too short to be one": {"\x01", false, "0102005e00530a"},
	} {
		w := newWorld(t)
		in, out := []func(*message){ofType(typeRequest)}, []func(*message){given("10.0.0.77", 600)}
		if c.id != "" {
			in = append(in, identified(c.id))
		}
		if c.echo {
			out = append(out, identified(c.id))
		}
		up := w.asks(alice, from(alice, in...))
		w.delivers(lan0Index, answer(up, typeACK, true, out...))
		w.wantShown(what, "10.0.0.77 lan0 "+c.want+" 02:00:5e:00:53:0a 10m0s")
		// Once the REQUEST is forgotten, a later ACK does not make somebody else of her.
		w.sleep(2 * time.Minute)
		w.delivers(lan0Index, answer(up, typeACK, true, given("10.0.0.77", 600)))
		w.wantShown(what+", forgotten", "10.0.0.77 lan0 "+c.want+" 02:00:5e:00:53:0a 10m0s")
	}
}

// RFC 4039 section 3: a DISCOVER with the Rapid Commit option is answered by an ACK.
func TestRapidCommitGivesALease(t *testing.T) {
	w := newWorld(t)
	up := w.asks(alice, from(alice, with(option(80)), identified("\x01alice")))
	w.delivers(lan0Index, answer(up, typeACK, true, given("10.0.0.77", 600), with(option(80))))
	w.wantShown("rapid commit", "10.0.0.77 lan0 \x01alice 02:00:5e:00:53:0a 10m0s")
}

// RFC 2131 section 3.1, 6. and 4.4.6: a RELEASE gives the address in ciaddr back. Section 3.1, 5.
// and 4.4.4: a DECLINE, which is broadcast, refuses the one in the Requested IP Address option.
func TestRFC2131_4_4_6a_ReleaseAndDeclineEnd(t *testing.T) {
	release := from(alice, ofType(typeRelease), using("10.0.0.77"))
	decline := from(alice, ofType(typeDecline), wanting("10.0.0.77"))
	for what, end := range map[string]func(*world) []effect.Send{
		"released, to our address": func(w *world) []effect.Send { return w.sends(alice, "10.0.0.77", release) },
		"released, broadcast": func(w *world) []effect.Send {
			return w.packet(inbound.Packet{Link: lan0Index, Source: client0, Dest: limited, LinkLayer: linkaddr.From(alice.mac), Framed: true, Payload: release})
		},
		"declined": func(w *world) []effect.Send { return w.says(alice, decline) },
	} {
		w := newWorld(t)
		w.obtain(alice, "10.0.0.77", 600)
		w.obtain(bob, "10.0.0.78", 600)
		w.happened()
		if got := end(w); len(got) != 1 {
			t.Errorf("%s: forwarded %d, drops %v", what, len(got), w.drops)
		}
		w.wantShown(what, bobs+"10m0s")
		w.wantHappened(what, "ended 10.0.0.77 released")
	}
}

// mismatches are how many ends were not believed.
func (w *world) mismatches() uint64 {
	return w.core.Totals().Refusals[binding.ReleaseMismatch.String()]
}

// What is not the holder's ends nothing, and is forwarded all the same: the server may know
// better.
func TestReleasesOfOthers(t *testing.T) {
	own := from(alice, ofType(typeRelease), using("10.0.0.77"))
	identified0 := from(alice, ofType(typeRelease), using("10.0.0.77"), identified("\x01mallory"))
	broadcast := func(c client, source string, payload []byte) func(*world) []effect.Send {
		return func(w *world) []effect.Send {
			return w.packet(inbound.Packet{Link: c.link, Source: netip.AddrPortFrom(addr(source), 68), Dest: limited, LinkLayer: linkaddr.From(c.mac), Framed: true, Payload: payload})
		}
	}
	unicast := func(c client, source string, payload []byte) func(*world) []effect.Send {
		return func(w *world) []effect.Send { return w.sends(c, source, payload) }
	}
	declined := from(alice, ofType(typeDecline), wanting("10.0.0.77"))
	for what, c := range map[string]struct {
		do         func(*world) []effect.Send
		mismatched uint64
	}{
		"Bob's own":                           {unicast(bob, "10.0.0.78", from(bob, ofType(typeRelease), using("10.0.0.77"))), 1},
		"with her hardware address, from his": {broadcast(bob, "10.0.0.77", own), 1},
		"with hers, from his address":         {unicast(bob, "10.0.0.78", own), 1},
		"with hers, from no address":          {unicast(bob, "0.0.0.0", own), 1},
		"of another client identifier":        {unicast(alice, "10.0.0.77", identified0), 1},
		"on another link":                     {broadcast(mallory, "10.0.0.77", own), 1},
		"declined from his":                   {broadcast(bob, "0.0.0.0", declined), 1},
		"declined from nobody knows where":    {unicast(bob, "0.0.0.0", declined), 1},
		"of what nobody has":                  {unicast(alice, "10.0.0.99", from(alice, ofType(typeRelease), using("10.0.0.99"))), 0},
		"of nothing":                          {unicast(alice, "10.0.0.77", from(alice, ofType(typeRelease))), 0},
		"released as one declines":            {unicast(alice, "10.0.0.77", from(alice, ofType(typeRelease), wanting("10.0.0.77"))), 0},
		"another type":                        {unicast(alice, "10.0.0.77", from(alice, ofType(typeInform), using("10.0.0.77"))), 0},
	} {
		w := newWorld(t)
		w.obtain(alice, "10.0.0.77", 600)
		if got := c.do(w); len(got) != 1 {
			t.Errorf("%s: forwarded %d, drops %v", what, len(got), w.drops)
		}
		w.wantShown(what, alices+"10m0s")
		if n := w.mismatches(); n != c.mismatched {
			t.Errorf("%s: %d mismatched, want %d", what, n, c.mismatched)
		}
	}
}

// Where a link has no link-layer addresses, as a point-to-point link, the address that a message
// comes from shows whose it is.
func TestReleaseWhereLinksHaveNoAddresses(t *testing.T) {
	w := newWorld(t)
	w.setLink("lan0", func(l *links.Link) { l.LinkLayer, l.HardwareType, l.PointToPoint = linkaddr.Addr{}, 512, true })
	ppp := client{lan0Index, nil}
	w.asks(ppp, from(ppp, ofType(typeRequest), identified("\x00ppp")))
	up := w.sent[len(w.sent)-1].Payload
	w.delivers(lan0Index, answer(up, typeACK, true, given("10.0.0.77", 600)))
	w.wantShown("without a hardware address", "10.0.0.77 lan0 \x00ppp  10m0s")
	release := from(ppp, ofType(typeRelease), using("10.0.0.77"), identified("\x00ppp"))
	w.sends(ppp, "10.0.0.78", release)
	w.wantShown("from another address", "10.0.0.77 lan0 \x00ppp  10m0s")
	w.sends(ppp, "10.0.0.77", release)
	w.wantShown("from its own")
	// Who has neither a client identifier nor a hardware address is nobody.
	w.delivers(lan0Index, answer(w.asks(ppp, from(ppp, ofType(typeRequest))), typeACK, true, given("10.0.0.79", 600)))
	w.wantShown("nobody")
}

// RFC 2131 section 3.2, 3.: "If the client receives a DHCPNAK message, it cannot reuse its
// remembered network address." Section 3.2, 2. has a server that "identifies a request for an
// expired binding that is owned by another server" not respond with one: that of another server
// than the one that gave the lease ends nothing.
func TestRFC2131_3_2a_NAKEnds(t *testing.T) {
	again := func(m *message) { m.xid++ }
	for what, c := range map[string]struct {
		ask  func(*world) []effect.Send
		ends bool
	}{
		"INIT-REBOOT": {func(w *world) []effect.Send {
			return w.says(alice, from(alice, ofType(typeRequest), again, wanting("10.0.0.77")))
		}, true},
		"RENEWING": {func(w *world) []effect.Send {
			return w.sends(alice, "10.0.0.77", from(alice, ofType(typeRequest), again, using("10.0.0.77")))
		}, true},
		"for another address": {func(w *world) []effect.Send {
			return w.says(alice, from(alice, ofType(typeRequest), again, wanting("10.0.0.99")))
		}, false},
		"DISCOVER": {func(w *world) []effect.Send { return w.says(alice, from(alice, again, wanting("10.0.0.77"))) }, false},
		"Bob's, with her names": {func(w *world) []effect.Send {
			return w.says(bob, from(alice, ofType(typeRequest), again, wanting("10.0.0.77")))
		}, false},
		"Bob's, from his": {func(w *world) []effect.Send {
			return w.sends(bob, "10.0.0.78", from(alice, ofType(typeRequest), again, using("10.0.0.77")))
		}, false},
		"Bob's own": {func(w *world) []effect.Send {
			return w.says(bob, from(bob, ofType(typeRequest), again, wanting("10.0.0.77")))
		}, false},
		"by another client id": {func(w *world) []effect.Send {
			return w.says(alice, from(alice, ofType(typeRequest), again, wanting("10.0.0.77"), identified("\x01x")))
		}, false},
	} {
		w := newWorld(t)
		w.obtain(alice, "10.0.0.77", 600)
		up := c.ask(w)
		if len(up) != 1 {
			t.Fatalf("%s: forwarded %d, drops %v", what, len(up), w.drops)
		}
		w.happened()
		w.delivers(lan0Index, answer(up[0].Payload, typeNAK, true, func(m *message) { m.yi, m.ci = "", "" }))
		if c.ends {
			w.wantShown(what)
			w.wantHappened(what, "ended 10.0.0.77 withdrawn")
		} else {
			w.wantShown(what, alices+"10m0s")
		}
	}
	// Another server's, one that comes unasked, and one too late.
	w := newWorld(t, config(func(c *relay4.Config) { c.Peers = append(c.Peers, peer("other", "192.0.2.9")) }))
	w.says(alice, from(alice, ofType(typeRequest), wanting("10.0.0.77")))
	up := w.sent[len(w.sent)-1].Payload
	w.delivers(lan0Index, answer(up, typeACK, true, given("10.0.0.77", 600)))
	other := func(payload []byte) {
		w.packet(inbound.Packet{Link: upIndex, Source: netip.AddrPortFrom(addr("192.0.2.9"), 67), Dest: addr(localAddr), Payload: payload})
	}
	other(answer(up, typeNAK, true))
	w.delivers(lan0Index, answer(up, typeNAK, true, func(m *message) { m.xid = 99 }))
	w.sleep(time.Minute)
	w.delivers(lan0Index, answer(up, typeNAK, true))
	w.wantShown("of others", alices+"9m0s")
}

// RFC 2131 section 2.1: a client has one address on a subnet. The server gives her another one:
// what she had ends, but not by somebody who only says that he is she.
func TestRFC2131_2_1a_OneAddress(t *testing.T) {
	w := newWorld(t)
	w.obtain(alice, "10.0.0.77", 600)
	w.obtain(bob, "10.0.0.78", 600)
	w.happened()
	w.obtain(alice, "10.0.0.99", 600)
	w.wantShown("another address", bobs+"10m0s", "10.0.0.99 lan0 0102005e00530a 02:00:5e:00:53:0a 10m0s")
	w.wantHappened("another address", "granted 10.0.0.99", "ended 10.0.0.77 replaced")
	// Bob says that he is she.
	up := w.says(bob, from(alice, ofType(typeRequest), wanting("10.0.0.100")))
	w.delivers(lan0Index, answer(up[0].Payload, typeACK, true, given("10.0.0.100", 600)))
	if got := w.shown(); len(got) != 3 {
		t.Errorf("on view %q, want three", got)
	}
	// On another link she has another one.
	w.obtain(client{lan1Index, alice.mac}, "10.0.1.77", 600)
	if got := w.shown(); len(got) != 4 {
		t.Errorf("on view %q, want four", got)
	}
}

// The server gives an address to another client: it is that one's.
func TestAddressGoesToAnother(t *testing.T) {
	w := newWorld(t)
	w.obtain(alice, "10.0.0.77", 600)
	w.obtain(bob, "10.0.0.77", 900)
	w.wantShown("moved", "10.0.0.77 lan0 0102005e00530b 02:00:5e:00:53:0b 15m0s")
	w.wantHappened("moved", "granted 10.0.0.77", "moved 10.0.0.77")
	w.sends(alice, "10.0.0.77", from(alice, ofType(typeRelease), using("10.0.0.77")))
	if n := w.mismatches(); n != 1 {
		t.Errorf("%d mismatched, want hers", n)
	}
}

// What no client may have is not taken in, and reaches who it is for.
func TestAddressesOfNobody(t *testing.T) {
	w := newWorld(t)
	for _, a := range []string{lan0Addr, lan1Addr, localAddr, serverAddr, lentAddr, "10.0.0.255", "255.255.255.255", "127.0.0.1", "169.254.1.1", "224.0.0.1", "0.0.0.9", "240.0.0.1"} {
		w.obtain(alice, a, 600)
	}
	w.wantShown("nobody's")
	if n := w.core.Totals().Refusals["not-delegable"]; n != 12 {
		t.Errorf("%d refused, want 12", n)
	}
}

// A lease time of 0 gives nothing, and takes what there was.
func TestLeaseOfNoTime(t *testing.T) {
	w := newWorld(t)
	w.obtain(alice, "10.0.0.77", 0)
	w.wantShown("nothing")
	w.obtain(alice, "10.0.0.77", 600)
	w.obtain(bob, "10.0.0.77", 0)
	w.wantShown("of another", alices+"10m0s")
	w.obtain(alice, "10.0.0.77", 0)
	w.wantShown("hers")
}

// limited4 sets the limits of leases.
func limited4(client, host, link int) func(*world) {
	return rule(func(r *relay4.LinkRule) {
		r.Limits = relay4.LeaseLimits{Client: client, Host: host, Link: link}
	})
}

// A REQUEST that a limit leaves no room for goes no further. What is renewed, or takes the place
// of what the client had, does.
func TestRequestsAboveTheLimit(t *testing.T) {
	w := newWorld(t, limited4(4, 0, 2))
	w.obtain(alice, "10.0.0.77", 600)
	w.obtain(bob, "10.0.0.78", 600)
	w.happened()
	dave := client{lan0Index, []byte{2, 0, 0x5e, 0, 0x53, 0x0d}}
	w.dropped("one more", w.says(dave, from(dave, ofType(typeRequest), wanting("10.0.0.79"))), effect.DropLimit)
	w.wantHappened("one more", "limit DHCPREQUEST limit-link")
	if met := w.core.LimitsMet(); len(met) != 1 || met[0].Reason != binding.LimitLink || met[0].Link != "lan0" || met[0].Client != binding.Hardware(1, dave.mac) {
		t.Errorf("limits met %+v", met)
	}
	w.obtain(alice, "10.0.0.77", 600)
	w.obtain(alice, "10.0.0.80", 600)
	w.asks(dave, from(dave)) // a DISCOVER is nothing yet
	w.obtain(carol, "10.0.1.77", 600)
	w.sends(bob, "10.0.0.78", from(bob, ofType(typeRelease), using("10.0.0.78")))
	w.obtain(dave, "10.0.0.79", 600)
	if n := len(w.core.LimitsMet()); n != 1 {
		t.Errorf("%d limits are met, want the link's, which is full again", n)
	}
}

// An ACK that a limit refuses is not delivered (as a Reply in DHCPv6), and is counted against
// the link until its time has come: the server has given the address away.
func TestACKsAboveTheLimit(t *testing.T) {
	dave := client{lan0Index, []byte{2, 0, 0x5e, 0, 0x53, 0x0d}}
	for what, c := range map[string]struct {
		world  func(*world)
		reason string
		second client
	}{
		"of the link": {limited4(4, 0, 1), "limit-link", bob}, "of the host": {limited4(4, 1, 100), "limit-host", alice}, "of the client": {limited4(1, 0, 100), "limit-client", dave},
	} {
		w := newWorld(t, c.world)
		same := identified("\x01same")
		one := w.asks(alice, from(alice, ofType(typeRequest), same))
		id := same
		if what != "of the client" {
			id = identified("\x01another")
		}
		two := w.asks(c.second, from(c.second, ofType(typeRequest), id, func(m *message) { m.xid++ }))
		w.delivers(lan0Index, answer(one, typeACK, true, given("10.0.0.77", 600)))
		w.dropped(what, w.serves(answer(two, typeACK, true, given("10.0.0.78", 600))), effect.DropLimit)
		w.wantShown(what, "10.0.0.77 lan0 \x01same 02:00:5e:00:53:0a 10m0s")
		if n := w.core.Totals().Refusals[c.reason]; n != 1 {
			t.Errorf("%s: %v", what, w.core.Totals().Refusals)
		}
	}
}

// One host that says that it is many clients does not take in more than the link may have.
func TestFloodOfHardwareAddresses(t *testing.T) {
	w := newWorld(t, limited4(4, delegation.HostLimitAuto, 100))
	for i := range 1000 {
		c := client{lan1Index, []byte{2, 0, 0, 1, byte(i >> 8), byte(i)}}
		a := fmt.Sprintf("10.0.%d.%d", 1+i/200, 2+i%200)
		up := w.says(carol, from(c, ofType(typeRequest), wanting(a)))
		if len(up) == 1 {
			w.serves(answer(up[0].Payload, typeACK, true, given(a, 600)))
		}
		w.sent, w.drops, w.notes = nil, nil, nil
	}
	if n := w.core.Totals().Leases; n != 100 || len(w.store) > 101 {
		t.Errorf("%d leases on view, %d records, want 100", n, len(w.store))
	}
	w.obtain(alice, "10.0.0.77", 600) // another link
}

// An ACK is believed from a server alone, and for the link that the relay finds by itself.
func TestForgedACKs(t *testing.T) {
	w := newWorld(t)
	up := w.asks(alice, from(alice, ofType(typeRequest)))
	ack := answer(up, typeACK, true, given("10.0.0.77", 600))
	w.dropped("from a client", w.packet(inbound.Packet{Link: lan0Index, Source: up0, Dest: addr(lan0Addr), Payload: ack}), effect.DropReplyFromClientLink)
	w.dropped("from a stranger", w.packet(inbound.Packet{Link: upIndex, Source: netip.MustParseAddrPort("192.0.2.66:67"), Dest: addr(localAddr), Payload: ack}), effect.DropUntrustedServer)
	w.dropped("for no link of ours", w.serves(answer(up, typeACK, true, given("10.0.0.77", 600), func(m *message) { m.gi = "203.0.113.9" })), effect.DropNoLink)
	w.wantShown("forged")
}

// Mallory, on Alice's link, says with her transaction and hardware address that she is another:
// the lease is hers by what she has said herself.
func TestCopiedRequest(t *testing.T) {
	for what, order := range map[string][2]client{"before": {bob, alice}, "after": {alice, bob}} {
		w := newWorld(t)
		var up []byte
		for _, c := range order {
			id := "\x01alice"
			if c.mac[5] == bob.mac[5] {
				id = "\x01mallory"
			}
			got := w.asks(c, from(alice, ofType(typeRequest), identified(id)))
			if id == "\x01alice" {
				up = got
			}
		}
		w.delivers(lan0Index, answer(up, typeACK, true, given("10.0.0.77", 600)))
		w.wantShown(what, "10.0.0.77 lan0 \x01alice 02:00:5e:00:53:0a 10m0s")
	}
}

// restored is a core that begins with what was kept.
func (w *world) restored(boot string) {
	w.Helper()
	core := relay4.New(w.cfg, boot)
	w.start(core)
	core.Restore(w.now, func(yield func(binding.Record) bool) {
		lo, hi := binding.KeyRange(binding.Relay4)
		for _, k := range slices.Sorted(maps.Keys(w.store)) {
			if k < string(lo) || k >= string(hi) {
				continue
			}
			r, err := binding.ParseRecord(w.store[k])
			if err != nil || r.Space != binding.Relay4 {
				w.Fatalf("%q: %+v, %v", k, r, err)
			}
			if !yield(r) {
				return
			}
		}
	}, w.now.Wall, &w.eff)
	w.carryOut()
}

// What was seen is there again after a crash, and after a reboot, and ends when it should.
func TestLeasesAreKept(t *testing.T) {
	for _, boot := range []string{"boot", "another"} {
		w := newWorld(t)
		w.obtain(alice, "10.0.0.77", 600)
		w.obtain(carol, "10.0.1.77", 0xffffffff)
		w.obtain(bob, "10.0.0.78", 900)
		w.sends(bob, "10.0.0.78", from(bob, ofType(typeRelease), using("10.0.0.78")))
		before := w.shown()
		w.restored(boot)
		w.wantShown(boot, before...)
		w.sleep(time.Minute)
		w.obtain(alice, "10.0.0.77", 600)
		w.restored(boot)
		w.wantShown(boot+", renewed", before...)
		w.sleep(time.Hour)
		w.restored(boot)
		w.wantShown(boot+", later", before[1])
	}
}

// A store that takes nothing holds no message up, and takes nothing off the view. What it has
// missed it gets when it is back.
func TestStoreTakesNothing(t *testing.T) {
	w := newWorld(t)
	w.obtain(bob, "10.0.0.78", 600)
	w.keepErr = errors.New("no space left on device")
	w.obtain(alice, "10.0.0.77", 600)
	w.sends(bob, "10.0.0.78", from(bob, ofType(typeRelease), using("10.0.0.78")))
	w.wantShown("meanwhile", alices+"10m0s")
	if p := w.core.Totals(); p.Unkept != 2 || p.KeepFailed != 2 {
		t.Errorf("%+v", p)
	}
	w.keepErr = nil
	w.sleep(time.Minute)
	w.restored("boot")
	w.wantShown("restored", alices+"9m0s")
}

// A link that gets another name, or goes to another VRF, takes its leases along; one that is gone
// leaves them on view.
func TestLeasesFollowTheirLink(t *testing.T) {
	w := newWorld(t)
	w.obtain(alice, "10.0.0.77", 600)
	w.setLink("lan0", func(l *links.Link) { l.Name = "lan7" })
	w.wantShown("renamed", strings.Replace(alices, "lan0", "lan7", 1)+"10m0s")
	w.setLink("lan7", func(l *links.Link) { l.VRF = "red" })
	if b, ok := w.core.LeaseOn("lan7", addr("10.0.0.77")); !ok || b.VRF != "red" {
		t.Errorf("%+v, %v", b, ok)
	}
	w.sleep(time.Second)
	w.restored("boot")
	w.removeLink("lan7")
	w.wantShown("gone", strings.Replace(alices, "lan0", "lan7", 1)+"9m59s")
	if all := w.core.Prospects(w.cfg); !slices.ContainsFunc(all, func(p links.Prospect[relay4.LinkRule]) bool { return p.Link == "lan7" && p.Addresses == 1 }) {
		t.Errorf("%+v", all)
	}
}

// An operator takes leases off the view. They are there again once their clients renew.
func TestClear(t *testing.T) {
	w := newWorld(t)
	w.obtain(alice, "10.0.0.77", 600)
	w.obtain(bob, "10.0.0.78", 600)
	w.obtain(carol, "10.0.1.77", 600)
	for want, s := range map[int]delegation.Selection{0: {Client: binding.Hardware(1, carol.mac), Link: "lan0"}, 2: {Link: "lan0"}} {
		n := w.core.Clear(w.now, s, &w.eff)
		w.carryOut()
		if n != want {
			t.Errorf("%+v: %d cleared, want %d", s, n, want)
		}
	}
	w.wantShown("cleared", carols+"10m0s")
	w.obtain(alice, "10.0.0.77", 600)
	w.wantShown("renewed", alices+"10m0s", carols+"10m0s")
}

// The steps of one client's messages.
func TestTrace(t *testing.T) {
	w := newWorld(t)
	w.core.SetTrace(&effect.Trace{Client: "\x01alice", Link: "lan0"})
	up := w.asks(alice, from(alice, ofType(typeRequest), wanting("10.0.0.77"), identified("\x01alice")))
	w.obtain(bob, "10.0.0.78", 600)
	w.delivers(lan0Index, answer(up, typeACK, true, given("10.0.0.77", 600)))
	w.says(alice, from(alice, ofType(typeOffer), identified("\x01alice")))
	var got []string
	for _, n := range w.notes {
		if n.Kind != effect.NoteTrace {
			continue
		}
		step := n.Type + " " + n.Text
		if n.Lease != nil {
			step += fmt.Sprint(" ", n.Lease.Prefix.Addr(), " ", n.Lease.Valid)
		}
		got = append(got, step)
	}
	want := []string{
		"DHCPREQUEST received", "DHCPREQUEST carries 10.0.0.77 0s", "DHCPREQUEST forwarded",
		"DHCPACK server says", "DHCPACK carries 10.0.0.77 10m0s", "DHCPACK granted", "DHCPACK sent",
		"DHCPOFFER received", "DHCPOFFER dropped: server-message",
	}
	if !slices.Equal(got, want) {
		t.Errorf("steps\n got  %q\n want %q", got, want)
	}
}
