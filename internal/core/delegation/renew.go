package delegation

import "fairlead/internal/core/instant"

// Most grants say again what the table holds, with new lifetimes: a client renews.
// They are told from all others here, so that they cost little.

// renewed is the slot of the delegation that a grant only gives new lifetimes, and
// whose next hop and link-layer address it leaves as they are; nil if there is
// none.
func (t *Table) renewed(g *Grant) *slot {
	r := t.at(g.VRF, g.Prefix)
	if r == 0 || g.ends() {
		return nil
	}
	s := t.slots.At(r)
	if s.kind != g.Kind || g.LinkLayer.IsValid() && g.LinkLayer != s.linkLayer ||
		s.hopAddr() != g.NextHop || t.excluded[r] != g.Exclude || t.names.text(s.link) != g.Link || t.names.text(s.client) != g.Client {
		return nil
	}
	return s
}

// renew gives a delegation the lifetimes of a grant.
func (t *Table) renew(events []Event, now instant.Now, s *slot, g *Grant) []Event {
	events = append(events, Event{Kind: Extended, Old: t.read(s), New: g.delegation(now)})
	e := &events[len(events)-1]
	e.New.LinkLayer, e.New.Granted, e.New.Standing = s.linkLayer, e.Old.Granted, e.Old.Standing.granted()
	t.extend(s.ref, &e.New)
	return events
}
