package udp

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// If the computed checksum is 0, it is written as 0xffff (RFC 8200 section 8.1).
func TestChecksumIsNeverZero(t *testing.T) {
	source, dest := netip.MustParseAddrPort("[fe80::1]:547"), netip.MustParseAddrPort("[fe80::2]:546")
	zeros := 0
	for n := range 1 << 16 {
		payload := binary.BigEndian.AppendUint16(nil, uint16(n))
		var room [48]byte
		headers := ipv6.putFrameHeaders(room[:], source, dest, 64, payload)
		checksum := binary.BigEndian.Uint16(headers[46:])
		if checksum == 0 {
			t.Fatalf("payload %x: checksum 0", payload)
		}
		if checksum == 0xffff {
			zeros++
		}
		p := append(headers, payload...)
		if segment, _, ok := ipv6.segment(p); !ok || !ipv6.checksumRight(p, segment) {
			t.Fatalf("payload %x: not right", payload)
		}
	}
	if zeros == 0 {
		t.Error("no payload had the checksum that matters")
	}
}

func TestSegmentOfTruncatedPacket(t *testing.T) {
	whole := packet(t, netip.MustParseAddr("fe80::1"), "payload", nil)
	for n := range whole {
		if segment, _, ok := ipv6.segment(whole[:n]); ok {
			t.Errorf("first %d octets: segment %x, want none", n, segment)
		}
	}
	if segment, _, ok := ipv6.segment(whole); !ok || string(segment[8:]) != "payload" {
		t.Errorf("whole packet: %q, %v", segment, ok)
	}
	whole[0] = 0x45
	if _, _, ok := ipv6.segment(whole); ok {
		t.Error("IPv4 was taken for IPv6")
	}
}

func TestUnicastMAC(t *testing.T) {
	for _, test := range []struct {
		mac  []byte
		want bool
	}{
		{[]byte{2, 0, 0, 0, 0, 1}, true},
		{[]byte{0, 0, 0, 0, 0, 1}, true},
		{[]byte{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77}, true},
		{nil, false},
		{[]byte{0, 0, 0, 0, 0, 0}, false},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, false},
		{[]byte{0x33, 0x33, 0, 1, 0, 2}, false},
	} {
		if got := unicastMAC(test.mac); got != test.want {
			t.Errorf("%x: %v, want %v", test.mac, got, test.want)
		}
	}
}

// Every discard has a name of its own.
func TestDiscardNames(t *testing.T) {
	seen := make(map[string]bool)
	for d := range discards {
		if name := d.String(); name == "" || seen[name] {
			t.Errorf("discard %d is called %q, want a name of its own", d, name)
		}
		seen[d.String()] = true
	}
}
