package server6

import (
	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

// terms are those for the leases in an answer. The limits were checked when the answer was decided
// (Server.room), so they are not checked here again.
func (s *Server) terms(r *request) delegation.Terms {
	s.unlimited.Move = r.policy.Move
	return delegation.Terms{Policy: &s.unlimited, Reserved: func(*delegation.Grant) bool { return false }, Answered: r.answered}
}

// grant is what an answer says of one lease. With a lifetime of 0 it ends the lease.
func (r *request) grant(x *ia, l *lease) delegation.Grant {
	return delegation.Grant{
		Link: r.link, VRF: r.vrf, Prefix: l.prefix, Kind: x.kind, Client: r.who(), IAID: x.id, NextHop: r.source, LinkLayer: r.linkLayer,
		Preferred: l.preferred.Duration(), Lifetime: l.valid.Duration(), Source: binding.Assigned, Exclude: l.exclude, Line: r.line(), Reconfigures: r.accepts,
	}
}

// learn ends the leases that an answer takes back, and makes bindings of those that it gives.
func (s *Server) learn(now instant.Now, r *request, eff *effect.Effects) {
	terms := s.terms(r)
	for i := range r.ias {
		s.takeBack(now, r, &r.ias[i], terms)
	}
	for i := range r.ias {
		x := &r.ias[i]
		refused := x.refused
		for j := x.from; j < x.to; j++ {
			l := &r.leases[j]
			switch {
			case l.valid == 0:
				continue
			case x.refused:
				*l = lease{}
				continue
			}
			before := len(s.events)
			s.events = s.table.Learn(s.events, now, r.grant(x, l), terms)
			switch e := &s.events[before]; {
			case e.Kind == binding.Refused:
				*l, refused = lease{}, true
			case e.AskedFrom.IsValid():
				s.askOther(now, e, eff)
			}
		}
		if refused && x.given(r) == 0 {
			x.status = x.none()
		}
		if x.limit != binding.NoReason {
			s.counts.Refuse(x.limit, 1)
			s.table.MeetLimit(now, x.limit, r.link, r.who(), r.linkLayer, x.kind)
			eff.Note(effect.Note{
				Kind: effect.NoteLimit, Link: r.link, Client: r.who(), IAID: x.id, Type: r.m.Type().String(), XID: r.m.TransactionID(),
				Reason: x.limit.String(), Text: "a lease is not given: a limit is met",
			})
		}
	}
	s.apply(now)
	r.holder = s.table.HolderBy(r.link, binding.ByDUID, r.duid) // the client may be new in the table
	s.rememberWay(r)
}

// takeBack ends the leases of an IA that the answer takes back. If another host holds one of them,
// that lease stays, and the client gets nothing in the IA.
func (s *Server) takeBack(now instant.Now, r *request, x *ia, terms delegation.Terms) {
	for j := x.from; j < x.to; j++ {
		l := &r.leases[j]
		slot := s.table.Find(l.prefix)
		if l.valid != 0 || slot == nil || !r.isOwn(x, slot) {
			continue
		}
		g, before := r.grant(x, l), len(s.events)
		g.VRF = s.table.Read(slot).VRF // the link may have moved to another VRF since
		if s.events = s.table.Learn(s.events, now, g, terms); s.events[before].Kind == binding.Refused {
			*l, x.refused = lease{}, true
		}
	}
}

// line is the point-to-point line on which the client has asked; 0: the client is not on one.
func (r *request) line() uint32 {
	if r.relay != nil {
		return 0
	}
	return r.at.line
}

// apply counts what has happened to leases, and updates the pools and the quarantine.
func (s *Server) apply(now instant.Now) {
	s.counts.Add(s.events)
	for i := range s.events {
		if e := &s.events[i]; e.Kind == binding.Ended {
			s.forgetWay(&e.Old)
		}
		switch e := &s.events[i]; {
		case e.Kind == binding.Granted:
			s.networks.take(e.New.Prefix)
			s.quarantine.given(e.New.Prefix)
		case e.Kind != binding.Ended:
		case e.Reason == binding.Expired, e.Reason == binding.Withdrawn: // the answer that withdraws may get lost
			s.await(now.Boot.After(expiredFor), &e.Old, false)
		case e.Reason == binding.Cleared:
			s.await(min(e.Old.Valid, now.Boot.After(clearedFor)), &e.Old, true)
		default:
			s.quarantine.leave(e.Old.Prefix)
			s.networks.free(e.Old.Prefix)
		}
	}
}

// takenBack returns a lease to its pool that was granted and could not be kept, unless the lease waits
// for the client that had it before. It does not wait for the client that was never told of the grant.
func (s *Server) takenBack(b *binding.Binding) {
	q := &s.quarantine
	if x, waits := q.waiting[b.Prefix]; !waits || !x.alone {
		if q.leave(b.Prefix); x.before != nil {
			q.wait(b.Prefix, *x.before)
		} else {
			s.networks.free(b.Prefix)
		}
	}
	s.forgetWay(b)
}

// stays gives a lease back to its client: the answer that took it has not left.
func (s *Server) stays(b *binding.Binding) {
	s.quarantine.leave(b.Prefix)
	s.networks.take(b.Prefix)
}
