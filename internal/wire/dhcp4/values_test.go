package dhcp4_test

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/wire/dhcp4"
)

// anyValue gives all parsers one type.
func anyValue[T any](parse func([]byte) (T, error)) func([]byte) (any, error) {
	return func(b []byte) (any, error) { return parse(b) }
}

// of gives a parser the code of the option that it reads.
func of[T any](c dhcp4.OptionCode, parse func(dhcp4.OptionCode, []byte) (T, error)) func([]byte) (T, error) {
	return func(b []byte) (T, error) { return parse(c, b) }
}

// asError keeps only the error of a parser.
func asError[T any](parse func([]byte) (T, error)) func([]byte) error {
	return func(b []byte) error {
		_, err := parse(b)
		return err
	}
}

// values has each option and sub-option as octets, written from the figure in the RFC, and as a
// value.
var values = []struct {
	name   string
	octets string // the whole option or sub-option
	value  any
	parse  func([]byte) (any, error)
	append func([]byte) []byte
}{
	// RFC 2132 section 9.
	{
		"requested address", "32 04 c0000205", addr("192.0.2.5"),
		anyValue(of(dhcp4.OptionRequestedAddress, dhcp4.ParseAddress)),
		func(b []byte) []byte {
			return dhcp4.AppendAddress(b, dhcp4.OptionRequestedAddress, addr("192.0.2.5"))
		},
	},
	{
		"server identifier of nobody", "36 04 00000000", addr("0.0.0.0"),
		anyValue(of(dhcp4.OptionServerID, dhcp4.ParseAddress)),
		func(b []byte) []byte { return dhcp4.AppendAddress(b, dhcp4.OptionServerID, netip.Addr{}) },
	},
	{
		"lease time", "33 04 00000e10", dhcp4.Lifetime(3600),
		anyValue(of(dhcp4.OptionLeaseTime, dhcp4.ParseLifetime)),
		func(b []byte) []byte { return dhcp4.AppendLifetime(b, dhcp4.OptionLeaseTime, 3600) },
	},
	{
		"lease time without end", "33 04 ffffffff", dhcp4.Infinity,
		anyValue(of(dhcp4.OptionLeaseTime, dhcp4.ParseLifetime)),
		func(b []byte) []byte { return dhcp4.AppendLifetime(b, dhcp4.OptionLeaseTime, dhcp4.Infinity) },
	},
	{
		"T1", "3a 04 00000000", dhcp4.Lifetime(0),
		anyValue(of(dhcp4.OptionRenewalTime, dhcp4.ParseLifetime)),
		func(b []byte) []byte { return dhcp4.AppendLifetime(b, dhcp4.OptionRenewalTime, 0) },
	},
	{
		"message type", "35 01 07", dhcp4.Release,
		anyValue(dhcp4.ParseMessageType),
		func(b []byte) []byte { return dhcp4.AppendMessageType(b, dhcp4.Release) },
	},
	{
		"client identifier", "3d 07 01 0200000000c1", octetsOf("\x01\x02\x00\x00\x00\x00\xc1"),
		anyValue(dhcp4.ParseClientID),
		func(b []byte) []byte { return dhcp4.AppendClientID(b, []byte("\x01\x02\x00\x00\x00\x00\xc1")) },
	},
	{
		"parameter request list", "37 04 01 03 06 ff",
		dhcp4.ParameterRequestList{1, 3, 6, 255},
		anyValue(dhcp4.ParseParameterRequestList),
		func(b []byte) []byte {
			return dhcp4.AppendParameterRequestList(b, dhcp4.OptionSubnetMask, dhcp4.OptionRouter, dhcp4.OptionDomainNameServer, 255)
		},
	},
	{
		"maximum message size", "39 02 0240", uint16(576),
		anyValue(dhcp4.ParseMaxMessageSize),
		func(b []byte) []byte { return dhcp4.AppendMaxMessageSize(b, 576) },
	},
	{
		"routers", "03 08 c0000201 c0000202",
		dhcp4.Addresses{192, 0, 2, 1, 192, 0, 2, 2},
		anyValue(of(dhcp4.OptionRouter, dhcp4.ParseAddresses)),
		func(b []byte) []byte {
			return dhcp4.AppendAddresses(b, dhcp4.OptionRouter, addr("192.0.2.1"), addr("192.0.2.2"))
		},
	},
	// Sub-options of option 82.
	{
		"circuit ID", "01 04 65746830", octetsOf("eth0"), opaque,
		func(b []byte) []byte { return dhcp4.AppendCircuitID(b, []byte("eth0")) },
	},
	{
		"empty circuit ID", "01 00", octetsOf(""), opaque,
		func(b []byte) []byte { return dhcp4.AppendCircuitID(b, nil) },
	},
	{
		"remote ID", "02 03 00ff61", octetsOf("\x00\xffa"), opaque,
		func(b []byte) []byte { return dhcp4.AppendRemoteID(b, []byte("\x00\xffa")) },
	},
	{
		"device class", "04 04 00000001", dhcp4.DeviceClassCCCM,
		anyValue(dhcp4.ParseDeviceClass),
		func(b []byte) []byte { return dhcp4.AppendDeviceClass(b, dhcp4.DeviceClassCCCM) },
	},
	{
		"link selection", "05 04 c0000200", addr("192.0.2.0"),
		anyValue(dhcp4.ParseLinkSelection),
		func(b []byte) []byte { return dhcp4.AppendLinkSelection(b, addr("192.0.2.0")) },
	},
	{
		"subscriber ID", "06 03 733432", octetsOf("s42"),
		anyValue(dhcp4.ParseSubscriberID),
		func(b []byte) []byte { return dhcp4.AppendSubscriberID(b, []byte("s42")) },
	},
	{
		"authentication", "08 26 01 01 0000000000000102 00000000 00000007 ab*20",
		dhcp4.Authentication{
			Algorithm: dhcp4.AlgorithmHMACSHA1, RDM: dhcp4.RDMCounter, ReplayDetection: 258,
			Information: octetsOf("\x00\x00\x00\x07" + strings.Repeat("\xab", 20)),
		},
		anyValue(dhcp4.ParseAuthentication),
		func(b []byte) []byte {
			return dhcp4.AppendAuthentication(b, dhcp4.Authentication{
				Algorithm: 1, RDM: 1, ReplayDetection: 258, Information: []byte("\x00\x00\x00\x07" + strings.Repeat("\xab", 20)),
			})
		},
	},
	{
		"authentication of another kind", "08 0e 02 0f ffffffffffffffff 01020304",
		dhcp4.Authentication{Algorithm: 2, RDM: 15, ReplayDetection: 1<<64 - 1, RelayID: 0x01020304, Information: []byte{}},
		anyValue(dhcp4.ParseAuthentication),
		func(b []byte) []byte {
			return dhcp4.AppendAuthentication(b, dhcp4.Authentication{Algorithm: 2, RDM: 0xff, ReplayDetection: 1<<64 - 1, RelayID: 0x01020304})
		},
	},
	{
		"vendor information", "09 08 0000a2f2 03 616263", dhcp4.VendorInformation("\x00\x00\xa2\xf2\x03abc"),
		anyValue(dhcp4.ParseVendorInformation),
		func(b []byte) []byte { return dhcp4.AppendVendorInformation(b, 41714, []byte("abc")) },
	},
	{
		"flags", "0a 01 80", dhcp4.RelayFlagUnicast,
		anyValue(dhcp4.ParseRelayFlags),
		func(b []byte) []byte { return dhcp4.AppendRelayFlags(b, dhcp4.RelayFlagUnicast) },
	},
	{
		"server identifier override", "0b 04 c00002fe", addr("192.0.2.254"),
		anyValue(dhcp4.ParseServerIDOverride),
		func(b []byte) []byte { return dhcp4.AppendServerIDOverride(b, addr("192.0.2.254")) },
	},
	{
		"relay ID", "0c 12 0004 00112233445566778899aabbccddeeff", octetsOf("\x00\x04\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"),
		anyValue(dhcp4.ParseRelayID),
		func(b []byte) []byte {
			return dhcp4.AppendRelayID(b, []byte("\x00\x04\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"))
		},
	},
	{
		"access technology", "0d 02 00 04", dhcp4.AccessTechnology(4),
		anyValue(dhcp4.ParseAccessTechnology),
		func(b []byte) []byte { return dhcp4.AppendAccessTechnology(b, 4) },
	},
	{
		"network name", "0e 04 5353 c3a9", octetsOf("SS\xc3\xa9"), opaque,
		func(b []byte) []byte { return dhcp4.AppendNetworkName(b, []byte("SSé")) },
	},
	{
		"access point name", "0f 03 617031", octetsOf("ap1"), opaque,
		func(b []byte) []byte { return dhcp4.AppendAccessPointName(b, []byte("ap1")) },
	},
	{
		"BSSID", "10 06 0200005e0001",
		[6]byte{2, 0, 0, 0x5e, 0, 1},
		anyValue(dhcp4.ParseAccessPointBSSID),
		func(b []byte) []byte { return dhcp4.AppendAccessPointBSSID(b, [6]byte{2, 0, 0, 0x5e, 0, 1}) },
	},
	{
		"operator", "11 04 0000a2f2", uint32(41714),
		anyValue(dhcp4.ParseOperatorID),
		func(b []byte) []byte { return dhcp4.AppendOperatorID(b, 41714) },
	},
	{
		"operator realm", "12 0b 4558414d504c452e434f4d", octetsOf("EXAMPLE.COM"), opaque,
		func(b []byte) []byte { return dhcp4.AppendOperatorRealm(b, []byte("EXAMPLE.COM")) },
	},
	{
		"source port", "13 00", octetsOf(""), opaque,
		dhcp4.AppendSourcePort,
	},
	{
		"VSS by name", "97 04 00 616263",
		dhcp4.VSS{Type: dhcp4.VSSName, Information: []byte("abc")},
		anyValue(dhcp4.ParseVSS),
		func(b []byte) []byte { return dhcp4.AppendVSS(b, dhcp4.VSS{Information: []byte("abc")}) },
	},
	{
		"VSS by VPN-ID", "97 08 01 01020304050607",
		dhcp4.VSS{Type: dhcp4.VSSVPNID, Information: []byte{1, 2, 3, 4, 5, 6, 7}},
		anyValue(dhcp4.ParseVSS),
		func(b []byte) []byte {
			return dhcp4.AppendVSS(b, dhcp4.VSS{Type: 1, Information: []byte{1, 2, 3, 4, 5, 6, 7}})
		},
	},
	{
		"global VSS", "97 01 ff",
		dhcp4.VSS{Type: dhcp4.VSSGlobal, Information: []byte{}},
		anyValue(dhcp4.ParseVSS),
		func(b []byte) []byte { return dhcp4.AppendVSS(b, dhcp4.VSS{Type: dhcp4.VSSGlobal}) },
	},
	{
		"VSS control", "98 00", octetsOf(""), opaque,
		dhcp4.AppendVSSControl,
	},
}

func octetsOf(s string) []byte { return []byte(s) }

// opaque is the parser of options that have no parser: the payload is the value.
func opaque(b []byte) (any, error) { return b, nil }

func TestValues(t *testing.T) {
	for _, tc := range values {
		whole := octets(t, tc.octets)
		if int(whole[1]) != len(whole)-2 {
			t.Fatalf("%s: the test's own length is wrong", tc.name)
		}
		got, err := tc.parse(whole[2:])
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		} else if diff := cmp.Diff(tc.value, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		if got, want := tc.append([]byte{0xee}), append([]byte{0xee}, whole...); !bytes.Equal(got, want) {
			t.Errorf("%s: written as %x, want %x", tc.name, got, want)
		}
	}
}

func TestValuesRefused(t *testing.T) {
	for _, tc := range []struct {
		in, want string
		parse    func([]byte) error
	}{
		{"c000020100", "option 54 length at octet 4: malformed", asError(of(54, dhcp4.ParseAddress))},
		{"0000000000", "option 51 length at octet 4: malformed", asError(of(51, dhcp4.ParseLifetime))},
		{"", "option 3 at octet 0: truncated", asError(of(3, dhcp4.ParseAddresses))},
		{"c00002", "option 3 at octet 3: truncated", asError(of(3, dhcp4.ParseAddresses))},
		{"c0000201c00002", "option 3 at octet 7: truncated", asError(of(3, dhcp4.ParseAddresses))},
		{"0101", "option 53 length at octet 1: malformed", asError(dhcp4.ParseMessageType)},
		{"01", "option 61 at octet 1: truncated", asError(dhcp4.ParseClientID)},
		{"", "option 55 at octet 0: truncated", asError(dhcp4.ParseParameterRequestList)},
		{"023f", "option 57 at octet 0: malformed", asError(dhcp4.ParseMaxMessageSize)},
		{"000240", "option 57 length at octet 2: malformed", asError(dhcp4.ParseMaxMessageSize)},
		{"0000000100", "option 82 sub-option 4 length at octet 4: malformed", asError(dhcp4.ParseDeviceClass)},
		{"c000020000", "option 82 sub-option 5 length at octet 4: malformed", asError(dhcp4.ParseLinkSelection)},
		{"", "option 82 sub-option 6 at octet 0: truncated", asError(dhcp4.ParseSubscriberID)},
		{"0101", "option 82 sub-option 8 at octet 2: truncated", asError(dhcp4.ParseAuthentication)},
		{"0000a2f200 0000a2f2 02 61", "option 82 sub-option 9 at octet 5: truncated", asError(dhcp4.ParseVendorInformation)},
		{"", "option 82 sub-option 10 at octet 0: truncated", asError(dhcp4.ParseRelayFlags)},
		{"c0000200", "", asError(dhcp4.ParseServerIDOverride)},
		{"c00002", "option 82 sub-option 11 at octet 3: truncated", asError(dhcp4.ParseServerIDOverride)},
		{"", "option 82 sub-option 12 at octet 0: truncated", asError(dhcp4.ParseRelayID)},
		{"000400", "option 82 sub-option 13 length at octet 2: malformed", asError(dhcp4.ParseAccessTechnology)},
		{"0a0b0c0d0e0f00", "option 82 sub-option 16 length at octet 6: malformed", asError(dhcp4.ParseAccessPointBSSID)},
		{"0000a2f200", "option 82 sub-option 17 length at octet 4: malformed", asError(dhcp4.ParseOperatorID)},
		{"", "option 82 sub-option 151 at octet 0: truncated", asError(dhcp4.ParseVSS)},
		{"01 010203040506", "option 82 sub-option 151 at octet 7: truncated", asError(dhcp4.ParseVSS)},
		{"01 0102030405060708", "option 82 sub-option 151 length at octet 8: malformed", asError(dhcp4.ParseVSS)},
		{"ff 61", "option 82 sub-option 151 length at octet 1: malformed", asError(dhcp4.ParseVSS)},
		{"fe 61", "", asError(dhcp4.ParseVSS)},
		{"00", "", asError(dhcp4.ParseVSS)},
	} {
		err := tc.parse(octets(t, tc.in))
		if tc.want == "" {
			if err != nil {
				t.Errorf("%q: %v", tc.in, err)
			}
			continue
		}
		cause := dhcp4.ErrTruncated
		if strings.HasSuffix(tc.want, "malformed") {
			cause = dhcp4.ErrMalformed
		}
		wantError(t, err, cause, "dhcp4: "+tc.want)
	}
}

// RFC 5010 section 5: if there are several octets, the first one is evaluated.
func TestRFC5010_5_FirstOctetOfLongFlags(t *testing.T) {
	if got, err := dhcp4.ParseRelayFlags([]byte{0x81, 0, 0}); got != 0x81 || got&dhcp4.RelayFlagUnicast == 0 || err != nil {
		t.Errorf("got %#x, %v", got, err)
	}
}

// RFC 7839 section 4.2: the reserved octet is ignored.
func TestRFC7839_4_2_ReservedOctetIsIgnored(t *testing.T) {
	if got, err := dhcp4.ParseAccessTechnology([]byte{0xff, 4}); got != 4 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

// RFC 4030 section 4: the bits beside the RDM must not be used.
func TestRFC4030_4_BitsBesideTheRDMAreIgnored(t *testing.T) {
	if got, err := dhcp4.ParseAuthentication(octets(t, "01 f1 00*12")); got.RDM != dhcp4.RDMCounter || err != nil {
		t.Errorf("RDM %v, %v", got.RDM, err)
	}
}

// RFC 6925 section 4: the identifier has at least one octet. An option 82 can hold one of 253
// octets.
func TestRFC6925_4_LengthOfTheIdentifier(t *testing.T) {
	for _, n := range []int{1, 2, dhcp4.MaxRelayIDLen} {
		id := bytes.Repeat([]byte{0xab}, n)
		b, mark := dhcp4.BeginAgentInformation(octets(t, request))
		b, err := dhcp4.EndAgentInformation(dhcp4.AppendRelayID(b, id), mark)
		if err != nil {
			t.Fatalf("%d octets: %v", n, err)
		}
		m, err := dhcp4.ParseMessage(b)
		if err != nil {
			t.Fatal(err)
		}
		a, _, err := m.AgentInformation(nil)
		v, ok := a.First(dhcp4.SubOptionRelayID)
		if got, idErr := dhcp4.ParseRelayID(v); err != nil || !ok || idErr != nil || !bytes.Equal(got, id) {
			t.Errorf("%d octets are read back as %x, %v, %v, %v", n, got, ok, err, idErr)
		}
	}
	b, mark := dhcp4.BeginAgentInformation(nil)
	if _, err := dhcp4.EndAgentInformation(dhcp4.AppendRelayID(b, make([]byte, dhcp4.MaxRelayIDLen+1)), mark); err == nil {
		t.Error("one octet more fits as well")
	}
}

func TestVendorInformationOfSeveral(t *testing.T) {
	v, err := dhcp4.ParseVendorInformation(octets(t, "00000001 00 0000a2f2 02 6162"))
	if err != nil {
		t.Fatal(err)
	}
	var got []pair
	for enterprise, data := range v.All() {
		got = append(got, pair{int(enterprise), string(data)})
	}
	if diff := cmp.Diff([]pair{{1, ""}, {41714, "ab"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for enterprise := range v.All() {
		if enterprise != 1 {
			t.Error("not stopped after the first")
		}
		break
	}
	if v, err := dhcp4.ParseVendorInformation(nil); err != nil || len(v) != 0 {
		t.Errorf("of nobody: %v, %v", v, err)
	}
}

func TestLists(t *testing.T) {
	a, err := dhcp4.ParseAddresses(dhcp4.OptionRouter, octets(t, "c0000201 c0000202"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Collect(a.All()), []netip.Addr{addr("192.0.2.1"), addr("192.0.2.2")}; !slices.Equal(got, want) {
		t.Errorf("addresses %v, want %v", got, want)
	}
	for first := range a.All() {
		if first != addr("192.0.2.1") {
			t.Errorf("first %v", first)
		}
		break
	}
	l, err := dhcp4.ParseParameterRequestList([]byte{3, 1, 3})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Collect(l.All()), []dhcp4.OptionCode{3, 1, 3}; !slices.Equal(got, want) {
		t.Errorf("codes %v, want %v", got, want)
	}
	if !l.Contains(1) || !l.Contains(3) || l.Contains(0) || l.Contains(6) {
		t.Errorf("%v: Contains differs", l)
	}
	for first := range l.All() {
		if first != 3 {
			t.Errorf("first %v", first)
		}
		break
	}
}

// RFC 2132 section 2: trailing nulls are deleted.
func TestRFC2132_2_TrailingNulls(t *testing.T) {
	for in, want := range map[string]string{"": "", "ab": "ab", "ab\x00": "ab", "a\x00b\x00\x00": "a\x00b", "\x00": ""} {
		if got := string(dhcp4.Text([]byte(in))); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}
