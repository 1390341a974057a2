package udp

import (
	"encoding/binary"
	"math/rand"
	"net/netip"
	"testing"
)

// slowSum is RFC 1071 as it is written, two octets at a time.
func slowSum(parts ...[]byte) uint16 {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	if len(all)%2 == 1 {
		all = append(all, 0)
	}
	var s uint32
	for i := 0; i < len(all); i += 2 {
		s += uint32(all[i])<<8 | uint32(all[i+1])
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestSumEqualsSlowTwin(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for n := range 200 {
		b := make([]byte, n)
		random.Read(b)
		if n%3 == 0 {
			for i := range b {
				b[i] = 0xff // all carries
			}
		}
		addresses := make([]byte, 32)
		random.Read(addresses)
		pseudo := binary.BigEndian.AppendUint32(append([]byte(nil), addresses...), uint32(n))
		pseudo = append(pseudo, 0, 0, 0, 17)
		got, want := fold(sum(b, pseudoHeader(addresses, n))), slowSum(pseudo, b)
		// Both are zero in one's complement.
		if got != want && got%0xffff != want%0xffff {
			t.Fatalf("%d octets: got %#x, want %#x", n, got, want)
		}
	}
}

// A checksum that comes out as zero is written as 0xffff (RFC 8200 section 8.1).
func TestChecksumIsNeverZero(t *testing.T) {
	source, dest := netip.MustParseAddrPort("[fe80::1]:547"), netip.MustParseAddrPort("[fe80::2]:546")
	zeros := 0
	for n := range 1 << 16 {
		payload := binary.BigEndian.AppendUint16(nil, uint16(n))
		var headers [frameHeaders]byte
		putFrameHeaders(headers[:], source, dest, 64, payload)
		checksum := binary.BigEndian.Uint16(headers[46:])
		if checksum == 0 {
			t.Fatalf("payload %x: checksum 0", payload)
		}
		if checksum == 0xffff {
			zeros++
		}
		p := append(headers[:], payload...)
		if segment, ok := udpSegment(p); !ok || !checksumRight(p, segment) {
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
		if segment, ok := udpSegment(whole[:n]); ok {
			t.Errorf("first %d octets: segment %x, want none", n, segment)
		}
	}
	if segment, ok := udpSegment(whole); !ok || string(segment[8:]) != "payload" {
		t.Errorf("whole packet: %q, %v", segment, ok)
	}
	whole[0] = 0x45
	if _, ok := udpSegment(whole); ok {
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
