package hoststate

import (
	"container/list"
	"iter"
	"net/netip"
	"slices"

	"fairlead/internal/core/links"
	"fairlead/internal/wire/linkaddr"
)

// State is the wanted state of the kernel, kept as its inputs. It is not safe
// for concurrent use; one goroutine owns it. What it is given it copies, but for
// links; the operations that it returns belong to the caller.
type State struct {
	ipv4        bool // it is of IPv4
	links       map[string]*link
	byID        []*link // by linkID; nil: free
	freed       []linkID
	vacant      *list.List // of *link, those that left first in front
	delegations delegations
	routes      map[routeID]ownRoute
	aggregates  map[routeID]bool
	standing    map[routeID]standing // routes that stand for what delegations cover
	puts        uint64               // number of the last Put
	lines       uint32               // number of the newest line
	counts      Counts
	orphans     orphans
	adopts      bool        // the next comparison makes orphans of what is left over
	comparison  *Comparison // under way; nil: none
	silent      bool        // no operations are wanted
}

// linkID numbers the records of links.
type linkID uint32

// link is what is known of one interface name, there or not.
type link struct {
	*links.Link      // as last told; while it is gone: links.Link.Gone
	ipv4        bool // the State is of IPv4
	present     bool
	told        bool // it was present once
	line        uint32
	policy      *Policy
	onLink      []netip.Prefix
	id          linkID
	gates       map[Element]bool // elements without a prefix
	static      map[Element]bool // elements that no delegation is behind
	covered     []Covered        // inside prefixes delegated here
	routed      []netip.Prefix   // that routes of others lead to the link; none while it is down or gone
	stands      []stands         // for these, in State.standing
	first       ref              // of its delegations, chained by next
	delegations int
	refused     int           // delegations whose route the kernel refused
	vacant      *list.Element // among State.vacant; nil: it is not
}

// maxVacant bounds the names that stay checked although no interface has them and
// nothing is delegated there: names may come and never come back. A name that comes
// back later than that is checked once it is told.
const maxVacant = 4096

type delegation struct {
	spot
	ref        ref
	prev, next ref // of the same link
	rival      ref // the next delegation that wants the same route

	put       uint64 // the later of two Puts wins the route
	nextHop   nextHop
	linkLayer linkaddr.Addr
	line      uint32 // on which it is proved; 0: on none
	exempt    bool
	refused   bool // until the link's next event
	unproved  bool // and counted as such
	orphan    bool // nobody knows of it

	source, loop  Set    // families of which it holds elements
	holder        bool   // it holds one of SourceHolder
	table, metric uint32 // of its route; table 0: it has none
}

// New has nothing in it and wants nothing. It is of IPv6.
func New() *State { return newState(false) }

// NewIPv4 is New of IPv4: the links that it is told have the addresses of that family.
// Clients are neighbours on their links, and have no next hops.
func NewIPv4() *State { return newState(true) }

func newState(ipv4 bool) *State {
	return &State{
		ipv4:        ipv4,
		links:       map[string]*link{},
		vacant:      list.New(),
		delegations: delegations{at: map[spot]ref{}},
		routes:      map[routeID]ownRoute{},
		aggregates:  map[routeID]bool{},
		standing:    map[routeID]standing{},
	}
}

// SetLink takes note of an interface that has appeared or changed. It also ends
// what Refused began: the kernel is asked again.
func (s *State) SetLink(ops []Op, l *links.Link) []Op {
	rec := s.link(l.Name)
	same := rec.present && rec.Index == l.Index && rec.Up == l.Up && rec.Table == l.Table &&
		rec.PointToPoint == l.PointToPoint && slices.Equal(rec.Addrs, l.Addrs) && slices.Equal(rec.Peers, l.Peers)
	same = !s.follow(rec, l) && same
	if !rec.present {
		s.counts.Links++
	} else if rec.Index != l.Index || rec.VRF != l.VRF || l.PointToPoint {
		ops = s.endOrphansOn(ops, rec)
	}
	if l.Table == 0 {
		with := *l
		with.Table = MainTable
		l = &with
	}
	if !l.Up || rec.Index != l.Index || rec.Table != l.Table {
		rec.routed = nil // the routes have gone with the link, or were another's
	}
	rec.Link, rec.present, rec.told = l, true, true
	s.occupy(rec)
	if same && rec.refused == 0 {
		return ops
	}
	s.forgive(rec)
	return s.updateLink(ops, rec)
}

// RemoveLink takes note that an interface is gone. Its delegations stay, with
// unreachable routes standing in for theirs (RFC 8987 S-2), and so do the
// elements, which go by name: an interface made anew is filtered from its first
// packet. Of the names without delegations that holds for the newest maxVacant. Those of
// a point-to-point interface have no elements until they are proved again.
func (s *State) RemoveLink(ops []Op, name string) []Op {
	rec := s.links[name]
	if rec == nil || !rec.present {
		return ops
	}
	s.counts.Links--
	ops = s.endOrphansOn(ops, rec)
	rec.Link, rec.present, rec.routed = rec.Gone(), false, nil
	s.renew(rec, rec.PointToPoint)
	s.forgive(rec)
	return s.forget(s.updateLink(ops, rec), rec)
}

// VRF is the VRF of the interface of a name. there is false if there is no such interface now.
func (s *State) VRF(name string) (vrf string, there bool) {
	rec := s.links[name]
	if rec == nil || !rec.present {
		return "", false
	}
	return rec.VRF, true
}

// IsElsewhere reports whether the interface of a name is now in another VRF than vrf. There, the
// prefixes of its clients may belong to others, so the kernel is to have nothing for them until the
// interface is back.
func (s *State) IsElsewhere(name, vrf string) bool {
	now, there := s.VRF(name)
	return there && now != vrf
}

// SetPolicy makes a link client-facing, changes how, or ends it (nil): then its
// gates, elements and routes go, while its delegations are remembered.
func (s *State) SetPolicy(ops []Op, name string, p *Policy) []Op {
	if p == nil && s.links[name] == nil {
		return ops
	}
	rec := s.link(name)
	if p == nil {
		ops = s.endOrphansOn(ops, rec)
	}
	rec.policy = p.clone()
	return s.forget(s.updateLink(ops, rec), rec)
}

// SetCovered says what lies inside the prefixes that are delegated on a link and is
// not part of the delegations: prefixes of interfaces, and what RFC 6603 excludes. Nobody
// on the link has it as a source, unless it is on the link itself, permitted or delegated
// there; and an unreachable route stands for it, so that what is for it does not go to
// the client while the interface is down whose prefix it is.
func (s *State) SetCovered(ops []Op, name string, covered []Covered) []Op {
	rec := s.links[name]
	covered = inOrder(slices.Clone(covered))
	if rec == nil || slices.Equal(rec.covered, covered) {
		return ops
	}
	rec.covered = covered
	return s.updateLink(ops, rec)
}

// inOrder sorts what is covered, and drops what is there twice.
func inOrder(covered []Covered) []Covered {
	slices.SortFunc(covered, func(a, b Covered) int {
		switch c := a.Prefix.Compare(b.Prefix); {
		case c != 0 || a.Reserved == b.Reserved:
			return c
		case a.Reserved:
			return -1
		}
		return 1
	})
	return slices.CompactFunc(covered, func(a, b Covered) bool { return a.Prefix == b.Prefix })
}

// SetRouted says what routes of others lead to a link, which is allowed there as source
// where the policy of the link says so. It holds until the link goes down: the routes
// have to be told again after that.
func (s *State) SetRouted(ops []Op, name string, routed []netip.Prefix) []Op {
	rec := s.links[name]
	if rec == nil || !rec.Up || slices.Equal(rec.routed, routed) {
		return ops
	}
	rec.routed = slices.Clone(routed)
	return s.updateLink(ops, rec)
}

// Put takes note of a delegation that is new, or whose next hop, link-layer address,
// line or exemption changed. A prefix delegated on two links is routed to the one that
// was put last. A prefix of the other family is ignored.
func (s *State) Put(ops []Op, l Delegation) []Op {
	if !s.isOwn(l.Prefix) {
		return ops
	}
	rec := s.link(l.Link)
	var ended []ref
	if s.counts.Orphans > 0 {
		ops, ended = s.disarmOverlapped(ops, rec, l.Prefix.Masked())
	}
	s.puts++
	at := spot{rec.id, pack(l.Prefix.Masked())}
	next := packNextHop(l.NextHop.WithZone(""))
	d := s.delegations.find(at)
	if d == nil {
		d = s.delegations.add(at)
		s.join(rec, d)
		s.occupy(rec)
	} else if d.nextHop != next {
		s.pardon(d)
	}
	s.markKnown(rec, d)
	was := d.elementSets()
	d.put, d.nextHop, d.linkLayer, d.exempt, d.line = s.puts, next, l.LinkLayer, l.LoopExempt, l.Line
	ops = s.updateDelegation(ops, rec, d, was, l.New)
	for _, r := range ended {
		orphan := s.delegations.get(r)
		ops = s.Delete(ops, s.byID[orphan.link].Name, orphan.prefix.prefix())
	}
	return ops
}

// isOwn reports whether a prefix is one of the family.
func (s *State) isOwn(p netip.Prefix) bool {
	return p.IsValid() && p.Addr().Is4() == s.ipv4 && !p.Addr().Is4In6()
}

// PutSilently is Put without the operations: to take in what was kept before the
// kernel is compared.
func (s *State) PutSilently(l Delegation) {
	s.silent = true
	s.Put(nil, l)
	s.silent = false
}

// Delete takes note of a delegation that ended. To delete what is not there is no
// mistake.
func (s *State) Delete(ops []Op, name string, p netip.Prefix) []Op {
	rec := s.links[name]
	if rec == nil || !p.IsValid() {
		return ops
	}
	d := s.delegations.find(spot{rec.id, pack(p.Masked())})
	if d == nil {
		return ops
	}
	s.pardon(d)
	s.markKnown(rec, d)
	if d.unproved {
		s.counts.Unproved--
	}
	ops = s.changeElements(ops, rec, d, d.elementSets(), elementSets{}, false)
	ops = s.wantRoute(ops, d, routeID{})
	s.part(rec, d)
	s.delegations.remove(d)
	return s.forget(ops, rec)
}

// join and part keep the chain of a link's delegations.
func (s *State) join(rec *link, d *delegation) {
	if d.next = rec.first; d.next != 0 {
		s.delegations.get(d.next).prev = d.ref
	}
	rec.first = d.ref
	rec.delegations++
	s.counts.Delegations++
}

func (s *State) part(rec *link, d *delegation) {
	if d.prev != 0 {
		s.delegations.get(d.prev).next = d.next
	} else {
		rec.first = d.next
	}
	if d.next != 0 {
		s.delegations.get(d.next).prev = d.prev
	}
	rec.delegations--
	s.counts.Delegations--
}

// each yields the delegations of a link, the newest first.
func (s *State) each(rec *link) iter.Seq[*delegation] {
	return func(yield func(*delegation) bool) {
		for r := rec.first; r != 0; {
			d := s.delegations.get(r)
			r = d.next
			if !yield(d) {
				return
			}
		}
	}
}

// sorted are the delegations of a link in the order of their prefixes.
func (s *State) sorted(rec *link) []*delegation {
	all := slices.AppendSeq(make([]*delegation, 0, rec.delegations), s.each(rec))
	slices.SortFunc(all, func(a, b *delegation) int { return a.prefix.compare(b.prefix) })
	return all
}

// Refused takes note that the kernel did not take a route, because its device
// is down or gone: an unreachable route stands in until the link's next event,
// or until the delegation's next hop changes (RFC 8987 S-2).
func (s *State) Refused(ops []Op, r Route) []Op {
	c := s.routes[r.id()]
	if r.Link <= 0 || !c.there || int(c.link) != r.Link || c.gateway != packNextHop(r.Gateway) {
		return ops
	}
	d := s.winner(c)
	if d == nil || d.refused {
		return ops
	}
	d.refused = true
	s.byID[d.link].refused++
	s.counts.Refused++
	return s.updateRoute(ops, r.id())
}

// SetAggregates replaces the aggregates.
func (s *State) SetAggregates(ops []Op, aggregates []Aggregate) []Op {
	old := s.aggregates
	s.aggregates = make(map[routeID]bool, len(aggregates))
	var order []routeID
	for _, a := range aggregates {
		id := a.id()
		if !s.isOwn(a.Prefix) || s.aggregates[id] {
			continue
		}
		s.aggregates[id] = true
		order = append(order, id)
	}
	for _, id := range order {
		ops = s.updateRoute(ops, id)
	}
	s.comparison.adopted(order)
	for _, id := range sortedIDs(old) {
		if !s.aggregates[id] {
			ops = s.updateRoute(ops, id)
		}
	}
	return ops
}

// link finds or makes the record of a name.
func (s *State) link(name string) *link {
	rec := s.links[name]
	if rec == nil {
		rec = &link{Link: &links.Link{Name: name, Table: MainTable}, ipv4: s.ipv4, id: s.freeID()}
		s.links[name] = rec
		s.byID[rec.id] = rec
	}
	return rec
}

// freeID is a number that no record has.
func (s *State) freeID() linkID {
	if n := len(s.freed); n > 0 {
		id := s.freed[n-1]
		s.freed = s.freed[:n-1]
		return id
	}
	s.byID = append(s.byID, nil)
	return linkID(len(s.byID) - 1)
}

// forget drops the record of a name about which nothing is left to know. One of
// which only its policy is known is vacant; of too many, that of the one that has
// been so the longest is dropped.
func (s *State) forget(ops []Op, rec *link) []Op {
	switch {
	case rec.present || rec.delegations > 0:
		return ops
	case rec.policy == nil:
		s.drop(rec)
		return ops
	case rec.vacant == nil:
		rec.vacant = s.vacant.PushBack(rec)
	}
	if s.vacant.Len() > maxVacant {
		return s.SetPolicy(ops, s.vacant.Front().Value.(*link).Name, nil)
	}
	return ops
}

func (s *State) drop(rec *link) {
	s.occupy(rec)
	delete(s.links, rec.Name)
	s.byID[rec.id] = nil
	s.freed = append(s.freed, rec.id)
}

// occupy takes a name out of those that are vacant.
func (s *State) occupy(rec *link) {
	if rec.vacant != nil {
		s.vacant.Remove(rec.vacant)
		rec.vacant = nil
	}
}

// forgive lets every delegation of a link try its own route again.
func (s *State) forgive(rec *link) {
	if rec.refused == 0 {
		return
	}
	for d := range s.each(rec) {
		s.pardon(d)
	}
}

func (s *State) pardon(d *delegation) {
	if d.refused {
		d.refused = false
		s.byID[d.link].refused--
		s.counts.Refused--
	}
}

func (p *Policy) clone() *Policy {
	if p == nil {
		return nil
	}
	c := *p
	c.Permit = slices.Clone(p.Permit)
	c.LoopExempt = slices.Clone(p.LoopExempt)
	return &c
}
