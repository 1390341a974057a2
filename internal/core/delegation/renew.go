package delegation

import (
	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
)

// Most grants are renewals: they repeat a delegation of the table with new lifetimes. They
// are recognised here first, so that they cost little.

// renewed is the slot of the delegation that a grant only gives new lifetimes, and
// whose next hop and link-layer address it leaves as they are; nil if there is
// none.
func (t *Table) renewed(g *Grant) *binding.Slot {
	s := t.At(g.VRF, g.Prefix)
	if s == nil || g.ends() {
		return nil
	}
	if s.Kind() != g.Kind || g.LinkLayer.IsValid() && g.LinkLayer != s.LinkLayer() ||
		s.NextHop() != g.NextHop || t.Exclude(s) != g.Exclude || t.Link(s) != g.Link || t.Client(s) != g.Client {
		return nil
	}
	return s
}

// renew gives a delegation the lifetimes of a grant.
func (t *Table) renew(events []binding.Event, now instant.Now, s *binding.Slot, g *Grant) []binding.Event {
	events = append(events, binding.Event{Kind: binding.Extended, Old: t.Read(s), New: g.binding(now)})
	e := &events[len(events)-1]
	e.New.LinkLayer, e.New.Granted, e.New.Standing = s.LinkLayer(), e.Old.Granted, granted(e.Old.Standing)
	if g.NoIAID {
		e.New.IAID, e.New.NoIAID = e.Old.IAID, e.Old.NoIAID
	}
	t.Extend(s, &e.New)
	return events
}
