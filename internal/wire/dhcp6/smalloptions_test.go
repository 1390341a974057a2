package dhcp6_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/wire/dhcp6"
)

// anyValue adapts a parser to one shape.
func anyValue[T any](parse func([]byte) (T, error)) func([]byte) (any, error) {
	return func(b []byte) (any, error) { return parse(b) }
}

// asError adapts a parser to its error alone.
func asError[T any](parse func([]byte) (T, error)) func([]byte) error {
	return func(b []byte) error {
		_, err := parse(b)
		return err
	}
}

var (
	parseIA       = asError(dhcp6.ParseIA)
	parseIAAddr   = asError(dhcp6.ParseIAAddr)
	parseIAPrefix = asError(dhcp6.ParseIAPrefix)
)

// smallOptions pairs each flat option with its octets, written from the RFC's
// figure, and its value.
var smallOptions = []struct {
	name   string
	octets string // the whole option
	value  any
	parse  func([]byte) (any, error)
	append func([]byte) []byte
}{
	{
		"status", "000d 000a 0006 6e6f206d6f7265 21",
		dhcp6.Status{Code: dhcp6.StatusNoPrefixAvail, Message: []byte("no more!")},
		anyValue(dhcp6.ParseStatus),
		func(b []byte) []byte {
			return dhcp6.AppendStatus(b, dhcp6.Status{Code: 6, Message: []byte("no more!")})
		},
	},
	{
		"status without text", "000d 0002 0000",
		dhcp6.Status{Message: []byte{}},
		anyValue(dhcp6.ParseStatus),
		func(b []byte) []byte { return dhcp6.AppendStatus(b, dhcp6.Status{}) },
	},
	{
		"remote-id", "0025 0007 00009d3a 616263",
		dhcp6.RemoteID{EnterpriseNumber: 40250, ID: []byte("abc")},
		anyValue(dhcp6.ParseRemoteID),
		func(b []byte) []byte {
			return dhcp6.AppendRemoteID(b, dhcp6.RemoteID{EnterpriseNumber: 40250, ID: []byte("abc")})
		},
	},
	{
		"relay-id", "0035 000a 0003 0001 020000000001",
		dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, 1},
		anyValue(dhcp6.ParseRelayID),
		func(b []byte) []byte { return dhcp6.AppendRelayID(b, dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, 1}) },
	},
	{
		"client link-layer address", "004f 0008 0001 0200000000c1",
		dhcp6.ClientLinkLayer{HardwareType: 1, Address: []byte{2, 0, 0, 0, 0, 0xc1}},
		anyValue(dhcp6.ParseClientLinkLayer),
		func(b []byte) []byte {
			return dhcp6.AppendClientLinkLayer(b, dhcp6.ClientLinkLayer{HardwareType: 1, Address: []byte{2, 0, 0, 0, 0, 0xc1}})
		},
	},
	{
		"relay port", "0087 0002 1f90", dhcp6.RelayPort(8080),
		anyValue(dhcp6.ParseRelayPort),
		func(b []byte) []byte { return dhcp6.AppendRelayPort(b, 8080) },
	},
	{
		"elapsed time", "0008 0002 0102", dhcp6.ElapsedTime(258),
		anyValue(dhcp6.ParseElapsedTime),
		func(b []byte) []byte { return dhcp6.AppendElapsedTime(b, 258) },
	},
	{
		"preference", "0007 0001 ff", uint8(255),
		anyValue(dhcp6.ParsePreference),
		func(b []byte) []byte { return dhcp6.AppendPreference(b, 255) },
	},
	{
		"reconfigure message", "0013 0001 05", dhcp6.Renew,
		anyValue(dhcp6.ParseReconfMessage),
		func(b []byte) []byte { return dhcp6.AppendReconfMessage(b, dhcp6.Renew) },
	},
	{
		"option request", "0006 0006 0019 0017 0052",
		dhcp6.ORO{0, 25, 0, 23, 0, 82},
		anyValue(dhcp6.ParseORO),
		func(b []byte) []byte { return dhcp6.AppendORO(b, 25, 23, 82) },
	},
	{
		"reconfigure key", "000b 001c 03 01 00 0102030405060708 01 0102030405060708090a0b0c0d0e0f10",
		dhcp6.Auth{
			Protocol: 3, Algorithm: 1, ReplayDetection: 0x0102030405060708,
			Information: []byte{1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
		},
		anyValue(dhcp6.ParseAuth),
		func(b []byte) []byte { return dhcp6.AppendReconfigureKey(b, 0x0102030405060708, reconfigureKey) },
	},
	{
		"authentication without information", "000b 000b 01 02 03 0000000000000000",
		dhcp6.Auth{Protocol: 1, Algorithm: 2, RDM: 3, Information: []byte{}},
		anyValue(dhcp6.ParseAuth),
		func(b []byte) []byte { return dhcp6.AppendAuth(b, dhcp6.Auth{Protocol: 1, Algorithm: 2, RDM: 3}) },
	},
	{
		"empty option request", "0006 0000",
		dhcp6.ORO{},
		anyValue(dhcp6.ParseORO),
		func(b []byte) []byte { return dhcp6.AppendORO(b) },
	},
}

func TestSmallOptions(t *testing.T) {
	for _, tc := range smallOptions {
		whole := octets(t, tc.octets)
		if got, want := tc.append([]byte{0xee}), append([]byte{0xee}, whole...); !bytes.Equal(got, want) {
			t.Errorf("%s: written as %x, want %x", tc.name, got, want)
		}
		got, err := tc.parse(whole[4:])
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if diff := cmp.Diff(tc.value, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// What is written and never read, or read as it stands.
func TestWrittenOptions(t *testing.T) {
	given := func(add func(b, v []byte) []byte) func([]byte) []byte {
		return func(b []byte) []byte { return add(b, []byte("ab")) }
	}
	for _, tc := range []struct {
		append func(b []byte) []byte
		want   string
	}{
		{given(dhcp6.AppendInterfaceID), "ee 0012 0002 6162"},
		{given(dhcp6.AppendSubscriberID), "ee 0026 0002 6162"},
		{func(b []byte) []byte { return dhcp6.AppendANIAccessTechnology(b, 4) }, "ee 0069 0002 00 04"},
		{given(dhcp6.AppendANINetworkName), "ee 006a 0002 6162"},
		{given(dhcp6.AppendANIAccessPointName), "ee 006b 0002 6162"},
		{func(b []byte) []byte { return dhcp6.AppendANIAccessPointBSSID(b, [6]byte{10, 11, 12, 13, 14, 15}) }, "ee 006c 0006 0a0b0c0d0e0f"},
		{func(b []byte) []byte { return dhcp6.AppendANIOperatorID(b, 40250) }, "ee 006d 0004 00009d3a"},
		{given(dhcp6.AppendANIOperatorRealm), "ee 006e 0002 6162"},
		{func(b []byte) []byte { return dhcp6.AppendClientID(b, []byte("ab")) }, "ee 0001 0002 6162"},
		{func(b []byte) []byte { return dhcp6.AppendServerID(b, []byte("ab")) }, "ee 0002 0002 6162"},
	} {
		if got, want := tc.append([]byte{0xee}), octets(t, tc.want); !bytes.Equal(got, want) {
			t.Errorf("got %x, want %x", got, want)
		}
	}
}

func TestSmallOptionsRefused(t *testing.T) {
	for _, tc := range []struct {
		in    string
		parse func([]byte) error
		cause error
		want  string
	}{
		{"00", asError(dhcp6.ParseStatus), dhcp6.ErrTruncated, "dhcp6: option 13 status-code at octet 0: truncated"},
		// RFC 4649 section 3: the minimum option-len is 5 octets.
		{"00009d3a", asError(dhcp6.ParseRemoteID), dhcp6.ErrTruncated, "dhcp6: option 37 remote-id at octet 4: truncated"},
		{"0003", asError(dhcp6.ParseRelayID), dhcp6.ErrTruncated, "dhcp6: DUID at octet 2: truncated"},
		{"01", asError(dhcp6.ParseClientLinkLayer), dhcp6.ErrTruncated, "dhcp6: option 79 link-layer type at octet 0: truncated"},
		{"01", asError(dhcp6.ParseRelayPort), dhcp6.ErrTruncated, "dhcp6: option 135 at octet 1: truncated"},
		{"010203", asError(dhcp6.ParseRelayPort), dhcp6.ErrMalformed, "dhcp6: option 135 option-len at octet 2: malformed"},
		{"010203", asError(dhcp6.ParseElapsedTime), dhcp6.ErrMalformed, "dhcp6: option 8 option-len at octet 2: malformed"},
		{"0102", asError(dhcp6.ParsePreference), dhcp6.ErrMalformed, "dhcp6: option 7 option-len at octet 1: malformed"},
		{"0506", asError(dhcp6.ParseReconfMessage), dhcp6.ErrMalformed, "dhcp6: option 19 option-len at octet 1: malformed"},
		{"001900", asError(dhcp6.ParseORO), dhcp6.ErrTruncated, "dhcp6: option 6 at octet 2: truncated"},
	} {
		wantError(t, tc.parse(octets(t, tc.in)), tc.cause, tc.want)
	}
}

// An address of no octets is what a link without addresses has.
func TestClientLinkLayerWithoutAddress(t *testing.T) {
	if got, err := dhcp6.ParseClientLinkLayer([]byte{0, 23}); err != nil || got.HardwareType != 23 || len(got.Address) != 0 {
		t.Errorf("got %v, %v, want type 23 and no address", got, err)
	}
}

func TestORO(t *testing.T) {
	o, err := dhcp6.ParseORO([]byte{0, 25, 1, 25, 0, 82, 0, 25})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Collect(o.All()), []dhcp6.OptionCode{25, 281, 82, 25}; !slices.Equal(got, want) {
		t.Errorf("requests %v, want %v", got, want)
	}
	for c, want := range map[dhcp6.OptionCode]bool{25: true, 281: true, 82: true, 1: false, 0: false, 6400: false} {
		if o.Contains(c) != want {
			t.Errorf("contains %d: %v, want %v", c, o.Contains(c), want)
		}
	}
	if odd := dhcp6.ORO([]byte{0, 25, 0}); odd.Contains(0) || !odd.Contains(25) {
		t.Error("an odd octet at the end must be ignored, and nothing else")
	}
	for range o.All() {
		break // stops at the first and must not go on
	}
}
