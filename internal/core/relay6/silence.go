package relay6

import (
	"net/netip"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// A server is silent when nothing has come from it for silentAfter while it owes
// answers that a server which works does not withhold: one to a Request or Renew of
// a client that holds a lease of this server, or some to silentClients clients. One
// client without an answer says nothing of the server, which may have no prefix for
// that client's link, or not like what the client asks.
const (
	silentAfter   = 10 * time.Second
	silentClients = 4
	// patience is how long a client counts as waiting after its last message.
	patience = 2 * time.Minute
)

// asker is a client that a server owes an answer.
type asker struct {
	link     int
	addr     netip.Addr
	first    instant.Instant // of its messages that have no answer
	last     instant.Instant
	since    instant.Instant // of those, the first after the server's last word, if asked
	asked    bool            // it has sent something since then
	messages uint64
}

func (a *asker) is(link int, addr netip.Addr) bool {
	return a.messages > 0 && a.addr == addr && (a.link == link || link == 0)
}

func (a *asker) ask(now instant.Instant) {
	if a.messages == 0 {
		a.first = now
	}
	if !a.asked {
		a.asked, a.since = true, now
	}
	a.messages, a.last = a.messages+1, now
}

// owed is what a server owes, as far as it matters: a few of its clients.
type owed struct {
	clients [silentClients]asker
	holder  asker // of a lease of the server's, with a Request or Renew
}

// ask takes in that a client's message went to the server.
func (o *owed) ask(now instant.Instant, link int, addr netip.Addr) {
	var free *asker
	for i := range o.clients {
		a := &o.clients[i]
		if a.is(link, addr) {
			a.ask(now)
			return
		}
		if a.messages == 0 || a.last.After(patience) < now {
			free = a
		}
	}
	if free != nil {
		*free = asker{link: link, addr: addr}
		free.ask(now)
	}
}

// heard takes in that something came from the server.
func (o *owed) heard() {
	o.holder = asker{}
	for i := range o.clients {
		o.clients[i].asked = false
	}
}

// answered takes in whom it was for; link 0: it is not known.
func (o *owed) answered(link int, addr netip.Addr) {
	for i := range o.clients {
		if o.clients[i].is(link, addr) {
			o.clients[i] = asker{}
		}
	}
}

// silentAt is when the server will be silent if nothing comes; false if it need not
// be for all that is known.
func (o *owed) silentAt() (at instant.Instant, ok bool) {
	if o.holder.asked {
		at, ok = o.holder.since.After(silentAfter), true
	}
	var last instant.Instant
	for i := range o.clients {
		a := &o.clients[i]
		if !a.asked {
			return at, ok
		}
		last = max(last, a.since)
	}
	for i := range o.clients {
		if o.clients[i].last.After(patience) < last {
			return at, ok // it had given up when the last of them asked
		}
	}
	if all := last.After(silentAfter); !ok || all < at {
		at, ok = all, true
	}
	return at, ok
}

// Waiting is a client that has had no answer from a server for some time.
type Waiting struct {
	Link     string
	Source   netip.Addr
	For      time.Duration
	Messages uint64

	index int // of the link
}

// waiting are the clients that have waited for silentAfter.
func (o *owed) waiting(now instant.Instant) []Waiting {
	var all []Waiting
	for i := range o.clients {
		a := &o.clients[i]
		if a.messages > 0 && a.first.After(silentAfter) <= now && now <= a.last.After(patience) {
			all = append(all, Waiting{index: a.link, Source: a.addr, For: time.Duration(now - a.first), Messages: a.messages})
		}
	}
	return all
}

// owesAnswer reports whether a server has to answer a message of that type.
func owesAnswer(t dhcp6.MessageType) bool {
	switch t {
	case dhcp6.Solicit, dhcp6.Request, dhcp6.Confirm, dhcp6.Renew, dhcp6.Rebind, dhcp6.Release, dhcp6.Decline, dhcp6.InformationRequest, dhcp6.RelayForward:
		return true
	}
	return false
}

// asked takes in that a message went to a server.
func (r *Relay) asked(now instant.Instant, l *link, p *inbound.Packet, h *header, peer *trust.Peer, s *peerState) {
	message := p.Payload
	if h.message != nil {
		message = h.message
	}
	t := dhcp6.MessageType(message[0])
	if !owesAnswer(t) {
		return
	}
	if namesServer(t) {
		holds := (h.fromClient || h.firstHop) && r.holdsOf(l, message, peer)
		if holds && (t == dhcp6.Request || t == dhcp6.Renew) {
			s.owed.holder.ask(now)
		}
		if !holds && !r.onlyServer(peer) {
			return // it names one server, and the others discard it (RFC 8415 section 16)
		}
	}
	s.owed.ask(now, l.Index, h.client)
}

// namesServer reports whether messages of a type are for the server alone that they
// name (RFC 8415 sections 16.4, 16.6, 16.8, 16.9).
func namesServer(t dhcp6.MessageType) bool {
	return t == dhcp6.Request || t == dhcp6.Renew || t == dhcp6.Release || t == dhcp6.Decline
}

// holdsOf reports whether the client of a message holds anything of a server.
func (r *Relay) holdsOf(l *link, message []byte, server *trust.Peer) bool {
	m, err := dhcp6.ParseMessage(message)
	if err != nil {
		return false
	}
	client, ok := m.ClientID()
	return ok && r.table.HoldsOf(l.Name, client, server.Name)
}

// onlyServer reports whether there is no other server than this one.
func (r *Relay) onlyServer(server *trust.Peer) bool {
	for i := range r.cfg.Peers {
		if p := &r.cfg.Peers[i]; p.Role == trust.Server && p.Name != server.Name {
			return false
		}
	}
	return true
}

// heard takes in that a peer said something.
func (r *Relay) heard(now instant.Now, p *trust.Peer, t dhcp6.MessageType, eff *effect.Effects) {
	s := r.peers[p.Name]
	s.Received++
	s.LastReceived, s.lastType = now.Wall, t
	s.SinceAnswer = 0
	s.owed.heard()
	first := !s.answered
	s.answered = true
	if s.silent || s.failure != nil {
		s.silent, s.failure, s.failedAt = false, nil, time.Time{}
		eff.Note(effect.Note{Kind: effect.NotePeer, Peer: p.Name, Text: "peer answers again"})
		first = true
	}
	if first && p.Role == trust.Server {
		r.choose(eff)
	}
}

// tickPeers finds the servers that have fallen silent.
func (r *Relay) tickPeers(now instant.Now, eff *effect.Effects) {
	for i := range r.cfg.Peers {
		p := &r.cfg.Peers[i]
		s := r.peers[p.Name]
		at, ok := s.silentAt()
		if !ok || now.Boot < at {
			continue
		}
		s.silent, s.silentSince = true, now.Wall.Add(-time.Duration(now.Boot-at)-silentAfter)
		reason := "messages of several clients wait for an answer"
		if s.owed.holder.asked {
			reason = "a client that holds a lease of it waits for an answer"
		}
		eff.Note(effect.Note{Kind: effect.NotePeer, Peer: p.Name, Text: "server is silent", Reason: reason})
		r.choose(eff)
	}
}

// silentAt is when the server will be silent; false if it is already, or need not be.
func (s *peerState) silentAt() (instant.Instant, bool) {
	if s.silent {
		return 0, false
	}
	return s.owed.silentAt()
}

// Unreachable takes in that the network has answered what was sent to a peer by an
// error. It is shown, and changes nothing over: whoever is on the way can make one.
func (r *Relay) Unreachable(now instant.Now, address netip.Addr, zone int, cause error, eff *effect.Effects) {
	for i := range r.cfg.Peers {
		p := &r.cfg.Peers[i]
		if p.Address != address {
			continue
		}
		if l := r.links.At(zone); p.Zone != "" && (l == nil || l.Name != p.Zone) {
			continue
		}
		s := r.peers[p.Name]
		s.Unreachable++
		s.failedAt = now.Wall
		if s.failure == nil || s.failure.Error() != cause.Error() {
			s.failure = cause
			eff.Note(effect.Note{Kind: effect.NotePeer, Peer: p.Name, Text: "peer cannot be reached", Err: cause})
		}
	}
}

// everyServer stands for all servers, where messages go to all.
const everyServer = ""

// choice is the server that messages go to, or everyServer.
func (r *Relay) choice() string {
	if p := r.preferredServer(); p != nil {
		return p.Name
	}
	return everyServer
}

// choose tells when forward: first sends to another server than before.
func (r *Relay) choose(eff *effect.Effects) {
	before := r.chosen
	r.chosen = r.choice()
	switch r.chosen {
	case before:
	case everyServer:
		eff.Note(effect.Note{Kind: effect.NotePeer, Peer: before, Text: "forward first: no server answers, messages go to all"})
	default:
		eff.Note(effect.Note{Kind: effect.NotePeer, Peer: r.chosen, Text: "forward first: messages go to this server"})
	}
}
