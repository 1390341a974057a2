package relay4

import (
	"net/netip"

	"fairlead/internal/app/engine"
	"fairlead/internal/app/network"
	"fairlead/internal/core/admission"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
)

// classifier classifies DHCPv4 messages for the queue. It is made again when links or peers
// change.
type classifier struct {
	may   func(local, remote netip.Addr) bool // the Supervisor's May, of package protect; nil: every message may pass
	peers *trust.Set
	links map[int]network.Inlet
	waits bool // on some link, ACKs wait until a lease is kept and installed
}

// The offsets of fields in a message (RFC 2131 section 2).
const (
	giaddrAt  = 24
	giaddrEnd = 28
)

// fromServer reports whether a message is a BOOTREPLY.
func fromServer(payload []byte) bool {
	return len(payload) > 0 && dhcp4.Op(payload[0]) == dhcp4.BOOTReply
}

// fromRelay reports whether a relay agent has forwarded a message: giaddr is not zero.
func fromRelay(payload []byte) bool {
	return len(payload) >= giaddrEnd && dhcp4.Op(payload[0]) == dhcp4.BOOTRequest && [4]byte(payload[giaddrAt:giaddrEnd]) != [4]byte{}
}

// fromPeer reports whether a message is of a kind that peers send.
func fromPeer(payload []byte) bool { return fromServer(payload) || fromRelay(payload) }

// Classify refuses messages of a peer that is not protected as it must be. Servers, and relay
// agents that we know, speak for many clients; any other sender is one host.
func (c *classifier) Classify(p *inbound.Packet) engine.Arrival {
	peer := fromPeer(p.Payload)
	if c.may != nil && !p.Framed && peer && !c.may(p.Dest, p.Source.Addr()) {
		return engine.Arrival{Refused: true, Drop: effect.DropUnprotected}
	}
	l := c.links[p.Link]
	a := engine.Arrival{Class: admission.Clients, Source: admission.SourceOf(p.LinkLayer, p.Source.Addr()), Limited: l.Clients}
	switch {
	case !peer:
	case fromServer(p.Payload):
		if !l.Clients && c.believes(trust.Server, p, &l) {
			a.Class, a.Source = admission.Answers, a.Source.ForMany()
		}
	case l.Trusted || c.believes(trust.Relay, p, &l):
		a.Source = a.Source.ForMany()
	}
	return a
}

// believes reports whether a packet may be a peer's. The core asks again when it handles the
// packet, because peers and links may have changed by then.
func (c *classifier) believes(role trust.PeerRole, p *inbound.Packet, l *network.Inlet) bool {
	peer, protected := p.From(c.peers, role, l.Name)
	return peer != nil && protected
}

// AsksForChange reports whether the server's answer to a message waits until a lease is kept and
// installed. On links without such rules it waits for nothing.
func (c *classifier) AsksForChange(message []byte) bool {
	if !c.waits || fromServer(message) {
		return false
	}
	m, err := dhcp4.ParseMessage(message)
	return err == nil && m.Type() == dhcp4.Request
}
