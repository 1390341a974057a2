package relay6

import (
	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// A relay cannot read a message that is encrypted between server and client. A server that is
// asked for it says beside that message what it has assigned to the client, by the Relay Agent
// Assignment Notification option (draft-ietf-dhc-dhcpv6-agentopt-delegate). Any host between the
// two could add that option, so it is asked for and believed on protected hops alone. A message
// that the relay can read wins: then the option says nothing.

// assigned is what a Relay-reply says beside its message that the server has assigned; nil if it
// says nothing that is believed.
func (r *Relay) assigned(uplink *link, peer *trust.Peer, m dhcp6.RelayMessage) dhcp6.Options {
	b, there := m.Options().First(r.cfg.AssignmentOption)
	if !there {
		return nil
	}
	options, err := dhcp6.ParseOptions(b)
	if err != nil || !peer.Assignments {
		uplink.counters.AssignmentsRefused++
		return nil
	}
	return options
}

// tellsAlone reports whether the server says beside a message what it has assigned, and the
// message for the client is of no type that we know, as one that is encrypted.
func (to *addressee) tellsAlone() bool {
	return to.assigned != nil && len(to.inner) > 0 && !dhcp6.MessageType(to.inner[0]).Known()
}

// learnAssigned is learn for what a server says beside a message that we cannot read. Neither
// DUID nor IAID are known: the client is whoever has the two addresses on the link. A lease that
// is not there has not ended; a valid lifetime of 0 ends one.
func (r *Relay) learnAssigned(now instant.Now, to addressee, answered map[binding.Question]bool, eff *effect.Effects) (v verdict) {
	l := to.link
	by, contested := r.neighbours.LastUsedBy(now.Boot, l.Index, to.client)
	v.client = binding.AtAddress(to.client, by)
	g := delegation.Grant{
		Link: l.Name, VRF: l.VRF, Client: v.client, NoIAID: true, NextHop: to.client,
		LinkLayer: by, Contested: contested, Line: l.lineOf(to.client, ""), Server: to.peer.Name, Source: binding.Notified,
	}
	var leases []lease
	beside := false
	for code, b := range to.assigned.All() {
		p, preferred, valid, ok := leaseOption(code, b)
		if !ok {
			continue
		}
		kind := binding.Prefix
		if code == dhcp6.OptionIAAddr {
			if kind = binding.Address; l.Covers(p.Addr()) {
				beside = true
				continue
			}
		}
		leases = append(leases, lease{kind: kind, prefix: p, preferred: preferred, valid: valid, exclude: excluded(code, b)})
	}
	endsFirst(leases)
	terms := r.terms(to, answered)
	if v.probe = r.needsProbe(now, g, leases, false, &terms); v.probe == nil {
		r.takeIn(now, to, g, leases, beside, false, &terms, &v, eff)
	}
	return v
}
