package hoststate

import (
	"slices"

	"fairlead/internal/core/links"
)

// The name of a point-to-point interface says little about who is at its other
// end: a PPP daemon gives the lowest free unit, sometimes with its index, to
// whoever comes next. A line is such an interface from the moment that it comes up
// until it goes down or away. A delegation is proved on the
// line for which the server's word about it was heard, and on no other. Until then
// it has no filter element, and an unreachable route stands in for its own.

// Reuse says what else proves that a point-to-point interface leads to the client
// of a delegation.
type Reuse uint8

// ReusePossible: nothing. ReuseFixedAddresses: that the kernel reports the delegation's
// next hop as the address of the interface's peer. ReuseNever: the name alone.
const (
	ReusePossible Reuse = iota
	ReuseFixedAddresses
	ReuseNever
)

func (r Reuse) String() string { return [...]string{"possible", "fixed-addresses", "never"}[r] }

// Line is the number of the line that an interface is now. It is 0 for one that is
// not point-to-point, or that is not known.
func (s *State) Line(name string) uint32 {
	if rec := s.links[name]; rec != nil {
		return rec.line
	}
	return 0
}

// follow takes note of which line an interface is, before it is told that it is l
// now. It reports whether that is another line than before.
func (s *State) follow(rec *link, l *links.Link) bool {
	same := rec.present && rec.PointToPoint == l.PointToPoint && rec.Index == l.Index &&
		rec.CarrierDowns == l.CarrierDowns && rec.Passes() == l.Passes()
	if same {
		return false
	}
	s.renew(rec, l.PointToPoint)
	return true
}

// renew makes another line of a point-to-point interface.
func (s *State) renew(rec *link, pointToPoint bool) {
	if rec.line = 0; pointToPoint {
		s.lines++
		rec.line = s.lines
	}
}

// proves reports whether the interface, as it now is, leads to the client of a
// delegation. Of one that was never told nobody knows whether it is point-to-point; if
// the client has a link-layer address, it is not.
func (rec *link) proves(d *delegation) bool {
	reuse := ReusePossible
	if rec.policy != nil {
		reuse = rec.policy.Reuse
	}
	switch {
	case reuse == ReuseNever, rec.told && !rec.PointToPoint:
		return true
	case !rec.told:
		return d.linkLayer.IsValid()
	case d.line == rec.line:
		return true
	}
	return reuse == ReuseFixedAddresses && slices.Contains(rec.Peers, d.nextHop.addr())
}

// weigh keeps the number of delegations that are not proved.
func (s *State) weigh(rec *link, d *delegation) {
	unproved := rec.policy != nil && !rec.proves(d)
	switch {
	case unproved && !d.unproved:
		s.counts.Unproved++
	case !unproved && d.unproved:
		s.counts.Unproved--
	}
	d.unproved = unproved
}

// Unproved reports whether a delegation waits for a proof that its interface still
// leads to its client.
func (s *State) Unproved(l Delegation) bool {
	rec := s.links[l.Link]
	if rec == nil || s.counts.Unproved == 0 {
		return false
	}
	d := s.delegations.find(spot{rec.id, pack(l.Prefix)})
	return d != nil && d.unproved
}
