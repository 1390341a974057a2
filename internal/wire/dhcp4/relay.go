package dhcp4

// Split returns m in two parts: what stands before the End option, and that option
// with all that follows it, which is nothing if there is no End option. Between them
// a relay agent adds option 82, as the last option (RFC 3046 section 2.1). ok is false
// if m has no options field, and before is all of m.
func (m Message) Split() (before, end []byte, ok bool) {
	if m.end == 0 {
		return m.b, nil, false
	}
	return m.b[:m.end:m.end], m.b[m.end:], true
}

// AgentInformation returns the Relay Agent Information option of the options field.
// One in the file or sname field is not read, which RFC 3046 section 2.1 forbids for
// what servers send; that there is one, Options tells. Where the option was split, buf
// is used as by Options.Value. ok says that there is an option; the error, that it is
// not as it should be.
func (m Message) AgentInformation(buf []byte) (a AgentInformation, ok bool, err error) {
	payload, ok := m.optionsField().Value(OptionAgentInformation, buf)
	if !ok {
		return nil, false, nil
	}
	a, err = ParseAgentInformation(payload)
	return a, true, err
}

// AppendWithoutAgentInformation appends m without the Relay Agent Information option
// of the options field, and without all of them if there are several: they are parts of
// one (RFC 3396 section 7). Every other octet is as it was, pads and what follows the
// End option included, so that a client can check the authentication of the message
// (RFC 3118 section 3). What the file and sname fields hold stays (RFC 3046 section
// 2.1).
func (m Message) AppendWithoutAgentInformation(b []byte) []byte {
	from := 0 // what was not appended yet
	for at := atOptions; at < m.end; {
		if OptionCode(m.b[at]) == OptionPad {
			at++
			continue
		}
		next := at + optionHeaderLen + int(m.b[at+1])
		if OptionCode(m.b[at]) == OptionAgentInformation {
			b = append(b, m.b[from:at]...)
			from = next
		}
		at = next
	}
	return append(b, m.b[from:]...)
}

// BeginAgentInformation opens a Relay Agent Information option, whose sub-options the
// caller appends next. mark goes to EndAgentInformation.
func BeginAgentInformation(b []byte) (out []byte, mark int) {
	return appendOptionHeader(b, OptionAgentInformation, 0), len(b)
}

// EndAgentInformation closes the option that BeginAgentInformation opened at mark: all
// octets appended since are its sub-options. Without any, it takes the option off
// again, as there must be one (RFC 3046 section 2.0). Above MaxOptionLen octets it
// takes the option off and returns ErrTooBig: it is not split, as a server need not
// know how to join it (RFC 3396 section 4).
func EndAgentInformation(b []byte, mark int) ([]byte, error) {
	n := len(b) - mark - optionHeaderLen
	switch {
	case n == 0:
		return b[:mark], nil
	case n > MaxOptionLen:
		return b[:mark], &Error{Option: OptionAgentInformation, Offset: mark, Err: ErrTooBig}
	}
	b[mark+1] = byte(n)
	return b, nil
}
