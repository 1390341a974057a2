package dhcp6

import (
	"encoding/binary"
	"net/netip"
)

// The UDP ports of RFC 8415 section 7.2.
const (
	ClientPort = 546
	ServerPort = 547 // of servers and relay agents
)

// The multicast addresses of RFC 8415 section 7.1.
var (
	AllRelayAgentsAndServers = netip.MustParseAddr("ff02::1:2")
	AllServers               = netip.MustParseAddr("ff05::1:3")
)

// ElapsedTime is the payload of an Elapsed Time option (RFC 8415 section 21.9):
// hundredths of a second, the largest value for all that is longer.
type ElapsedTime uint16

// ParseElapsedTime reads the payload of an ELAPSED_TIME option: two octets
// exactly.
func ParseElapsedTime(b []byte) (ElapsedTime, error) {
	if err := exactly(b, OptionElapsedTime, 2); err != nil {
		return 0, err
	}
	return ElapsedTime(binary.BigEndian.Uint16(b)), nil
}

// AppendElapsedTime appends a whole ELAPSED_TIME option.
func AppendElapsedTime(b []byte, v ElapsedTime) []byte {
	b = appendOptionHeader(b, OptionElapsedTime, 2)
	return binary.BigEndian.AppendUint16(b, uint16(v))
}

// ParseReconfMessage reads the payload of a RECONF_MSG option (RFC 8415 section
// 21.19): the type of message that the client is to send.
func ParseReconfMessage(b []byte) (MessageType, error) {
	if err := exactly(b, OptionReconfMessage, 1); err != nil {
		return 0, err
	}
	return MessageType(b[0]), nil
}

// AppendReconfMessage appends a whole RECONF_MSG option.
func AppendReconfMessage(b []byte, t MessageType) []byte {
	return append(appendOptionHeader(b, OptionReconfMessage, 1), byte(t))
}

// ParsePreference reads the payload of a PREFERENCE option (RFC 8415 section 21.8): one octet.
func ParsePreference(b []byte) (uint8, error) {
	if err := exactly(b, OptionPreference, 1); err != nil {
		return 0, err
	}
	return b[0], nil
}

// AppendPreference appends a whole PREFERENCE option.
func AppendPreference(b []byte, preference uint8) []byte {
	return append(appendOptionHeader(b, OptionPreference, 1), preference)
}
