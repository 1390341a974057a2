package traffic_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// raw is an option of any code.
func raw(code dhcp6.OptionCode, payload ...byte) []byte {
	return dhcp6.AppendOption(nil, code, payload)
}

// join puts octets together.
func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// carried sends a message from a client and fails unless the server gets exactly
// its octets, in one Relay-forward.
func (r *rig) carried(c *script.Client, message []byte) {
	r.t.Helper()
	need(r.t, c.Send(message))
	passed(r.t, c)
	got := r.heard(message)
	if len(got) != 1 {
		r.t.Errorf("%.40x (%d octets): the server got it %d times, want once", message, len(message), len(got))
		return
	}
	if !bytes.Equal(got[0].Inner, message) {
		r.t.Errorf("towards the server:\n got  %x\n want %x", got[0].Inner, message)
	}
}

// delivered sends a message from the server, as an answer to a request, and
// fails unless the client gets exactly its octets.
func (r *rig) delivered(c *script.Client, q script.Request, message []byte) {
	r.t.Helper()
	need(r.t, r.server.Send(q.From, q.Wrap(message)))
	got, err := c.Receive(patience)
	need(r.t, err)
	if !bytes.Equal(got.Data, message) {
		r.t.Errorf("towards the client:\n got  %x\n want %x", got.Data, message)
	}
	if got.From.Port() != dhcp6.ServerPort {
		r.t.Errorf("from port %d, want %d", got.From.Port(), dhcp6.ServerPort)
	}
}

// odd are messages that a relay has no reason to understand, and some that no
// one can.
func odd(c *script.Client) [][]byte {
	head := func(t dhcp6.MessageType) []byte { return dhcp6.AppendMessageHeader(nil, t, rand.Uint32N(1<<24)) }
	pd := script.IAPD(1, long(pfx("2001:db8:1100::/56")))
	noise := make([]byte, 700)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	return [][]byte{
		// Options out of order, twice, empty, unknown, and inside one another.
		c.Message(dhcp6.Solicit, raw(65535, 9), pd, raw(4711, 1, 2, 3), raw(4711), pd, raw(8, 0, 1), raw(6, 0, 23, 0, 23)),
		c.Message(dhcp6.Renew, raw(25, join(make([]byte, 12), raw(4711, 1), raw(26, make([]byte, 25)...))...)),
		// Malformed inside: too short, past the end, an octet left over.
		join(head(dhcp6.Solicit), raw(1), raw(25, 0, 0)),
		join(head(dhcp6.Request), []byte{0, 25, 0xff, 0xff, 1, 2, 3}),
		join(c.Message(dhcp6.Confirm), []byte{0}),
		// A DUID that breaks the rules, no DUID, an identifier twice.
		join(head(dhcp6.Rebind), raw(1, make([]byte, 200)...)),
		head(dhcp6.InformationRequest),
		join(head(dhcp6.Solicit), raw(1, 0, 3), raw(1, 0, 4)),
		// Authentication and vendor options, whose octets are signed or secret.
		c.Message(dhcp6.Rebind, raw(11, noise[:28]...), raw(17, noise...), raw(16, noise[:99]...)),
		// Noise behind a header.
		join(head(dhcp6.Solicit), noise),
	}
}

// G-1: "The delegating relay MUST forward messages bidirectionally between the
// client and server without changing the contents of the message."
func TestRFC8987_G1_EveryOctetBothWays(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			parallel(t)
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
func (r *rig) request(c *script.Client) script.Request {
	r.t.Helper()
	message := c.Message(dhcp6.InformationRequest)
	_, err := c.Exchange(patience, message)
	need(r.t, err)
	return r.heard(message)[0]
}

// G-1, by tshark: what the relay puts around the message leaves the message as
// it was on the client's link, and both are well formed.
func TestRFC8987_G1_TsharkSeesTheSameOctets(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 1})
	down, err := capture.Start(r.Relay, "d1", capture.DHCPv6)
	need(t, err)
	up, err := capture.Start(r.Relay, "u0", capture.DHCPv6)
	need(t, err)
	r.delegate(1, pfx("2001:db8:1100::/56"))
	below, above := all(t, down, 4), all(t, up, 4)
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
func all(t *testing.T, record *capture.Capture, count int) (list []capture.Datagram) {
	t.Helper()
	until(t, fmt.Sprintf("%d datagrams are recorded", count), func() bool {
		list, _ = record.Datagrams("dhcpv6")
		return len(list) >= count
	})
	need(t, record.Stop())
	need(t, record.Check())
	list, err := record.Datagrams("dhcpv6")
	need(t, err)
	if len(list) != count {
		t.Fatalf("%d datagrams are recorded, want %d", len(list), count)
	}
	return list
}

// G-1: the relay sends nothing of its own to a client: what comes down is what
// the server sent, and without a server there is silence. (Section 3.1: no
// NoBinding.)
func TestRFC8987_G1_OriginatesNothing(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 1})
	r.server.Become(nil)
	record, err := capture.Start(r.Client(1), "c0", "udp dst port 546")
	need(t, err)
	c := r.client(1)
	var last []byte
	for _, mt := range []dhcp6.MessageType{dhcp6.Renew, dhcp6.Rebind, dhcp6.Release, dhcp6.Confirm, dhcp6.Request, 99} {
		last = c.Message(mt, script.ServerID(script.DefaultServerDUID), script.IAPD(1, long(pfx("2001:db8:1100::/56"))))
		need(t, c.Send(last))
	}
	_, err = r.server.Wait(patience, "the last message", func(q script.Request) bool { return bytes.Equal(q.Inner, last) })
	need(t, err)
	if n := len(r.server.Received()); n != 6 {
		t.Errorf("the server got %d messages, want 6: a client without a binding is served like any", n)
	}
	// The server's own answer is the first that the client hears.
	q := r.server.Received()[5]
	r.delivered(c, q, dhcp6.AppendMessageHeader(nil, dhcp6.Reply, 0x777777))
	rows, err := record.Wait(patience, "udp.dstport == 546", "dhcpv6.xid")
	need(t, err)
	if len(rows) != 1 || rows[0][0] != "0x777777" {
		t.Errorf("on the client's link: %v, want the server's Reply alone", rows)
	}
}

// Section 4: "relays MUST forward packets that either contain message codes it
// may not understand (Section 19 of [RFC8415]) or options that it does not
// understand (Section 16 of [RFC8415])." Which way a known type goes is known:
// from a client those that only servers send go no further.
func TestRFC8987_S4_UnknownTypesAndOptions(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 1}, "rate: {source: unlimited}") // one host sends all types at once
	r.server.Become(nil)
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
		sent[mt] = join(sent[mt], raw(1, duid(1)...), raw(0xabcd, 1, 2), raw(0xfffe))
		need(t, c.Send(sent[mt]))
	}
	last := c.Message(200)
	need(t, c.Send(last))
	_, err := r.server.Wait(patience, "the last message", func(q script.Request) bool { return bytes.Equal(q.Inner, last) })
	need(t, err)
	for mt := range 256 {
		got := r.heard(sent[mt])
		if _, known := stays[mt]; known && (len(got) == 0 || mt > 23 && mt < 36) {
			continue // (of failover between servers either way is right)
		}
		if len(got) != 1 || !bytes.Equal(got[0].Inner, sent[mt]) {
			t.Errorf("type %d (%s): the server got it %d times, want once and unchanged", mt, stays[mt], len(got))
		}
	}

	// And down: whatever the server says is the client's to judge.
	q := r.heard(last)[0]
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
	parallel(t)
	r := start(t, lab.Plan{Clients: 1})
	c := r.client(1)
	q := r.request(c)
	message := c.Message(dhcp6.Reply)
	layer := q.Relays[0]
	id, _ := layer.Options().First(dhcp6.OptionInterfaceID)
	head := dhcp6.AppendRelayHeader(nil, dhcp6.RelayReply, layer.HopCount(), layer.LinkAddress(), layer.PeerAddress())
	for i, options := range [][]byte{
		join(raw(4711, 1), raw(dhcp6.OptionInterfaceID, id...), raw(65000), raw(dhcp6.OptionRelayMessage, message...), raw(17, 0, 0, 0, 9)),
		join(raw(dhcp6.OptionRelayMessage, message...), raw(dhcp6.OptionInterfaceID, id...)),
		raw(dhcp6.OptionRelayMessage, message...), // by the link-address alone
	} {
		need(t, r.server.Send(q.From, join(head, options)))
		got, err := c.Receive(patience)
		if err != nil || !bytes.Equal(got.Data, message) {
			t.Errorf("%d: the client got %x (%v), want %x", i, got.Data, err, message)
		}
	}
}

// G-1 for messages that do not fit a frame: up to 60 KiB in fragments, both
// ways, on links with and without link-layer addresses.
func TestRFC8987_G1_FragmentedMessagesBothWays(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			r := start(t, lab.Plan{Clients: 1, Access: access})
			c := r.client(1)
			for _, size := range []int{1300, 1452, 1453, 4000, 20000, 60000} {
				up := c.Message(dhcp6.InformationRequest, bulky(size)...)
				// A lost fragment is the client's to repair: it sends again.
				_, err := c.Exchange(patience, up)
				if err != nil {
					t.Errorf("%d octets: %v", size, err)
					continue
				}
				got := r.heard(up)
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
		options = append(options, raw(40000, payload...))
		size -= n
	}
	return options
}
