package relay6

import (
	"errors"
	"net/netip"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/wire/dhcp6"
)

// SetTrace starts, changes or (nil) ends tracing.
func (r *Relay) SetTrace(t *effect.Trace) { r.trace = t }

// traced is the note that begins each step of a message; ok is false for a message that is not
// traced. The caller makes sure that there is a Trace.
func (r *Relay) traced(l *link, source netip.Addr, payload []byte) (n effect.Note, ok bool) {
	if r.trace.Link != "" && r.trace.Link != l.Name {
		return n, false
	}
	n = effect.Note{Kind: effect.NoteTrace, Link: l.Name}
	if source.IsValid() {
		n.Reason = source.String()
	}
	if inner := innermost(payload); len(inner) > 0 {
		n.Type = dhcp6.MessageType(inner[0]).String()
		if m, err := dhcp6.ParseMessage(inner); err == nil {
			n.XID = m.TransactionID()
			if d, ok := m.ClientID(); ok {
				n.Client = binding.DUID(d)
			}
		}
	}
	return n, r.trace.Client == "" || r.trace.Client == n.Client.Identifier()
}

// traceStep notes one step of a message if the message is traced.
func (r *Relay) traceStep(eff *effect.Effects, l *link, source netip.Addr, payload []byte, step, peer string) {
	if r.trace == nil {
		return
	}
	if n, ok := r.traced(l, source, payload); ok {
		n.Text, n.Peer = step, peer
		eff.Note(n)
	}
}

// traceArrival notes that a message came, and adds a note for each thing that the message
// carries.
func (r *Relay) traceArrival(eff *effect.Effects, l *link, source netip.Addr, payload []byte, step, peer string) {
	if r.trace == nil {
		return
	}
	n, ok := r.traced(l, source, payload)
	if !ok {
		return
	}
	n.Text, n.Peer = step, peer
	eff.Note(n)
	m, err := dhcp6.ParseMessage(innermost(payload))
	if err != nil {
		return
	}
	carries := func(lease effect.TracedLease) {
		c := n
		c.Text, c.Lease = "carries", &lease
		eff.Note(c)
	}
	traceStatus(m.Options(), effect.TracedLease{}, carries)
	for code, ia := range m.Options().IAs() {
		whole := effect.TracedLease{IA: code, IAID: ia.IAID}
		found := traceStatus(ia.Options, whole, carries)
		for inner, b := range ia.Options.All() {
			if lease, ok := tracedLease(whole, inner, b); ok {
				carries(lease)
				found = true
			}
		}
		if !found {
			carries(whole) // it asks for any lease that the server chooses
		}
	}
}

func traceStatus(o dhcp6.Options, of effect.TracedLease, carries func(effect.TracedLease)) bool {
	b, ok := o.First(dhcp6.OptionStatusCode)
	if !ok {
		return false
	}
	s, err := dhcp6.ParseStatus(b)
	if err != nil {
		return false
	}
	of.Status, of.StatusSet = s.Code, true
	carries(of)
	return true
}

// tracedLease reads an IAPREFIX or IAADDR option, whatever its status.
func tracedLease(of effect.TracedLease, code dhcp6.OptionCode, b []byte) (effect.TracedLease, bool) {
	var inside dhcp6.Options
	switch code {
	case dhcp6.OptionIAPrefix:
		v, err := dhcp6.ParseIAPrefix(b)
		if err != nil {
			return of, false
		}
		of.Prefix, of.Preferred, of.Valid, inside = v.Prefix, v.Preferred.Duration(), v.Valid.Duration(), v.Options
	case dhcp6.OptionIAAddr:
		v, err := dhcp6.ParseIAAddr(b)
		if err != nil {
			return of, false
		}
		of.Prefix, of.Preferred, of.Valid, inside = netip.PrefixFrom(v.Address, 128), v.Preferred.Duration(), v.Valid.Duration(), v.Options
	default:
		return of, false
	}
	traceStatus(inside, of, func(with effect.TracedLease) { of = with })
	return of, true
}

// traceLearned notes the outcome of each lease of a Reply. The outcome of the Change is noted
// later, by traceOutcome.
func (r *Relay) traceLearned(eff *effect.Effects, to addressee, v *verdict, events []binding.Event) {
	if r.trace == nil || to.peer == nil {
		return
	}
	n, ok := r.traced(to.link, to.client, to.inner)
	if !ok {
		return
	}
	n.Peer = to.peer.Name
	for i := range events {
		e := n
		e.Text = events[i].Kind.String()
		e.Event, e.IAID = events[i], events[i].Subject().IAID
		eff.Note(e)
	}
	if _, already := r.tracedChanges[v.change]; !already && r.ledger.Pending(v.change) {
		r.tracedChanges[v.change] = tracedChange{n, v.extends}
	}
}

// tracedChange is a message that waits for a Change. extends is true where the Change only
// extends leases that the store has.
type tracedChange struct {
	note    effect.Note
	extends bool
}

// traceOutcome notes what happened to a Change, and to the message that waited for it.
func (r *Relay) traceOutcome(eff *effect.Effects, t tracedChange, o effect.Outcome) {
	n := t.note
	step := func(text string, err error) {
		n.Text, n.Err = text, err
		eff.Note(n)
	}
	if o.Keep != nil {
		step("not kept", o.Keep)
	} else {
		step("kept", nil)
	}
	var failed []error
	for _, f := range o.Install {
		failed = append(failed, f.Err)
	}
	if err := errors.Join(failed...); err != nil {
		step("not installed", err)
	} else {
		step("installed", nil)
	}
	// A message whose Change was not kept leaves only where it extends what was kept before. A
	// message whose Change was not installed does not leave.
	if len(failed) == 0 && (o.Keep == nil || t.extends) {
		step("sent", nil)
	} else {
		step("not sent", nil)
	}
}

// innermost takes all relay layers off a message.
func innermost(b []byte) []byte {
	for range 2 * dhcp6.HopCountLimit {
		if len(b) == 0 || !dhcp6.MessageType(b[0]).IsRelay() {
			return b
		}
		m, err := dhcp6.ParseRelay(b)
		if err != nil {
			return b
		}
		inner, ok := m.Inner()
		if !ok {
			return b
		}
		b = inner
	}
	return b
}
