package hoststate

import (
	"maps"
	"slices"
)

// Rename takes note that an interface has another name now. Its delegations and its
// policy go along, and its routes stay as they are. Its elements, which go by name,
// are made for the new name before they go for the old one. If an interface that is gone
// had the new name, the delegations that it has left pass to this one; those whose prefix
// this one has already end. Nothing happens where there is no
// interface of the old name.
func (s *State) Rename(ops []Op, old, name string) []Op {
	rec := s.links[old]
	if rec == nil || !rec.present || old == name {
		return ops
	}
	ops = s.yield(s.RemoveLink(ops, name), rec, name)
	if s.comparison != nil { // it goes by names, too
		s.comparison.lost = true
		s.comparison.end()
	}
	gates, others := sortedElements(rec.gates), s.ungated(rec)
	delete(s.links, old)
	rec.Link = rec.Renamed(name)
	rec.gates, rec.static = renamed(rec.gates, name), renamed(rec.static, name)
	there := map[Element]bool{}
	left := s.links[name]
	if left != nil {
		for _, e := range append(s.ungated(left), sortedElements(left.gates)...) {
			there[e] = true
		}
		maps.Copy(rec.gates, left.gates)
		maps.Copy(rec.static, left.static)
		s.inherit(rec, left)
	}
	s.links[name] = rec
	for _, e := range append(others, gates...) {
		if e.Link = name; !there[e] {
			ops = s.element(ops, e, false)
		}
	}
	for _, e := range append(gates, others...) {
		ops = s.element(ops, e, true)
	}
	s.forgive(rec)
	ops = s.updateLink(ops, rec)
	if left != nil {
		left.covered = nil
		ops = s.updateStanding(ops, left)
	}
	return ops
}

// ungated is every element of a link but its gates.
func (s *State) ungated(rec *link) (all []Element) {
	for e := range s.elements(rec) {
		all = append(all, e)
	}
	return all
}

func renamed(elements map[Element]bool, name string) map[Element]bool {
	m := make(map[Element]bool, len(elements))
	for e := range elements {
		e.Link = name
		m[e] = true
	}
	return m
}

// yield ends delegations that were left under a name, of prefixes that a link has itself.
func (s *State) yield(ops []Op, rec *link, name string) []Op {
	left := s.links[name]
	if left == nil {
		return ops
	}
	for _, d := range s.sorted(left) {
		if s.delegations.find(spot{rec.id, d.prefix}) != nil {
			ops = s.Delete(ops, name, d.prefix.prefix())
		}
	}
	return ops
}

// inherit gives a link the delegations that another one has left, and ends the other's
// record. Elements stay as they are.
func (s *State) inherit(rec, left *link) {
	for _, d := range s.sorted(left) {
		s.pardon(d)
		s.part(left, d)
		delete(s.delegations.at, d.spot)
		d.prev, d.spot = 0, spot{rec.id, d.prefix}
		s.delegations.at[d.spot] = d.ref
		s.join(rec, d)
	}
	rec.covered = inOrder(slices.Concat(rec.covered, left.covered))
	s.drop(left)
}
