package server6

import (
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp6"
)

// confirm answers a Confirm: it says whether all addresses in it are of the client's link. A
// Confirm without addresses gets no answer (RFC 8415 section 18.3.3).
func (s *Server) confirm(now instant.Now, r *request, eff *effect.Effects) (effect.Drop, bool) {
	r.status = dhcp6.StatusSuccess
	for c, x := range r.m.Options().IAs() {
		for in, payload := range x.Options.All() {
			if c != dhcp6.OptionIANA || in != dhcp6.OptionIAAddr {
				continue
			}
			v, err := dhcp6.ParseIAAddr(payload)
			if err != nil {
				return effect.DropMalformed, false
			}
			if r.told = true; !r.network.onLink(v.Address) {
				r.status = dhcp6.StatusNotOnLink
			}
		}
	}
	if !r.told {
		return effect.DropNoAnswer, false
	}
	s.send(now, r, dhcp6.Reply, eff)
	return 0, true
}

// giveBack answers a Release or a Decline (RFC 8415 sections 18.3.7 and 18.3.8). The message ends
// only leases that it shows to be its sender's (delegation.Named). A declined address is given to
// nobody for a while.
func (s *Server) giveBack(now instant.Now, r *request, eff *effect.Effects) (effect.Drop, bool) {
	if !r.readIAs() {
		return effect.DropInvalid, false
	}
	s.events = s.events[:0]
	who, decline := r.who(), r.m.Type() == dhcp6.Decline
	if s.ledger.Takes(r.key()) {
		return effect.DropAnswerWaits, false
	}
	for i := range r.ias {
		x := &r.ias[i]
		// A Decline is of addresses alone (RFC 8415 section 18.2.8).
		if decline && x.kind == binding.Prefix || !s.table.Holds(r.link, who, x.id, x.kind) || s.excludesOther(x) {
			x.status = dhcp6.StatusNoBinding
			continue
		}
		n := delegation.Named{Link: r.link, VRF: r.vrf, Client: who, IAID: x.id, Kind: x.kind, Source: r.source, LinkLayer: r.linkLayer, Prefixes: slices.Collect(x.named)}
		if len(n.Prefixes) == 0 {
			continue // the IA names nothing; delegation.Named without prefixes would mean all leases
		}
		var mismatched int
		if s.events, mismatched = s.table.Release(s.events, n); mismatched > 0 {
			s.counts.Refuse(binding.ReleaseMismatch, uint64(mismatched))
			eff.Note(effect.Note{Kind: effect.NoteRelease, Link: r.link, Client: who, Type: r.m.Type().String(), XID: r.m.TransactionID(), Text: "it does not match the lease: ignored"})
		}
	}
	for i := range s.events {
		if decline {
			s.events[i].Reason = binding.Declined
		}
	}
	s.apply(now)
	if decline {
		for i := range s.events {
			s.decline(now, r, s.events[i].Old.Prefix)
		}
	}
	r.told = true
	s.send(now, r, dhcp6.Reply, eff)
	return 0, true
}

// excludesOther reports whether a Release names another excluded prefix than the client was told
// (RFC 6603 section 6.2).
func (s *Server) excludesOther(x *ia) bool {
	for c, payload := range x.options.All() {
		v, err := dhcp6.ParseIAPrefix(payload)
		if c != dhcp6.OptionIAPrefix || err != nil {
			continue
		}
		says, ok := v.Options.First(dhcp6.OptionPDExclude)
		if slot := s.table.Find(v.Prefix.Masked()); ok && slot != nil {
			if excluded, err := dhcp6.ParsePDExclude(says, v.Prefix); err != nil || excluded != s.table.Exclude(slot) {
				return true
			}
		}
	}
	return false
}
