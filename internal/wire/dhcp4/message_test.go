package dhcp4_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/wire/dhcp4"
)

func TestMessage(t *testing.T) {
	b := octets(t, `
		02 01 06 03 a1b2c3d4 0102 8001
		c0000201 c0000202 c0000203 c0000204
		0200000000c1 aa*10
		7372 00*62
		626f6f74 00*124
		63825363
		35 01 05
		00 00
		36 04 c0000203
		0c 01 61
		0c 01 62
		ff 00 00`)
	m, err := dhcp4.ParseMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	if m.Op() != dhcp4.BOOTReply || m.HType() != dhcp4.HardwareEthernet || m.Hops() != 3 || m.XID() != 0xa1b2c3d4 || m.Secs() != 0x0102 {
		t.Errorf("op %v, htype %v, hops %v, xid %#x, secs %#x", m.Op(), m.HType(), m.Hops(), m.XID(), m.Secs())
	}
	if m.Flags() != 0x8001 || !m.Broadcast() {
		t.Errorf("flags %#x, broadcast %v", m.Flags(), m.Broadcast())
	}
	addresses := []netip.Addr{m.CIAddr(), m.YIAddr(), m.SIAddr(), m.GIAddr()}
	want := []netip.Addr{addr("192.0.2.1"), addr("192.0.2.2"), addr("192.0.2.3"), addr("192.0.2.4")}
	if diff := cmp.Diff(want, addresses, sameValues); diff != "" {
		t.Errorf("ciaddr, yiaddr, siaddr, giaddr (-want +got):\n%s", diff)
	}
	if got := m.CHAddr(); !bytes.Equal(got, octets(t, "0200000000c1")) || cap(got) != 6 {
		t.Errorf("chaddr %x, room for %d octets; want as many as hlen says", got, cap(got))
	}
	if got := m.SName(); len(got) != 64 || string(got[:3]) != "sr\x00" {
		t.Errorf("sname %q", got)
	}
	if got := m.File(); len(got) != 128 || string(got[:5]) != "boot\x00" {
		t.Errorf("file %q", got)
	}
	if m.Type() != dhcp4.ACK {
		t.Errorf("type %v, want DHCPACK", m.Type())
	}
	options := []pair{{53, "\x05"}, {54, "\xc0\x00\x02\x03"}, {12, "a"}, {12, "b"}}
	if diff := cmp.Diff(options, pairs(m.Options())); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	if &m.Bytes()[0] != &b[0] || len(m.Bytes()) != len(b) {
		t.Error("Bytes is not the received buffer itself")
	}
}

// RFC 1542 section 2.2: relay agents ignore the bits beside BROADCAST, so these bits are no
// reason to refuse a message.
func TestRFC1542_2_2_ReservedFlagsAreIgnored(t *testing.T) {
	for flags, want := range map[string]bool{"0000": false, "7fff": false, "8000": true, "ffff": true} {
		m := message(t, "01 01 06 00 11223344 0000 "+flags+" 00*16 0200000000c1 00*10 00*192 63825363 ff")
		if m.Broadcast() != want {
			t.Errorf("flags %s: broadcast %v, want %v", flags, m.Broadcast(), want)
		}
	}
}

// RFC 1542 section 2.1: op is BOOTREQUEST or BOOTREPLY.
func TestRFC1542_2_1_OpIsRequestOrReply(t *testing.T) {
	b := octets(t, request+"ff")
	for op := range 256 {
		b[0] = byte(op)
		m, err := dhcp4.ParseMessage(b)
		if op == 1 || op == 2 {
			if err != nil || m.Op() != dhcp4.Op(op) {
				t.Errorf("op %d: read as %v, %v", op, m.Op(), err)
			}
			continue
		}
		wantError(t, err, dhcp4.ErrMalformed, "dhcp4: op at octet 0: malformed")
	}
}

// RFC 1542 section 2.1 requires 300 octets, for a vend field of 64 octets. RFC 2131 section 2
// allows any length of that field, and RFC 3046 section 2.1 allows a message without the End
// option.
func TestRFC1542_2_1_LeastLength(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"nothing", "", "dhcp4: header at octet 0: truncated"},
		{"without cookie", "01 01 06 00 00*232", "dhcp4: header at octet 236: truncated"},
		{"half a cookie", "01 01 06 00 00*232 638253", "dhcp4: header at octet 239: truncated"},
		{"cookie alone", "01 01 06 00 00*232 63825363", ""},
		{"End alone", "01 01 06 00 00*232 63825363 ff", ""},
		{"BOOTP, vend of 63", "01 01 06 00 00*232 00*63", "dhcp4: vend at octet 299: truncated"},
		{"BOOTP, vend of 64", "01 01 06 00 00*232 00*64", ""},
		{"other cookie, vend of 63", "01 01 06 00 00*232 01020304 ff*59", "dhcp4: vend at octet 299: truncated"},
		{"other cookie, vend of 64", "01 01 06 00 00*232 01020304 35*60", ""},
		{"pads to 300", "01 01 06 00 00*232 63825363 350101 ff 00*56", ""},
		{"more than 576", "01 01 06 00 00*232 63825363 350101 ff 00*1500", ""},
	} {
		m, err := dhcp4.ParseMessage(octets(t, tc.in))
		if tc.want == "" {
			if err != nil || len(m.Bytes()) == 0 {
				t.Errorf("%s: %v", tc.name, err)
			}
			continue
		}
		wantError(t, err, dhcp4.ErrTruncated, tc.want)
		if m.Bytes() != nil {
			t.Errorf("%s: a message beside the error", tc.name)
		}
	}
}

// RFC 1542 section 3.5: the magic cookie is recommended. Other vendor information is not read as
// options, even if it looks like options.
func TestRFC1542_3_5_OtherVendorInformationIsCarried(t *testing.T) {
	for _, cookie := range []string{"00000000", "63825364"} {
		m := message(t, "01 01 06 00 11223344 00*228 "+cookie+" 350101 5204 01026565 ff 00*60")
		if m.Type() != 0 || len(pairs(m.Options())) != 0 {
			t.Errorf("cookie %s: type %v, options %v, want none", cookie, m.Type(), pairs(m.Options()))
		}
		if _, ok, err := m.AgentInformation(nil); ok || err != nil {
			t.Errorf("cookie %s: an option 82, %v", cookie, err)
		}
		before, end, ok := m.Split()
		if ok || !bytes.Equal(before, m.Bytes()) || len(end) != 0 {
			t.Errorf("cookie %s: split into %d and %d octets, %v", cookie, len(before), len(end), ok)
		}
		if got := m.AppendWithoutAgentInformation(nil); !bytes.Equal(got, m.Bytes()) {
			t.Errorf("cookie %s: %x is carried as %x", cookie, m.Bytes(), got)
		}
	}
}

func TestHardwareAddressLength(t *testing.T) {
	b := octets(t, request+"ff")
	for hlen := range 256 {
		b[2] = byte(hlen)
		m, err := dhcp4.ParseMessage(b)
		if hlen > 16 {
			wantError(t, err, dhcp4.ErrMalformed, "dhcp4: hlen at octet 2: malformed")
		} else if err != nil || !bytes.Equal(m.CHAddr(), b[28:28+hlen]) || m.CHAddr() == nil {
			t.Errorf("hlen %d: chaddr %x, %v", hlen, m.CHAddr(), err)
		}
	}
}

// A relay agent cannot know where the options of such a message end.
func TestOptionsFieldRefused(t *testing.T) {
	for _, tc := range []struct{ options, want string }{
		{"35", "dhcp4: option 53 length at octet 240: truncated"},
		{"3501", "dhcp4: option 53 at octet 240: truncated"},
		{"350101 00 3204 c00002", "dhcp4: option 50 at octet 244: truncated"},
		{"350101 52ff 01", "dhcp4: option 82 at octet 243: truncated"},
		{"00*60 52", "dhcp4: option 82 length at octet 300: truncated"},
	} {
		m, err := dhcp4.ParseMessage(octets(t, request+tc.options))
		wantError(t, err, dhcp4.ErrTruncated, tc.want)
		if m.Bytes() != nil {
			t.Errorf("%q: a message beside the error", tc.options)
		}
	}
}

// RFC 2131 section 4.1: the last option must be End; RFC 3046 section 2.1 expects that it may be
// missing. Nothing after it is an option.
func TestEndOption(t *testing.T) {
	want := []pair{{53, "\x01"}, {12, ""}}
	for _, options := range []string{
		"350101 0c00", "350101 0c00 00*8", "00 350101 00*3 0c00 ff", "350101 0c00 ff 5206 0104 61626364",
		"350101 0c00 ff 52", "350101 0c00 ff ff",
	} {
		if diff := cmp.Diff(want, pairs(message(t, request+options).Options())); diff != "" {
			t.Errorf("%q (-want +got):\n%s", options, diff)
		}
	}
}

func TestMessageType(t *testing.T) {
	for options, want := range map[string]dhcp4.MessageType{
		"ff":                 0,
		"350103 ff":          dhcp4.Request,
		"0c0161 3501fe ff":   254,
		"3500 ff":            0,
		"35020101 ff":        0,
		"350101 350103 ff":   0, // RFC 3396 section 7: one option of two octets
		"350101 ff 350103":   dhcp4.Discover,
		"350101 34 01 04 ff": dhcp4.Discover,
	} {
		if got := message(t, request+options).Type(); got != want {
			t.Errorf("options %q: %v, want %v", options, got, want)
		}
	}
	// In the file or in the sname field, where option 52 says so (RFC 2132 section 9.3).
	for options, want := range map[string][2]dhcp4.MessageType{
		"ff":               {0, 0},
		"340101 ff":        {dhcp4.Request, 0},
		"340102 ff":        {0, dhcp4.Request},
		"340103 ff":        {dhcp4.Request, dhcp4.Request},
		"340103 350101 ff": {0, 0}, // there are two
		"340104 350101 ff": {dhcp4.Discover, dhcp4.Discover},
	} {
		for i, at := range []int{108, 44} {
			b := octets(t, request+options)
			copy(b[at:], []byte{53, 1, 3, 255})
			m, err := dhcp4.ParseMessage(b)
			if err != nil || m.Type() != want[i] {
				t.Errorf("options %q, a type at octet %d: %v, %v, want %v", options, at, m.Type(), err, want[i])
			}
		}
	}
}

func TestZeroMessage(t *testing.T) {
	var m dhcp4.Message
	none := netip.Addr{}
	if m.Op() != 0 || m.HType() != 0 || m.Hops() != 0 || m.XID() != 0 || m.Secs() != 0 || m.Flags() != 0 || m.Type() != 0 ||
		m.CIAddr() != none || m.YIAddr() != none || m.SIAddr() != none || m.GIAddr() != none ||
		m.CHAddr() != nil || m.SName() != nil || m.File() != nil || m.Bytes() != nil || len(pairs(m.Options())) != 0 {
		t.Errorf("the zero Message has something in it: %v", m)
	}
	if _, ok, err := m.AgentInformation(nil); ok || err != nil {
		t.Errorf("the zero Message has an option 82, %v", err)
	}
	before, end, ok := m.Split()
	if len(before) != 0 || len(end) != 0 || ok || len(m.AppendWithoutAgentInformation(nil)) != 0 {
		t.Errorf("the zero Message is split into %x and %x", before, end)
	}
}

func TestAppendHeader(t *testing.T) {
	got := dhcp4.AppendHeader([]byte{0xee}, dhcp4.Header{
		Op: dhcp4.BOOTReply, HType: 6, Hops: 4, XID: 0x01020304, Secs: 5, Flags: dhcp4.FlagBroadcast,
		CIAddr: addr("192.0.2.1"), YIAddr: addr("192.0.2.2"), SIAddr: addr("192.0.2.3"), GIAddr: addr("192.0.2.4"),
		CHAddr: []byte{1, 2, 3}, SName: []byte("s"), File: []byte("f"),
	})
	want := octets(t, `ee 02 06 03 04 01020304 0005 8000 c0000201 c0000202 c0000203 c0000204
		010203 00*13 73 00*63 66 00*127 63825363`)
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	if got, want := dhcp4.AppendHeader(nil, dhcp4.Header{}), octets(t, "00*236 63825363"); !bytes.Equal(got, want) {
		t.Errorf("the zero Header is %x", got)
	}
	for name, h := range map[string]dhcp4.Header{
		"chaddr at octet 28": {CHAddr: make([]byte, 17)},
		"sname at octet 44":  {SName: make([]byte, 65)},
		"file at octet 108":  {File: make([]byte, 129)},
	} {
		wantPanic(t, "dhcp4: "+name+": too big", func() { dhcp4.AppendHeader(nil, h) })
	}
}

// RFC 1542 section 2.1: a BOOTP message has at least 300 octets.
func TestAppendEnd(t *testing.T) {
	for n := range 70 {
		b := append(octets(t, "eeee"+" "+request), make([]byte, n)...)
		got := dhcp4.AppendEnd(bytes.Clone(b), 2)
		want := append(bytes.Clone(b), 0xff)
		want = append(want, make([]byte, max(0, 59-n))...)
		if !bytes.Equal(got, want) {
			t.Errorf("%d octets of options: %d octets, want %d", n, len(got), len(want))
		}
	}
}

// Each setter writes its own field, and no other octet.
func TestSetters(t *testing.T) {
	whole := octets(t, request+"350101 5206 0104 65746830 ff 00*20")
	for _, tc := range []struct {
		name    string
		set     func([]byte)
		at, end int
		want    string
	}{
		{"hops", func(b []byte) { dhcp4.SetHops(b, 7) }, 3, 4, "07"},
		{"giaddr", func(b []byte) { dhcp4.SetGIAddr(b, addr("192.0.2.254")) }, 24, 28, "c00002fe"},
	} {
		got, want := bytes.Clone(whole), bytes.Clone(whole)
		tc.set(got)
		copy(want[tc.at:tc.end], octets(t, tc.want))
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, want %x", tc.name, got, want)
		}
	}
}
