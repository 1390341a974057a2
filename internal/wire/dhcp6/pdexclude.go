package dhcp6

import "net/netip"

// ParsePDExclude reads the payload of a Prefix Exclude option (RFC 6603 section
// 4.2): the prefix, inside the one that is delegated, that the client has not got.
// A prefix-len that is not between the length of the delegated prefix plus 1 and
// 128 is ErrMalformed, as is a subnet ID that is longer than it has to be. Bits of
// padding are not looked at.
func ParsePDExclude(b []byte, delegated netip.Prefix) (netip.Prefix, error) {
	if len(b) < 2 {
		return netip.Prefix{}, &Error{Option: OptionPDExclude, Field: "prefix-len", Err: ErrTruncated}
	}
	bits, from := int(b[0]), delegated.Bits()
	if bits <= from || bits > 128 {
		return netip.Prefix{}, &Error{Option: OptionPDExclude, Field: "prefix-len", Err: ErrMalformed}
	}
	id := b[1:]
	switch want := subnetIDLen(from, bits); {
	case len(id) < want:
		return netip.Prefix{}, &Error{Option: OptionPDExclude, Field: "IPv6 subnet ID", Offset: 1, Err: ErrTruncated}
	case len(id) > want:
		return netip.Prefix{}, &Error{Option: OptionPDExclude, Field: "IPv6 subnet ID", Offset: 1 + want, Err: ErrMalformed}
	}
	a := delegated.Masked().Addr().As16()
	for i := range bits - from {
		if id[i/8]&(0x80>>(i%8)) != 0 {
			a[(from+i)/8] |= 0x80 >> ((from + i) % 8)
		}
	}
	return netip.PrefixFrom(netip.AddrFrom16(a), bits), nil
}

// AppendPDExclude appends a whole Prefix Exclude option. The excluded prefix lies
// in the delegated one and is longer.
func AppendPDExclude(b []byte, delegated, excluded netip.Prefix) []byte {
	from, bits := delegated.Bits(), excluded.Bits()
	n := subnetIDLen(from, bits)
	b = appendOptionHeader(b, OptionPDExclude, 1+n)
	b = append(b, byte(bits))
	start := len(b)
	b = append(b, make([]byte, n)...)
	a := excluded.Addr().As16()
	for i := range bits - from {
		if a[(from+i)/8]&(0x80>>((from+i)%8)) != 0 {
			b[start+i/8] |= 0x80 >> (i % 8)
		}
	}
	return b
}

// subnetIDLen is how many octets the bits between two lengths take, shifted to
// begin at an octet's edge.
func subnetIDLen(from, bits int) int { return (bits-from-1)/8 + 1 }
