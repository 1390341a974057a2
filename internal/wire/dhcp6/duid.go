package dhcp6

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
)

// DUID is a DHCP Unique Identifier (RFC 8415 section 11): the type and the
// identifier, a view. It is opaque, to be compared for equality alone.
type DUID []byte

// The bounds of a DUID with its two octets of type (RFC 8415 section 11.1).
const (
	MinDUIDLen = 2 + 1
	MaxDUIDLen = 2 + 128
)

// DUIDType is the type code of a DUID. Other types than these are legal.
type DUIDType uint16

// The DUID types of RFC 8415 section 11.1.
const (
	DUIDTypeLLT  DUIDType = 1
	DUIDTypeEN   DUIDType = 2
	DUIDTypeLL   DUIDType = 3
	DUIDTypeUUID DUIDType = 4
)

// HardwareEthernet is the IANA hardware type of Ethernet.
const HardwareEthernet uint16 = 1

// Valid checks the length: ErrTruncated below MinDUIDLen, ErrMalformed above
// MaxDUIDLen.
func (d DUID) Valid() error {
	switch {
	case len(d) < MinDUIDLen:
		return &Error{Field: "DUID", Offset: len(d), Err: ErrTruncated}
	case len(d) > MaxDUIDLen:
		return &Error{Field: "DUID", Offset: MaxDUIDLen, Err: ErrMalformed}
	}
	return nil
}

// Whole is Valid, and checks the lengths that types with one have: of a UUID, and
// of a link-layer address of Ethernet. It is for identities that are written down,
// which may have been cut; those of others are opaque.
func (d DUID) Whole() error {
	if err := d.Valid(); err != nil {
		return err
	}
	ethernet := len(d) >= 4 && binary.BigEndian.Uint16(d[2:]) == HardwareEthernet
	least, exact := MinDUIDLen, ethernet
	switch d.Type() {
	case DUIDTypeLLT:
		least = 2 + 2 + 4 + 1
		if ethernet {
			least += 5
		}
	case DUIDTypeEN:
		least, exact = 2+4+1, false
	case DUIDTypeLL:
		least = 2 + 2 + 1
		if ethernet {
			least += 5
		}
	case DUIDTypeUUID:
		least, exact = 2+16, true
	default:
		exact = false
	}
	switch {
	case len(d) < least:
		return &Error{Field: "DUID", Offset: len(d), Err: ErrTruncated}
	case exact && len(d) > least:
		return &Error{Field: "DUID", Offset: least, Err: ErrMalformed}
	}
	return nil
}

// Type returns the type code, 0 if d has less than two octets.
func (d DUID) Type() DUIDType {
	if len(d) < 2 {
		return 0
	}
	return DUIDType(binary.BigEndian.Uint16(d))
}

// String returns the octets in hexadecimal with colons: "00:03:00:01:02:...".
func (d DUID) String() string {
	const digits = "0123456789abcdef"
	s := make([]byte, 0, 3*len(d))
	for i, octet := range d {
		if i > 0 {
			s = append(s, ':')
		}
		s = append(s, digits[octet>>4], digits[octet&0xf])
	}
	return string(s)
}

// ParseDUID reads a DUID that a person wrote: hexadecimal in either case, with a
// colon between octets (one or two digits each) or none at all. The length is
// checked as by Valid. The offset of an error counts characters if they are not
// hexadecimal, octets if the length is wrong.
func ParseDUID(text string) (DUID, error) {
	octets, err := ParseOctets(text)
	if err != nil {
		return nil, err
	}
	if err := DUID(octets).Valid(); err != nil {
		return nil, err
	}
	return octets, nil
}

// ParseOctets reads octets in the forms that ParseDUID takes, whether they are a DUID or
// not; errors are *Error.
func ParseOctets(text string) ([]byte, error) {
	var d []byte
	if strings.Contains(text, ":") {
		at := 0
		for digits := range strings.SplitSeq(text, ":") {
			octet, err := strconv.ParseUint(digits, 16, 8)
			if err != nil || len(digits) > 2 {
				return nil, &Error{Field: "DUID text", Offset: at, Err: ErrMalformed}
			}
			d = append(d, byte(octet))
			at += len(digits) + 1
		}
	} else {
		octets, err := hex.AppendDecode(nil, []byte(text))
		if err != nil {
			return nil, &Error{Field: "DUID text", Offset: 2 * len(octets), Err: ErrMalformed}
		}
		d = octets
	}
	return d, nil
}

// AppendDUIDLL appends a DUID of a link-layer address (RFC 8415 section 11.4).
func AppendDUIDLL(b []byte, hardware uint16, address []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(DUIDTypeLL))
	b = binary.BigEndian.AppendUint16(b, hardware)
	return append(b, address...)
}

// AppendDUIDUUID appends a DUID of a UUID (RFC 8415 section 11.5, RFC 6355).
func AppendDUIDUUID(b []byte, uuid [16]byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(DUIDTypeUUID))
	return append(b, uuid[:]...)
}
