package dhcp6_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"fairlead/internal/wire/dhcp6"
)

// Every prefix of every structure is refused as truncated, but for the cuts that
// fall between two options or at the end of a field of any length.
func TestTruncations(t *testing.T) {
	header := "0c 03 20010db8000000000000000000000001 fe8000000000000000000000000000c1"
	for _, tc := range []struct {
		name, whole string
		parse       func([]byte) error
		legal       []int // cuts that leave something whole
	}{
		{"message", "01 000001 0001 0003 000401 0008 0002 0000", asError(dhcp6.ParseMessage), []int{4, 11}},
		{"relay", header + "0012 0002 6162 0009 0004 01000001", asError(dhcp6.ParseRelay), []int{34, 40}},
		{"options", "0001 0003 000401 000e 0000 0008 0002 0000", asError(dhcp6.ParseOptions), []int{0, 7, 11}},
		{"IA", "00000001 00000002 00000003 000d 0002 0006 000d 0002 0000", asError(dhcp6.ParseIA), []int{12, 18}},
		{"IA Address", "20010db80000000000000000000000ff 00000e10 00001c20 000d 0002 0000", asError(dhcp6.ParseIAAddr), []int{24}},
		{"IA Prefix", "00000e10 00001c20 38 20010db8000100000000000000000000 0043 0002 4001", asError(dhcp6.ParseIAPrefix), []int{25}},
		{"status", "0006 6162", asError(dhcp6.ParseStatus), []int{2, 3}},
		{"option request", "0019 0017", asError(dhcp6.ParseORO), []int{0, 2}},
		{"remote-id", "00009d3a 616263", asError(dhcp6.ParseRemoteID), []int{5, 6}},
		{"relay-id", "0003 0001 02", asError(dhcp6.ParseRelayID), []int{3, 4}},
		{"client link-layer address", "0001 0200", asError(dhcp6.ParseClientLinkLayer), []int{2, 3}},
		{"relay port", "1f90", asError(dhcp6.ParseRelayPort), nil},
		{"elapsed time", "0102", asError(dhcp6.ParseElapsedTime), nil},
		{"authentication", "03 01 00 0000000000000007 0100", asError(dhcp6.ParseAuth), []int{11, 12}},
		{"preference", "ff", asError(dhcp6.ParsePreference), nil},
		{"user class", "0001 61 0002 6263", asError(dhcp6.ParseUserClass), []int{3}},
		{"vendor class", "0000118b 0001 61 0000", asError(dhcp6.ParseVendorClass), []int{7}},
		{"architectures", "0007 000b", asError(dhcp6.ParseClientArchitectures), []int{2}},
		{"reconfigure message", "05", asError(dhcp6.ParseReconfMessage), nil},
	} {
		whole := octets(t, tc.whole)
		if err := tc.parse(whole); err != nil {
			t.Errorf("%s: whole: %v", tc.name, err)
		}
		for n := range whole {
			// A copy of its own, so that reading past the end cannot succeed.
			err := tc.parse(slices.Clip(bytes.Clone(whole[:n])))
			if slices.Contains(tc.legal, n) {
				if err != nil {
					t.Errorf("%s: first %d octets are whole, but: %v", tc.name, n, err)
				}
			} else if !errors.Is(err, dhcp6.ErrTruncated) {
				t.Errorf("%s: first %d octets: err = %v, want %v", tc.name, n, err, dhcp6.ErrTruncated)
			}
		}
	}
}
