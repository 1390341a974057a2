package dhcp4

import (
	"bytes"
	"encoding/binary"
	"iter"
	"net/netip"

	"fairlead/internal/wire/lifetime"
)

// Lifetime is a number of seconds (RFC 2131 section 3.3).
type Lifetime = lifetime.Seconds

// Infinity is the lifetime that never ends.
const Infinity = lifetime.Infinity

// ParseLifetime reads the payload of an option c that holds a time: the lease time, T1
// or T2 (RFC 2132 sections 9.2, 9.11 and 9.12).
func ParseLifetime(c OptionCode, b []byte) (Lifetime, error) {
	if err := exactly(b, c, 0, 4); err != nil {
		return 0, err
	}
	return Lifetime(binary.BigEndian.Uint32(b)), nil
}

// AppendLifetime appends a whole option c that holds a time.
func AppendLifetime(b []byte, c OptionCode, v Lifetime) []byte {
	b = appendOptionHeader(b, c, 4)
	return binary.BigEndian.AppendUint32(b, uint32(v))
}

// ParseAddress reads the payload of an option c that holds one address: the requested
// address, the server identifier (RFC 2132 sections 9.1 and 9.7), the subnet mask and
// others.
func ParseAddress(c OptionCode, b []byte) (netip.Addr, error) {
	if err := exactly(b, c, 0, 4); err != nil {
		return netip.Addr{}, err
	}
	return netip.AddrFrom4([4]byte(b)), nil
}

// AppendAddress appends a whole option c that holds one address. The zero address is
// sent as 0.0.0.0.
func AppendAddress(b []byte, c OptionCode, v netip.Addr) []byte {
	return appendAddr(appendOptionHeader(b, c, 4), v)
}

// Addresses is the payload of an option that holds a list of addresses, such as
// routers and domain name servers (RFC 2132 sections 3.5 and 3.8), in order of
// preference.
type Addresses []byte

// ParseAddresses reads the payload of an option c that holds one address or more.
func ParseAddresses(c OptionCode, b []byte) (Addresses, error) {
	if len(b) == 0 || len(b)%4 != 0 {
		return nil, &Error{Option: c, Offset: len(b), Err: ErrTruncated}
	}
	return Addresses(b[:len(b):len(b)]), nil
}

// All yields the addresses in wire order.
func (a Addresses) All() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for ; len(a) >= 4; a = a[4:] {
			if !yield(netip.AddrFrom4([4]byte(a[:4]))) {
				return
			}
		}
	}
}

// AppendAddresses appends a whole option c with the addresses in the order given. At
// most 63 fit.
func AppendAddresses(b []byte, c OptionCode, list ...netip.Addr) []byte {
	b = appendOptionHeader(b, c, 4*len(list))
	for _, a := range list {
		b = appendAddr(b, a)
	}
	return b
}

// ParseMessageType reads the payload of a DHCP Message Type option (RFC 2132 section
// 9.6). Every type is accepted.
func ParseMessageType(b []byte) (MessageType, error) {
	if err := exactly(b, OptionMessageType, 0, 1); err != nil {
		return 0, err
	}
	return MessageType(b[0]), nil
}

// AppendMessageType appends a whole DHCP Message Type option.
func AppendMessageType(b []byte, t MessageType) []byte {
	return append(appendOptionHeader(b, OptionMessageType, 1), byte(t))
}

// ParseClientID reads the payload of a Client-identifier option (RFC 2132 section 9.14): a type
// and an identifier, together two octets or more. It is opaque, and may only be compared for
// equality.
func ParseClientID(b []byte) ([]byte, error) { return atLeast(b, OptionClientID, 0, 2) }

// AppendClientID appends a whole Client-identifier option.
func AppendClientID(b, id []byte) []byte { return AppendOption(b, OptionClientID, id) }

// ParameterRequestList is the payload of a Parameter Request List option (RFC 2132
// section 9.8): option codes, which may be in order of preference.
type ParameterRequestList []byte

// ParseParameterRequestList reads the payload of a Parameter Request List option: one
// code or more.
func ParseParameterRequestList(b []byte) (ParameterRequestList, error) {
	return atLeast(b, OptionParameterRequestList, 0, 1)
}

// All yields the option codes in wire order.
func (l ParameterRequestList) All() iter.Seq[OptionCode] {
	return func(yield func(OptionCode) bool) {
		for _, c := range l {
			if !yield(OptionCode(c)) {
				return
			}
		}
	}
}

// Contains reports whether c is requested.
func (l ParameterRequestList) Contains(c OptionCode) bool {
	return bytes.IndexByte(l, byte(c)) >= 0
}

// AppendParameterRequestList appends a whole Parameter Request List option with the
// codes in the order given.
func AppendParameterRequestList(b []byte, codes ...OptionCode) []byte {
	b = appendOptionHeader(b, OptionParameterRequestList, len(codes))
	for _, c := range codes {
		b = append(b, byte(c))
	}
	return b
}

// MinMessageSize is the smallest value of a Maximum DHCP Message Size option (RFC 2132 section
// 9.10). Every client must accept messages of that size (RFC 2131 section 2).
const MinMessageSize = 576

// ParseMaxMessageSize reads the payload of a Maximum DHCP Message Size option: a number of
// octets, IP and UDP headers included. A value below MinMessageSize is ErrMalformed.
func ParseMaxMessageSize(b []byte) (uint16, error) {
	if err := exactly(b, OptionMaxMessageSize, 0, 2); err != nil {
		return 0, err
	}
	size := binary.BigEndian.Uint16(b)
	if size < MinMessageSize {
		return 0, &Error{Option: OptionMaxMessageSize, Err: ErrMalformed}
	}
	return size, nil
}

// AppendMaxMessageSize appends a whole Maximum DHCP Message Size option.
func AppendMaxMessageSize(b []byte, size uint16) []byte {
	b = appendOptionHeader(b, OptionMaxMessageSize, 2)
	return binary.BigEndian.AppendUint16(b, size)
}

// Text returns the text in the payload of an option of type NVT ASCII, such as a host name or the
// message of a NAK. It leaves out the nulls that some senders add at the end (RFC 2132 section
// 2), and does not check the text.
func Text(b []byte) []byte { return bytes.TrimRight(b, "\x00") }

// exactly returns nil if the payload b of an option or sub-option has n octets,
// ErrTruncated if it has fewer, ErrMalformed if it has more.
func exactly(b []byte, c OptionCode, sub SubOptionCode, n int) error {
	switch {
	case len(b) < n:
		return &Error{Option: c, SubOption: sub, Offset: len(b), Err: ErrTruncated}
	case len(b) > n:
		return &Error{Option: c, SubOption: sub, Field: "length", Offset: n, Err: ErrMalformed}
	}
	return nil
}

// atLeast returns the payload b of an option or sub-option if it has n octets or more,
// and ErrTruncated otherwise.
func atLeast(b []byte, c OptionCode, sub SubOptionCode, n int) ([]byte, error) {
	if len(b) < n {
		return nil, &Error{Option: c, SubOption: sub, Offset: len(b), Err: ErrTruncated}
	}
	return b[:len(b):len(b)], nil
}
