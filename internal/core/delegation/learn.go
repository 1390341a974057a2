package delegation

import (
	"cmp"
	"net/netip"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/linkaddr"
)

// NextHop is somebody who may or may not still be there: the client's
// link-local address on a link, and its link-layer address where known.
type NextHop struct {
	Link      string
	Addr      netip.Addr
	LinkLayer linkaddr.Addr
}

// Terms are what a grant is judged by.
type Terms struct {
	Policy *Policy
	// Peer bounds what this source may delegate; empty: no bound of its own.
	Peer []trust.Range
	// Reserved reports whether a grant touches what its client may not be given:
	// prefixes of interfaces, addresses of peers, the infrastructure's.
	Reserved func(g *Grant) bool
	// Answered tells what is known of next hops that were asked about: whether they
	// keep what they hold.
	Answered map[Question]bool
	// Ending is how many of the client's delegations of each kind end before the grant
	// is learned, so that they take no room any more.
	Ending [kinds]int
}

// Question is what is to be found out about a next hop: whether it answers, and, if
// Prefix is set, whether it has lately sent from that as well. Both must be so for it
// to keep what it holds.
type Question struct {
	Hop    NextHop
	Prefix netip.Prefix
}

// NeedsProbe is the question whose answer decides on a grant and is not known yet,
// or nil: put the answer into Terms.Answered before Learn.
func (t *Table) NeedsProbe(now instant.Now, g Grant, terms Terms) *Question {
	if t.renewed(&g) != nil {
		return nil
	}
	old := t.find(g.VRF, g.Prefix)
	switch {
	case old != nil && !g.ends() && !g.isNew(old) && !g.takesFrom(&old.Delegation):
		return nil
	case g.ends():
		if old == nil || !g.isHolder(old) {
			return nil
		}
	case g.Lifetime == 0 || t.forbidden(&g, t.slot(old), &terms, false) != NoReason:
		return nil
	}
	if old != nil && terms.Policy.Move == MoveProbe && g.takesFrom(&old.Delegation) && !g.mayTake(&old.Delegation) {
		if q := g.question(now, &old.Delegation); !terms.knows(q) {
			return &q
		}
	}
	if !g.ends() && g.isNew(old) && terms.Policy.OnLimit == LimitReplaceUnreachable && t.room(g, old, terms) == LimitLink {
		if victim := t.oldestOther(g, old); victim != nil && !terms.knows(Question{Hop: victim.hop()}) {
			return &Question{Hop: victim.hop()}
		}
	}
	return nil
}

func (terms *Terms) knows(q Question) bool {
	_, known := terms.Answered[q]
	return known
}

// denied reports whether a question was asked and the answer was no.
func (terms *Terms) denied(q Question) bool {
	answered, known := terms.Answered[q]
	return known && !answered
}

// mayTake reports whether old's holder has given the prefix up to whom a grant is
// for: another client. One with the holder's own DUID may have copied it.
func (g Grant) mayTake(old *Delegation) bool { return old.Standing.GivenUp && g.Client != old.Client }

// question is what decides whether old's holder keeps the prefix against a grant.
// That it answers is enough where it has just named the prefix in a Renew, where who
// asks uses its DUID, and where somebody else has lately sent a Release for the
// prefix: the server may have believed that. Otherwise it must use the prefix as
// well. What it sends is told by its link-layer address.
func (g Grant) question(now instant.Now, old *Delegation) Question {
	q := Question{Hop: old.hop()}
	renewed := old.Standing.Renewed != 0 && time.Duration(now.Boot-old.Standing.Renewed) < Claimed
	if g.Client != old.Client && !old.Standing.Doubted && !renewed && old.LinkLayer.IsValid() {
		q.Prefix = old.Prefix
	}
	return q
}

// granted is the standing after a grant or renewal to the holder.
func (s Standing) granted() Standing {
	s.GivenUp = false
	return s
}

// Learn takes in one grant and appends what happened: that it was granted,
// extended, moved or refused, or, with a lifetime of 0, that it ended.
func (t *Table) Learn(events []Event, now instant.Now, g Grant, terms Terms) []Event {
	if g.ends() {
		return t.withdraw(events, now, g, terms)
	}
	if s := t.renewed(&g); s != nil && t.forbidden(&g, s, &terms, true) == NoReason {
		return t.renew(events, now, s, &g)
	}
	fresh := g.delegation(now)
	old := t.find(g.VRF, g.Prefix)
	ev := Event{Kind: Granted}
	moves := old != nil && g.movesFrom(&old.Delegation)
	if moves && terms.Policy.Move != MoveFollow && !g.takesFrom(&old.Delegation) {
		moves, fresh.NextHop, ev.AskedFrom = false, old.NextHop, g.NextHop
	}
	if moves && !g.isNew(old) && g.sameAddress(&old.Delegation) && t.mayMove(now, g, old, terms) != NoReason {
		// Somebody else has written the holder's address into a message of its own.
		// The grant is for that address, so it is the holder's.
		moves, fresh.LinkLayer = false, old.LinkLayer
	}
	if old != nil {
		ev.Kind, ev.Old = Extended, old.Delegation
		if moves || g.isNew(old) {
			ev.Kind = Moved // to another place, or to another client in the same one
		}
		if !moves && !fresh.LinkLayer.IsValid() {
			fresh.LinkLayer = old.LinkLayer
		}
	}
	if g.Contested && (g.isNew(old) || !g.sameAddress(&old.Delegation) || !old.LinkLayer.IsValid()) {
		fresh.LinkLayer = linkaddr.Addr{} // whose it is nobody can tell
	}
	ev.Reason = t.forbidden(&g, t.slot(old), &terms, false)
	if ev.Reason == NoReason && moves {
		ev.Reason = t.mayMove(now, g, old, terms)
	}
	if ev.Reason == NoReason && g.isNew(old) {
		events, ev.Reason = t.makeRoom(events, g, old, terms)
	}
	if ev.Reason != NoReason {
		if ev.Reason.IsLimit() {
			t.Charge(now, g, terms.Policy)
		}
		ev.Kind, ev.New = Refused, fresh
		return append(events, ev)
	}
	if g.isNew(old) {
		t.excess.remove(t.excess.at[excessPlace{g.VRF, g.Prefix}])
	}
	if old != nil && !g.isNew(old) {
		fresh.Granted = old.Granted
		if !moves {
			fresh.Standing = old.Standing.granted()
		}
	}
	switch {
	case ev.Kind == Extended && fresh.NextHop == old.NextHop && fresh.LinkLayer == old.LinkLayer:
		t.extend(old.ref, &fresh)
	default:
		if old != nil {
			t.remove(old)
		}
		t.add(&entry{Delegation: fresh}).apart = t.unchecked
	}
	ev.New = fresh
	return append(events, ev)
}

// Refuse is the refusal of a grant that is not to be learned for a reason that the
// table does not know.
func Refuse(now instant.Now, g Grant, r Reason) Event {
	return Event{Kind: Refused, Reason: r, New: g.delegation(now)}
}

// isNew reports whether a grant adds to what its client holds on its link.
func (g Grant) isNew(old *entry) bool {
	return old == nil || old.Link != g.Link || old.Client != g.Client || old.Kind != g.Kind
}

// ends reports whether the server takes the prefix back.
func (g Grant) ends() bool { return g.Lifetime == 0 && g.Preferred == 0 }

// WouldEnd reports whether a grant ends what its client holds.
func (t *Table) WouldEnd(g Grant) bool {
	if !g.ends() {
		return false
	}
	old := t.find(g.VRF, g.Prefix)
	return old != nil && g.isHolder(old)
}

// isHolder reports whether a grant names what its client holds on its link.
func (g Grant) isHolder(old *entry) bool {
	return old.Link == g.Link && old.Client == g.Client && old.IAID == g.IAID
}

// withdraw is a valid lifetime of 0: the server takes the prefix back. In a Reply
// that goes to another than the holder that is a move to nowhere: whoever copied
// the holder's identifiers could have asked for it.
func (t *Table) withdraw(events []Event, now instant.Now, g Grant, terms Terms) []Event {
	if s := t.excess.at[excessPlace{g.VRF, g.Prefix}]; s != nil && s.link == g.Link && s.client == g.Client && s.iaid == g.IAID {
		t.excess.remove(s)
	}
	e := t.find(g.VRF, g.Prefix)
	if e == nil || !g.isHolder(e) {
		return events
	}
	if g.takesFrom(&e.Delegation) {
		if reason := t.mayMove(now, g, e, terms); reason != NoReason {
			return append(events, Event{Kind: Refused, Reason: reason, Old: e.Delegation, New: g.delegation(now)})
		}
	}
	return append(events, t.end(e, Withdrawn))
}

func (g Grant) delegation(now instant.Now) Delegation {
	d := Delegation{
		Link: g.Link, VRF: g.VRF, Prefix: g.Prefix, Kind: g.Kind,
		Client: g.Client, IAID: g.IAID, NextHop: g.NextHop, LinkLayer: g.LinkLayer, Line: g.Line, Exclude: g.Exclude,
		Lifetime: g.Lifetime, Server: g.Server, Source: g.Source,
		Granted: now.Wall, Changed: now.Wall,
	}
	d.Preferred, d.Valid = lifetimes(now, g.Preferred, g.Lifetime)
	return d
}

// sameAddress reports whether a grant goes to old's next hop, behind whatever
// link-layer address.
func (g Grant) sameAddress(old *Delegation) bool {
	return g.Link == old.Link && g.NextHop == old.NextHop
}

// movesFrom reports whether a grant would send traffic for old's prefix
// elsewhere, or let another link-layer address use it.
func (g Grant) movesFrom(old *Delegation) bool {
	return !g.sameAddress(old) ||
		g.LinkLayer.IsValid() && old.LinkLayer.IsValid() && g.LinkLayer != old.LinkLayer
}

// takesFrom reports whether a grant would send traffic for old's prefix to another
// than its holder. The holder of a delegation that has a link-layer address is who
// shows that one with link, DUID and IAID, from whatever IPv6 address: a client may
// have several, and ask from any of them.
func (g Grant) takesFrom(old *Delegation) bool {
	holder := g.Link == old.Link && g.Client == old.Client && g.IAID == old.IAID && g.Kind == old.Kind &&
		g.LinkLayer.IsValid() && g.LinkLayer == old.LinkLayer && !g.Contested
	return !holder && g.movesFrom(old)
}

// Follow moves the next hop of a delegation to another address of its holder, which
// has answered from there. It appends what happened: nothing if the delegation is
// not that client's behind that link-layer address, or is there already.
func (t *Table) Follow(events []Event, vrf string, p netip.Prefix, client string, to NextHop) []Event {
	old := t.find(vrf, p)
	if old == nil || old.Link != to.Link || old.Client != client || !to.LinkLayer.IsValid() || old.LinkLayer != to.LinkLayer || old.NextHop == to.Addr {
		return events
	}
	moved := old.Delegation
	moved.NextHop = to.Addr
	t.remove(old)
	t.add(&entry{Delegation: moved}).apart = t.unchecked
	return append(events, Event{Kind: Moved, Old: old.Delegation, New: moved})
}

// forbidden is why a grant may never be learned here, whatever holds its prefix now: s,
// or nobody if that is nil. With renewal, s is what the grant renews: then nobody else's
// can have come to overlap with it since the last look but what was put in unchecked, for
// all others would have been refused.
func (t *Table) forbidden(g *Grant, s *slot, terms *Terms, renewal bool) Reason {
	switch {
	case g.Preferred > g.Lifetime: // RFC 8415 section 21.22: to be discarded
		return BadLifetimes
	case t.isBlocked(g):
		return Blocked
	case !delegable(g, terms):
		return NotDelegable
	case terms.Policy.UniqueDUID && t.heldElsewhere(g, s):
		return DuplicateDUID
	case renewal && s.apart == t.unchecked:
		return NoReason
	case t.overlaps(g):
		return Overlap
	}
	if renewal {
		s.apart = t.unchecked
	}
	return NoReason
}

// slot is where an entry is kept, or nil if there is none.
func (t *Table) slot(e *entry) *slot {
	if e == nil {
		return nil
	}
	return t.slots.At(e.ref)
}

// never lists what is nobody's to delegate: the reserved low end of the address
// space with ::, ::1 and mapped addresses, link-local and multicast.
var never = []netip.Prefix{
	netip.MustParsePrefix("::/8"),
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("ff00::/8"),
}

func delegable(g *Grant, terms *Terms) bool {
	if g.Prefix.Bits() == 0 || !g.Prefix.Addr().Is6() {
		return false
	}
	for _, n := range never {
		if n.Overlaps(g.Prefix) {
			return false
		}
	}
	if terms.Reserved(g) {
		return false
	}
	return g.Kind == Address || inRanges(terms.Peer, g.Prefix) && inRanges(terms.Policy.Delegable, g.Prefix)
}

func inRanges(ranges []trust.Range, p netip.Prefix) bool {
	if len(ranges) == 0 {
		return true
	}
	for _, r := range ranges {
		if r.Holds(p) {
			return true
		}
	}
	return false
}

// overlaps reports whether another client holds a delegation that contains the
// prefix or lies in it. The same prefix is not an overlap but a move, and what is
// excluded from a delegation is not part of it (RFC 6603).
func (t *Table) overlaps(g *Grant) bool {
	s := t.spaces[g.VRF]
	if s == nil {
		return false
	}
	own := clientKey{t.names.find(g.Link), t.names.find(g.Client)}
	others := func(p netip.Prefix, r ref) bool {
		held := t.slots.At(r)
		return p != g.Prefix && own != clientKey{held.link, held.client} &&
			!within(t.excluded[r], g.Prefix) && !within(g.Exclude, p)
	}
	for p, r := range s.Supernets(g.Prefix) {
		if others(p, r) {
			return true
		}
	}
	for p, r := range s.Subnets(g.Prefix) {
		if others(p, r) {
			return true
		}
	}
	return false
}

// within reports whether a prefix lies in another, which may be the zero Prefix.
func within(outer, p netip.Prefix) bool {
	return outer.IsValid() && outer.Bits() <= p.Bits() && outer.Contains(p.Addr())
}

// heldElsewhere reports whether a client holds anything on another link; s is what has
// the prefix of its grant now, or nil.
func (t *Table) heldElsewhere(g *Grant, s *slot) bool {
	client := t.names.find(g.Client)
	if client == none {
		return false
	}
	n := t.names.texts[client].links
	if t.clients[clientKey{t.names.find(g.Link), client}] != 0 {
		n--
	}
	// The prefix that is about to move here does not count against itself.
	if s != nil && s.client == client && s.link != t.names.find(g.Link) {
		first := t.clients[clientKey{s.link, client}]
		if t.slots.At(first).sibling == 0 {
			n--
		}
	}
	return n > 0
}

// mayMove applies the move policy to a live delegation that a grant would take
// elsewhere.
func (t *Table) mayMove(now instant.Now, g Grant, old *entry, terms Terms) Reason {
	switch {
	case terms.Policy.Move == MoveDeny:
		return MoveDenied
	case terms.Policy.Move == MoveProbe && !g.mayTake(&old.Delegation) && !terms.denied(g.question(now, &old.Delegation)):
		return StillAnswers
	}
	return NoReason
}

func (d *Delegation) hop() NextHop {
	return NextHop{Link: d.Link, Addr: d.NextHop, LinkLayer: d.LinkLayer}
}

// makeRoom checks the limits for one more delegation and, if the policy says
// so, ends those of a client on the link that no longer answers. What the grant
// takes the place of counts no more.
func (t *Table) makeRoom(events []Event, g Grant, old *entry, terms Terms) ([]Event, Reason) {
	r := t.room(g, old, terms)
	if r != LimitLink || terms.Policy.OnLimit != LimitReplaceUnreachable {
		return events, r
	}
	victim := t.oldestOther(g, old)
	if victim == nil || !terms.denied(Question{Hop: victim.hop()}) {
		return events, r
	}
	hop := victim.hop()
	for s := range t.ofClient(victim.Link, victim.Client) {
		if e := t.entry(s.ref); !e.is(old) && e.hop() == hop && e.Kind == g.Kind {
			events = append(events, t.end(e, Evicted))
		}
	}
	return events, t.room(g, old, terms)
}

func (t *Table) room(g Grant, old *entry, terms Terms) Reason {
	if old != nil {
		t.remove(old)
		defer t.insert(old)
	}
	if s := t.excess.at[excessPlace{g.VRF, g.Prefix}]; s != nil {
		t.excess.count(s, -1)
		defer t.excess.count(s, 1)
	}
	return t.Room(g.Link, g.Client, g.LinkLayer, g.Kind, 1-terms.Ending[g.Kind], 0, terms.Policy)
}

// Room is the limit that n more delegations of one client would exceed, or
// NoReason (RFC 8987 G-5, G-6, G-7). Where hosts have a bound of their own, what
// is behind another host does not count against the client: that host may have
// copied the client's DUID. What servers gave and is not installed counts as well, but
// for own of it, which is what the n are. Where an unreachable client makes room, that
// alone decides for the link.
func (t *Table) Room(link, client string, host linkaddr.Addr, k Kind, n, own int, p *Policy) Reason {
	held := 0
	for s := range t.ofClient(link, client) {
		if s.kind == k && (p.HostLimit <= 0 || mayBe(s.linkLayer, host)) {
			held++
		}
	}
	on := excessLink{link, k}
	onLink := t.LinkLen(link, k)
	if p.OnLimit != LimitReplaceUnreachable {
		onLink += max(0, t.excess.onLink[on]-own)
	}
	switch {
	case held+n > p.ClientLimit:
		return LimitClient
	case onLink+n > p.LinkLimit:
		return LimitLink
	case p.HostLimit > 0 && host.IsValid() && t.hostLen(on, host)+max(0, t.excess.ofHost[excessHost{on, host}]-own)+n > p.HostLimit:
		return LimitHost
	}
	return NoReason
}

// mayBe reports whether two link-layer addresses are one, as far as is known.
func mayBe(a, b linkaddr.Addr) bool { return a == b || !a.IsValid() || !b.IsValid() }

// Holds reports whether the client holds anything of this kind in that IA.
func (t *Table) Holds(link, client string, iaid uint32, k Kind) bool {
	for s := range t.ofClient(link, client) {
		if s.iaid == iaid && s.kind == k {
			return true
		}
	}
	return false
}

// HoldsOf reports whether the client holds anything that came from the server.
func (t *Table) HoldsOf(link string, client []byte, server string) bool {
	id, known := t.names.ids[string(client)]
	if !known {
		return false
	}
	from := t.names.find(server)
	for r := t.clients[clientKey{t.names.find(link), id}]; r != 0; {
		s := t.slots.At(r)
		if s.server == from {
			return true
		}
		r = s.sibling
	}
	return false
}

// OldestOther is the next hop of who would be asked to make room on a link for a client;
// false if there is nobody.
func (t *Table) OldestOther(link, client string, k Kind) (NextHop, bool) {
	e := t.oldestOther(Grant{Link: link, Client: client, Kind: k}, nil)
	if e == nil {
		return NextHop{}, false
	}
	return e.hop(), true
}

// oldestOther is the delegation of another client on the link that ends first.
func (t *Table) oldestOther(g Grant, old *entry) *entry {
	var oldest *slot
	client := t.names.find(g.Client)
	for s := range t.onLink(t.names.find(g.Link)) {
		if old != nil && s.ref == old.ref || s.client == client || s.kind != g.Kind {
			continue
		}
		if oldest == nil || cmp.Or(cmp.Compare(s.valid, oldest.valid), s.where().Compare(oldest.where())) < 0 {
			oldest = s
		}
	}
	if oldest == nil {
		return nil
	}
	return t.entry(oldest.ref)
}
