// Package reflector is a server behind a relay agent that costs almost nothing: it keeps no
// state, and each answer depends only on the octets of the question. It runs behind the relays
// that tools/bench measures, on the same processor as the load generator.
//
// It is not a server for clients: it understands one relay layer (RFC 8415 section 9), knows no
// leases, pools and refusals, and offers to each client what belongs to the client's number,
// which is the last four octets of its DUID.
//
//	Solicit                 Advertise with the prefix, or a Reply with it if
//	                        the client asks for rapid commit
//	Request, Renew, Rebind  Reply with the prefix
//	Release, Decline        Reply with the status Success
//	Information-request     Reply
//
// In DHCPv4 the number is the last four octets of the client's hardware address, of which three
// octets determine its address.
//
//	Discover                Offer with the address
//	Request                 ACK with the address
//	Inform                  ACK
//
// An answer to a well-formed message allocates nothing. The functions Append may be called from
// several goroutines; a Server belongs to the goroutine that calls Serve.
package reflector

import (
	"encoding/binary"
	"net/netip"

	"fairlead/internal/wire/dhcp6"
)

// These are given to every client.
const (
	PrefixLength   = 56
	Preferred      = dhcp6.Lifetime(3000) // seconds
	Valid          = dhcp6.Lifetime(7200) // seconds
	renewal        = Preferred / 2
	rebinding      = Preferred / 5 * 4
	poolBits       = 24 // fd0f:e00::/24; the rest of the 56 bits is the client's number
	clientIDLength = 4  // octets at the end of the DUID that make the number
)

// ServerID is the DUID of the server (type 3, Ethernet).
var ServerID = dhcp6.DUID{0, 3, 0, 1, 2, 0xfa, 0xff, 0xff, 0xff, 0xff}

// Pool contains all prefixes that are given.
var Pool = netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x0f, 0x0e}), poolBits)

// Prefix returns the prefix of client n: Pool with n as its next 32 bits.
func Prefix(n uint32) netip.Prefix {
	b := Pool.Addr().As16()
	binary.BigEndian.PutUint32(b[poolBits/8:], n)
	return netip.PrefixFrom(netip.AddrFrom16(b), PrefixLength)
}

// number returns the client's number, and 0 if there is no whole DUID.
func number(client dhcp6.DUID) uint32 {
	if len(client) < clientIDLength {
		return 0
	}
	return binary.BigEndian.Uint32(client[len(client)-clientIDLength:])
}

// Append appends the Relay-reply to a Relay-forward, and reports whether there is one. It has the
// same interface-id, link-address and peer-address as the Relay-forward.
func Append(b, forward []byte) ([]byte, bool) {
	layer, err := dhcp6.ParseRelay(forward)
	if err != nil || layer.Type() != dhcp6.RelayForward {
		return b, false
	}
	inner, ok := layer.Inner()
	if !ok {
		return b, false
	}
	question, err := dhcp6.ParseMessage(inner)
	if err != nil {
		return b, false
	}
	start := len(b)
	b = append(b, forward[:relayHeader]...)
	b[start] = byte(dhcp6.RelayReply)
	if id, ok := layer.Options().First(dhcp6.OptionInterfaceID); ok {
		b = dhcp6.AppendInterfaceID(b, id)
	}
	b, mark := dhcp6.BeginOption(b, dhcp6.OptionRelayMessage)
	if b, ok = appendMessage(b, question); !ok {
		return b[:start], false
	}
	if b, err = dhcp6.EndOption(b, mark); err != nil {
		return b[:start], false
	}
	return b, true
}

// relayHeader is the length of msg-type, hop-count and the two addresses.
const relayHeader = 2 + 16 + 16

// appendMessage appends the answer to the client.
func appendMessage(b []byte, question dhcp6.Message) ([]byte, bool) {
	reply, grants := dhcp6.Reply, true
	switch question.Type() {
	case dhcp6.Solicit:
		if _, rapid := question.Options().First(dhcp6.OptionRapidCommit); !rapid {
			reply = dhcp6.Advertise
		}
	case dhcp6.Request, dhcp6.Renew, dhcp6.Rebind:
	case dhcp6.Release, dhcp6.Decline, dhcp6.InformationRequest:
		grants = false
	default:
		return b, false
	}
	b = dhcp6.AppendMessageHeader(b, reply, question.TransactionID())
	client, known := question.ClientID()
	if known {
		b = dhcp6.AppendClientID(b, client)
	}
	b = dhcp6.AppendServerID(b, ServerID)
	switch {
	case grants:
		b = appendPrefixes(b, question.Options(), number(client))
		if question.Type() == dhcp6.Solicit && reply == dhcp6.Reply {
			b = dhcp6.AppendOption(b, dhcp6.OptionRapidCommit, nil)
		}
	case question.Type() != dhcp6.InformationRequest:
		b = dhcp6.AppendStatus(b, dhcp6.Status{Code: dhcp6.StatusSuccess})
	}
	return b, true
}

// appendPrefixes answers each IA_PD of the question with the client's prefix.
func appendPrefixes(b []byte, question dhcp6.Options, client uint32) []byte {
	for code, ia := range question.IAs() {
		if code != dhcp6.OptionIAPD {
			continue
		}
		var mark int
		b, mark = dhcp6.BeginIA(b, dhcp6.OptionIAPD, ia.IAID, renewal, rebinding)
		b = dhcp6.AppendIAPrefix(b, dhcp6.IAPrefix{Prefix: Prefix(client), Preferred: Preferred, Valid: Valid})
		if whole, err := dhcp6.EndOption(b, mark); err == nil {
			b = whole
		}
	}
	return b
}
