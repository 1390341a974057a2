package dhcp6

import "net/netip"

// HopCountLimit is HOP_COUNT_LIMIT (RFC 8415 section 7.6): a relay agent
// discards a Relay-forward whose hop-count has reached it (section 19.1.2).
const HopCountLimit = 8

// MaxRelayLayers is how many Relay-forwards a client's message can be in: a relay agent
// adds none to a message whose hop-count is HOP_COUNT_LIMIT (RFC 8415 section 19.1.2).
const MaxRelayLayers = HopCountLimit + 1

// relayHeaderLen is msg-type, hop-count and two addresses (RFC 8415 section 9).
const relayHeaderLen = 2 + 16 + 16

// RelayMessage is a view of a Relay-forward or Relay-reply (RFC 8415 section
// 9). The zero value has type 0, no addresses and no options.
type RelayMessage struct{ b []byte }

// ParseRelay checks the type, the header and the frame of the options, and does
// not look inside them: Inner may be missing or may be no message at all.
func ParseRelay(b []byte) (RelayMessage, error) {
	if len(b) == 0 {
		return RelayMessage{}, &Error{Field: "relay header", Err: ErrTruncated}
	}
	if !MessageType(b[0]).IsRelay() {
		return RelayMessage{}, &Error{Field: "msg-type", Err: ErrMalformed}
	}
	if len(b) < relayHeaderLen {
		return RelayMessage{}, &Error{Field: "relay header", Err: ErrTruncated}
	}
	if _, err := parseOptions(b, relayHeaderLen); err != nil {
		return RelayMessage{}, err
	}
	return RelayMessage{b[:len(b):len(b)]}, nil
}

// Type returns RelayForward or RelayReply.
func (m RelayMessage) Type() MessageType {
	if len(m.b) < relayHeaderLen {
		return 0
	}
	return MessageType(m.b[0])
}

// HopCount returns the hop-count.
func (m RelayMessage) HopCount() uint8 {
	if len(m.b) < relayHeaderLen {
		return 0
	}
	return m.b[1]
}

// LinkAddress returns the link-address, without zone; "::" from a lightweight
// relay agent (RFC 6221).
func (m RelayMessage) LinkAddress() netip.Addr {
	if len(m.b) < relayHeaderLen {
		return netip.Addr{}
	}
	return netip.AddrFrom16([16]byte(m.b[2:18]))
}

// PeerAddress returns the peer-address, without zone.
func (m RelayMessage) PeerAddress() netip.Addr {
	if len(m.b) < relayHeaderLen {
		return netip.Addr{}
	}
	return netip.AddrFrom16([16]byte(m.b[18:34]))
}

// Options returns the options of this relay layer.
func (m RelayMessage) Options() Options {
	if len(m.b) < relayHeaderLen {
		return nil
	}
	return Options(m.b[relayHeaderLen:])
}

// Inner returns the payload of the first Relay Message option (RFC 8415 section
// 21.10): the message that this layer carries, unread.
func (m RelayMessage) Inner() ([]byte, bool) { return m.Options().First(OptionRelayMessage) }

// AppendRelayHeader starts a relay message of type t. The addresses are IPv6;
// their zones are not sent, and the zero netip.Addr is sent as "::". The options
// follow.
func AppendRelayHeader(b []byte, t MessageType, hops uint8, link, peer netip.Addr) []byte {
	b = append(b, byte(t), hops)
	b = appendAddr(b, link)
	return appendAddr(b, peer)
}

// appendAddr appends the 16 octets of a, all zero if a is the zero Addr.
func appendAddr(b []byte, a netip.Addr) []byte {
	octets := a.As16()
	return append(b, octets[:]...)
}
