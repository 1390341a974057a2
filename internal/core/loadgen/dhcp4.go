package loadgen

import (
	"fmt"
	"net/netip"

	"fairlead/internal/wire/dhcp4"
)

// dhcpv4 follows RFC 2131 sections 4.3 and 4.4. A Request takes up an offer, so a new client
// begins with a Discover. No server answers a Release, so there is nothing to measure with one.
var dhcpv4 = profile{
	name: "DHCPv4",
	traits: [Kinds]trait{
		Solicit:            {name: "discover"},
		Request:            {name: "request", speaker: newcomer, offered: true, grants: true},
		Renew:              {name: "renew", speaker: holder, named: true},
		Rebind:             {name: "rebind", speaker: holder},
		InformationRequest: {name: "inform", speaker: holder},
		FourWay:            {name: "four-way", offered: true, grants: true},
	},
	newGeneral: newGeneral4, newServer: newServer4, read: read4,
	statusName: func(code int) string {
		if code == statusNAK {
			return "NAK"
		}
		return fmt.Sprintf("status %d", code)
	},
}

// statusNAK is the only status of DHCPv4: there is no code for it.
const statusNAK = 1

// wanted4 are the options that real clients ask for.
var wanted4 = []dhcp4.OptionCode{dhcp4.OptionSubnetMask, dhcp4.OptionRouter, dhcp4.OptionDomainNameServer, dhcp4.OptionDomainName}

const (
	atCIAddr4 = 12
	atCHAddr4 = 28
	withLease = 1 // binding.variant of a client that holds or was offered something
)

// newTemplate4 makes a message of type t with the options that RFC 2131 section 4.4.1, table 5,
// requires in it. holds says that the client has an address, which is then in ciaddr.
func newTemplate4(c *Config, t dhcp4.MessageType, holds bool) (template, []byte) {
	p := template{xid: 4, index: []int{atCHAddr4 + 2}}
	h := dhcp4.Header{Op: dhcp4.BOOTRequest, HType: dhcp4.HardwareEthernet}
	if holds {
		p.address, p.length = atCIAddr4, 4
	} else if c.Broadcast {
		h.Flags = dhcp4.FlagBroadcast
	}
	mac := MAC(0)
	h.CHAddr = mac[:]
	b := dhcp4.AppendMessageType(dhcp4.AppendHeader(nil, h), t)
	b = dhcp4.AppendClientID(b, append([]byte{dhcp4.HardwareEthernet}, mac[:]...))
	p.index = append(p.index, len(b)-4)
	return p, dhcp4.AppendParameterRequestList(b, wanted4...)
}

// whole completes the message of a template.
func (t template) whole(b []byte) template {
	t.octets = dhcp4.AppendEnd(b, 0)
	return t
}

func newGeneral4(c *Config) *general {
	g := &general{
		solicit:     ofType4(c, dhcp4.Discover, false),
		information: ofType4(c, dhcp4.Inform, true),
	}
	g.rebind[withLease] = ofType4(c, dhcp4.Request, true)
	return g
}

func ofType4(c *Config, t dhcp4.MessageType, holds bool) template {
	p, b := newTemplate4(c, t, holds)
	return p.whole(b)
}

// newServer4 makes the messages that are for one server: the Request that takes up its offer, and
// the Request that is sent to it alone and does not name it (RFC 2131 section 4.3.2).
func newServer4(id []byte, c *Config) *server {
	s := &server{id: id}
	p, b := newTemplate4(c, dhcp4.Request, false)
	p.address, p.length = len(b)+2, 4
	b = dhcp4.AppendAddress(b, dhcp4.OptionRequestedAddress, netip.IPv4Unspecified())
	b = dhcp4.AppendOption(b, dhcp4.OptionServerID, id)
	s.request[withLease] = p.whole(b)
	s.renew[withLease] = ofType4(c, dhcp4.Request, true)
	return s
}

// read4 accepts what servers may send by RFC 2131 section 4.3.1, table 3. All three types name
// the server, and an Offer has an address.
func read4(message []byte) (answer, bool) {
	m, err := dhcp4.ParseMessage(message)
	if err != nil || m.Op() != dhcp4.BOOTReply {
		return answer{}, false
	}
	id, _ := m.Options().First(dhcp4.OptionServerID)
	server, err := dhcp4.ParseAddress(dhcp4.OptionServerID, id)
	if err != nil || server.IsUnspecified() {
		return answer{}, false
	}
	a := answer{xid: m.XID(), server: id}
	if yours := m.YIAddr(); !yours.IsUnspecified() {
		a.got = binding{address: yours.As16(), na: true}
	}
	switch m.Type() {
	case dhcp4.Offer:
		a.offer = true
		return a, a.got.na
	case dhcp4.ACK:
	case dhcp4.NAK:
		a.status, a.gone, a.got = statusNAK, true, binding{}
	default:
		return answer{}, false
	}
	return a, true
}
