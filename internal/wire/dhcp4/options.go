package dhcp4

import "iter"

// MaxOptionLen is the most octets that one option or sub-option can hold: the length
// is one octet.
const MaxOptionLen = 0xff

// optionHeaderLen is the code and the length, one octet each.
const optionHeaderLen = 2

// The bits of the Option Overload option (RFC 2132 section 9.3).
const (
	overloadFile  = 1
	overloadSName = 2
)

// Options are the options of a message, a view: those of up to three fields, each in
// wire order, duplicates included, without Pad and End options. The payloads are
// sub-slices that cannot grow into their neighbours.
type Options struct {
	b        []byte // the message
	end      int    // of the options in the options field; 0 if there are none
	overload uint8  // which other fields hold options
}

// field returns the fields in the order in which they are interpreted (RFC 3396 section
// 5), empty where they hold no options.
func (o *Options) field(i int) []byte {
	switch {
	case i == 0 && o.end > 0:
		return o.b[atOptions:o.end]
	case i == 1 && o.overload&overloadFile != 0:
		return o.b[atFile:atCookie]
	case i == 2 && o.overload&overloadSName != 0:
		return o.b[atSName:atFile]
	}
	return nil
}

// readOptions reads the options field up to the End option: where that is, the bits of
// option 52, and the message type. Of an option 52 that is longer than it should be the
// first octet counts; of several, each: servers differ in which one they obey, and a relay
// agent must see whatever options they see.
func (m *Message) readOptions() error {
	b, at, types := m.b, atOptions, 0
	for at < len(b) && OptionCode(b[at]) != OptionEnd {
		c := OptionCode(b[at])
		if c == OptionPad {
			at++
			continue
		}
		if len(b)-at < optionHeaderLen {
			return &Error{Option: c, Field: "length", Offset: at, Err: ErrTruncated}
		}
		payload := at + optionHeaderLen
		next := payload + int(b[at+1])
		if next > len(b) {
			return &Error{Option: c, Offset: at, Err: ErrTruncated}
		}
		switch {
		case c == OptionMessageType:
			types++
			if next-payload == 1 {
				m.kind = MessageType(b[payload])
			}
		case c == OptionOverload && next > payload:
			m.overload |= b[payload]
		}
		at = next
	}
	m.end = at
	switch {
	case m.overload&(overloadFile|overloadSName) != 0: // it may be elsewhere
		m.kind = m.Options().messageType()
	case types != 1:
		m.kind = 0
	}
	return nil
}

// messageType is Message.Type.
func (o Options) messageType() MessageType {
	var p place
	_, payload, _ := o.next(&p, int(OptionMessageType))
	if _, _, more := o.next(&p, int(OptionMessageType)); more || len(payload) != 1 {
		return 0
	}
	return MessageType(payload[0])
}

// place is where a walk over options has come to.
type place struct{ field, octet int }

// anyOption is no code, but stands for all of them.
const anyOption = -1

// next returns the first option from p on that has the code c, and moves p behind it. A
// field ends at its End option, and where no whole option is left. ok is false after the
// last field.
func (o *Options) next(p *place, c int) (code OptionCode, payload []byte, ok bool) {
	for ; p.field < 3; p.field, p.octet = p.field+1, 0 {
		b, at := o.field(p.field), p.octet
		for len(b)-at >= optionHeaderLen {
			code := int(b[at])
			if code == int(OptionPad) {
				at++
				continue
			}
			end := at + optionHeaderLen + int(b[at+1])
			if code == int(OptionEnd) || end > len(b) {
				break
			}
			if code == c || c == anyOption {
				p.octet = end
				return OptionCode(code), b[at+optionHeaderLen : end : end], true
			}
			at = end
		}
	}
	return 0, nil, false
}

// All yields each option's code and payload, in the order in which they are to be
// interpreted.
func (o Options) All() iter.Seq2[OptionCode, []byte] {
	return func(yield func(OptionCode, []byte) bool) {
		for p := (place{}); ; {
			c, payload, ok := o.next(&p, anyOption)
			if !ok || !yield(c, payload) {
				return
			}
		}
	}
}

// First returns the payload of the first option with code c. A payload without octets
// is not nil.
func (o Options) First(c OptionCode) ([]byte, bool) {
	_, payload, ok := o.next(&place{}, int(c))
	return payload, ok
}

// Value returns what the options with code c hold together (RFC 3396 section 7). Where
// there is one, that is its payload, in place; the payloads of several are joined in
// buf, which has to have room for them if nothing is to be allocated, and must not be
// part of the message.
func (o Options) Value(c OptionCode, buf []byte) ([]byte, bool) {
	var p place
	_, value, ok := o.next(&p, int(c))
	if !ok {
		return nil, false
	}
	for joined := false; ; joined = true {
		_, payload, more := o.next(&p, int(c))
		if !more {
			return value, true
		}
		if !joined {
			value = append(buf[:0], value...)
		}
		value = append(value, payload...)
	}
}

// AppendOption appends one option. It panics if payload is longer than MaxOptionLen.
func AppendOption(b []byte, c OptionCode, payload []byte) []byte {
	b = appendOptionHeader(b, c, len(payload))
	return append(b, payload...)
}

// AppendLongOption appends an option of any length, as several of at most MaxOptionLen
// octets where it does not fit one (RFC 3396 section 6). Section 4 says to whom such
// options may be sent.
func AppendLongOption(b []byte, c OptionCode, payload []byte) []byte {
	for len(payload) > MaxOptionLen {
		b = AppendOption(b, c, payload[:MaxOptionLen])
		payload = payload[MaxOptionLen:]
	}
	return AppendOption(b, c, payload)
}

// appendOptionHeader appends the code and length of an option of n octets.
func appendOptionHeader(b []byte, c OptionCode, n int) []byte {
	if n > MaxOptionLen {
		panic(&Error{Option: c, Offset: len(b), Err: ErrTooBig})
	}
	return append(b, byte(c), byte(n))
}
