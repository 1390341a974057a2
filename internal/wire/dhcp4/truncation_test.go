package dhcp4_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"fairlead/internal/wire/dhcp4"
)

// If a structure is cut short, it is refused as truncated, except for cuts between two options or
// in a field of any length.
func TestTruncations(t *testing.T) {
	agent := "0104 65746830 0c02 6162 1300"
	for _, tc := range []struct {
		name, whole string
		parse       func([]byte) error
		legal       []int // lengths that leave a valid structure
	}{
		{"message", request + "350101 00 5206 0104 65746830 3d03 010203 ff", asError(dhcp4.ParseMessage), []int{240, 243, 244, 252, 257}},
		{"BOOTP message", "01 01 06 00 00*296", asError(dhcp4.ParseMessage), nil},
		{"agent information", agent, asError(dhcp4.ParseAgentInformation), []int{6, 10}},
		{"address", "c0000201", asError(of(54, dhcp4.ParseAddress)), nil},
		{"addresses", "c0000201 c0000202", asError(of(3, dhcp4.ParseAddresses)), []int{4}},
		{"lifetime", "00000e10", asError(of(51, dhcp4.ParseLifetime)), nil},
		{"message type", "01", asError(dhcp4.ParseMessageType), nil},
		{"client identifier", "01 0203", asError(dhcp4.ParseClientID), []int{2}},
		{"parameter request list", "0103", asError(dhcp4.ParseParameterRequestList), []int{1}},
		{"maximum message size", "05dc", asError(dhcp4.ParseMaxMessageSize), nil},
		{"device class", "00000001", asError(dhcp4.ParseDeviceClass), nil},
		{"link selection", "c0000200", asError(dhcp4.ParseLinkSelection), nil},
		{"subscriber ID", "6162", asError(dhcp4.ParseSubscriberID), []int{1}},
		{"authentication", "01 01 0000000000000001 00000000 0000", asError(dhcp4.ParseAuthentication), []int{14, 15}},
		{"vendor information", "0000a2f2 02 6162 00000001 00", asError(dhcp4.ParseVendorInformation), []int{0, 7}},
		{"flags", "80", asError(dhcp4.ParseRelayFlags), nil},
		{"server identifier override", "c0000201", asError(dhcp4.ParseServerIDOverride), nil},
		{"relay ID", "6162", asError(dhcp4.ParseRelayID), []int{1}},
		{"access technology", "0004", asError(dhcp4.ParseAccessTechnology), nil},
		{"BSSID", "0a0b0c0d0e0f", asError(dhcp4.ParseAccessPointBSSID), nil},
		{"operator", "0000a2f2", asError(dhcp4.ParseOperatorID), nil},
		{"VSS by name", "00 6162", asError(dhcp4.ParseVSS), []int{1, 2}},
		{"VSS by VPN-ID", "01 01020304050607", asError(dhcp4.ParseVSS), nil},
	} {
		whole := octets(t, tc.whole)
		if err := tc.parse(whole); err != nil {
			t.Errorf("%s: whole: %v", tc.name, err)
		}
		for n := range whole {
			// It is a copy, so that nothing can be read after its end.
			err := tc.parse(slices.Clip(bytes.Clone(whole[:n])))
			if slices.Contains(tc.legal, n) {
				if err != nil {
					t.Errorf("%s: first %d octets are whole, but: %v", tc.name, n, err)
				}
			} else if !errors.Is(err, dhcp4.ErrTruncated) {
				t.Errorf("%s: first %d octets: err = %v, want %v", tc.name, n, err, dhcp4.ErrTruncated)
			}
		}
	}
}
