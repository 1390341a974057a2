package relay6

import (
	"net/netip"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// handleClient takes a message of a client: any type but the relay messages.
//
// RFC 8415 section 19: "If the relay agent receives a message other than Relay-forward and
// Relay-reply and the relay agent does not recognize its message type, it MUST forward the
// message".
func (r *Relay) handleClient(now instant.Now, l *link, p *inbound.Packet, eff *effect.Effects) {
	if l.rule == nil {
		r.drop(l, p, effect.DropNotClientLink, eff)
		return
	}
	source := p.Source.Addr()
	if !validSource(source) {
		r.drop(l, p, effect.DropBadSource, eff)
		return
	}
	t := dhcp6.MessageType(p.Payload[0])
	r.traffic.Receive(l.counts(), p.Payload[0])
	switch {
	case t.FromServerOnly():
		r.drop(l, p, effect.DropServerMessage, eff)
		return
	case isLeasequery(t) && !l.rule.AllowLeasequery: // RFC 5007 section 5
		r.drop(l, p, effect.DropLeasequery, eff)
		return
	}
	if l.cannotAnswer(source) {
		r.drop(l, p, effect.DropNoLinkLocal, eff)
		return
	}
	r.neighbours.Learn(now.Boot, p.Link, source, p.LinkLayer)
	if !r.observe(now, l, p, source, p.Payload, eff) {
		return
	}
	// RFC 8415 section 19.1.1: a message from a client starts the chain.
	r.forward(now, l, p, header{hops: 0, link: l.Address(), fromClient: true, client: source}, eff)
}

// handleRelayForward takes a Relay-forward of a relay below us. That relay must be configured, or
// its link trusted.
func (r *Relay) handleRelayForward(now instant.Now, l *link, p *inbound.Packet, eff *effect.Effects) {
	source := p.Source.Addr()
	if !validSource(source) {
		r.drop(l, p, effect.DropBadSource, eff)
		return
	}
	r.traffic.Receive(l.counts(), p.Payload[0])
	peer, protected := p.From(r.peers.Set, trust.Relay, l.Name)
	if peer == nil && (l.rule == nil || !l.rule.Trusted) {
		r.drop(l, p, effect.DropUntrustedRelay, eff)
		return
	}
	if peer == nil && rank(source) != rankLinkLocal {
		// A link that trusts every relay does not trust one that claims to be a protected peer.
		if named := r.peers.FindAddress(trust.Relay, source); named != nil && named.Protection == trust.ProtectionIPsec {
			r.drop(l, p, effect.DropUnprotected, eff)
			return
		}
	}
	if !protected {
		r.drop(l, p, effect.DropUnprotected, eff)
		return
	}
	m, err := dhcp6.ParseRelay(p.Payload)
	if err != nil {
		r.drop(l, p, effect.DropMalformed, eff)
		return
	}
	// RFC 8415 section 19.1.2: a message whose hop count has reached the limit is discarded.
	if m.HopCount() >= dhcp6.HopCountLimit {
		r.drop(l, p, effect.DropHopLimit, eff)
		return
	}
	if l.cannotAnswer(source) {
		r.drop(l, p, effect.DropNoLinkLocal, eff)
		return
	}
	if peer != nil {
		r.peers.Heard(now, peer, dhcp6.RelayForward, eff)
	}
	r.neighbours.Learn(now.Boot, p.Link, source, p.LinkLayer)
	h := header{hops: m.HopCount() + 1, client: m.PeerAddress()}
	// RFC 8415 section 19.1.2: the link-address is 0 where the source is globally scoped,
	// otherwise an address of the interface.
	if rank(source) == rankLinkLocal {
		h.link = l.Address()
	}
	// RFC 8357 section 5.2. A lightweight relay just below us sends from its client's address,
	// and maybe from its client's port, but receives on port 547 alone (RFC 6221 section 6.2).
	if port := p.Source.Port(); port != dhcp6.ServerPort && !(m.LinkAddress().IsUnspecified() && m.PeerAddress() == source) {
		h.downstreamPort = port
	}
	if client, inner, first := throughLDRAs(m); first && l.rule != nil {
		h.firstHop, h.client, h.message = true, client, inner
		if !r.observe(now, l, p, client, inner, eff) {
			return
		}
	}
	r.forward(now, l, p, h, eff)
}

// throughLDRAs looks through the layers of lightweight relays (link-address ::, RFC 6221) for the
// client's own message. first is false where a layer-3 relay is below us: then that relay is the
// client's first hop (RFC 8987 section 1), not we.
func throughLDRAs(m dhcp6.RelayMessage) (client netip.Addr, inner []byte, first bool) {
	for range dhcp6.MaxRelayLayers {
		if !m.LinkAddress().IsUnspecified() {
			return netip.Addr{}, nil, false
		}
		payload, ok := m.Inner()
		if !ok || len(payload) == 0 {
			return netip.Addr{}, nil, false
		}
		if !dhcp6.MessageType(payload[0]).IsRelay() {
			return m.PeerAddress(), payload, validSource(m.PeerAddress())
		}
		next, err := dhcp6.ParseRelay(payload)
		if err != nil || next.Type() != m.Type() {
			return netip.Addr{}, nil, false
		}
		m = next
	}
	return netip.Addr{}, nil, false
}

// cannotAnswer reports whether we can send nothing to an address on the link. A link-local
// address is answered from a link-local address, and the link may have none yet, or none that has
// passed duplicate address detection. A message that cannot be answered is not forwarded: the
// server would grant a lease, and the relay keep it, that the client never hears of.
func (l *link) cannotAnswer(to netip.Addr) bool { return !l.linkLocal && rank(to) == rankLinkLocal }

func validSource(a netip.Addr) bool {
	return a.Is6() && !a.Is4In6() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback()
}

func isLeasequery(t dhcp6.MessageType) bool {
	return t == dhcp6.LeasequeryRequest || t == dhcp6.ActiveLeasequery || t == dhcp6.StartTLS
}

// forward wraps a message and sends it towards the servers. The message itself
// is copied octet by octet (RFC 8987 G-1).
func (r *Relay) forward(now instant.Now, l *link, p *inbound.Packet, h header, eff *effect.Effects) {
	w := r.wrapping(l, p, h)
	targets := r.peers.Targets(now.Boot)
	sent := false
	for i := range r.cfg.Peers {
		if !targets.Has(i) {
			continue
		}
		peer := &r.cfg.Peers[i]
		s := effect.Send{
			ToPeer: true, Peer: peer, Source: peer.Local, SourcePort: r.cfg.SourcePort,
			Dest: netip.AddrPortFrom(peer.Address, dhcp6.ServerPort),
		}
		if peer.Zone != "" {
			zone := r.links.Named(peer.Zone)
			if zone == nil {
				continue
			}
			s.Link = zone.Index
		}
		if s.Payload = r.wrapFor(&w, peer, eff); s.Payload == nil {
			continue
		}
		if peer.Address.IsMulticast() {
			s.HopLimit = 8 // RFC 8415 section 19
		}
		eff.Sends = append(eff.Sends, s)
		r.peers.Asked(now.Boot, peer)
		r.owes(now.Boot, l, p, &h, peer)
		r.traceStep(eff, l, p.Source.Addr(), p.Payload, "forwarded", peer.Name)
		sent = true
	}
	switch {
	case sent:
	case w.tooBig:
		r.drop(l, p, effect.DropTooBig, eff)
	default:
		r.drop(l, p, effect.DropNoServer, eff)
	}
}

// observe reads a client's message for what RFC 8987 asks of the relay. A Request above a limit
// goes no further (G-5, G-6); a Release ends the leases that it gives back (G-9). A message that
// cannot be read is forwarded all the same. observe reports whether the message goes on.
func (r *Relay) observe(now instant.Now, l *link, p *inbound.Packet, source netip.Addr, payload []byte, eff *effect.Effects) bool {
	t := dhcp6.MessageType(payload[0])
	from := links.NeighbourOf(l.Index, source)
	if t != dhcp6.Release && t != dhcp6.Decline {
		r.releases.others.note(now.Boot, from, dhcp6.TransactionIDOf(payload))
	}
	switch {
	case l.line != 0: // which clients speak on a line matters for every message type
	case t == dhcp6.Request, t == dhcp6.Release, t == dhcp6.Decline:
	case t == dhcp6.Renew && l.policy.Move == delegation.MoveProbe, t == dhcp6.Rebind && l.policy.Move == delegation.MoveProbe:
	case r.releases.idle(now.Boot):
		return true
	}
	m, err := dhcp6.ParseMessage(payload)
	if err != nil {
		return true
	}
	client, ok := m.ClientID()
	if !ok {
		return true
	}
	if l.line != 0 {
		l.spoke.add(source, client)
	}
	host := p.LinkLayer
	if source != p.Source.Addr() {
		host = linkaddr.Addr{} // the address is that of a lightweight relay, not the client's
	}
	switch {
	case t == dhcp6.Release || t == dhcp6.Decline:
		r.releases.note(now.Boot, asked{from, host, string(client), m.TransactionID()})
	case !r.releases.idle(now.Boot):
		r.releases.replace(from, host, client, m.TransactionID())
	}
	switch t {
	case dhcp6.Request:
		if reason, text := r.exceeds(now, l, m, binding.DUID(client), p.LinkLayer, eff); reason != binding.NoReason {
			who := binding.DUID(client)
			r.drop(l, p, effect.DropLimit, eff)
			r.table.MeetLimit(now, reason, l.Name, who, p.LinkLayer, binding.Prefix)
			eff.Note(effect.Note{Kind: effect.NoteLimit, Link: l.Name, Client: who, Type: t.String(), XID: m.TransactionID(), Reason: reason.String(), Text: text})
			return false
		}
	case dhcp6.Release, dhcp6.Decline:
		r.release(now, m, r.named(now, l, binding.DUID(client), source, host), eff)
	case dhcp6.Renew, dhcp6.Rebind:
		r.renewing(now, m, r.named(now, l, binding.DUID(client), source, host))
	}
	return true
}

// named says how a client on a link names a binding; the caller adds the IA and the prefixes.
func (r *Relay) named(now instant.Now, l *link, client binding.Client, source netip.Addr, host linkaddr.Addr) delegation.Named {
	_, contested := r.neighbours.LastUsedBy(now.Boot, l.Index, source)
	return delegation.Named{Link: l.Name, VRF: l.VRF, Client: client, Source: source, LinkLayer: host, Contested: contested}
}

// release ends the leases that a Release gives back or a Decline refuses. A Decline refuses
// addresses alone, and only those that it names (RFC 8415 section 18.2.8).
func (r *Relay) release(now instant.Now, m dhcp6.Message, rel delegation.Named, eff *effect.Effects) {
	r.events = r.events[:0]
	for code, ia := range m.Options().IAs() {
		rel.IAID, rel.Kind, rel.Prefixes = ia.IAID, kindOf(code), nil
		for inner, b := range ia.Options.All() {
			if p, _, _, ok := leaseOption(inner, b); ok {
				rel.Prefixes = append(rel.Prefixes, p)
			}
		}
		if m.Type() == dhcp6.Decline && (rel.Kind != binding.Address || len(rel.Prefixes) == 0) {
			continue
		}
		var mismatched int
		r.events, mismatched = r.table.Release(r.events, rel)
		if mismatched > 0 {
			r.refusals[binding.ReleaseMismatch] += uint64(mismatched)
			eff.Note(effect.Note{Kind: effect.NoteRelease, Link: rel.Link, Client: rel.Client, IAID: ia.IAID, Type: m.Type().String(), XID: m.TransactionID(), Text: "release does not match the delegation: ignored"})
		}
	}
	// The Release itself leaves first. The leases end even if no server can be reached: the
	// client has stopped using them.
	r.ledger.Told(now, r.events, eff)
}

// renewing takes note of the leases that a Renew or Rebind names.
func (r *Relay) renewing(now instant.Now, m dhcp6.Message, named delegation.Named) {
	for code, ia := range m.Options().IAs() {
		named.IAID, named.Kind = ia.IAID, kindOf(code)
		for inner, b := range ia.Options.All() {
			if p, _, _, ok := leaseOption(inner, b); ok {
				r.table.Renewing(now, named, p, m.TransactionID())
			}
		}
	}
}

func kindOf(ia dhcp6.OptionCode) binding.Kind {
	if ia == dhcp6.OptionIANA {
		return binding.Address
	}
	return binding.Prefix
}
