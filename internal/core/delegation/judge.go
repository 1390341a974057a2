package delegation

import (
	"net/netip"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
)

// forbidden is why a grant may never be learned here, whether its prefix has a delegation
// now (s) or not (nil). With renewal, s is the delegation that the grant renews. It was
// compared with all others when it was granted, and later grants that overlap with it were
// refused: only a binding that was put in without a check can overlap with it now.
func (t *Table) forbidden(g *Grant, s *binding.Slot, terms *Terms, renewal bool) binding.Reason {
	switch {
	case g.Preferred > g.Lifetime: // RFC 8415 section 21.22: to be discarded
		return binding.BadLifetimes
	case t.isBlocked(g):
		return binding.Blocked
	case !delegable(g, terms):
		return binding.NotDelegable
	case terms.Policy.UniqueDUID && t.heldElsewhere(g, s):
		return binding.DuplicateDUID
	case renewal && s.Apart == t.Unchecked():
		return binding.NoReason
	case t.overlaps(g):
		return binding.Overlap
	}
	if renewal {
		s.Apart = t.Unchecked()
	}
	return binding.NoReason
}

// never lists the prefixes that no server may delegate: the reserved low end of the
// address space with ::, ::1 and mapped addresses, link-local and multicast; in IPv4 "this
// network", loopback, link-local, multicast and all above multicast (RFC 6890).
var never = []netip.Prefix{
	netip.MustParsePrefix("::/8"),
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("ff00::/8"),
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/3"),
}

func delegable(g *Grant, terms *Terms) bool {
	if g.Prefix.Bits() == 0 || g.Prefix.Addr().Is4() && g.Kind != binding.Address {
		return false // DHCPv4 delegates no prefixes
	}
	for _, n := range never {
		if n.Overlaps(g.Prefix) {
			return false
		}
	}
	if terms.Reserved(g) {
		return false
	}
	return g.Kind == binding.Address || inRanges(terms.Peer, g.Prefix) && inRanges(terms.Policy.Delegable, g.Prefix)
}

func inRanges(ranges []trust.Range, p netip.Prefix) bool {
	if len(ranges) == 0 {
		return true
	}
	for _, r := range ranges {
		if r.Includes(p) {
			return true
		}
	}
	return false
}

// overlaps reports whether another client holds a delegation that contains the
// prefix or lies in it. The same prefix is not an overlap but a move, and what is
// excluded from a delegation is not part of it (RFC 6603).
func (t *Table) overlaps(g *Grant) bool {
	own := t.Holder(g.Link, g.Client)
	for s := range t.Covering(g.VRF, g.Prefix) {
		if !own.Has(s) && !within(t.Exclude(s), g.Prefix) {
			return true
		}
	}
	for s := range t.Within(g.VRF, g.Prefix) {
		if !own.Has(s) && !within(g.Exclude, s.Prefix()) {
			return true
		}
	}
	return false
}

// within reports whether a prefix lies in another, which may be the zero Prefix.
func within(outer, p netip.Prefix) bool {
	return outer.IsValid() && outer.Bits() <= p.Bits() && outer.Contains(p.Addr())
}

// heldElsewhere reports whether a client has a delegation on another link. s is the
// delegation that the prefix of the grant has now, or nil.
func (t *Table) heldElsewhere(g *Grant, s *binding.Slot) bool {
	n := t.LinksOf(g.Client)
	if n == 0 {
		return false
	}
	if t.First(t.Holder(g.Link, g.Client)) != nil {
		n--
	}
	// The delegation that is about to move here does not count.
	if s != nil && t.Link(s) != g.Link && t.Client(s) == g.Client && t.Next(t.First(t.Holder(t.Link(s), g.Client))) == nil {
		n--
	}
	return n > 0
}

// mayMove applies the move policy to a live delegation that a grant would take
// elsewhere.
func (t *Table) mayMove(now instant.Now, g Grant, old *entry, terms Terms) binding.Reason {
	switch {
	case terms.Policy.Move == MoveDeny:
		return binding.MoveDenied
	case terms.Policy.Move == MoveProbe && !g.mayTake(&old.Binding) && !terms.denied(g.question(now, &old.Binding)):
		return binding.StillAnswers
	}
	return binding.NoReason
}
