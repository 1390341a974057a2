package relay6

import (
	"net/netip"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// owesAnswer reports whether a server has to answer a message of that type.
func owesAnswer(t dhcp6.MessageType) bool {
	switch t {
	case dhcp6.Solicit, dhcp6.Request, dhcp6.Confirm, dhcp6.Renew, dhcp6.Rebind, dhcp6.Release, dhcp6.Decline, dhcp6.InformationRequest, dhcp6.RelayForward:
		return true
	}
	return false
}

// owes takes in which answer a server owes for a message that was forwarded to it: for a
// Request or a Renew of a client that holds a lease of this server, an answer of its own; for
// every message, an answer to the client.
func (r *Relay) owes(now instant.Instant, l *link, p *inbound.Packet, h *header, server *trust.Peer) {
	message := p.Payload
	if h.message != nil {
		message = h.message
	}
	t := dhcp6.MessageType(message[0])
	if !owesAnswer(t) {
		return
	}
	if namesServer(t) {
		holds := (h.fromClient || h.firstHop) && r.holdsOf(l, message, server)
		if holds && (t == dhcp6.Request || t == dhcp6.Renew) {
			r.peers.OwesHolder(now, server)
		}
		if !holds && !r.peers.OnlyServer(server) {
			return // it names one server, and the others discard it (RFC 8415 section 16)
		}
	}
	r.peers.Owes(now, server, peers.Client{Link: l.Index, Address: h.client})
}

// namesServer reports whether messages of a type are for the server alone that they
// name (RFC 8415 sections 16.4, 16.6, 16.8, 16.9).
func namesServer(t dhcp6.MessageType) bool {
	return t == dhcp6.Request || t == dhcp6.Renew || t == dhcp6.Release || t == dhcp6.Decline
}

// holdsOf reports whether the client of a message holds a lease of a server.
func (r *Relay) holdsOf(l *link, message []byte, server *trust.Peer) bool {
	m, err := dhcp6.ParseMessage(message)
	if err != nil {
		return false
	}
	client, ok := m.ClientID()
	return ok && r.table.HoldsOf(l.Name, client, server.Name)
}

// Unreachable takes in an error of the network about a message to a peer. A link-local address is
// on the link of an index.
func (r *Relay) Unreachable(now instant.Now, address netip.Addr, index int, cause error, eff *effect.Effects) {
	r.peers.Unreachable(now, address, r.links.NameAt(index), cause, eff)
}
