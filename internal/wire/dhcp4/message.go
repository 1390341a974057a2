package dhcp4

import (
	"encoding/binary"
	"net/netip"
)

// The UDP ports of RFC 2131 section 4.1.
const (
	ServerPort = 67 // of servers and relay agents
	ClientPort = 68
)

// MinBOOTPLen is the smallest length of a BOOTP message (RFC 1542 section 2.1), whose vend field
// has 64 octets. DHCP allows any length of that field (RFC 2131 section 2), so a shorter message
// with options is read; the caller decides whether to serve it. AppendEnd pads our own messages
// to this length.
const MinBOOTPLen = 300

// The offsets of the fields of a message (RFC 2131 section 2, figure 1).
const (
	atHType   = 1
	atHLen    = 2
	atHops    = 3
	atXID     = 4
	atSecs    = 8
	atFlags   = 10
	atCIAddr  = 12
	atYIAddr  = 16
	atSIAddr  = 20
	atGIAddr  = 24
	atCHAddr  = 28
	atSName   = 44
	atFile    = 108
	atCookie  = 236
	atOptions = 240
)

// magicCookie is in front of the options (RFC 2131 section 3). After another value there are no
// options.
const magicCookie = 0x63825363

// Op is the op field: it tells whether the message is a client's or a server's.
type Op uint8

// The values of the op field (RFC 2131 section 2, table 1).
const (
	BOOTRequest Op = 1
	BOOTReply   Op = 2
)

// FlagBroadcast is the BROADCAST flag in the flags field (RFC 1542 section 2.2).
// The other bits are reserved, and ignored by servers and relay agents.
const FlagBroadcast uint16 = 0x8000

// HardwareEthernet is the htype of Ethernet.
const HardwareEthernet uint8 = 1

// Message is a view of a DHCP or BOOTP message (RFC 2131 section 2). The zero value
// has no addresses and no options.
type Message struct {
	b        []byte
	end      int         // offset of the End option, len(b) if there is none; 0 if there are no options
	overload uint8       // the bits of option 52
	kind     MessageType // 0 if Type is 0
}

// ParseMessage checks the header and the framing of the options field. It does not read the
// content of the options, nor the file and sname fields. A message may lack the End option (RFC
// 3046 section 2.1 says "if present") and a message type.
//
// A message without the magic cookie is a BOOTP message with other vendor information, or with
// none (RFC 1542 section 3.5): a relay forwards it, and it has no options. It is ErrTruncated
// below MinBOOTPLen octets, because it has a vend field of that length.
func ParseMessage(b []byte) (Message, error) {
	if len(b) < atOptions {
		return Message{}, &Error{Field: "header", Offset: len(b), Err: ErrTruncated}
	}
	if op := Op(b[0]); op != BOOTRequest && op != BOOTReply {
		return Message{}, &Error{Field: "op", Err: ErrMalformed}
	}
	if b[atHLen] > atSName-atCHAddr {
		return Message{}, &Error{Field: "hlen", Offset: atHLen, Err: ErrMalformed}
	}
	m := Message{b: b[:len(b):len(b)]}
	if binary.BigEndian.Uint32(b[atCookie:]) != magicCookie {
		if len(b) < MinBOOTPLen {
			return Message{}, &Error{Field: "vend", Offset: len(b), Err: ErrTruncated}
		}
		return m, nil
	}
	if err := m.readOptions(); err != nil {
		return Message{}, err
	}
	return m, nil
}

// Bytes returns the whole message as it was given to ParseMessage.
func (m Message) Bytes() []byte { return m.b }

// Op returns the op field: BOOTRequest or BOOTReply.
func (m Message) Op() Op { return Op(m.octet(0)) }

// HType returns the hardware type of chaddr, a number of IANA's ARP registry.
func (m Message) HType() uint8 { return m.octet(atHType) }

// Hops returns the hops field: how many relay agents the request has passed.
func (m Message) Hops() uint8 { return m.octet(atHops) }

// XID returns the transaction ID.
func (m Message) XID() uint32 {
	if len(m.b) == 0 {
		return 0
	}
	return binary.BigEndian.Uint32(m.b[atXID:])
}

// Secs returns the secs field: seconds since the client began.
func (m Message) Secs() uint16 { return m.uint16(atSecs) }

// Flags returns the flags field.
func (m Message) Flags() uint16 { return m.uint16(atFlags) }

// Broadcast reports whether the BROADCAST flag is set.
func (m Message) Broadcast() bool { return m.Flags()&FlagBroadcast != 0 }

// CIAddr returns the ciaddr field: the address that the client has.
func (m Message) CIAddr() netip.Addr { return m.addr(atCIAddr) }

// YIAddr returns the yiaddr field: the address that the server gives.
func (m Message) YIAddr() netip.Addr { return m.addr(atYIAddr) }

// SIAddr returns the siaddr field: the server of the next step of the bootstrap.
func (m Message) SIAddr() netip.Addr { return m.addr(atSIAddr) }

// GIAddr returns the giaddr field: the address of the first relay agent, 0.0.0.0 if
// there was none.
func (m Message) GIAddr() netip.Addr { return m.addr(atGIAddr) }

// CHAddr returns the client's hardware address: as many octets of the chaddr field as
// hlen says, 0 to 16.
func (m Message) CHAddr() []byte {
	if len(m.b) == 0 {
		return nil
	}
	end := atCHAddr + int(m.b[atHLen])
	return m.b[atCHAddr:end:end]
}

// SName returns the 64 octets of the sname field, which may hold options.
func (m Message) SName() []byte { return m.field(atSName, atFile) }

// File returns the 128 octets of the file field, which may hold options.
func (m Message) File() []byte { return m.field(atFile, atCookie) }

// Options returns the options in the order in which they are interpreted (RFC 2131 section 4.1):
// those of the options field, then those of the file and sname fields, where option 52 says that
// they have options. If an option in the latter two goes past the end of its field, neither it
// nor the options after it are returned.
func (m Message) Options() Options { return Options{b: m.b, end: m.end, overload: m.overload} }

// Type returns the DHCP message type. It is 0 where there is none, as in BOOTP, and where there
// is not exactly one of one octet.
func (m Message) Type() MessageType { return m.kind }

// optionsField returns the options of the options field alone.
func (m Message) optionsField() Options { return Options{b: m.b, end: m.end} }

func (m Message) octet(at int) uint8 {
	if len(m.b) == 0 {
		return 0
	}
	return m.b[at]
}

func (m Message) uint16(at int) uint16 {
	if len(m.b) == 0 {
		return 0
	}
	return binary.BigEndian.Uint16(m.b[at:])
}

func (m Message) addr(at int) netip.Addr {
	if len(m.b) == 0 {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte(m.b[at : at+4]))
}

func (m Message) field(at, end int) []byte {
	if len(m.b) == 0 {
		return nil
	}
	return m.b[at:end:end]
}

// Header is the beginning of a message (RFC 2131 section 2, table 1). The addresses are IPv4; the
// zero netip.Addr is sent as 0.0.0.0.
type Header struct {
	Op                             Op
	HType, Hops                    uint8
	XID                            uint32
	Secs, Flags                    uint16
	CIAddr, YIAddr, SIAddr, GIAddr netip.Addr
	CHAddr                         []byte // at most 16 octets; their number is hlen
	SName                          []byte // at most 64 octets
	File                           []byte // at most 128 octets
}

// AppendHeader starts a message: the header and the magic cookie. The options follow,
// then AppendEnd. It panics if CHAddr, SName or File do not fit their fields.
func AppendHeader(b []byte, h Header) []byte {
	b = append(b, byte(h.Op), h.HType, byte(len(h.CHAddr)), h.Hops)
	b = binary.BigEndian.AppendUint32(b, h.XID)
	b = binary.BigEndian.AppendUint16(b, h.Secs)
	b = binary.BigEndian.AppendUint16(b, h.Flags)
	b = appendAddr(b, h.CIAddr)
	b = appendAddr(b, h.YIAddr)
	b = appendAddr(b, h.SIAddr)
	b = appendAddr(b, h.GIAddr)
	b = appendField(b, "chaddr", h.CHAddr, atSName-atCHAddr)
	b = appendField(b, "sname", h.SName, atFile-atSName)
	b = appendField(b, "file", h.File, atCookie-atFile)
	return binary.BigEndian.AppendUint32(b, magicCookie)
}

// AppendEnd ends the message that begins at octet start of b: it appends the End option, and pads
// up to the smallest length of a BOOTP message (RFC 1542 section 2.1).
func AppendEnd(b []byte, start int) []byte {
	b = append(b, byte(OptionEnd))
	for len(b)-start < MinBOOTPLen {
		b = append(b, byte(OptionPad))
	}
	return b
}

// appendField appends a field of n octets, padded with zeros.
func appendField(b []byte, name string, value []byte, n int) []byte {
	if len(value) > n {
		panic(&Error{Field: name, Offset: len(b), Err: ErrTooBig})
	}
	b = append(b, value...)
	for range n - len(value) {
		b = append(b, 0)
	}
	return b
}

// appendAddr appends the 4 octets of a; for the zero Addr they are zero.
func appendAddr(b []byte, a netip.Addr) []byte {
	octets := [4]byte{}
	if a.IsValid() {
		octets = a.As4()
	}
	return append(b, octets[:]...)
}

// SetHops writes the hops field of the message b, and nothing else. Like SetGIAddr it is for a
// copy of a message that ParseMessage has accepted.
func SetHops(b []byte, hops uint8) { b[atHops] = hops }

// SetGIAddr writes the giaddr field of the message b. The address is IPv4.
func SetGIAddr(b []byte, a netip.Addr) {
	octets := a.As4()
	copy(b[atGIAddr:], octets[:])
}
