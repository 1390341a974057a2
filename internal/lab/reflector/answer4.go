package reflector

import (
	"encoding/binary"
	"net/netip"

	"fairlead/internal/wire/dhcp4"
)

// Pool4 contains all IPv4 addresses that are given. All clients are on one link.
var Pool4 = netip.MustParsePrefix("10.0.0.0/8")

const (
	lease4  = dhcp4.Lifetime(7200) // seconds
	number4 = 1<<24 - 1            // the bits of the client's number that choose its address
)

// Address4 returns the address of client n: the one with that number in Pool4, counted from 1. As
// long as there are fewer than 16 million clients, the last two addresses are given to nobody.
func Address4(n uint32) netip.Addr {
	b := Pool4.Addr().As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+n&number4+1)
	return netip.AddrFrom4(b)
}

// Server4 answers DHCPv4 messages.
type Server4 struct {
	Address netip.Addr // the server's own address, and its server identifier
	// Needs are sub-options of option 82 without which a message is not answered. A message that
	// has not passed a relay agent is never answered.
	Needs []dhcp4.SubOptionCode
}

// Append appends the answer to a message that a relay agent has forwarded, and reports
// whether there is one. Option 82 goes back as it came (RFC 3046 section 2.2).
func (s *Server4) Append(b, question []byte) ([]byte, bool) {
	q, err := dhcp4.ParseMessage(question)
	if err != nil || q.Op() != dhcp4.BOOTRequest || q.GIAddr().IsUnspecified() || len(q.CHAddr()) != 6 {
		return b, false
	}
	information, informed := q.Options().First(dhcp4.OptionAgentInformation)
	if !s.satisfied(information) {
		return b, false
	}
	reply, grants := dhcp4.ACK, true
	switch q.Type() {
	case dhcp4.Discover:
		reply = dhcp4.Offer
	case dhcp4.Request:
	case dhcp4.Inform:
		grants = false
	default:
		return b, false
	}
	start := len(b)
	h := dhcp4.Header{Op: dhcp4.BOOTReply, HType: q.HType(), XID: q.XID(), Flags: q.Flags(), CIAddr: q.CIAddr(), GIAddr: q.GIAddr(), CHAddr: q.CHAddr()}
	if grants {
		h.YIAddr = Address4(binary.BigEndian.Uint32(h.CHAddr[2:]))
	}
	b = dhcp4.AppendMessageType(dhcp4.AppendHeader(b, h), reply)
	b = dhcp4.AppendAddress(b, dhcp4.OptionServerID, s.Address)
	if grants {
		b = dhcp4.AppendLifetime(b, dhcp4.OptionLeaseTime, lease4)
	}
	b = dhcp4.AppendAddress(b, dhcp4.OptionRouter, q.GIAddr())
	if informed {
		b = dhcp4.AppendOption(b, dhcp4.OptionAgentInformation, information)
	}
	return dhcp4.AppendEnd(b, start), true
}

// satisfied reports whether an option 82 has all that the server needs.
func (s *Server4) satisfied(information []byte) bool {
	if len(s.Needs) == 0 {
		return true
	}
	all, err := dhcp4.ParseAgentInformation(information)
	if err != nil {
		return false
	}
	for _, code := range s.Needs {
		if _, ok := all.First(code); !ok {
			return false
		}
	}
	return true
}
