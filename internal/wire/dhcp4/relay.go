package dhcp4

// Split returns m in two parts: what is before the End option, and the End option with everything
// after it; without an End option the second part is empty. A relay agent adds option 82 between
// them, as the last option (RFC 3046 section 2.1). If m has no options field, ok is false, and
// before is all of m.
func (m Message) Split() (before, end []byte, ok bool) {
	if m.end == 0 {
		return m.b, nil, false
	}
	return m.b[:m.end:m.end], m.b[m.end:], true
}

// AgentInformation returns the Relay Agent Information option of the options field. It does not
// read one in the file or sname field, where servers must not send it (RFC 3046 section 2.1);
// Options shows whether there is one. If the option was split, buf is used as by Options.Value.
// ok says that there is an option. The error says that it is not valid.
func (m Message) AgentInformation(buf []byte) (a AgentInformation, ok bool, err error) {
	payload, ok := m.optionsField().Value(OptionAgentInformation, buf)
	if !ok {
		return nil, false, nil
	}
	a, err = ParseAgentInformation(payload)
	return a, true, err
}

// AppendWithoutAgentInformation appends m without the Relay Agent Information option of the
// options field. If there are several, all are left out: they are parts of one (RFC 3396 section
// 7). Every other octet stays as it is, pads and everything after the End option included, so
// that a client can verify the authentication of the message (RFC 3118 section 3). The file and
// sname fields stay as they are (RFC 3046 section 2.1).
func (m Message) AppendWithoutAgentInformation(b []byte) []byte {
	from := 0 // first octet that has not been appended yet
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

// BeginAgentInformation opens a Relay Agent Information option. The caller appends its
// sub-options, and gives mark to EndAgentInformation.
func BeginAgentInformation(b []byte) (out []byte, mark int) {
	return appendOptionHeader(b, OptionAgentInformation, 0), len(b)
}

// EndAgentInformation closes the option that BeginAgentInformation opened at mark: all octets
// appended since then are its sub-options. If there are none, it removes the option, because an
// option must have one (RFC 3046 section 2.0). Above MaxOptionLen octets it removes the option
// and returns ErrTooBig: the option is not split, because a server may not be able to join it
// (RFC 3396 section 4).
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
