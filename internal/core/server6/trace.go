package server6

import (
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
)

// SetTrace starts, changes or (nil) ends tracing.
func (s *Server) SetTrace(t *effect.Trace) { s.trace = t }

// traceStep notes one step of a message if the message is traced. The text is step and what, joined
// only then.
func (s *Server) traceStep(r *request, step, what string, eff *effect.Effects) {
	if s.trace == nil || s.trace.Link != "" && s.trace.Link != r.at.Name {
		return
	}
	n := effect.Note{Kind: effect.NoteTrace, Link: r.at.Name, Reason: r.source.String(), Text: step + what}
	if r.whole {
		n.Type, n.XID = r.m.Type().String(), r.m.TransactionID()
		if id, ok := r.m.ClientID(); ok {
			n.Client = binding.DUID(id)
		}
	}
	if r.relay != nil {
		n.Peer = r.relay.Name
	}
	if s.trace.Client != "" && s.trace.Client != n.Client.Identifier() {
		return
	}
	eff.Note(n)
	for i := range r.leases {
		if l := &r.leases[i]; l.prefix.IsValid() {
			c := n
			c.Text, c.Lease = "carries", &effect.TracedLease{Prefix: l.prefix, Preferred: l.preferred.Duration(), Valid: l.valid.Duration()}
			eff.Note(c)
		}
	}
}
