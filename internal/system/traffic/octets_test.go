package traffic_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// carried sends a message from a client and fails unless the server gets exactly
// its octets, in one Relay-forward.
func (r *network) carried(c *rig.Client, message []byte) {
	r.T.Helper()
	c.Send(message)
	c.Passed()
	got := r.Played.Heard(message)
	if len(got) != 1 {
		r.T.Errorf("%.40x (%d octets): the server got it %d times, want once", message, len(message), len(got))
		return
	}
	if !bytes.Equal(got[0].Inner, message) {
		r.T.Errorf("towards the server:\n got  %x\n want %x", got[0].Inner, message)
	}
}

// delivered sends a message from the server, as an answer to a request, and
// fails unless the client gets exactly its octets.
func (r *network) delivered(c *rig.Client, q script.Request, message []byte) {
	r.T.Helper()
	r.Played.Send(q.From, q.Wrap(message))
	if port := c.Gets(message).From.Port(); port != dhcp6.ServerPort {
		r.T.Errorf("from port %d, want %d", port, dhcp6.ServerPort)
	}
}

// odd are messages that a relay has no reason to understand, and some that no
// one can.
func odd(c *rig.Client) [][]byte {
	head := func(t dhcp6.MessageType) []byte { return dhcp6.AppendMessageHeader(nil, t, rand.Uint32N(1<<24)) }
	pd := script.IAPD(1, rig.Long(pfx("2001:db8:1100::/56")))
	noise := make([]byte, 700)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	return [][]byte{
		// Options out of order, twice, empty, unknown, and inside one another.
		c.Message(dhcp6.Solicit, script.Option(65535, 9), pd, script.Option(4711, 1, 2, 3), script.Option(4711), pd, script.Option(8, 0, 1), script.Option(6, 0, 23, 0, 23)),
		c.Message(dhcp6.Renew, script.Option(25, slices.Concat(make([]byte, 12), script.Option(4711, 1), script.Option(26, make([]byte, 25)...))...)),
		// Malformed inside: too short, past the end, an octet left over.
		slices.Concat(head(dhcp6.Solicit), script.Option(1), script.Option(25, 0, 0)),
		slices.Concat(head(dhcp6.Request), []byte{0, 25, 0xff, 0xff, 1, 2, 3}),
		slices.Concat(c.Message(dhcp6.Confirm), []byte{0}),
		// A DUID that breaks the rules, no DUID, an identifier twice.
		slices.Concat(head(dhcp6.Rebind), script.Option(1, make([]byte, 200)...)),
		head(dhcp6.InformationRequest),
		slices.Concat(head(dhcp6.Solicit), script.Option(1, 0, 3), script.Option(1, 0, 4)),
		// Authentication and vendor options, whose octets are signed or secret.
		c.Message(dhcp6.Rebind, script.Option(11, noise[:28]...), script.Option(17, noise...), script.Option(16, noise[:99]...)),
		// Noise behind a header.
		slices.Concat(head(dhcp6.Solicit), noise),
	}
}

// G-1: "The delegating relay MUST forward messages bidirectionally between the
// client and server without changing the contents of the message."
func TestRFC8987_G1_EveryOctetBothWays(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 1, Access: access})
			c := r.client(1)
			for _, message := range odd(c) {
				r.carried(c, message)
			}
			q := r.request(c)
			for _, message := range odd(c) {
				message[0] = byte(dhcp6.Reply)
				r.delivered(c, q, message)
			}
		})
	}
}

// request is some request of a client's, as the server got it.
func (r *network) request(c *rig.Client) script.Request {
	r.T.Helper()
	message := c.Message(dhcp6.InformationRequest)
	c.Exchange(message)
	return r.Played.Heard(message)[0]
}

// G-1, by tshark: what the relay puts around the message leaves the message as
// it was on the client's link, and both are well formed.
func TestRFC8987_G1_TsharkSeesTheSameOctets(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	down := r.Relay.Record("d1", capture.DHCPv6)
	up := r.Relay.Record("u0", capture.DHCPv6)
	r.delegate(1, pfx("2001:db8:1100::/56"))
	below, above := r.all(down, 4), r.all(up, 4)
	for i := range below {
		// A Relay Message option with these octets as all it holds.
		n := len(below[i].Payload)
		want := append([]byte{0, 9, byte(n >> 8), byte(n)}, below[i].Payload...)
		if !bytes.Contains(above[i].Payload, want) {
			t.Errorf("datagram %d: %x is not carried in %x", i, below[i].Payload, above[i].Payload)
		}
	}
}

// all are the datagrams of a recording, once there are that many; they must be
// well formed.
func (r *network) all(record *rig.Capture, count int) (list []capture.Datagram) {
	r.T.Helper()
	r.Until(fmt.Sprintf("%d datagrams are recorded", count), func() bool {
		list, _ = record.Datagrams("dhcpv6")
		return len(list) >= count
	})
	record.Check()
	list, err := record.Datagrams("dhcpv6")
	r.Need(err)
	if len(list) != count {
		r.T.Fatalf("%d datagrams are recorded, want %d", len(list), count)
	}
	return list
}

// G-1: the relay sends nothing of its own to a client: what comes down is what
// the server sent, and without a server there is silence. (Section 3.1: no
// NoBinding.)
func TestRFC8987_G1_OriginatesNothing(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	r.Played.Become(nil)
	record := r.Client(1).Record("c0", "udp dst port 546")
	c := r.client(1)
	var last []byte
	for _, mt := range []dhcp6.MessageType{dhcp6.Renew, dhcp6.Rebind, dhcp6.Release, dhcp6.Confirm, dhcp6.Request, 99} {
		last = c.Message(mt, script.ServerID(script.DefaultServerDUID), script.IAPD(1, rig.Long(pfx("2001:db8:1100::/56"))))
		c.Send(last)
	}
	r.Played.Wait("the last message", func(q script.Request) bool { return bytes.Equal(q.Inner, last) })
	if n := len(r.Played.Received()); n != 6 {
		t.Errorf("the server got %d messages, want 6: a client without a binding is served like any", n)
	}
	// The server's own answer is the first that the client hears.
	q := r.Played.Received()[5]
	r.delivered(c, q, dhcp6.AppendMessageHeader(nil, dhcp6.Reply, 0x777777))
	rows := record.Wait("udp.dstport == 546", "dhcpv6.xid")
	if len(rows) != 1 || rows[0][0] != "0x777777" {
		t.Errorf("on the client's link: %v, want the server's Reply alone", rows)
	}
}

// Section 4: "relays MUST forward packets that either contain message codes it
// may not understand (Section 19 of [RFC8415]) or options that it does not
// understand (Section 16 of [RFC8415])." Which way a known type goes is known:
// from a client those that only servers send go no further.
func TestRFC8987_S4_UnknownTypesAndOptions(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1}, "rate: {source: unlimited}") // one host sends all types at once
	r.Played.Become(nil)
	c := r.client(1)
	stays := map[int]string{
		2: "Advertise", 7: "Reply", 10: "Reconfigure", 12: "Relay-forward", 13: "Relay-reply",
		14: "Leasequery", 15: "Leasequery-reply", 16: "Leasequery-done", 17: "Leasequery-data",
		19: "Reconfigure-reply", 21: "DHCPv4-response", 22: "ActiveLeasequery", 23: "StartTLS",
		25: "BNDREPLY", 27: "POOLRESP", 28: "UPDREQ", 29: "UPDREQALL", 30: "UPDDONE", 31: "CONNECT",
		32: "CONNECTREPLY", 33: "DISCONNECT", 34: "STATE", 35: "CONTACT",
		37: "Addr-reg-reply",
	}
	sent := map[int][]byte{}
	for mt := range 256 {
		sent[mt] = dhcp6.AppendMessageHeader(nil, dhcp6.MessageType(mt), uint32(0x50000+mt))
		sent[mt] = slices.Concat(sent[mt], script.Option(1, rig.DUID(1)...), script.Option(0xabcd, 1, 2), script.Option(0xfffe))
		c.Send(sent[mt])
	}
	last := c.Message(200)
	c.Send(last)
	r.Played.Wait("the last message", func(q script.Request) bool { return bytes.Equal(q.Inner, last) })
	for mt := range 256 {
		got := r.Played.Heard(sent[mt])
		if _, known := stays[mt]; known && (len(got) == 0 || mt > 23 && mt < 36) {
			continue // (of failover between servers either way is right)
		}
		if len(got) != 1 || !bytes.Equal(got[0].Inner, sent[mt]) {
			t.Errorf("type %d (%s): the server got it %d times, want once and unchanged", mt, stays[mt], len(got))
		}
	}

	// And down: whatever the server says is the client's to judge.
	q := r.Played.Heard(last)[0]
	for mt := range 256 {
		if dhcp6.MessageType(mt).IsRelay() {
			continue
		}
		r.delivered(c, q, sent[mt])
	}
}

// RFC 7283 section 4 and G-1: options that the relay does not know in a
// Relay-reply do not stop the message in it.
func TestRFC8415_19_2_UnknownOptionsOfARelayReply(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	c := r.client(1)
	q := r.request(c)
	message := c.Message(dhcp6.Reply)
	layer := q.Relays[0]
	id, _ := layer.Options().First(dhcp6.OptionInterfaceID)
	head := dhcp6.AppendRelayHeader(nil, dhcp6.RelayReply, layer.HopCount(), layer.LinkAddress(), layer.PeerAddress())
	for _, options := range [][]byte{
		slices.Concat(script.Option(4711, 1), script.Option(dhcp6.OptionInterfaceID, id...), script.Option(65000), script.Option(dhcp6.OptionRelayMessage, message...), script.Option(17, 0, 0, 0, 9)),
		slices.Concat(script.Option(dhcp6.OptionRelayMessage, message...), script.Option(dhcp6.OptionInterfaceID, id...)),
		script.Option(dhcp6.OptionRelayMessage, message...), // by the link-address alone
	} {
		r.Played.Send(q.From, slices.Concat(head, options))
		c.Gets(message)
	}
}

// G-1 for messages that do not fit a frame: up to 60 KiB in fragments, both
// ways, on links with and without link-layer addresses.
func TestRFC8987_G1_FragmentedMessagesBothWays(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 1, Access: access})
			c := r.client(1)
			for _, size := range []int{1300, 1452, 1453, 4000, 20000, 60000} {
				up := c.Message(dhcp6.InformationRequest, bulky(size)...)
				// A lost fragment is the client's to repair: it sends again.
				_, err := c.Client.Exchange(labtest.Patience, up)
				if err != nil {
					t.Errorf("%d octets: %v", size, err)
					continue
				}
				got := r.Played.Heard(up)
				if !bytes.Equal(got[0].Inner, up) {
					t.Errorf("%d octets to the server: changed on the way", size)
				}
				down := c.Message(dhcp6.Reply, bulky(size)...)
				r.delivered(c, got[0], down)
			}
		})
	}
}

// bulky is a list of options of about that size together, none above 4000
// octets.
func bulky(size int) (options [][]byte) {
	for i := 0; size > 0; i++ {
		n := min(size, 4000)
		payload := []byte(fmt.Sprintf("%d:", i))
		for len(payload) < n-4 {
			payload = append(payload, byte(len(payload)*7+i))
		}
		options = append(options, script.Option(40000, payload...))
		size -= n
	}
	return options
}
