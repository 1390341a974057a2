package server6

import (
	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

// Any host can copy a client's DUID and IAID. So on a shared link of this machine, the server does
// as the DHCPv6 relay does: before an answer takes a lease from the host that has it, that host is
// probed, and the message waits for the result. Hosts behind relay agents are not probed, since
// their link is not one of this machine.

// needsProbe is the question that has to be answered before the server can decide on a message; nil
// if there is none.
func (s *Server) needsProbe(now instant.Now, r *request) *binding.Question {
	if r.policy.Move != delegation.MoveProbe {
		return nil
	}
	terms := s.terms(r)
	for i := range r.ias {
		x := &r.ias[i]
		for j := x.from; j < x.to; j++ {
			if q := s.table.NeedsProbe(now, r.grant(x, &r.leases[j]), terms); q != nil {
				return q
			}
		}
	}
	return nil
}

// letWait makes a message wait for the answer to a question about a next hop.
func (s *Server) letWait(now instant.Now, r *request, q binding.Question, eff *effect.Effects) (effect.Drop, bool) {
	if !s.waiting.Wait(now, r.p, q, r.answered) {
		return effect.DropProbing, false
	}
	s.traceStep(r, "waits: the holder of a lease is asked", "", eff)
	s.probe(q, eff)
	return 0, true
}

func (s *Server) probe(q binding.Question, eff *effect.Effects) {
	probe := effect.Probe{Question: q}
	if l := s.links.Named(q.NextHop.Link); l != nil && l.Up {
		probe.Index = l.Index
	}
	eff.Probes = append(eff.Probes, probe)
}

// askOther probes the address from which the holder of a lease has asked for it, unless such a
// probe is under way. The address becomes the next hop of the lease if it answers.
func (s *Server) askOther(now instant.Now, e *binding.Event, eff *effect.Effects) {
	if to, ask := s.others.Add(now, e); ask {
		s.probe(binding.Question{NextHop: to}, eff)
	}
}

// Probed takes in whether a next hop has answered a probe. The message that waited for this is
// decided on now.
func (s *Server) Probed(now instant.Now, q binding.Question, answers bool, eff *effect.Effects) {
	s.events = s.others.Answered(now, q.NextHop, answers, s.table, s.events[:0])
	s.commit(now, eff)
	s.goOn(now, q, answers, eff)
}

// Unprobed takes in that a next hop could not be probed. Then no lease moves: the old holder counts
// as present, and the new address as unused.
func (s *Server) Unprobed(now instant.Now, q binding.Question, eff *effect.Effects) {
	s.others.Answered(now, q.NextHop, false, s.table, nil)
	s.goOn(now, q, true, eff)
}

// goOn decides on the message that waited for the answer to a question.
func (s *Server) goOn(now instant.Now, q binding.Question, keeps bool, eff *effect.Effects) {
	if p, answered := s.waiting.Answered(now, q, keeps); p != nil {
		s.handle(now, p, answered, eff)
	}
}
