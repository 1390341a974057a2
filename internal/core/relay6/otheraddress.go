package relay6

import (
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

// askOther sends a probe to the address from which the holder of a delegation has asked for
// it, unless such a probe is under way.
func (r *Relay) askOther(now instant.Now, e *binding.Event, eff *effect.Effects) {
	if to, ask := r.others.Add(now, e); ask {
		r.probe(binding.Question{NextHop: to}, eff)
	}
}

// otherAnswered takes in whether an address answered that a holder has asked from.
func (r *Relay) otherAnswered(now instant.Now, to binding.NextHop, answers bool, eff *effect.Effects) {
	r.events = r.others.Answered(now, to, answers, r.table, r.events[:0])
	r.ledger.Commit(now, r.events, eff)
}
