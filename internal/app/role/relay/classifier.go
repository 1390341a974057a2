package relay

import (
	"net/netip"

	"fairlead/internal/app/engine"
	"fairlead/internal/core/admission"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

// inlet is what the classifier has to know of a link.
type inlet struct {
	name    string
	clients bool // clients are on it
	trusted bool // relay agents on it may speak for many clients, whoever they are
}

// classifier tells whose turn a DHCPv6 message waits for. It is made anew when links or
// peers change.
type classifier struct {
	may   func(local, remote netip.Addr) bool // protect.Supervisor's; nil: all may
	peers *trust.Set
	links map[int]inlet
}

// Classify refuses what comes from a peer that is not protected as it must be. Servers,
// and relay agents that we know, speak for many clients; anybody else is one host.
func (c *classifier) Classify(d *udp.Datagram) engine.Arrival {
	if c.may != nil && d.Path != udp.PathFrame && fromRelayOrServer(d.Payload) && !c.may(d.Dest, d.Source.Addr()) {
		return engine.Arrival{Refused: true, Drop: effect.DropUnprotected}
	}
	l := c.links[d.Link]
	a := engine.Arrival{Class: admission.Clients, Source: admission.SourceOf(linkLayer(d), d.Source.Addr()), Limited: l.clients}
	if len(d.Payload) == 0 {
		return a
	}
	switch dhcp6.MessageType(d.Payload[0]) {
	case dhcp6.RelayReply:
		if !l.clients && c.fromPeer(trust.Server, d, &l) {
			a.Class, a.Source = admission.Answers, a.Source.ForMany()
		}
	case dhcp6.RelayForward:
		if l.trusted || c.fromPeer(trust.Relay, d, &l) {
			a.Source = a.Source.ForMany()
		}
	}
	return a
}

// fromRelayOrServer reports whether a message is one that peers send. What comes from
// a peer by a packet socket is for the core to refuse.
func fromRelayOrServer(payload []byte) bool {
	return len(payload) > 0 && dhcp6.MessageType(payload[0]).IsRelay()
}

// fromPeer reports whether a datagram may be a peer's, by its source, and by the
// way it came where the peer is protected.
func (c *classifier) fromPeer(role trust.Role, d *udp.Datagram, l *inlet) bool {
	p := c.peers.Find(role, d.Source.Addr(), l.name)
	return p != nil && inbound.Protected(p, d.Dest, d.Path == udp.PathFrame)
}

// maxLayers is how many messages are in one at most: relay agents', and a client's.
const maxLayers = dhcp6.HopCountLimit + 1

// AsksForChange reports whether what a server answers to a message is likely to
// change a delegation. A Solicit with rapid commit may as well; that one is not
// worth a look at the options of all others.
func (*classifier) AsksForChange(message []byte) bool {
	for range maxLayers {
		if len(message) == 0 {
			return false
		}
		switch dhcp6.MessageType(message[0]) {
		case dhcp6.Request, dhcp6.Renew, dhcp6.Rebind, dhcp6.Release, dhcp6.Decline:
			return true
		case dhcp6.RelayForward:
			layer, err := dhcp6.ParseRelay(message)
			if err != nil {
				return false
			}
			message, _ = layer.Inner()
		default:
			return false
		}
	}
	return false
}
