package dhcp6

import (
	"encoding/binary"
	"iter"
	"net/netip"

	"fairlead/internal/wire/lifetime"
)

// Lifetime is a number of seconds (RFC 8415 section 7.7). T1 and T2 use it as well.
type Lifetime = lifetime.Seconds

// Infinity is the lifetime that never ends.
const Infinity = lifetime.Infinity

// The octets of each option before the options that it holds.
const (
	iaHeaderLen       = 4 + 4 + 4
	iaAddrHeaderLen   = 16 + 4 + 4
	iaPrefixHeaderLen = 4 + 4 + 1 + 16
)

// IA is the payload of an IA_NA (RFC 8415 section 21.4) or of an IA_PD (section
// 21.21): they have the same shape.
type IA struct {
	IAID    uint32
	T1, T2  Lifetime
	Options Options // IAADDR or IAPREFIX, status code, others
}

// ParseIA reads the payload of an IA_NA or IA_PD option, and checks the frame of
// the options in it. The IA_TA has no T1 and T2 and is not read by it.
func ParseIA(b []byte) (IA, error) {
	if len(b) < iaHeaderLen {
		return IA{}, &Error{Field: "IA header", Err: ErrTruncated}
	}
	inner, err := parseOptions(b, iaHeaderLen)
	if err != nil {
		return IA{}, err
	}
	return IA{
		IAID:    binary.BigEndian.Uint32(b),
		T1:      Lifetime(binary.BigEndian.Uint32(b[4:])),
		T2:      Lifetime(binary.BigEndian.Uint32(b[8:])),
		Options: inner,
	}, nil
}

// IAs yields the IA_NA and IA_PD options that can be read, in wire order, each with its code.
func (o Options) IAs() iter.Seq2[OptionCode, IA] {
	return func(yield func(OptionCode, IA) bool) {
		for code, payload := range o.All() {
			if code != OptionIANA && code != OptionIAPD {
				continue
			}
			if ia, err := ParseIA(payload); err == nil && !yield(code, ia) {
				return
			}
		}
	}
}

// BeginIA opens an IA_NA or IA_PD option, as c says, and writes its fixed
// fields. The options in it follow, then EndOption.
func BeginIA(b []byte, c OptionCode, iaid uint32, t1, t2 Lifetime) (out []byte, mark int) {
	b, mark = BeginOption(b, c)
	return AppendIAHeader(b, iaid, t1, t2), mark
}

// AppendIAHeader appends the 12 octets of IAID, T1 and T2 that an IA_NA or IA_PD
// payload starts with.
func AppendIAHeader(b []byte, iaid uint32, t1, t2 Lifetime) []byte {
	b = binary.BigEndian.AppendUint32(b, iaid)
	b = binary.BigEndian.AppendUint32(b, uint32(t1))
	return binary.BigEndian.AppendUint32(b, uint32(t2))
}

// AppendIA appends a whole IA_NA or IA_PD option, as c says.
func AppendIA(b []byte, c OptionCode, v IA) []byte {
	b = appendOptionHeader(b, c, iaHeaderLen+len(v.Options))
	b = AppendIAHeader(b, v.IAID, v.T1, v.T2)
	return append(b, v.Options...)
}

// IAAddr is the payload of an IA Address option (RFC 8415 section 21.6).
type IAAddr struct {
	Address          netip.Addr
	Preferred, Valid Lifetime
	Options          Options
}

// ParseIAAddr reads the payload of an IAADDR option, and checks the frame of the
// options in it.
func ParseIAAddr(b []byte) (IAAddr, error) {
	if len(b) < iaAddrHeaderLen {
		return IAAddr{}, &Error{Option: OptionIAAddr, Field: "header", Err: ErrTruncated}
	}
	inner, err := parseOptions(b, iaAddrHeaderLen)
	if err != nil {
		return IAAddr{}, err
	}
	return IAAddr{
		Address:   netip.AddrFrom16([16]byte(b[:16])),
		Preferred: Lifetime(binary.BigEndian.Uint32(b[16:])),
		Valid:     Lifetime(binary.BigEndian.Uint32(b[20:])),
		Options:   inner,
	}, nil
}

// AppendIAAddr appends a whole IAADDR option. The zero address is sent as "::".
func AppendIAAddr(b []byte, v IAAddr) []byte {
	b = appendOptionHeader(b, OptionIAAddr, iaAddrHeaderLen+len(v.Options))
	b = appendAddr(b, v.Address)
	b = binary.BigEndian.AppendUint32(b, uint32(v.Preferred))
	b = binary.BigEndian.AppendUint32(b, uint32(v.Valid))
	return append(b, v.Options...)
}

// IAPrefix is the payload of an IA Prefix option (RFC 8415 section 21.22).
type IAPrefix struct {
	Prefix           netip.Prefix // as sent, bits past the length included; "::/0" and "::/56" are hints
	Preferred, Valid Lifetime
	Options          Options
}

// ParseIAPrefix reads the payload of an IAPREFIX option, and checks the frame of
// the options in it. A prefix-length above 128 is ErrMalformed; 0 is legal.
func ParseIAPrefix(b []byte) (IAPrefix, error) {
	if len(b) < iaPrefixHeaderLen {
		return IAPrefix{}, &Error{Option: OptionIAPrefix, Field: "header", Err: ErrTruncated}
	}
	bits := int(b[8])
	if bits > 128 {
		return IAPrefix{}, &Error{Option: OptionIAPrefix, Field: "prefix-length", Offset: 8, Err: ErrMalformed}
	}
	inner, err := parseOptions(b, iaPrefixHeaderLen)
	if err != nil {
		return IAPrefix{}, err
	}
	return IAPrefix{
		Prefix:    netip.PrefixFrom(netip.AddrFrom16([16]byte(b[9:25])), bits),
		Preferred: Lifetime(binary.BigEndian.Uint32(b)),
		Valid:     Lifetime(binary.BigEndian.Uint32(b[4:])),
		Options:   inner,
	}, nil
}

// AppendIAPrefix appends a whole IAPREFIX option. The prefix is IPv6; the zero
// prefix is sent as "::/0".
func AppendIAPrefix(b []byte, v IAPrefix) []byte {
	b = appendOptionHeader(b, OptionIAPrefix, iaPrefixHeaderLen+len(v.Options))
	b = binary.BigEndian.AppendUint32(b, uint32(v.Preferred))
	b = binary.BigEndian.AppendUint32(b, uint32(v.Valid))
	b = append(b, byte(max(v.Prefix.Bits(), 0)))
	b = appendAddr(b, v.Prefix.Addr())
	return append(b, v.Options...)
}
