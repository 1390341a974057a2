package dhcp6

import "encoding/binary"

// messageHeaderLen is msg-type and transaction-id (RFC 8415 section 8).
const messageHeaderLen = 4

// Message is a view of a client/server message (RFC 8415 section 8). The zero
// value is a message of type 0 without options.
type Message struct{ b []byte }

// ParseMessage checks the header and the frame of the top-level options, and
// does not look inside them. Every type is accepted, unknown ones too, but for
// the two that have a relay header: those are ErrMalformed here.
func ParseMessage(b []byte) (Message, error) {
	if len(b) < messageHeaderLen {
		return Message{}, &Error{Field: "header", Err: ErrTruncated}
	}
	if MessageType(b[0]).IsRelay() {
		return Message{}, &Error{Field: "msg-type", Err: ErrMalformed}
	}
	if _, err := parseOptions(b, messageHeaderLen); err != nil {
		return Message{}, err
	}
	return Message{b[:len(b):len(b)]}, nil
}

// Type returns the msg-type.
func (m Message) Type() MessageType {
	if len(m.b) < messageHeaderLen {
		return 0
	}
	return MessageType(m.b[0])
}

// TransactionID returns the 24 bits of the transaction-id. The DHCPv4-query and
// DHCPv4-response messages have flags in their place (RFC 7341 section 6.1).
func (m Message) TransactionID() uint32 {
	if len(m.b) < messageHeaderLen {
		return 0
	}
	return binary.BigEndian.Uint32(m.b) & 0xffffff
}

// TransactionIDOf is Message.TransactionID for octets whose options need not be sound.
func TransactionIDOf(b []byte) uint32 { return Message{b}.TransactionID() }

// Options returns the top-level options.
func (m Message) Options() Options {
	if len(m.b) < messageHeaderLen {
		return nil
	}
	return Options(m.b[messageHeaderLen:])
}

// ClientID returns the first Client Identifier option as it stands; see
// DUID.Valid.
func (m Message) ClientID() (DUID, bool) { return m.Options().First(OptionClientID) }

// ServerID returns the first Server Identifier option as it stands; see
// DUID.Valid.
func (m Message) ServerID() (DUID, bool) { return m.Options().First(OptionServerID) }

// AppendMessageHeader starts a client/server message. Only the lower 24 bits of
// xid are used. The options follow.
func AppendMessageHeader(b []byte, t MessageType, xid uint32) []byte {
	return append(b, byte(t), byte(xid>>16), byte(xid>>8), byte(xid))
}
