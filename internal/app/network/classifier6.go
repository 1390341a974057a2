package network

import (
	"net/netip"

	"fairlead/internal/app/engine"
	"fairlead/internal/core/admission"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// Classifier6 makes classifiers of DHCPv6 messages. May is protect.Supervisor's; nil: all may.
func Classifier6(may func(local, remote netip.Addr) bool) func(*trust.Set, map[int]Inlet) engine.Classifier {
	return func(peers *trust.Set, links map[int]Inlet) engine.Classifier { return &classifier6{may, peers, links} }
}

// classifier6 tells whose turn a DHCPv6 message waits for.
type classifier6 struct {
	may   func(local, remote netip.Addr) bool
	peers *trust.Set
	links map[int]Inlet
}

// Classify refuses what comes from a peer that is not protected as it must be. Servers,
// and relay agents that we know, speak for many clients; anybody else is one host. A client
// behind a relay agent that we know waits by itself, so that it cannot keep the others behind
// the same relay agent from their turn.
func (c *classifier6) Classify(p *inbound.Packet) engine.Arrival {
	if c.may != nil && !p.Framed && FromRelayOrServer(p.Payload) && !c.may(p.Dest, p.Source.Addr()) {
		return engine.Arrival{Refused: true, Drop: effect.DropUnprotected}
	}
	l := c.links[p.Link]
	a := engine.Arrival{Class: admission.Clients, Source: admission.SourceOf(p.LinkLayer, p.Source.Addr()), Limited: l.Clients}
	if len(p.Payload) == 0 {
		return a
	}
	switch dhcp6.MessageType(p.Payload[0]) {
	case dhcp6.RelayReply:
		if !l.Clients && c.believes(trust.Server, p, &l) {
			a.Class, a.Source = admission.Answers, a.Source.ForMany()
		}
	case dhcp6.RelayForward:
		if l.Trusted || c.believes(trust.Relay, p, &l) {
			a.Source = a.Source.ForMany()
			a.Client, a.ClientMessage = behind(p.Payload)
		}
	}
	return a
}

// FromRelayOrServer reports whether a message is one that peers send. What comes from
// a peer by a packet socket is for the core to refuse.
func FromRelayOrServer(payload []byte) bool {
	return len(payload) > 0 && dhcp6.MessageType(payload[0]).IsRelay()
}

// believes reports whether a packet may be a peer's. The core asks the same of it when its
// turn has come: peers and links may be others by then.
func (c *classifier6) believes(role trust.PeerRole, p *inbound.Packet, l *Inlet) bool {
	peer, protected := p.From(c.peers, role, l.Name)
	return peer != nil && protected
}

// behind returns the client of a Relay-forward, by the address that the relay agent nearest to it
// has told, and the client's message. If there is none, it returns the zero Source and nil.
func behind(message []byte) (client admission.Source, inner []byte) {
	for range dhcp6.MaxRelayLayers {
		layer, err := dhcp6.ParseRelay(message)
		if err != nil {
			break
		}
		client = admission.SourceOf(linkaddr.Addr{}, layer.PeerAddress())
		if message, _ = layer.Inner(); len(message) == 0 {
			break
		}
		if dhcp6.MessageType(message[0]) != dhcp6.RelayForward {
			return client, message
		}
	}
	return admission.Source{}, nil
}

// AsksForChange reports whether what a server answers to a message is likely to
// change a delegation. A Solicit with rapid commit may as well; that one is not
// worth a look at the options of all others.
func (*classifier6) AsksForChange(message []byte) bool {
	if len(message) > 0 && dhcp6.MessageType(message[0]) == dhcp6.RelayForward {
		_, message = behind(message)
	}
	if len(message) == 0 {
		return false
	}
	switch dhcp6.MessageType(message[0]) {
	case dhcp6.Request, dhcp6.Renew, dhcp6.Rebind, dhcp6.Release, dhcp6.Decline:
		return true
	}
	return false
}
