package dhcp6

import "encoding/binary"

// RemoteID is the payload of a Remote-ID option (RFC 4649).
type RemoteID struct {
	EnterpriseNumber uint32
	ID               []byte // at least one octet
}

// ParseRemoteID reads the payload of a REMOTE_ID option: five octets or more.
func ParseRemoteID(b []byte) (RemoteID, error) {
	if len(b) < 5 {
		return RemoteID{}, &Error{Option: OptionRemoteID, Field: "remote-id", Offset: len(b), Err: ErrTruncated}
	}
	return RemoteID{EnterpriseNumber: binary.BigEndian.Uint32(b), ID: b[4:len(b):len(b)]}, nil
}

// AppendRemoteID appends a whole REMOTE_ID option. The ID must not be empty.
func AppendRemoteID(b []byte, v RemoteID) []byte {
	b = appendOptionHeader(b, OptionRemoteID, 4+len(v.ID))
	b = binary.BigEndian.AppendUint32(b, v.EnterpriseNumber)
	return append(b, v.ID...)
}

// AppendSubscriberID appends a whole SUBSCRIBER_ID option (RFC 4580). The id must not
// be empty.
func AppendSubscriberID(b, id []byte) []byte { return AppendOption(b, OptionSubscriberID, id) }

// AppendInterfaceID appends a whole INTERFACE_ID option (RFC 8415 section
// 21.18). Its payload is opaque, of any length, and has no parser: it is what
// Options.First returns.
func AppendInterfaceID(b, id []byte) []byte { return AppendOption(b, OptionInterfaceID, id) }

// ParseRelayID reads the payload of a RELAY_ID option (RFC 5460 section 5.4).
func ParseRelayID(b []byte) (DUID, error) {
	d := DUID(b[:len(b):len(b)])
	if err := d.Valid(); err != nil {
		return nil, err
	}
	return d, nil
}

// AppendRelayID appends a whole RELAY_ID option.
func AppendRelayID(b []byte, d DUID) []byte { return AppendOption(b, OptionRelayID, d) }

// AppendClientID appends a whole CLIENTID option (RFC 8415 section 21.2).
func AppendClientID(b []byte, d DUID) []byte { return AppendOption(b, OptionClientID, d) }

// AppendServerID appends a whole SERVERID option (RFC 8415 section 21.3).
func AppendServerID(b []byte, d DUID) []byte { return AppendOption(b, OptionServerID, d) }

// ClientLinkLayer is the payload of a Client Link-Layer Address option (RFC
// 6939).
type ClientLinkLayer struct {
	HardwareType uint16 // IANA's, HardwareEthernet for instance
	Address      []byte
}

// ParseClientLinkLayer reads the payload of a CLIENT_LINKLAYER_ADDR option. The
// address may have any length, none included.
func ParseClientLinkLayer(b []byte) (ClientLinkLayer, error) {
	if len(b) < 2 {
		return ClientLinkLayer{}, &Error{Option: OptionClientLinkLayer, Field: "link-layer type", Err: ErrTruncated}
	}
	return ClientLinkLayer{HardwareType: binary.BigEndian.Uint16(b), Address: b[2:len(b):len(b)]}, nil
}

// AppendClientLinkLayer appends a whole CLIENT_LINKLAYER_ADDR option.
func AppendClientLinkLayer(b []byte, v ClientLinkLayer) []byte {
	b = appendOptionHeader(b, OptionClientLinkLayer, 2+len(v.Address))
	b = binary.BigEndian.AppendUint16(b, v.HardwareType)
	return append(b, v.Address...)
}

// RelayPort is the Downstream Source Port of a Relay Source Port option (RFC
// 8357 section 4.2): a UDP port, 0 if only this relay agent's own port is not
// 547.
type RelayPort uint16

// ParseRelayPort reads the payload of a RELAY_PORT option: two octets exactly.
func ParseRelayPort(b []byte) (RelayPort, error) {
	if err := exactly(b, OptionRelayPort, 2); err != nil {
		return 0, err
	}
	return RelayPort(binary.BigEndian.Uint16(b)), nil
}

// AppendRelayPort appends a whole RELAY_PORT option.
func AppendRelayPort(b []byte, port RelayPort) []byte {
	b = appendOptionHeader(b, OptionRelayPort, 2)
	return binary.BigEndian.AppendUint16(b, uint16(port))
}

// exactly returns nil if the payload b of an option c has n octets,
// ErrTruncated if it has fewer, ErrMalformed if it has more.
func exactly(b []byte, c OptionCode, n int) error {
	switch {
	case len(b) < n:
		return &Error{Option: c, Offset: len(b), Err: ErrTruncated}
	case len(b) > n:
		return &Error{Option: c, Field: "option-len", Offset: n, Err: ErrMalformed}
	}
	return nil
}
