package dhcp6

import (
	"encoding/binary"
	"iter"
)

// ClassData is the data of a User Class or Vendor Class option: one or more opaque fields
// whose framing was checked. It is a view in wire order.
type ClassData []byte

// All yields the fields in wire order.
func (d ClassData) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for at := 0; at+2 <= len(d); {
			end := at + 2 + int(binary.BigEndian.Uint16(d[at:]))
			if end > len(d) || !yield(d[at+2:end:end]) {
				return
			}
			at = end
		}
	}
}

// parseClassData reads the fields of b from octet start on.
func parseClassData(b []byte, start int, c OptionCode) (ClassData, error) {
	if start >= len(b) {
		return nil, &Error{Option: c, Field: "class data", Offset: len(b), Err: ErrTruncated}
	}
	for at := start; at < len(b); {
		if len(b)-at < 2 {
			return nil, &Error{Option: c, Field: "class data", Offset: at, Err: ErrTruncated}
		}
		next := at + 2 + int(binary.BigEndian.Uint16(b[at:]))
		if next > len(b) {
			return nil, &Error{Option: c, Field: "class data", Offset: at, Err: ErrTruncated}
		}
		at = next
	}
	return ClassData(b[start:len(b):len(b)]), nil
}

// ParseUserClass reads the payload of a USER_CLASS option (RFC 8415 section 21.15). At least
// one field must be there; it may be empty.
func ParseUserClass(b []byte) (ClassData, error) { return parseClassData(b, 0, OptionUserClass) }

// VendorClass is the payload of a Vendor Class option (RFC 8415 section 21.16).
type VendorClass struct {
	EnterpriseNumber uint32
	Data             ClassData
}

// ParseVendorClass reads the payload of a VENDOR_CLASS option. At least one field must be
// there; it may be empty.
func ParseVendorClass(b []byte) (VendorClass, error) {
	if len(b) < 4 {
		return VendorClass{}, &Error{Option: OptionVendorClass, Field: "enterprise-number", Err: ErrTruncated}
	}
	data, err := parseClassData(b, 4, OptionVendorClass)
	return VendorClass{EnterpriseNumber: binary.BigEndian.Uint32(b), Data: data}, err
}

// ClientArchitectures is the payload of a Client System Architecture Type option (RFC 5970
// section 3.3): types of IANA's registry in the client's order of preference, a view.
type ClientArchitectures []byte

// ParseClientArchitectures checks that b is a whole number of types, and at least one.
func ParseClientArchitectures(b []byte) (ClientArchitectures, error) {
	if len(b) == 0 || len(b)%2 != 0 {
		return nil, &Error{Option: OptionClientArchitectures, Field: "architecture-type", Offset: len(b) &^ 1, Err: ErrTruncated}
	}
	return ClientArchitectures(b[:len(b):len(b)]), nil
}

// Contains reports whether the client names the architecture. Types stand at even octets alone,
// so that the end of one and the start of the next are not taken for a third.
func (a ClientArchitectures) Contains(architecture uint16) bool {
	for at := 0; at+2 <= len(a); at += 2 {
		if binary.BigEndian.Uint16(a[at:]) == architecture {
			return true
		}
	}
	return false
}
