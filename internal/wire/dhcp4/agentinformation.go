package dhcp4

import (
	"iter"
	"strconv"
)

// SubOptionCode is the code of a sub-option of the Relay Agent Information option (RFC
// 3046 section 2.0).
type SubOptionCode uint8

// The sub-options of the IANA registry.
const (
	SubOptionCircuitID         SubOptionCode = 1  // RFC 3046 section 3.1
	SubOptionRemoteID          SubOptionCode = 2  // RFC 3046 section 3.2
	SubOptionDeviceClass       SubOptionCode = 4  // DOCSIS Device Class, RFC 3256 section 2
	SubOptionLinkSelection     SubOptionCode = 5  // RFC 3527 section 3
	SubOptionSubscriberID      SubOptionCode = 6  // RFC 3993 section 3.1
	SubOptionRADIUS            SubOptionCode = 7  // RADIUS Attributes, RFC 4014; opaque here
	SubOptionAuthentication    SubOptionCode = 8  // RFC 4030 section 4
	SubOptionVendorInformation SubOptionCode = 9  // RFC 4243 section 3
	SubOptionFlags             SubOptionCode = 10 // RFC 5010 section 3
	SubOptionServerIDOverride  SubOptionCode = 11 // RFC 5107 section 4
	SubOptionRelayID           SubOptionCode = 12 // RFC 6925 section 4
	SubOptionAccessTechnology  SubOptionCode = 13 // 13 to 18: RFC 7839 section 4
	SubOptionNetworkName       SubOptionCode = 14
	SubOptionAccessPointName   SubOptionCode = 15
	SubOptionAccessPointBSSID  SubOptionCode = 16
	SubOptionOperatorID        SubOptionCode = 17
	SubOptionOperatorRealm     SubOptionCode = 18
	SubOptionSourcePort        SubOptionCode = 19  // RFC 8357 section 4.1
	SubOptionVSS               SubOptionCode = 151 // RFC 6607 section 3.2
	SubOptionVSSControl        SubOptionCode = 152 // RFC 6607 section 3.3
)

// subOptionNames holds the RFCs' names without the word "sub-option".
var subOptionNames = [...]string{
	SubOptionCircuitID:         "Agent Circuit ID",
	SubOptionRemoteID:          "Agent Remote ID",
	SubOptionDeviceClass:       "DOCSIS Device Class",
	SubOptionLinkSelection:     "Link Selection",
	SubOptionSubscriberID:      "Subscriber-ID",
	SubOptionRADIUS:            "RADIUS Attributes",
	SubOptionAuthentication:    "Authentication",
	SubOptionVendorInformation: "Vendor-Specific Information",
	SubOptionFlags:             "Flags",
	SubOptionServerIDOverride:  "Server Identifier Override",
	SubOptionRelayID:           "Relay Agent Identifier",
	SubOptionAccessTechnology:  "Access-Technology-Type",
	SubOptionNetworkName:       "Network-Name",
	SubOptionAccessPointName:   "Access-Point-Name",
	SubOptionAccessPointBSSID:  "Access-Point-BSSID",
	SubOptionOperatorID:        "Operator-Identifier",
	SubOptionOperatorRealm:     "Operator-Realm",
	SubOptionSourcePort:        "Source Port",
	SubOptionVSS:               "Virtual Subnet Selection",
	SubOptionVSSControl:        "Virtual Subnet Selection Control",
}

// String returns the RFC's name, such as "Agent Circuit ID", or "sub-option N" for a
// code that has none.
func (c SubOptionCode) String() string {
	if int(c) < len(subOptionNames) && subOptionNames[c] != "" {
		return subOptionNames[c]
	}
	return "sub-option " + strconv.Itoa(int(c))
}

// AgentInformation is the Agent Information Field (RFC 3046 section 2.0): a view of sub-options
// in wire order, duplicates included, whose framing was checked. Codes 0 and 255 are sub-options
// like any other, with a length.
type AgentInformation []byte

// ParseAgentInformation checks that b is a whole number of sub-options, at least one,
// and does not look inside them. The error is ErrTruncated.
func ParseAgentInformation(b []byte) (AgentInformation, error) {
	for at := 0; at < len(b) || at == 0; {
		if len(b)-at < optionHeaderLen {
			return nil, &Error{Option: OptionAgentInformation, Field: "sub-option header", Offset: at, Err: ErrTruncated}
		}
		next := at + optionHeaderLen + int(b[at+1])
		if next > len(b) {
			return nil, &Error{Option: OptionAgentInformation, SubOption: SubOptionCode(b[at]), Offset: at, Err: ErrTruncated}
		}
		at = next
	}
	return AgentInformation(b[:len(b):len(b)]), nil
}

// All yields the code and the value of each sub-option in wire order.
func (a AgentInformation) All() iter.Seq2[SubOptionCode, []byte] {
	return func(yield func(SubOptionCode, []byte) bool) {
		for len(a) >= optionHeaderLen {
			end := optionHeaderLen + int(a[1])
			if end > len(a) || !yield(SubOptionCode(a[0]), a[optionHeaderLen:end:end]) {
				return
			}
			a = a[end:]
		}
	}
}

// First returns the value of the first sub-option with code c. An empty value is not nil.
func (a AgentInformation) First(c SubOptionCode) ([]byte, bool) {
	for code, value := range a.All() {
		if code == c {
			return value, true
		}
	}
	return nil, false
}

// AppendSubOption appends one sub-option. It panics if value is longer than
// MaxOptionLen.
func AppendSubOption(b []byte, c SubOptionCode, value []byte) []byte {
	b = appendSubOptionHeader(b, c, len(value))
	return append(b, value...)
}

// appendSubOptionHeader appends the code and length of a sub-option of n octets.
func appendSubOptionHeader(b []byte, c SubOptionCode, n int) []byte {
	if n > MaxOptionLen {
		panic(&Error{Option: OptionAgentInformation, SubOption: c, Offset: len(b), Err: ErrTooBig})
	}
	return append(b, byte(c), byte(n))
}
