package relay6

import (
	"net/netip"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// handleReply takes a Relay-reply from a server (peers.Server).
func (r *Relay) handleReply(now instant.Now, l *link, p *inbound.Packet, eff *effect.Effects) {
	peer, why, ok := r.peers.Server(p, l.Name, l.rule != nil)
	if !ok {
		r.drop(l, p, why, eff)
		return
	}
	m, err := dhcp6.ParseRelay(p.Payload)
	if err != nil {
		r.drop(l, p, effect.DropMalformed, eff)
		return
	}
	inner, ok := m.Inner()
	if !ok || len(inner) == 0 {
		r.drop(l, p, effect.DropNoRelayMessage, eff)
		return
	}
	r.peers.Heard(now, peer, dhcp6.MessageType(inner[0]), eff)
	to, d := r.addressee(now, m, inner)
	r.peers.Answered(peer, peers.Client{Link: to.index(), Address: answeredClient(m, inner)})
	if d != delivered {
		r.drop(l, p, d, eff)
		return
	}
	to.uplink, to.peer = l, peer
	to.assigned = r.assigned(l, peer, m)
	if r.trace != nil && to.link != nil {
		r.traceArrival(eff, to.link, to.client, inner, "server says", peer.Name)
	}
	r.deliver(now, p, to, nil, eff)
}

// answeredClient is the client whose message a Relay-reply answers, as the client was
// counted when the message was forwarded: by the peer-address of the outermost layer below
// ours.
func answeredClient(m dhcp6.RelayMessage, inner []byte) netip.Addr {
	if dhcp6.MessageType(inner[0]) == dhcp6.RelayReply {
		if below, err := dhcp6.ParseRelay(inner); err == nil {
			return below.PeerAddress()
		}
	}
	return m.PeerAddress()
}

// delivered is the drop reason of a message that is not dropped.
const delivered = effect.Drop(effect.DropCount)

// addressee is where the message in a Relay-reply goes.
type addressee struct {
	link    *link // nil: by route
	dest    netip.AddrPort
	message []byte
	relay   bool // another relay, not a client

	// The message without the layers of lightweight relays; set where we are the client's
	// first hop.
	client netip.Addr
	inner  []byte

	uplink   *link
	peer     *trust.Peer
	assigned dhcp6.Options // what the server says beside the message that it has assigned to the client
}

// index is the link's interface, 0 if it is not known.
func (to *addressee) index() int {
	if to.link == nil {
		return 0
	}
	return to.link.Index
}

// addressee finds the way down. RFC 8415 section 19.2: the link is the one that
// the Interface-Id option identifies, otherwise the one that the link-address
// does; the address is the peer-address.
func (r *Relay) addressee(now instant.Now, m dhcp6.RelayMessage, inner []byte) (addressee, effect.Drop) {
	to := addressee{message: inner}
	address := m.PeerAddress()
	if !validSource(address) {
		return to, effect.DropBadPeerAddress
	}
	if id, ok := m.Options().First(dhcp6.OptionInterfaceID); ok {
		var ambiguous bool
		switch to.link, ambiguous = r.links.ByIdentifier(now.Boot, id, m.LinkAddress()); {
		case ambiguous:
			return to, effect.DropAmbiguousInterfaceID
		case to.link == nil:
			return to, effect.DropUnknownInterfaceID
		}
	} else if a := m.LinkAddress(); !a.IsUnspecified() {
		if to.link = r.links.ByAddress(a); to.link == nil {
			return to, effect.DropNoLink
		}
	}
	port := uint16(dhcp6.ClientPort)
	if dhcp6.MessageType(inner[0]) == dhcp6.RelayReply {
		to.relay = true
		port = dhcp6.ServerPort
		if b, ok := m.Options().First(dhcp6.OptionRelayPort); ok { // RFC 8357 section 5.2
			if below, err := dhcp6.ParseRelayPort(b); err == nil && below != 0 {
				port = uint16(below)
			}
		}
	}
	if to.link == nil && rank(address) == rankLinkLocal {
		return to, effect.DropNoLink
	}
	to.dest = netip.AddrPortFrom(address, port)
	if to.link == nil {
		return to, delivered
	}
	if to.link.cannotAnswer(address) {
		return to, effect.DropNoLinkLocal
	}
	if to.link.rule == nil {
		if !to.relay { // no client of ours is there (RFC 8987 G-4)
			return to, effect.DropNotClientLink
		}
		return to, delivered
	}
	if !to.relay {
		to.client, to.inner = address, inner
		return to, delivered
	}
	if below, err := dhcp6.ParseRelay(inner); err == nil {
		if client, message, first := throughLDRAs(below); first {
			to.client, to.inner = client, message
		}
	}
	return to, delivered
}

// deliver learns what a message grants, if we are the client's first hop, and
// sends the message down once the grants are kept and installed. RFC 8415 section 19.2: "Relay
// agents MUST NOT modify the message."
func (r *Relay) deliver(now instant.Now, p *inbound.Packet, to addressee, answered map[binding.Question]bool, eff *effect.Effects) {
	s := effect.Send{Payload: to.message, Dest: to.dest}
	if reads := len(to.inner) > 0 && dhcp6.MessageType(to.inner[0]) == dhcp6.Reply; reads || to.tellsAlone() {
		learn := r.learn
		if !reads {
			learn = r.learnAssigned
		}
		v := learn(now, to, answered, eff)
		if v.probe != nil {
			r.letWait(now, p, to, *v.probe, answered, eff)
			return
		}
		if v.onlyExcess {
			r.dropDown(to, p.Source.Addr(), effect.DropLimit, eff)
			return
		}
		s.After, s.Extends = v.change, v.extends
	} else if !r.ledger.Unordered() && len(to.inner) > 0 {
		// The message asks for nothing to be kept, but no message of a client overtakes another.
		s.After, s.Extends = r.lastOf(to), true
	}
	if to.link != nil {
		r.traffic.Send(to.link.counts(), to.message[0])
		if !to.relay || rank(to.dest.Addr()) == rankLinkLocal {
			s.Link = to.link.Index
		}
	}
	var below *trust.Peer
	if to.relay {
		below = r.relayPeer(to)
	}
	switch {
	case below != nil:
		s.ToPeer, s.Peer, s.Source = true, below, below.Local
		r.peers.Told(below)
	case s.Link == 0:
		s.ToPeer = true
		if to.link != nil {
			s.VRF = to.link.VRF
		}
	default:
		s.LinkLayer = r.neighbours.Lookup(now.Boot, s.Link, to.dest.Addr())
	}
	eff.Sends = append(eff.Sends, s)
	if r.trace != nil && to.link != nil {
		step := "sent"
		if s.After != 0 {
			step = "waits until it is kept and installed"
		}
		r.traceStep(eff, to.link, to.client, to.message, step, "")
	}
}

// lastOf is the newest unfinished change of the client that a message is for.
func (r *Relay) lastOf(to addressee) effect.ChangeID {
	m, err := dhcp6.ParseMessage(to.inner)
	if err != nil {
		return 0
	}
	duid, _ := m.ClientID()
	return r.ledger.Last(ledger.Client{Link: to.link.Name, ID: binding.DUID(duid)})
}

// relayPeer is the configured relay that a Relay-reply goes down to, or nil.
func (r *Relay) relayPeer(to addressee) *trust.Peer {
	if to.link != nil {
		return r.peers.Find(trust.Relay, to.dest.Addr(), to.link.Name)
	}
	return r.peers.FindAddress(trust.Relay, to.dest.Addr())
}

func (r *Relay) dropDown(to addressee, source netip.Addr, d effect.Drop, eff *effect.Effects) {
	r.traffic.Drop(to.link.counts(), d, 1)
	eff.Drop(effect.Dropped{Reason: d, Link: to.link.Name, Source: source})
}

// letWait has a Reply wait for the answer to a question about a next hop.
func (r *Relay) letWait(now instant.Now, p *inbound.Packet, to addressee, q binding.Question, answered map[binding.Question]bool, eff *effect.Effects) {
	if !r.waiting.Wait(now, p, q, answered) {
		r.dropDown(to, p.Source.Addr(), effect.DropProbing, eff)
		return
	}
	r.probe(q, eff)
}

func (r *Relay) probe(q binding.Question, eff *effect.Effects) {
	probe := effect.Probe{Question: q}
	if l := r.links.Named(q.NextHop.Link); l != nil && l.Up {
		probe.Index = l.Index
	}
	eff.Probes = append(eff.Probes, probe)
}

// Probed takes in the result of a Probe: whether the next hop answered and, where the
// question was about a prefix, whether it has used the prefix. If a holder answers from its new address, its delegations
// get that next hop. The Reply that waited for this answer is decided on now.
func (r *Relay) Probed(now instant.Now, q binding.Question, answers bool, eff *effect.Effects) {
	if !q.Prefix.IsValid() {
		r.otherAnswered(now, q.NextHop, answers, eff)
		r.victimAnswered(now, q.NextHop, answers)
	}
	r.goOn(now, q, answers, eff)
}

// Unprobed takes in that a next hop could not be asked. Then nothing moves: the old holder
// counts as present and as using the prefix, and the new address counts as unused.
func (r *Relay) Unprobed(now instant.Now, q binding.Question, eff *effect.Effects) {
	if !q.Prefix.IsValid() {
		r.otherAnswered(now, q.NextHop, false, eff)
	}
	r.goOn(now, q, true, eff)
}

// goOn decides on the Reply that waited for the answer to a question.
func (r *Relay) goOn(now instant.Now, q binding.Question, keeps bool, eff *effect.Effects) {
	p, answered := r.waiting.Answered(now, q, keeps)
	if p == nil {
		return
	}
	l := r.links.At(p.Link)
	if l == nil {
		return
	}
	peer, protected := p.From(r.peers.Set, trust.Server, l.Name)
	m, err := dhcp6.ParseRelay(p.Payload)
	if peer == nil || !protected || err != nil {
		return
	}
	inner, _ := m.Inner()
	to, d := r.addressee(now, m, inner)
	if d != delivered {
		r.drop(l, p, d, eff)
		return
	}
	to.uplink, to.peer = l, peer
	to.assigned = r.assigned(l, peer, m)
	r.deliver(now, p, to, answered, eff)
}
