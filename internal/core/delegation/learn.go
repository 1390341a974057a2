package delegation

import (
	"net/netip"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/linkaddr"
)

// Terms are the facts and policies by which a grant is accepted or refused.
type Terms struct {
	Policy *Policy
	// Peer bounds what this source may delegate; empty: no bound of its own.
	Peer []trust.Range
	// Reserved reports whether a grant overlaps with what no client may have: prefixes of
	// interfaces, addresses of peers, the infrastructure's prefixes.
	Reserved func(g *Grant) bool
	// Answered has the results of probes: whether the holder keeps its delegations.
	Answered map[binding.Question]bool
	// Ending is how many of the client's delegations of each kind end before the grant is
	// learned. They do not count against the limits.
	Ending [binding.Kinds]int
}

func (terms *Terms) knows(q binding.Question) bool {
	_, known := terms.Answered[q]
	return known
}

// denied reports whether a question was asked and the answer was no.
func (terms *Terms) denied(q binding.Question) bool {
	answered, known := terms.Answered[q]
	return known && !answered
}

// NeedsProbe is the question on whose answer a grant depends, if the answer is not known
// yet; else nil. The caller puts the answer into Terms.Answered before Learn.
func (t *Table) NeedsProbe(now instant.Now, g Grant, terms Terms) *binding.Question {
	if t.renewed(&g) != nil {
		return nil
	}
	old := t.find(g.VRF, g.Prefix)
	g.complete(old)
	switch {
	case old != nil && !g.ends() && !g.isNew(old) && !g.takesFrom(&old.Binding):
		return nil
	case g.ends():
		if old == nil || !g.isHolder(old) {
			return nil
		}
	case g.Lifetime == 0 || t.forbidden(&g, old.at(), &terms, false) != binding.NoReason:
		return nil
	}
	if old != nil && terms.Policy.Move == MoveProbe && g.takesFrom(&old.Binding) && !g.mayTake(&old.Binding) {
		if q := g.question(now, &old.Binding); !terms.knows(q) {
			return &q
		}
	}
	if !g.ends() && g.isNew(old) && terms.Policy.OnLimit == LimitReplaceUnreachable && t.room(g, old, terms) == binding.LimitLink {
		if victim := t.oldestOther(g, old); victim != nil && !terms.knows(binding.Question{NextHop: victim.Via()}) {
			return &binding.Question{NextHop: victim.Via()}
		}
	}
	return nil
}

// Learn takes in one grant and appends its events: granted, extended, moved or refused,
// or, with a lifetime of 0, ended.
func (t *Table) Learn(events []binding.Event, now instant.Now, g Grant, terms Terms) []binding.Event {
	if g.ends() {
		return t.withdraw(events, now, g, terms)
	}
	if s := t.renewed(&g); s != nil && t.forbidden(&g, s, &terms, true) == binding.NoReason {
		return t.renew(events, now, s, &g)
	}
	old := t.find(g.VRF, g.Prefix)
	g.complete(old)
	fresh := g.binding(now)
	ev := binding.Event{Kind: binding.Granted}
	moves := old != nil && g.movesFrom(&old.Binding)
	if moves && terms.Policy.Move != MoveFollow && !g.takesFrom(&old.Binding) {
		moves, fresh.NextHop, ev.AskedFrom = false, old.NextHop, g.NextHop
	}
	if moves && !g.isNew(old) && g.sameAddress(&old.Binding) && t.mayMove(now, g, old, terms) != binding.NoReason {
		// Another host has used the holder's address as its source. The grant goes to that
		// address, so it is for the holder.
		moves, fresh.LinkLayer = false, old.LinkLayer
	}
	if old != nil {
		ev.Kind, ev.Old = binding.Extended, old.Binding
		if moves || g.isNew(old) {
			ev.Kind = binding.Moved // to another place, or to another client in the same one
		}
		if !moves && !fresh.LinkLayer.IsValid() {
			fresh.LinkLayer = old.LinkLayer
		}
	}
	if g.Contested && (g.isNew(old) || !g.sameAddress(&old.Binding) || !old.LinkLayer.IsValid()) {
		fresh.LinkLayer = linkaddr.Addr{} // it is not known which host has the address
	}
	ev.Reason = t.forbidden(&g, old.at(), &terms, false)
	if ev.Reason == binding.NoReason && moves {
		ev.Reason = t.mayMove(now, g, old, terms)
	}
	if ev.Reason == binding.NoReason && g.isNew(old) {
		events, ev.Reason = t.makeRoom(events, g, old, terms)
	}
	if ev.Reason != binding.NoReason {
		if ev.Reason.IsLimit() {
			t.Charge(now, g, terms.Policy)
			t.MeetLimit(now, ev.Reason, g.Link, g.Client, g.LinkLayer, g.Kind)
		}
		ev.Kind, ev.New = binding.Refused, fresh
		return append(events, ev)
	}
	if g.isNew(old) {
		t.excess.remove(t.excess.at[excessPlace{g.VRF, g.Prefix}])
	}
	if old != nil && !g.isNew(old) {
		fresh.Granted = old.Granted
		if !moves {
			fresh.Standing = granted(old.Standing)
		}
	}
	switch {
	case ev.Kind == binding.Extended && fresh.NextHop == old.NextHop && fresh.LinkLayer == old.LinkLayer && fresh.Client == t.Client(old.slot):
		t.Extend(old.slot, &fresh)
	default:
		if old != nil {
			t.Take(old.slot)
		}
		t.Add(&fresh)
	}
	ev.New = fresh
	return append(events, ev)
}

// Refuse is the refusal of a grant that is not to be learned for a reason that the
// table does not know.
func Refuse(now instant.Now, g Grant, r binding.Reason) binding.Event {
	return binding.Event{Kind: binding.Refused, Reason: r, New: g.binding(now)}
}

// WouldEnd reports whether a grant ends what its client holds.
func (t *Table) WouldEnd(g Grant) bool {
	if !g.ends() {
		return false
	}
	old := t.find(g.VRF, g.Prefix)
	g.complete(old)
	return old != nil && g.isHolder(old)
}

// withdraw handles a valid lifetime of 0: the server takes the prefix back. In a Reply to
// another client than the holder, it is checked as a move: a host that copied the holder's
// identifiers could have asked for it.
func (t *Table) withdraw(events []binding.Event, now instant.Now, g Grant, terms Terms) []binding.Event {
	if s := t.excess.at[excessPlace{g.VRF, g.Prefix}]; s != nil && s.link == g.Link && s.client == g.Client && s.iaid == g.IAID {
		t.excess.remove(s)
	}
	e := t.find(g.VRF, g.Prefix)
	g.complete(e)
	if e == nil || !g.isHolder(e) {
		return events
	}
	if g.takesFrom(&e.Binding) {
		if reason := t.mayMove(now, g, e, terms); reason != binding.NoReason {
			return append(events, binding.Event{Kind: binding.Refused, Reason: reason, Old: e.Binding, New: g.binding(now)})
		}
	}
	return append(events, t.End(e.slot, binding.Withdrawn))
}

// Follow moves the next hop of a delegation to another address of its holder, which has
// answered a probe there. It appends the event; there is none if the delegation is not
// that client's behind that link-layer address, or has that next hop already.
func (t *Table) Follow(events []binding.Event, vrf string, p netip.Prefix, client binding.Client, to binding.NextHop) []binding.Event {
	old := t.find(vrf, p)
	if old == nil || old.Link != to.Link || old.Client != client || !to.LinkLayer.IsValid() || old.LinkLayer != to.LinkLayer || old.NextHop == to.Addr {
		return events
	}
	moved := old.Binding
	moved.NextHop = to.Addr
	t.Take(old.slot)
	t.Add(&moved)
	return append(events, binding.Event{Kind: binding.Moved, Old: old.Binding, New: moved})
}
