package dhcp6_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/wire/dhcp6"
)

var compareValues = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestIA(t *testing.T) {
	// RFC 8415 section 21.21, figure 35.
	got, err := dhcp6.ParseIA(octets(t, "0a0b0c0d 00000708 ffffffff 000d 0002 0006"))
	if err != nil {
		t.Fatal(err)
	}
	want := dhcp6.IA{IAID: 0x0a0b0c0d, T1: 1800, T2: dhcp6.Infinity, Options: octets(t, "000d 0002 0006")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("IA (-want +got):\n%s", diff)
	}
}

func TestIAAddr(t *testing.T) {
	// RFC 8415 section 21.6, figure 17.
	got, err := dhcp6.ParseIAAddr(octets(t, "20010db80000000000000000000000ff 00000e10 00001c20"))
	if err != nil {
		t.Fatal(err)
	}
	want := dhcp6.IAAddr{Address: addr("2001:db8::ff"), Preferred: 3600, Valid: 7200, Options: dhcp6.Options{}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("IA Address (-want +got):\n%s", diff)
	}
}

func TestIAPrefix(t *testing.T) {
	// RFC 8415 section 21.22, figure 36; the options are RFC 6603's.
	for _, tc := range []struct {
		name, in string
		want     dhcp6.IAPrefix
	}{
		{
			"a delegation", "00000e10 00001c20 38 20010db8000100000000000000000000 0043 0002 4001",
			dhcp6.IAPrefix{Prefix: prefix("2001:db8:1::/56"), Preferred: 3600, Valid: 7200, Options: []byte{0, 67, 0, 2, 64, 1}},
		},
		{
			"bits past the length stay", "00000000 00000000 30 20010db800010002000000000000abcd",
			dhcp6.IAPrefix{Prefix: netip.PrefixFrom(addr("2001:db8:1:2::abcd"), 48), Options: dhcp6.Options{}},
		},
		{
			"length 0", "ffffffff ffffffff 00 00000000000000000000000000000000",
			dhcp6.IAPrefix{Prefix: prefix("::/0"), Preferred: dhcp6.Infinity, Valid: dhcp6.Infinity, Options: dhcp6.Options{}},
		},
		{
			"length 128", "00000000 00000001 80 20010db8000000000000000000000001",
			dhcp6.IAPrefix{Prefix: prefix("2001:db8::1/128"), Valid: 1, Options: dhcp6.Options{}},
		},
		{
			"a hint of a length", "00000000 00000000 38 00000000000000000000000000000000",
			dhcp6.IAPrefix{Prefix: prefix("::/56"), Options: dhcp6.Options{}},
		},
		{
			"IPv4-mapped", "00000000 00000000 78 00000000000000000000ffffc0000200",
			dhcp6.IAPrefix{Prefix: netip.PrefixFrom(addr("::ffff:192.0.2.0"), 120), Options: dhcp6.Options{}},
		},
	} {
		in := octets(t, tc.in)
		got, err := dhcp6.ParseIAPrefix(in)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if diff := cmp.Diff(tc.want, got, compareValues); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		whole := append([]byte{0, 26, 0, byte(len(in))}, in...)
		if b := dhcp6.AppendIAPrefix(nil, tc.want); !bytes.Equal(b, whole) {
			t.Errorf("%s: written as %x, want %x", tc.name, b, whole)
		}
	}
}

func TestIAPrefixLengthAbove128(t *testing.T) {
	for _, bits := range []string{"81", "c0", "ff"} {
		_, err := dhcp6.ParseIAPrefix(octets(t, "00000000 00000000"+bits+"20010db8000000000000000000000000"))
		wantError(t, err, dhcp6.ErrMalformed, "dhcp6: option 26 prefix-length at octet 8: malformed")
	}
}

func TestIARefused(t *testing.T) {
	for _, tc := range []struct {
		in    string
		parse func([]byte) error
		want  string
	}{
		{"00000001 00000000 000000", parseIA, "dhcp6: IA header at octet 0: truncated"},
		{"00000001 00000000 00000000 001a 0019", parseIA, "dhcp6: option 26 at octet 12: truncated"},
		{"20010db80000000000000000000000ff 00000e10 00001c", parseIAAddr, "dhcp6: option 5 header at octet 0: truncated"},
		{"20010db80000000000000000000000ff 00000e10 00001c20 00", parseIAAddr, "dhcp6: option header at octet 24: truncated"},
		{"00000e10 00001c20 38 20010db80001000000000000000000", parseIAPrefix, "dhcp6: option 26 header at octet 0: truncated"},
		{"00000e10 00001c20 38 20010db8000100000000000000000000 000d 0001", parseIAPrefix, "dhcp6: option 13 at octet 25: truncated"},
	} {
		wantError(t, tc.parse(octets(t, tc.in)), dhcp6.ErrTruncated, tc.want)
	}
}

func TestAppendIA(t *testing.T) {
	want := octets(t, `
		0019 0029
			00000001 00000e10 00001518
			001a 0019 00000e10 00001c20 38 20010db8000100000000000000000000`)
	b, mark := dhcp6.BeginIA(nil, dhcp6.OptionIAPD, 1, 3600, 5400)
	b = dhcp6.AppendIAPrefix(b, dhcp6.IAPrefix{Prefix: prefix("2001:db8:1::/56"), Preferred: 3600, Valid: 7200})
	nested, err := dhcp6.EndOption(b, mark)
	if err != nil || !bytes.Equal(nested, want) {
		t.Errorf("begin and end: got %x, %v, want %x", nested, err, want)
	}
	whole := dhcp6.AppendIA(nil, dhcp6.OptionIAPD, dhcp6.IA{IAID: 1, T1: 3600, T2: 5400, Options: want[16:]})
	if !bytes.Equal(whole, want) {
		t.Errorf("at once: got %x, want %x", whole, want)
	}
}

// The zero values are written as the unspecified address and "::/0".
func TestAppendZeroValues(t *testing.T) {
	if got, want := dhcp6.AppendIAAddr(nil, dhcp6.IAAddr{}), append([]byte{0, 5, 0, 24}, make([]byte, 24)...); !bytes.Equal(got, want) {
		t.Errorf("IA Address: got %x, want %x", got, want)
	}
	if got, want := dhcp6.AppendIAPrefix(nil, dhcp6.IAPrefix{}), append([]byte{0, 26, 0, 25}, make([]byte, 25)...); !bytes.Equal(got, want) {
		t.Errorf("IA Prefix: got %x, want %x", got, want)
	}
	if got, want := dhcp6.AppendIA(nil, 3, dhcp6.IA{}), append([]byte{0, 3, 0, 12}, make([]byte, 12)...); !bytes.Equal(got, want) {
		t.Errorf("IA: got %x, want %x", got, want)
	}
}
