package dhcp6

import (
	"encoding/binary"
	"iter"
)

// MaxOptionLen is the most octets that an option's payload can have: option-len
// is a 16-bit field.
const MaxOptionLen = 0xffff

// optionHeaderLen is option-code and option-len, two octets each.
const optionHeaderLen = 4

// Options is a sequence of options (RFC 8415 section 21.1) whose framing was
// checked: a view in wire order, duplicates included. Only the parsers of this
// package make one that is not empty. The payloads are sub-slices that cannot
// grow into their neighbours.
type Options []byte

// ParseOptions checks that b is a whole number of options, none of which goes
// past the end. It does not look inside them. The error is ErrTruncated.
func ParseOptions(b []byte) (Options, error) { return parseOptions(b, 0) }

// parseOptions reads the options of b from octet start on.
func parseOptions(b []byte, start int) (Options, error) {
	for at := start; at < len(b); {
		if len(b)-at < optionHeaderLen {
			return nil, &Error{Field: "option header", Offset: at, Err: ErrTruncated}
		}
		next := at + optionHeaderLen + int(binary.BigEndian.Uint16(b[at+2:]))
		if next > len(b) {
			code := OptionCode(binary.BigEndian.Uint16(b[at:]))
			return nil, &Error{Option: code, Offset: at, Err: ErrTruncated}
		}
		at = next
	}
	return Options(b[start:len(b):len(b)]), nil
}

// next takes the first option off o. ok is false when there is none left.
func (o Options) next() (c OptionCode, payload []byte, rest Options, ok bool) {
	if len(o) < optionHeaderLen {
		return 0, nil, nil, false
	}
	end := optionHeaderLen + int(binary.BigEndian.Uint16(o[2:]))
	if end > len(o) {
		return 0, nil, nil, false
	}
	return OptionCode(binary.BigEndian.Uint16(o)), o[optionHeaderLen:end:end], o[end:], true
}

// All yields each option's code and payload in wire order.
func (o Options) All() iter.Seq2[OptionCode, []byte] {
	return func(yield func(OptionCode, []byte) bool) {
		for {
			c, payload, rest, ok := o.next()
			if !ok || !yield(c, payload) {
				return
			}
			o = rest
		}
	}
}

// First returns the payload of the first option with code c. A payload without
// octets is not nil.
func (o Options) First(c OptionCode) ([]byte, bool) {
	for {
		code, payload, rest, ok := o.next()
		if !ok {
			return nil, false
		}
		if code == c {
			return payload, true
		}
		o = rest
	}
}

// Count returns how many options have code c.
func (o Options) Count(c OptionCode) int {
	n := 0
	for {
		code, _, rest, ok := o.next()
		if !ok {
			return n
		}
		if code == c {
			n++
		}
		o = rest
	}
}

// AppendOption appends one option. It panics if payload is longer than
// MaxOptionLen; a caller that has not bounded it uses BeginOption and EndOption.
func AppendOption(b []byte, c OptionCode, payload []byte) []byte {
	b = appendOptionHeader(b, c, len(payload))
	return append(b, payload...)
}

// appendOptionHeader appends the code and length of an option of n octets.
func appendOptionHeader(b []byte, c OptionCode, n int) []byte {
	if n > MaxOptionLen {
		panic(&Error{Option: c, Offset: len(b), Err: ErrTooBig})
	}
	b = binary.BigEndian.AppendUint16(b, uint16(c))
	return binary.BigEndian.AppendUint16(b, uint16(n))
}

// BeginOption opens an option whose payload the caller appends next, options
// within options included. mark goes to EndOption, innermost first.
func BeginOption(b []byte, c OptionCode) (out []byte, mark int) {
	return appendOptionHeader(b, c, 0), len(b)
}

// EndOption closes the option that BeginOption opened at mark: all octets
// appended since are its payload. Above MaxOptionLen octets it takes the option
// off again, and returns what stood before it and ErrTooBig.
func EndOption(b []byte, mark int) ([]byte, error) {
	n := len(b) - mark - optionHeaderLen
	if n > MaxOptionLen {
		code := OptionCode(binary.BigEndian.Uint16(b[mark:]))
		return b[:mark], &Error{Option: code, Offset: mark, Err: ErrTooBig}
	}
	binary.BigEndian.PutUint16(b[mark+2:], uint16(n))
	return b, nil
}
