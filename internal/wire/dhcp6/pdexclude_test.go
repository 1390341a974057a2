package dhcp6_test

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"fairlead/internal/wire/dhcp6"
)

// RFC 6603 section 4.2, with the example of its page 6, and edges of octets.
func TestRFC6603_4_2b_PDExclude(t *testing.T) {
	for _, tc := range []struct{ delegated, excluded, octets string }{
		{"2001:db8:dead:bee0::/59", "2001:db8:dead:beef::/64", "0043 0002 40 78"},
		{"2001:db8:100::/56", "2001:db8:100:ff::/64", "0043 0002 40 ff"},
		{"2001:db8:100::/56", "2001:db8:100:80::/57", "0043 0002 39 80"},
		{"2001:db8:100::/48", "2001:db8:100:ff0f::/64", "0043 0003 40 ff0f"},
		{"2001:db8:100::/48", "2001:db8:100:1::1/128", "0043 000b 80 0001 0000 0000 0000 0001"},
		{"::/0", "8000::/1", "0043 0002 01 80"},
		{"2001:db8::/127", "2001:db8::1/128", "0043 0002 80 80"},
	} {
		delegated, excluded := netip.MustParsePrefix(tc.delegated), netip.MustParsePrefix(tc.excluded)
		want := octets(t, tc.octets)
		if got := dhcp6.AppendPDExclude(nil, delegated, excluded); !bytes.Equal(got, want) {
			t.Errorf("%s of %s: %x, want %x", tc.excluded, tc.delegated, got, want)
		}
		if got, err := dhcp6.ParsePDExclude(want[4:], delegated); err != nil || got != excluded {
			t.Errorf("%x of %s: %v, %v; want %s", want, tc.delegated, got, err, tc.excluded)
		}
		for n := range want[4:] {
			if _, err := dhcp6.ParsePDExclude(bytes.Clone(want[4:4+n]), delegated); !errors.Is(err, dhcp6.ErrTruncated) {
				t.Errorf("first %d octets of %x: %v, want truncated", n, want[4:], err)
			}
		}
	}
}

// RFC 6603 section 4.2: a prefix-len that is not between the delegated prefix's plus 1
// and 128, or an option that is longer than its subnet ID, is malformed.
func TestRFC6603_4_2a_PDExcludeMalformed(t *testing.T) {
	delegated := netip.MustParsePrefix("2001:db8:100::/56")
	for _, text := range []string{
		"38 00",   // as long as the delegated prefix
		"20 00",   // shorter
		"81 00",   // longer than an address
		"40 ff00", // more than the subnet ID
	} {
		if got, err := dhcp6.ParsePDExclude(octets(t, text), delegated); !errors.Is(err, dhcp6.ErrMalformed) {
			t.Errorf("%s: %v, %v; want malformed", text, got, err)
		}
	}
	// Padding that is not zero says nothing.
	if got, err := dhcp6.ParsePDExclude(octets(t, "3b ff"), delegated); err != nil || got != netip.MustParsePrefix("2001:db8:100:e0::/59") {
		t.Errorf("padding: %v, %v; want 2001:db8:100:e0::/59", got, err)
	}
}

func TestPDExcludeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.IntRange(0, 127).Draw(t, "from")
		bits := rapid.IntRange(from+1, 128).Draw(t, "bits")
		a := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")))
		delegated, excluded := netip.PrefixFrom(a, from).Masked(), netip.PrefixFrom(a, bits).Masked()
		got, err := dhcp6.ParsePDExclude(dhcp6.AppendPDExclude(nil, delegated, excluded)[4:], delegated)
		if err != nil || got != excluded {
			t.Fatalf("%v of %v: %v, %v", excluded, delegated, got, err)
		}
	})
}

func FuzzPDExclude(f *testing.F) {
	f.Add(uint8(56), []byte{64, 0xff})
	f.Add(uint8(48), []byte{128, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, from uint8, b []byte) {
		delegated := netip.PrefixFrom(netip.MustParseAddr("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"), int(from)%129).Masked()
		p, err := dhcp6.ParsePDExclude(b, delegated)
		if err != nil {
			refused(t, err, len(b))
			return
		}
		if p != p.Masked() || p.Bits() <= delegated.Bits() || !delegated.Contains(p.Addr()) {
			t.Fatalf("%v of %v, from %x", p, delegated, b)
		}
		again := dhcp6.AppendPDExclude(nil, delegated, p)[4:]
		if len(again) != len(b) {
			t.Fatalf("%x of %v is written as %x", b, delegated, again)
		}
	})
}
