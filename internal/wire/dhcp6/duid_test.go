package dhcp6_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"fairlead/internal/wire/dhcp6"
)

func TestDUIDBuilders(t *testing.T) {
	mac := []byte{2, 0, 0, 0, 0, 0xc1}
	uuid := [16]byte{0xde, 0xad, 0xbe, 0xef, 15: 1}
	for _, tc := range []struct {
		got  dhcp6.DUID
		typ  dhcp6.DUIDType
		want string
	}{
		{dhcp6.AppendDUIDLL(nil, dhcp6.HardwareEthernet, mac), dhcp6.DUIDTypeLL, "00:03:00:01:02:00:00:00:00:c1"},
		{dhcp6.AppendDUIDUUID(nil, uuid), dhcp6.DUIDTypeUUID, "00:04:de:ad:be:ef:00:00:00:00:00:00:00:00:00:00:00:01"},
	} {
		if tc.got.String() != tc.want || tc.got.Type() != tc.typ {
			t.Errorf("got %v of type %d, want %s of type %d", tc.got, tc.got.Type(), tc.want, tc.typ)
		}
		if err := tc.got.Valid(); err != nil {
			t.Errorf("%v: %v", tc.got, err)
		}
		if again, err := dhcp6.ParseDUID(tc.want); err != nil || !bytes.Equal(again, tc.got) {
			t.Errorf("%s is read back as %v, %v", tc.want, again, err)
		}
	}
	if got := dhcp6.DUID(dhcp6.AppendDUIDLL([]byte{0xee}, 27, nil)).String(); got != "ee:00:03:00:1b" {
		t.Errorf("appended to what was there: %s", got)
	}
}

// RFC 8415 section 11.1: one octet of identifier at least, 128 at most, any type.
func TestDUIDValid(t *testing.T) {
	for _, n := range []int{3, 4, 129, 130} {
		if err := dhcp6.DUID(bytes.Repeat([]byte{0xff}, n)).Valid(); err != nil {
			t.Errorf("%d octets: %v", n, err)
		}
	}
	wantError(t, dhcp6.DUID(nil).Valid(), dhcp6.ErrTruncated, "dhcp6: DUID at octet 0: truncated")
	wantError(t, dhcp6.DUID{0, 1}.Valid(), dhcp6.ErrTruncated, "dhcp6: DUID at octet 2: truncated")
	wantError(t, dhcp6.DUID(make([]byte, 131)).Valid(), dhcp6.ErrMalformed, "dhcp6: DUID at octet 130: malformed")
	if got := (dhcp6.DUID{1}).Type(); got != 0 {
		t.Errorf("the type of one octet is %d, want 0", got)
	}
}

// What is written down must have the length of its type, where that has one: all
// that is left of one that was cut is refused.
func TestDUIDWhole(t *testing.T) {
	for _, text := range []string{
		"00:04:de:ad:be:ef:00:00:00:00:00:00:00:00:00:00:00:01", // UUID
		"00:01:00:01:2c:0f:fe:e0:02:00:00:00:00:c1",             // link-layer address and time, Ethernet
		"00:03:00:01:02:00:00:00:00:c1",                         // link-layer address, Ethernet
	} {
		whole, err := dhcp6.ParseDUID(text)
		if err != nil || whole.Whole() != nil {
			t.Fatalf("%s: %v, %v", text, err, whole.Whole())
		}
		for n := range whole {
			if err := whole[:n].Whole(); !errors.Is(err, dhcp6.ErrTruncated) {
				t.Errorf("the first %d octets of %s: %v, want ErrTruncated", n, text, err)
			}
		}
		if err := append(whole, 0).Whole(); !errors.Is(err, dhcp6.ErrMalformed) {
			t.Errorf("%s and an octet more: %v, want ErrMalformed", text, err)
		}
	}
	for text, want := range map[string]error{
		"00:02:00:00:00:09:0c":             nil, // a vendor's may have any length
		"00:02:00:00:00:09":                dhcp6.ErrTruncated,
		"00:03:00:20:01:02:03:04:05:06:07": nil, // and so may an address that is not Ethernet's
		"00:03:00:20":                      dhcp6.ErrTruncated,
		"00:01:00:20:00:00:00:01:09":       nil,
		"00:01:00:20:00:00:00:01":          dhcp6.ErrTruncated,
		"00:05:00":                         nil, // of a type that we do not know
	} {
		d, err := dhcp6.ParseDUID(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Whole(); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

func TestParseDUID(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"000300010a0B0c", "00:03:00:01:0a:0b:0c"},
		{"00:03:00:01:0A:0b", "00:03:00:01:0a:0b"},
		{"0:3:0:1:a:b", "00:03:00:01:0a:0b"},
		{"000401", "00:04:01"},
		{strings.Repeat("ff", 130), strings.Repeat("ff:", 129) + "ff"},
	} {
		got, err := dhcp6.ParseDUID(tc.in)
		if err != nil || got.String() != tc.want {
			t.Errorf("%q: got %v, %v, want %s", tc.in, got, err, tc.want)
		}
	}
}

func TestParseDUIDRefused(t *testing.T) {
	for _, tc := range []struct {
		in    string
		cause error
		want  string
	}{
		{"", dhcp6.ErrTruncated, "dhcp6: DUID at octet 0: truncated"},
		{"0003", dhcp6.ErrTruncated, "dhcp6: DUID at octet 2: truncated"},
		{strings.Repeat("ff", 131), dhcp6.ErrMalformed, "dhcp6: DUID at octet 130: malformed"},
		{"00030", dhcp6.ErrMalformed, "dhcp6: DUID text at octet 4: malformed"},
		{"0003zz01", dhcp6.ErrMalformed, "dhcp6: DUID text at octet 4: malformed"},
		{"0003 001", dhcp6.ErrMalformed, "dhcp6: DUID text at octet 4: malformed"},
		{"00:03:", dhcp6.ErrMalformed, "dhcp6: DUID text at octet 6: malformed"},
		{":00:03:01", dhcp6.ErrMalformed, "dhcp6: DUID text at octet 0: malformed"},
		{"00::03:01", dhcp6.ErrMalformed, "dhcp6: DUID text at octet 3: malformed"},
		{"00:003:01", dhcp6.ErrMalformed, "dhcp6: DUID text at octet 3: malformed"},
		{"00:+3:01", dhcp6.ErrMalformed, "dhcp6: DUID text at octet 3: malformed"},
		{"00-03-01", dhcp6.ErrMalformed, "dhcp6: DUID text at octet 2: malformed"},
	} {
		d, err := dhcp6.ParseDUID(tc.in)
		wantError(t, err, tc.cause, tc.want)
		if d != nil {
			t.Errorf("%q: a DUID %v beside the error", tc.in, d)
		}
	}
}
