package relay6_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// protected requires IPsec of every peer that is configured so far.
func protected(c *relay6.Config) {
	for i := range c.Peers {
		c.Peers[i].Protection = trust.ProtectionIPsec
		c.Peers[i].Local = addr(localAddr)
	}
}

const clearAddr = "2001:db8:ffff::6"

// clearServer adds a server that is spoken to in clear.
func clearServer(c *relay6.Config) { c.Peers = append(c.Peers, server("clear", clearAddr)) }

// sensitiveOptions are all that may be sensitive, and one beside them that is
// not.
func sensitiveOptions(marked bool) func(*relay6.Config) {
	return rule(func(r *relay6.LinkRule) {
		r.RemoteID = &relay6.RemoteID{EnterpriseNumber: 32473, ID: template("line-7"), Sensitive: marked}
		r.SubscriberID = template("customer-4711")
		r.AccessNetwork = dhcp6.Options("\x00\x69\x00\x02\x00\x04" + "\x00\x6a\x00\x08home-net" + "\x00\x6b\x00\x07ap-name" +
			"\x00\x6c\x00\x06\x02\x00\x00\x00\x00\x01" + "\x00\x6d\x00\x04\x00\x00\x7e\xd9" + "\x00\x6e\x00\x02op")
		r.InsertLinkLayer = true
	})
}

func (w *world) omitted(link string) uint64 {
	for _, l := range w.core.Links() {
		if l.Name == link {
			return l.Counters.SensitiveOmitted
		}
	}
	w.Fatalf("no link %s", link)
	return 0
}

// RFC 8213 section 3: "By using IPsec with encryption for this communication,
// potentially sensitive client message and relay included information, such as
// [...] Access-Network-Identifier option(s) [RFC7839], are protected": what is
// sensitive goes to a protected server, and not to one that is not.
func TestRFC8213_3_SensitiveOptionsToProtectedServersAlone(t *testing.T) {
	all := []int{18, 37, 38, 105, 106, 107, 108, 109, 110, 79, 9}
	for _, tc := range []struct {
		name        string
		change      []func(*relay6.Config)
		want        map[string][]int // options by server
		wantOmitted uint64           // by two messages
	}{
		{"protected", []func(*relay6.Config){protected, sensitiveOptions(true)}, map[string][]int{"srv": all}, 0},
		{"in clear", []func(*relay6.Config){sensitiveOptions(true)}, map[string][]int{"srv": {18, 79, 9}}, 2},
		{"in clear, remote-id not marked", []func(*relay6.Config){sensitiveOptions(false)}, map[string][]int{"srv": {18, 37, 79, 9}}, 2},
		{"one of each", []func(*relay6.Config){protected, clearServer, sensitiveOptions(true)}, map[string][]int{"srv": all, "clear": {18, 79, 9}}, 2},
		{"one of each, the other way round", []func(*relay6.Config){clearServer, sensitiveOptions(false), func(c *relay6.Config) {
			c.Peers[1].Protection = trust.ProtectionIPsec
		}}, map[string][]int{"srv": {18, 37, 79, 9}, "clear": all}, 2},
		{"two in clear", []func(*relay6.Config){clearServer, sensitiveOptions(true)}, map[string][]int{"srv": {18, 79, 9}, "clear": {18, 79, 9}}, 4},
		{"nothing sensitive", []func(*relay6.Config){protected, clearServer}, map[string][]int{"srv": {18, 9}, "clear": {18, 9}}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.change...)
			solicit := message(dhcp6.Solicit, 1, clientID(alice.duid))
			for range 2 {
				sent := w.says(alice, solicit)
				got := make(map[string][]int)
				for _, s := range sent {
					l := readLayer(t, s.Payload)
					got[s.Peer.Name] = l.codes()
					if !bytes.Equal(l.inner, solicit) {
						t.Errorf("%s gets the message %x, want %x", s.Peer.Name, l.inner, solicit)
					}
				}
				if len(sent) != len(tc.want) {
					t.Errorf("%d datagrams, want %d", len(sent), len(tc.want))
				}
				for name, want := range tc.want {
					if !slices.Equal(got[name], want) {
						t.Errorf("%s gets options %v, want %v", name, got[name], want)
					}
				}
			}
			if got := w.omitted("lan0"); got != tc.wantOmitted {
				t.Errorf("%d counted as sent without, want %d", got, tc.wantOmitted)
			}
			if got := w.omitted("lan1"); got != 0 {
				t.Errorf("%d counted on a link where nothing was said", got)
			}
		})
	}
}

// A text that is empty for this client was no option to leave out.
func TestSensitiveOptionThatIsEmptyIsNotOmitted(t *testing.T) {
	ppp := client{link: lan0Index, duid: "\x00\x03\x00\x01ppp", addr: "fe80::d"}
	w := newWorld(t, rule(func(r *relay6.LinkRule) { r.SubscriberID = template("{link-layer}") }))
	w.says(ppp, message(dhcp6.Solicit, 1))
	if got := w.omitted("lan0"); got != 0 {
		t.Errorf("%d counted, want 0: there was nothing to say", got)
	}
	w.says(alice, message(dhcp6.Solicit, 1))
	if got := w.omitted("lan0"); got != 1 {
		t.Errorf("%d counted, want 1", got)
	}
}

// What a relay below added is carried as it came (RFC 8415 section 19.4), be the
// next hop protected or not, and is none of what we leave out.
func TestOptionsOfARelayBelowAreCarried(t *testing.T) {
	w := newWorld(t, sensitiveOptions(true), relayPeer("fe80::99"))
	below := relayed(dhcp6.RelayForward, 0, "2001:db8:7::1", "fe80::1", message(dhcp6.Solicit, 1), raw(38, 1, 2), raw(105, 0, 4))
	up := w.forwards("fe80::99", 547, below)
	if len(up) != 1 || !bytes.Equal(readLayer(t, up[0].Payload).inner, below) {
		t.Errorf("%x was carried as %+v", below, up)
	}
	if got := w.omitted("lan1"); got != 0 {
		t.Errorf("%d counted, want 0", got)
	}
}

// The client's own message fits where the sensitive options do not: then only
// the server that would have got them goes without.
func TestSensitiveOptionsThatMakeItTooBig(t *testing.T) {
	w := newWorld(t, protected, clearServer, sensitiveOptions(true))
	clearLayer := len(w.says(alice, message(dhcp6.Solicit, 1))[1].Payload)
	plain := len(message(dhcp6.Solicit, 1))
	room := 65527 - (clearLayer - plain) - plain - 4 // of an option that fills it up
	got := w.says(alice, message(dhcp6.Solicit, 1, raw(999, make([]byte, room)...)))
	if len(got) != 1 || got[0].Peer.Name != "clear" || len(got[0].Payload) != 65527 {
		t.Errorf("%d datagrams, want one of 65527 octets to the server in clear", len(got))
	}
	if len(w.drops) != 0 {
		t.Errorf("drops %v, want none: it was sent", w.drops)
	}
	got = w.says(alice, message(dhcp6.Solicit, 1, raw(999, make([]byte, room+1)...)))
	if len(got) != 0 || len(w.drops) != 1 || w.drops[0].Reason != effect.DropTooBig {
		t.Errorf("%d datagrams, drops %v; want too-big", len(got), w.drops)
	}
}

// RFC 8213 section 3, "Security policy": "DHCP messages between relay agents and
// servers MUST only be accepted from DHCP peers as identified in the local
// configuration." One that requires IPsec is heard by UDP, from address to
// address: what came to a group, or by a packet socket, has come in no ESP.
func TestRFC8213_3p_ProtectedPeersAreHeardUnderIPsecAlone(t *testing.T) {
	relayAddr := "2001:db8:2::99"
	below := relayed(dhcp6.RelayForward, 0, "2001:db8:7::1", "fe80::1", message(dhcp6.Solicit, 1))
	reply := relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, message(dhcp6.Advertise, 1), interfaceID("lan0"))
	forward := func(dest string, framed bool) inbound.Packet {
		return inbound.Packet{Link: lan1Index, Source: netip.AddrPortFrom(addr(relayAddr), 547), Dest: addr(dest), Framed: framed, Payload: below}
	}
	answer := func(dest string, framed bool) inbound.Packet {
		return inbound.Packet{Link: upIndex, Source: netip.AddrPortFrom(addr(serverAddr), 547), Dest: addr(dest), Framed: framed, Payload: reply}
	}
	elsewhere := func(source string) inbound.Packet {
		return inbound.Packet{Link: lan0Index, Source: netip.AddrPortFrom(addr(source), 547), Dest: addr("ff02::1:2"), Framed: true, Payload: below}
	}
	trustedLink := rule(trusted)
	for _, tc := range []struct {
		name   string
		change []func(*relay6.Config)
		p      inbound.Packet
		want   string // reason; empty: accepted
	}{
		{"relay, by UDP to our address", []func(*relay6.Config){relayPeer(relayAddr), protected}, forward(localAddr, false), ""},
		{"relay, as a frame", []func(*relay6.Config){relayPeer(relayAddr), protected}, forward("ff02::1:2", true), "unprotected"},
		{"relay, as a frame with our address", []func(*relay6.Config){relayPeer(relayAddr), protected}, forward(localAddr, true), "unprotected"},
		{"relay, to the group by UDP", []func(*relay6.Config){relayPeer(relayAddr), protected}, forward("ff02::1:2", false), "unprotected"},
		{"relay, to another address of ours", []func(*relay6.Config){relayPeer(relayAddr), protected}, forward("2001:db8:2::1", false), "unprotected"},
		{"relay, as a frame on a link where all relays are trusted", []func(*relay6.Config){relayPeer(relayAddr), protected, trustedLink}, forward("ff02::1:2", true), "unprotected"},
		{"relay, on another link, where all relays are trusted", []func(*relay6.Config){relayPeer(relayAddr), protected, trustedLink}, elsewhere(relayAddr), "unprotected"},
		{"relay in clear, on another link, where all relays are trusted", []func(*relay6.Config){protected, relayPeer(relayAddr), trustedLink}, elsewhere(relayAddr), ""},
		{"a link-local address of another link, where all relays are trusted", []func(*relay6.Config){relayPeer("fe80::99"), protected, trustedLink}, elsewhere("fe80::99"), ""},
		{"relay in clear, as a frame", []func(*relay6.Config){protected, relayPeer(relayAddr)}, forward("ff02::1:2", true), ""},
		{"server, by UDP to our address", []func(*relay6.Config){protected}, answer(localAddr, false), ""},
		{"server, as a frame", []func(*relay6.Config){protected}, answer("ff02::1:2", true), "unprotected"},
		{"server, to a group", []func(*relay6.Config){protected}, answer("ff05::1:3", false), "unprotected"},
		{"server, to another address of ours", []func(*relay6.Config){protected}, answer("fe80::2", false), "unprotected"},
		{"server in clear, to another address of ours", nil, answer("fe80::2", false), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.change...)
			sent := w.packet(tc.p)
			if tc.want == "" {
				if len(sent) != 1 || len(w.drops) != 0 {
					t.Errorf("%d datagrams, drops %v; want it to be passed on", len(sent), w.drops)
				}
				return
			}
			if len(sent) != 0 || len(w.drops) != 1 || w.drops[0].Reason.String() != tc.want {
				t.Errorf("%d datagrams, drops %v; want %s", len(sent), w.drops, tc.want)
			}
			for _, v := range w.core.Peers(w.now) {
				if v.Counters.Received != 0 {
					t.Errorf("peer %s counts as heard", v.Name)
				}
			}
		})
	}
}

// RFC 8213 section 3: relay agents use IPsec for the messages that they exchange:
// what goes to a protected relay below leaves by a socket, bound to the address
// of the security association, never as a frame of our own making.
func TestRFC8213_3_TowardsProtectedRelaysBySocket(t *testing.T) {
	for _, address := range []string{"fe80::99", "2001:db8:2::99"} {
		w := newWorld(t, relayPeer(address), protected)
		down := w.serves(relayed(dhcp6.RelayReply, 1, "2001:db8:2::1", address, relayed(dhcp6.RelayReply, 0, "2001:db8:7::1", "fe80::1", message(dhcp6.Reply, 1)), interfaceID("lan1")))
		if len(down) != 1 || !down[0].ToPeer || down[0].Source != addr(localAddr) || down[0].LinkLayer.IsValid() || down[0].Peer == nil || down[0].Peer.Name != "below" {
			t.Errorf("to %s: %+v, want one by socket from %s", address, down, localAddr)
		}
	}
}
