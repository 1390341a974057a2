package dhcp6

import (
	"encoding/binary"
	"iter"
)

// ORO is the payload of an Option Request option (RFC 8415 section 21.7), or of
// an Echo Request option, which has the same shape: option codes in wire order.
type ORO []byte

// ParseORO checks that b is a whole number of option codes; none is legal.
func ParseORO(b []byte) (ORO, error) {
	if len(b)%2 != 0 {
		return nil, &Error{Option: OptionORO, Offset: len(b) - 1, Err: ErrTruncated}
	}
	return ORO(b[:len(b):len(b)]), nil
}

// All yields the option codes in wire order.
func (o ORO) All() iter.Seq[OptionCode] {
	return func(yield func(OptionCode) bool) {
		for at := 0; at+2 <= len(o); at += 2 {
			if !yield(OptionCode(binary.BigEndian.Uint16(o[at:]))) {
				return
			}
		}
	}
}

// Contains reports whether c is requested. In a payload that ParseORO has not seen, an
// odd octet at the end is ignored.
func (o ORO) Contains(c OptionCode) bool {
	for requested := range o.All() {
		if requested == c {
			return true
		}
	}
	return false
}

// AppendORO appends a whole ORO option with the codes in the order given.
func AppendORO(b []byte, codes ...OptionCode) []byte {
	b = appendOptionHeader(b, OptionORO, 2*len(codes))
	for _, c := range codes {
		b = binary.BigEndian.AppendUint16(b, uint16(c))
	}
	return b
}
