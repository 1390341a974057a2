package dhcp4

import (
	"encoding/binary"
	"iter"
	"net/netip"
)

// AppendCircuitID appends a whole Agent Circuit ID sub-option (RFC 3046 section 3.1). Its value
// is opaque and of any length, and has no parser: AgentInformation.First returns it. The same
// holds for the remote ID.
func AppendCircuitID(b, id []byte) []byte { return AppendSubOption(b, SubOptionCircuitID, id) }

// AppendRemoteID appends a whole Agent Remote ID sub-option (RFC 3046 section 3.2).
func AppendRemoteID(b, id []byte) []byte { return AppendSubOption(b, SubOptionRemoteID, id) }

// DeviceClass describes a cable modem, with a bit for each attribute (RFC 3256 section 2).
type DeviceClass uint32

// DeviceClassCCCM is the bit of a CPE Controlled Cable Modem.
const DeviceClassCCCM DeviceClass = 1

// ParseDeviceClass reads the value of a DOCSIS Device Class sub-option.
func ParseDeviceClass(b []byte) (DeviceClass, error) {
	v, err := parseUint32(SubOptionDeviceClass, b)
	return DeviceClass(v), err
}

// AppendDeviceClass appends a whole DOCSIS Device Class sub-option.
func AppendDeviceClass(b []byte, v DeviceClass) []byte {
	return appendUint32(b, SubOptionDeviceClass, uint32(v))
}

// ParseLinkSelection reads the value of a Link Selection sub-option (RFC 3527 section 3): the
// address of the subnet, whose host bits are zero.
func ParseLinkSelection(b []byte) (netip.Addr, error) {
	return parseSubAddress(SubOptionLinkSelection, b)
}

// AppendLinkSelection appends a whole Link Selection sub-option. The caller has set the
// host bits of the subnet's address to zero.
func AppendLinkSelection(b []byte, subnet netip.Addr) []byte {
	return appendAddr(appendSubOptionHeader(b, SubOptionLinkSelection, 4), subnet)
}

// ParseSubscriberID reads the value of a Subscriber-ID sub-option (RFC 3993 section
// 3.1): NVT ASCII of one octet or more, which is not checked.
func ParseSubscriberID(b []byte) ([]byte, error) {
	return atLeast(b, OptionAgentInformation, SubOptionSubscriberID, 1)
}

// AppendSubscriberID appends a whole Subscriber-ID sub-option. The id must not be empty, and its
// last octet must not be 0.
func AppendSubscriberID(b, id []byte) []byte { return AppendSubOption(b, SubOptionSubscriberID, id) }

// Authentication is the value of an Authentication sub-option (RFC 4030 section 4).
type Authentication struct {
	Algorithm       uint8
	RDM             uint8 // replay detection method, 4 bits
	ReplayDetection uint64
	RelayID         uint32 // the Relay Identifier field, 0 from a relay agent that sets giaddr
	Information     []byte // the Authentication Information field
}

// The method of replay detection of RFC 4030 (section 5), and its algorithm (section 7.1), whose
// Authentication Information is a key ID of 4 octets and a digest of 20 octets.
const (
	RDMCounter        uint8 = 1
	AlgorithmHMACSHA1 uint8 = 1
	HMACSHA1Len             = 4 + 20
)

// authenticationHeaderLen is the length of the fields before the Authentication Information.
const authenticationHeaderLen = 1 + 1 + 8 + 4

// ParseAuthentication reads the value of an Authentication sub-option. It does not check that the
// length fits the algorithm. The four bits beside the RDM are ignored.
func ParseAuthentication(b []byte) (Authentication, error) {
	if len(b) < authenticationHeaderLen {
		return Authentication{}, &Error{Option: OptionAgentInformation, SubOption: SubOptionAuthentication, Offset: len(b), Err: ErrTruncated}
	}
	return Authentication{
		Algorithm:       b[0],
		RDM:             b[1] & 0xf,
		ReplayDetection: binary.BigEndian.Uint64(b[2:]),
		RelayID:         binary.BigEndian.Uint32(b[10:]),
		Information:     b[authenticationHeaderLen:len(b):len(b)],
	}, nil
}

// AppendAuthentication appends a whole Authentication sub-option.
func AppendAuthentication(b []byte, v Authentication) []byte {
	b = appendSubOptionHeader(b, SubOptionAuthentication, authenticationHeaderLen+len(v.Information))
	b = append(b, v.Algorithm, v.RDM&0xf)
	b = binary.BigEndian.AppendUint64(b, v.ReplayDetection)
	b = binary.BigEndian.AppendUint32(b, v.RelayID)
	return append(b, v.Information...)
}

// VendorInformation is the value of a Vendor-Specific Information sub-option (RFC 4243 section
// 3): for each vendor an enterprise number, a length of one octet, and data.
type VendorInformation []byte

// vendorHeaderLen is the enterprise number and the length of the data.
const vendorHeaderLen = 4 + 1

// ParseVendorInformation checks that b is a whole number of vendors' data. The error is
// ErrTruncated.
func ParseVendorInformation(b []byte) (VendorInformation, error) {
	for at := 0; at < len(b); {
		next := at + vendorHeaderLen
		if next <= len(b) {
			next += int(b[next-1])
		}
		if next > len(b) {
			return nil, &Error{Option: OptionAgentInformation, SubOption: SubOptionVendorInformation, Offset: at, Err: ErrTruncated}
		}
		at = next
	}
	return VendorInformation(b[:len(b):len(b)]), nil
}

// All yields each vendor's enterprise number and data in wire order.
func (v VendorInformation) All() iter.Seq2[uint32, []byte] {
	return func(yield func(uint32, []byte) bool) {
		for len(v) >= vendorHeaderLen {
			end := vendorHeaderLen + int(v[vendorHeaderLen-1])
			if end > len(v) || !yield(binary.BigEndian.Uint32(v), v[vendorHeaderLen:end:end]) {
				return
			}
			v = v[end:]
		}
	}
}

// AppendVendorInformation appends a whole Vendor-Specific Information sub-option with
// the data of one vendor.
func AppendVendorInformation(b []byte, enterprise uint32, data []byte) []byte {
	b = appendSubOptionHeader(b, SubOptionVendorInformation, vendorHeaderLen+len(data))
	b = binary.BigEndian.AppendUint32(b, enterprise)
	b = append(b, byte(len(data)))
	return append(b, data...)
}

// RelayFlags is the value of a Flags sub-option (RFC 5010 section 3).
type RelayFlags uint8

// RelayFlagUnicast says that the relay agent received the request as a unicast.
const RelayFlagUnicast RelayFlags = 0x80

// ParseRelayFlags reads the value of a Flags sub-option: its first octet. Octets after that are
// ignored (RFC 5010 section 5).
func ParseRelayFlags(b []byte) (RelayFlags, error) {
	b, err := atLeast(b, OptionAgentInformation, SubOptionFlags, 1)
	if err != nil {
		return 0, err
	}
	return RelayFlags(b[0]), nil
}

// AppendRelayFlags appends a whole Flags sub-option. A relay agent that sends one must send it in
// every option 82 that it adds (RFC 5010 section 4).
func AppendRelayFlags(b []byte, v RelayFlags) []byte {
	return append(appendSubOptionHeader(b, SubOptionFlags, 1), byte(v))
}

// ParseServerIDOverride reads the value of a Server Identifier Override sub-option (RFC
// 5107 section 4).
func ParseServerIDOverride(b []byte) (netip.Addr, error) {
	return parseSubAddress(SubOptionServerIDOverride, b)
}

// AppendServerIDOverride appends a whole Server Identifier Override sub-option.
func AppendServerIDOverride(b []byte, v netip.Addr) []byte {
	return appendAddr(appendSubOptionHeader(b, SubOptionServerIDOverride, 4), v)
}

// MaxRelayIDLen is the longest identifier that an option 82 can hold.
const MaxRelayIDLen = MaxOptionLen - optionHeaderLen

// ParseRelayID reads the value of a Relay Agent Identifier sub-option (RFC 6925 section
// 4): one octet or more, opaque.
func ParseRelayID(b []byte) ([]byte, error) {
	return atLeast(b, OptionAgentInformation, SubOptionRelayID, 1)
}

// AppendRelayID appends a whole Relay Agent Identifier sub-option. The id has 1 to
// MaxRelayIDLen octets.
func AppendRelayID(b, id []byte) []byte { return AppendSubOption(b, SubOptionRelayID, id) }

// AccessTechnology is an access technology type (RFC 7839 section 4.2), from the registry
// of RFC 5213.
type AccessTechnology uint8

// ParseAccessTechnology reads the value of an Access-Technology-Type sub-option: a
// reserved octet, which is ignored, and the type.
func ParseAccessTechnology(b []byte) (AccessTechnology, error) {
	if err := exactly(b, OptionAgentInformation, SubOptionAccessTechnology, 2); err != nil {
		return 0, err
	}
	return AccessTechnology(b[1]), nil
}

// AppendAccessTechnology appends a whole Access-Technology-Type sub-option.
func AppendAccessTechnology(b []byte, v AccessTechnology) []byte {
	return append(appendSubOptionHeader(b, SubOptionAccessTechnology, 2), 0, byte(v))
}

// AppendNetworkName appends a whole Network-Name sub-option: an SSID or PLMN identifier in UTF-8
// (RFC 7839 section 4.3.1). The value is the name, and has no parser; the same holds for the
// other two names.
func AppendNetworkName(b, name []byte) []byte { return AppendSubOption(b, SubOptionNetworkName, name) }

// AppendAccessPointName appends a whole Access-Point-Name sub-option: the name of the
// access point in UTF-8 (RFC 7839 section 4.3.2).
func AppendAccessPointName(b, name []byte) []byte {
	return AppendSubOption(b, SubOptionAccessPointName, name)
}

// ParseAccessPointBSSID reads the value of an Access-Point-BSSID sub-option (RFC 7839
// section 4.3.3).
func ParseAccessPointBSSID(b []byte) ([6]byte, error) {
	if err := exactly(b, OptionAgentInformation, SubOptionAccessPointBSSID, 6); err != nil {
		return [6]byte{}, err
	}
	return [6]byte(b), nil
}

// AppendAccessPointBSSID appends a whole Access-Point-BSSID sub-option.
func AppendAccessPointBSSID(b []byte, bssid [6]byte) []byte {
	return AppendSubOption(b, SubOptionAccessPointBSSID, bssid[:])
}

// ParseOperatorID reads the value of an Operator-Identifier sub-option (RFC 7839 section
// 4.4.1): a private enterprise number.
func ParseOperatorID(b []byte) (uint32, error) { return parseUint32(SubOptionOperatorID, b) }

// AppendOperatorID appends a whole Operator-Identifier sub-option.
func AppendOperatorID(b []byte, enterprise uint32) []byte {
	return appendUint32(b, SubOptionOperatorID, enterprise)
}

// AppendOperatorRealm appends a whole Operator-Realm sub-option, for example EXAMPLE.COM (RFC
// 7839 section 4.4.2).
func AppendOperatorRealm(b, realm []byte) []byte {
	return AppendSubOption(b, SubOptionOperatorRealm, realm)
}

// AppendSourcePort appends a whole Source Port sub-option (RFC 8357 section 4.1). It has no
// value. Its presence says that replies go to the port that the request came from.
func AppendSourcePort(b []byte) []byte { return AppendSubOption(b, SubOptionSourcePort, nil) }

// VSS is the value of a Virtual Subnet Selection sub-option (RFC 6607 section
// 3.5).
type VSS struct {
	Type        uint8
	Information []byte
}

// The types of VSS information (RFC 6607 section 3.5).
const (
	VSSName   uint8 = 0   // an NVT ASCII VPN identifier, without a zero octet at its end
	VSSVPNID  uint8 = 1   // an RFC 2685 VPN-ID of 7 octets
	VSSGlobal uint8 = 255 // the global, default VPN, without information
)

// ParseVSS reads the value of a Virtual Subnet Selection sub-option (RFC 6607 section 3.2). If
// the length of the information does not fit the type, the error is ErrTruncated or ErrMalformed.
// The information of unassigned types is not checked.
func ParseVSS(b []byte) (VSS, error) {
	b, err := atLeast(b, OptionAgentInformation, SubOptionVSS, 1)
	if err != nil {
		return VSS{}, err
	}
	n := len(b)
	switch b[0] {
	case VSSVPNID:
		n = 1 + 7
	case VSSGlobal:
		n = 1
	}
	if err := exactly(b, OptionAgentInformation, SubOptionVSS, n); err != nil {
		return VSS{}, err
	}
	return VSS{Type: b[0], Information: b[1:]}, nil
}

// AppendVSS appends a whole Virtual Subnet Selection sub-option. A relay agent that sends
// it must send AppendVSSControl as well (RFC 6607 section 4.1).
func AppendVSS(b []byte, v VSS) []byte {
	b = appendSubOptionHeader(b, SubOptionVSS, 1+len(v.Information))
	return append(append(b, v.Type), v.Information...)
}

// AppendVSSControl appends a whole Virtual Subnet Selection Control sub-option (RFC 6607 section
// 3.3). It has no value. In a reply it says that the server did not use the VSS sub-option.
func AppendVSSControl(b []byte) []byte { return AppendSubOption(b, SubOptionVSSControl, nil) }

func parseSubAddress(c SubOptionCode, b []byte) (netip.Addr, error) {
	if err := exactly(b, OptionAgentInformation, c, 4); err != nil {
		return netip.Addr{}, err
	}
	return netip.AddrFrom4([4]byte(b)), nil
}

func parseUint32(c SubOptionCode, b []byte) (uint32, error) {
	if err := exactly(b, OptionAgentInformation, c, 4); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b), nil
}

func appendUint32(b []byte, c SubOptionCode, v uint32) []byte {
	return binary.BigEndian.AppendUint32(appendSubOptionHeader(b, c, 4), v)
}
