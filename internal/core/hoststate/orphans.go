package hoststate

import (
	"net/netip"
	"slices"

	"fairlead/internal/wire/linkaddr"

	"github.com/gaissmai/bart"
)

// An orphan is a delegation that nobody knows of: the store that would explain it was
// lost, and its route was found in the kernel. It has what a delegation has, so that its
// client's traffic passes; a delegation of its prefix on its link takes its place, any
// other that it overlaps ends it, and so does any change of what its interface is.
// It is never on a point-to-point interface, where a name says little about who is
// at the other end.

// orphans are by VRF, as their prefixes are unique there.
type orphans map[string]*bart.Table[ref]

// AdoptLeftOver has the next whole comparison make orphans of what it finds left
// over, as far as that is routes to what may be clients. What else is left over goes.
func (s *State) AdoptLeftOver() { s.adopts = true }

// Adopts reports whether AdoptLeftOver was called and the comparison has not come yet.
func (s *State) Adopts() bool { return s.adopts }

// Orphans are the orphans now, as delegations, each with its VRF.
func (s *State) Orphans(yield func(vrf string, o Delegation) bool) {
	for vrf, t := range s.orphans {
		for p, r := range t.AllSorted() {
			d := s.delegations.get(r)
			if !yield(vrf, Delegation{Link: s.byID[d.link].Name, Prefix: p, NextHop: d.nextHop.addr(), LinkLayer: d.linkLayer}) {
				return
			}
		}
	}
}

// Orphan is the orphan of a prefix on a link; nil if there is none.
func (s *State) Orphan(name string, p netip.Prefix) *Delegation {
	rec := s.links[name]
	if rec == nil || s.counts.Orphans == 0 {
		return nil
	}
	d := s.delegations.find(spot{rec.id, pack(p.Masked())})
	if d == nil || !d.orphan {
		return nil
	}
	return &Delegation{Link: name, Prefix: p.Masked(), NextHop: d.nextHop.addr(), LinkLayer: d.linkLayer}
}

// OverlapsOrphan reports whether a prefix overlaps with one of an orphan in a VRF.
func (s *State) OverlapsOrphan(vrf string, p netip.Prefix) bool {
	t := s.orphans[vrf]
	return t != nil && t.OverlapsPrefix(p)
}

// PutOrphan makes an orphan again of what a delegation has taken the place of, where there may
// be one still. It ends the delegation.
func (s *State) PutOrphan(ops []Op, l Delegation) []Op {
	rec := s.links[l.Link]
	if rec == nil || !rec.mayHaveOrphans() {
		return s.Delete(ops, l.Link, l.Prefix)
	}
	ops = s.Put(ops, l)
	s.makeOrphan(rec, s.delegations.find(spot{rec.id, pack(l.Prefix)}))
	return ops
}

func (rec *link) mayHaveOrphans() bool {
	return rec.present && rec.Up && rec.policy != nil && !rec.PointToPoint
}

// EndOrphans ends orphans that match, limit of them at most, and says how many.
func (s *State) EndOrphans(ops []Op, limit int, match func(link string, p netip.Prefix) bool) (_ []Op, n int) {
	var found []Delegation
	for _, l := range s.Orphans {
		if match(l.Link, l.Prefix) {
			if found = append(found, l); len(found) == limit {
				break
			}
		}
	}
	for _, l := range found {
		ops = s.Delete(ops, l.Link, l.Prefix)
	}
	return ops, len(found)
}

// endOrphansOn ends those of a link.
func (s *State) endOrphansOn(ops []Op, rec *link) []Op {
	if s.counts.Orphans > 0 {
		ops, _ = s.EndOrphans(ops, -1, func(link string, _ netip.Prefix) bool { return link == rec.Name })
	}
	return ops
}

// disarmOverlapped takes the filter elements of those orphans away that a delegation on a link
// overlaps, but for the one whose place it takes. They end once the delegation has its
// route, which may have been theirs.
func (s *State) disarmOverlapped(ops []Op, rec *link, p netip.Prefix) (_ []Op, found []ref) {
	t := s.orphans[rec.VRF]
	if t == nil || !t.OverlapsPrefix(p) {
		return ops, nil
	}
	for _, r := range t.Supernets(p) {
		found = append(found, r)
	}
	for at, r := range t.Subnets(p) {
		if at != p { // which is among the others already
			found = append(found, r)
		}
	}
	found = slices.DeleteFunc(found, func(r ref) bool { return s.delegations.get(r).spot == spot{rec.id, pack(p)} })
	for _, r := range found {
		d := s.delegations.get(r)
		ops = s.changeElements(ops, s.byID[d.link], d, d.elementSets(), elementSets{}, false)
	}
	return ops, found
}

// makeOrphan makes an orphan of a delegation.
func (s *State) makeOrphan(rec *link, d *delegation) {
	if s.orphans == nil {
		s.orphans = orphans{}
	}
	t := s.orphans[rec.VRF]
	if t == nil {
		t = new(bart.Table[ref])
		s.orphans[rec.VRF] = t
	}
	t.Insert(d.prefix.prefix(), d.ref)
	d.orphan = true
	s.counts.Delegations--
	s.counts.Orphans++
}

// markKnown ends that a delegation is an orphan.
func (s *State) markKnown(rec *link, d *delegation) {
	if d.orphan {
		s.orphans[rec.VRF].Delete(d.prefix.prefix())
		d.orphan = false
		s.counts.Delegations++
		s.counts.Orphans--
	}
}

// adopt makes orphans of routes that were not looked at, because nobody wants them.
func (p *partial) adopt() {
	s := p.of
	if !s.adopts || p.r.elements == nil {
		return
	}
	s.adopts = false
	links, taken := map[int32]*link{}, map[string]*bart.Lite{}
	for _, rec := range s.links {
		if taken[rec.VRF] == nil {
			taken[rec.VRF] = new(bart.Lite)
		}
		for d := range s.each(rec) {
			taken[rec.VRF].Insert(d.prefix.prefix())
		}
		if rec.mayHaveOrphans() {
			links[int32(rec.Index)] = rec
		}
	}
	hosts := p.hosts()
	for _, id := range sortedIDs(p.r.routes) {
		is, prefix := p.r.routes[id], id.prefix.prefix()
		rec := links[is.link]
		_, touched := p.routes[id] // what was asked for since is not what was read
		if touched || is.seen || rec == nil || !s.isOwn(prefix) || rec.covers(id.prefix) || is.gateway == (nextHop{}) && id.prefix.bits != 128 || taken[rec.VRF].OverlapsPrefix(prefix) {
			continue
		}
		taken[rec.VRF].Insert(prefix)
		s.PutSilently(Delegation{Link: rec.Name, Prefix: prefix, NextHop: is.gateway.addr(), LinkLayer: hosts[spot{rec.id, id.prefix}]})
		d := s.delegations.find(spot{rec.id, id.prefix})
		s.makeOrphan(rec, d)
		p.rec = rec
		p.delegation(d)
	}
}

// hosts are the link-layer addresses to which elements bind what nobody wants.
func (p *partial) hosts() map[spot]linkaddr.Addr {
	found := map[spot]linkaddr.Addr{}
	for k, seen := range p.r.elements {
		if seen || !k.set.HasLinkLayer() {
			continue
		}
		if rec := p.of.links[p.r.names.texts[k.link]]; rec != nil {
			found[spot{rec.id, k.prefix}] = k.linkLayer
		}
	}
	return found
}
