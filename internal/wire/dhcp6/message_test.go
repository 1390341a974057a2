package dhcp6_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/wire/dhcp6"
)

func TestMessage(t *testing.T) {
	b := octets(t, `
		05 a1b2c3
		0002 0004 0003 0001
		0001 0003 000401
		0001 0003 000402`)
	m, err := dhcp6.ParseMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	if m.Type() != dhcp6.Renew || m.TransactionID() != 0xa1b2c3 {
		t.Errorf("type %v, transaction-id %#x, want Renew and 0xa1b2c3", m.Type(), m.TransactionID())
	}
	if client, ok := m.ClientID(); !ok || client.String() != "00:04:01" {
		t.Errorf("client DUID %v, %v, want the first of two, 00:04:01", client, ok)
	}
	if server, ok := m.ServerID(); !ok || server.String() != "00:03:00:01" {
		t.Errorf("server DUID %v, %v, want 00:03:00:01", server, ok)
	}
	want := []pair{{2, "\x00\x03\x00\x01"}, {1, "\x00\x04\x01"}, {1, "\x00\x04\x02"}}
	if diff := cmp.Diff(want, pairs(m.Options())); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	if &m.Bytes()[0] != &b[0] || len(m.Bytes()) != len(b) {
		t.Error("Bytes is not the received buffer itself")
	}
}

// RFC 7283 section 4: what is unknown is relayed, so it must be readable. The
// reserved type 0 and the largest are read as well, with or without options.
func TestMessageOfEveryType(t *testing.T) {
	for c := range 256 {
		m, err := dhcp6.ParseMessage([]byte{byte(c), 0, 0, 1})
		if c == 12 || c == 13 {
			wantError(t, err, dhcp6.ErrMalformed, "dhcp6: msg-type at octet 0: malformed")
			continue
		}
		if err != nil || m.Type() != dhcp6.MessageType(c) || m.TransactionID() != 1 || len(m.Options()) != 0 {
			t.Errorf("type %d: read as %v %d %x, %v", c, m.Type(), m.TransactionID(), m.Options(), err)
		}
		_, err = dhcp6.ParseRelay(append([]byte{byte(c)}, make([]byte, 33)...))
		wantError(t, err, dhcp6.ErrMalformed, "dhcp6: msg-type at octet 0: malformed")
	}
}

func TestMessageWithoutIdentifiers(t *testing.T) {
	m, err := dhcp6.ParseMessage(octets(t, "0b 000000 0008 0002 0000"))
	if err != nil {
		t.Fatal(err)
	}
	if d, ok := m.ClientID(); ok || d != nil {
		t.Errorf("client DUID %v, want none", d)
	}
	if d, ok := m.ServerID(); ok || d != nil {
		t.Errorf("server DUID %v, want none", d)
	}
}

func TestMessageRefused(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", "dhcp6: header at octet 0: truncated"},
		{"01 0000", "dhcp6: header at octet 0: truncated"},
		{"01 000000 0001", "dhcp6: option header at octet 4: truncated"},
		{"01 000000 0001 0000 001a 0001", "dhcp6: option 26 at octet 8: truncated"},
	} {
		m, err := dhcp6.ParseMessage(octets(t, tc.in))
		wantError(t, err, dhcp6.ErrTruncated, tc.want)
		if m.Bytes() != nil {
			t.Errorf("%q: a message beside the error", tc.in)
		}
	}
}

func TestZeroViews(t *testing.T) {
	var m dhcp6.Message
	if m.Type() != 0 || m.TransactionID() != 0 || len(m.Options()) != 0 || m.Bytes() != nil {
		t.Errorf("the zero Message has something in it: %v", m)
	}
	var r dhcp6.RelayMessage
	_, inner := r.Inner()
	if r.Type() != 0 || r.HopCount() != 0 || r.LinkAddress() != (netip.Addr{}) ||
		r.PeerAddress() != (netip.Addr{}) || len(r.Options()) != 0 || inner || r.Bytes() != nil {
		t.Errorf("the zero RelayMessage has something in it: %v", r)
	}
}

func TestAppendMessageHeader(t *testing.T) {
	got := dhcp6.AppendMessageHeader([]byte{0xee}, dhcp6.Reply, 0xffa1b2c3)
	if want := octets(t, "ee 07 a1b2c3"); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x: the upper octet of the transaction-id is not sent", got, want)
	}
}

func TestRelay(t *testing.T) {
	b := octets(t, `
		0d 07
		20010db8000000000000000000000001
		fe8000000000000000000000000000c1
		0012 0003 656e30
		0009 0004 01 000001
		0009 0004 02 000002`)
	m, err := dhcp6.ParseRelay(b)
	if err != nil {
		t.Fatal(err)
	}
	if m.Type() != dhcp6.RelayReply || m.HopCount() != 7 {
		t.Errorf("type %v, hop-count %d, want Relay-reply and 7", m.Type(), m.HopCount())
	}
	if m.LinkAddress() != addr("2001:db8::1") || m.PeerAddress() != addr("fe80::c1") {
		t.Errorf("link-address %v, peer-address %v", m.LinkAddress(), m.PeerAddress())
	}
	if id, ok := m.Options().First(dhcp6.OptionInterfaceID); !ok || string(id) != "en0" {
		t.Errorf("interface-id %q, %v", id, ok)
	}
	inner, ok := m.Inner()
	if !ok || &inner[0] != &b[34+7+4] || len(inner) != 4 {
		t.Errorf("inner %x, %v, want the payload of the first Relay Message option, in place", inner, ok)
	}
	if &m.Bytes()[0] != &b[0] || len(m.Bytes()) != len(b) {
		t.Error("Bytes is not the received buffer itself")
	}
}

func TestRelayWithoutInner(t *testing.T) {
	m, err := dhcp6.ParseRelay(append([]byte{12, 255}, make([]byte, 32)...))
	if err != nil {
		t.Fatal(err)
	}
	if inner, ok := m.Inner(); ok || inner != nil {
		t.Errorf("inner %x, want none", inner)
	}
	if m.HopCount() != 255 || m.LinkAddress() != addr("::") {
		t.Errorf("hop-count %d, link-address %v: limits are the caller's business", m.HopCount(), m.LinkAddress())
	}
}

// An IPv4-mapped address stays the 16 octets that were sent.
func TestRelayKeepsMappedAddresses(t *testing.T) {
	link, peer := addr("::ffff:192.0.2.1"), addr("::")
	b := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, link, peer)
	m, err := dhcp6.ParseRelay(b)
	if err != nil || m.LinkAddress() != link || m.PeerAddress() != peer {
		t.Errorf("read back as %v and %v, %v", m.LinkAddress(), m.PeerAddress(), err)
	}
}

func TestRelayRefused(t *testing.T) {
	header := "0c 00 00000000000000000000000000000000 00000000000000000000000000000000"
	for _, tc := range []struct{ in, want string }{
		{"", "dhcp6: relay header at octet 0: truncated"},
		{"0c 00", "dhcp6: relay header at octet 0: truncated"},
		{header[:len(header)-2], "dhcp6: relay header at octet 0: truncated"},
		{header + "0009 0001", "dhcp6: option 9 at octet 34: truncated"},
		{header + "0012 0001 00 00", "dhcp6: option header at octet 39: truncated"},
	} {
		m, err := dhcp6.ParseRelay(octets(t, tc.in))
		wantError(t, err, dhcp6.ErrTruncated, tc.want)
		if m.Bytes() != nil {
			t.Errorf("%q: a message beside the error", tc.in)
		}
	}
}

func TestAppendRelayHeader(t *testing.T) {
	got := dhcp6.AppendRelayHeader([]byte{0xee}, dhcp6.RelayForward, 3, netip.Addr{}, addr("fe80::1%eth0"))
	want := octets(t, "ee 0c 03 00000000000000000000000000000000 fe800000000000000000000000000001")
	if !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}
