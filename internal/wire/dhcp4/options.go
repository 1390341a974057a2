package dhcp4

import "iter"

// MaxOptionLen is the largest number of octets in one option or sub-option, because the length is
// one octet.
const MaxOptionLen = 0xff

// optionHeaderLen is the code and the length, one octet each.
const optionHeaderLen = 2

// The bits of the Option Overload option (RFC 2132 section 9.3).
const (
	overloadFile  = 1
	overloadSName = 2
)

// Options are a view of the options of a message: those of up to three fields, each in wire
// order, duplicates included, without Pad and End. A payload is a sub-slice whose capacity ends
// at its end.
type Options struct {
	b        []byte // the message
	end      int    // end of the options in the options field; 0 if there are none
	overload uint8  // bits that tell which other fields have options
}

// field returns the ith field in the order in which they are interpreted (RFC 3396 section 5). It
// is empty if it has no options.
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

// readOptions reads the options field up to the End option: the offset of End, the bits of option
// 52, and the message type. If an option 52 is too long, its first octet counts. If there are
// several, each counts: servers differ in which one they obey, and a relay agent must see every
// option that a server may see.
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
	case m.overload&(overloadFile|overloadSName) != 0: // it may be in another field
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

// place is the present position of a walk over options.
type place struct{ field, octet int }

// anyOption stands for all codes.
const anyOption = -1

// next returns the first option from p on that has the code c, and moves p behind it. A field
// ends at its End option, or where no whole option is left. After the last field, ok is false.
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

// All yields the code and the payload of each option, in the order in which they are interpreted.
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

// First returns the payload of the first option with code c. An empty payload is not nil.
func (o Options) First(c OptionCode) ([]byte, bool) {
	_, payload, ok := o.next(&place{}, int(c))
	return payload, ok
}

// Value returns the joined payloads of the options with code c (RFC 3396 section 7). A single
// payload is returned in place. Several are joined in buf. If buf has room for them, nothing is
// allocated. buf must not be a part of the message.
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

// AppendLongOption appends an option of any length. If it does not fit one option, it becomes
// several of at most MaxOptionLen octets (RFC 3396 section 6). Section 4 tells to whom such
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
