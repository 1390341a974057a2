package dhcp6

import "encoding/binary"

// AccessTechnology is an access technology type (RFC 7839 section 5.1), from the
// registry of RFC 5213.
type AccessTechnology uint8

// AppendANIAccessTechnology appends a whole ANI_ATT option. A relay agent that
// sends any of the next three must send this one as well (RFC 7839 section 6).
func AppendANIAccessTechnology(b []byte, v AccessTechnology) []byte {
	b = appendOptionHeader(b, OptionANIAccessTechnology, 2)
	return append(b, 0, byte(v))
}

// AppendANINetworkName appends a whole ANI_NETWORK_NAME option: an SSID or PLMN
// identifier in UTF-8 (RFC 7839 section 5.2.1). Its payload is the name and has
// no parser, nor have the two other names.
func AppendANINetworkName(b, name []byte) []byte {
	return AppendOption(b, OptionANINetworkName, name)
}

// AppendANIAccessPointName appends a whole ANI_AP_NAME option: the name of the
// access point in UTF-8 (RFC 7839 section 5.2.2).
func AppendANIAccessPointName(b, name []byte) []byte {
	return AppendOption(b, OptionANIAccessPointName, name)
}

// AppendANIAccessPointBSSID appends a whole ANI_AP_BSSID option (RFC 7839
// section 5.2.3).
func AppendANIAccessPointBSSID(b []byte, bssid [6]byte) []byte {
	return AppendOption(b, OptionANIAccessPointBSSID, bssid[:])
}

// AppendANIOperatorID appends a whole ANI_OPERATOR_ID option (RFC 7839 section
// 5.3.1).
func AppendANIOperatorID(b []byte, enterprise uint32) []byte {
	b = appendOptionHeader(b, OptionANIOperatorID, 4)
	return binary.BigEndian.AppendUint32(b, enterprise)
}

// AppendANIOperatorRealm appends a whole ANI_OPERATOR_REALM option, for instance
// EXAMPLE.COM (RFC 7839 section 5.3.2).
func AppendANIOperatorRealm(b, realm []byte) []byte {
	return AppendOption(b, OptionANIOperatorRealm, realm)
}
