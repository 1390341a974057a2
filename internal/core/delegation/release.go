package delegation

import (
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

// Named is one IA of a client's Release (RFC 8987 G-9), Decline, Renew or Rebind, or of
// the answer, with the prefixes that it lists.
type Named struct {
	Link, VRF string
	Client    binding.Client
	IAID      uint32
	Kind      binding.Kind
	Source    netip.Addr    // where the message came from
	LinkLayer linkaddr.Addr // invalid: unknown
	Contested bool          // several hosts say that Source is theirs
	Prefixes  []netip.Prefix
}

// is reports whether a delegation is in the IA that is named. A delegation whose IAID is
// not known is in it if the message lists its prefix.
func (r Named) is(s *binding.Slot, listed bool) bool {
	iaid, known := s.IAID()
	return s.Kind() == r.Kind && (known && iaid == r.IAID || !known && listed)
}

// Release ends the delegations that the client gives back: the prefixes that the IA lists,
// or all of the IA if it lists none. A Release counts only if it shows that it comes from
// the holder. Mismatched is how many delegations it named without showing that.
func (t *Table) Release(events []binding.Event, r Named) (_ []binding.Event, mismatched int) {
	for s := range t.SlotsOf(r.Link, r.Client) {
		listed := slices.Contains(r.Prefixes, s.Prefix())
		if !r.is(s, listed) || len(r.Prefixes) > 0 && !listed {
			continue
		}
		if !r.isFrom(s) {
			s.Standing.Doubted = true
			mismatched++
			continue
		}
		events = append(events, t.End(s, binding.Released))
	}
	own := t.Holder(r.Link, r.Client)
	for _, p := range r.Prefixes {
		if s := t.At(r.VRF, p); s != nil && (!own.Has(s) || !r.is(s, true)) {
			s.Standing.Doubted = true
			mismatched++ // another holder's
		}
	}
	if len(r.Prefixes) == 0 {
		t.doubtElsewhere(r)
	}
	return events, mismatched
}

// doubtElsewhere marks the client's delegations on other links: a server may apply a
// Release that names no prefix to them as well.
func (t *Table) doubtElsewhere(r Named) {
	for s := range t.SlotsAnywhere(r.Client) {
		if iaid, known := s.IAID(); t.Link(s) != r.Link && (iaid == r.IAID || !known) && s.Kind() == r.Kind {
			s.Standing.Doubted = true
		}
	}
}

// Renewing takes note that a Renew or Rebind with that transaction-id names a prefix, if
// the message comes from the holder.
func (t *Table) Renewing(now instant.Now, r Named, p netip.Prefix, xid uint32) {
	s := t.At(r.VRF, p)
	if s != nil && r.is(s, true) && t.Link(s) == r.Link && t.Client(s) == r.Client && r.isFrom(s) {
		s.Standing.Renewed, s.Standing.XID, s.Standing.Doubted = now.Boot, xid, false
	}
}

// GivesUp takes note of the Reply to the holder's Renew or Rebind with that
// transaction-id, from the server that has granted the prefixes. Those that the holder
// named and that are not among Prefixes are given up. Nothing ends: a client may use a
// prefix until it expires, and gets it back if it asks in time.
func (t *Table) GivesUp(r Named, server string, xid uint32) {
	for s := t.First(t.Holder(r.Link, r.Client)); s != nil; s = t.Next(s) {
		if r.is(s, false) && s.Standing.Renewed != 0 && s.Standing.XID == xid &&
			t.Server(s) == server && r.isFrom(s) && !slices.Contains(r.Prefixes, s.Prefix()) {
			s.Standing.GivenUp = true
		}
	}
}

// isFrom reports whether a message that names a delegation by link, DUID and IAID shows
// that it is the holder's. Any host can write any source address, and a client may have
// several. So where the delegation has a link-layer address, the message must come from
// that, and a message without one (a unicast, or fragments from several hosts) proves
// nothing. Where the delegation has none, the source must be the next hop, and proves
// nothing while several hosts use it. Where the IAID is not known, the source must be the
// next hop as well.
func (r Named) isFrom(s *binding.Slot) bool {
	fromHop := s.NextHop() == r.Source
	if holder := s.LinkLayer(); holder.IsValid() {
		_, known := s.IAID()
		return holder == r.LinkLayer && (known || fromHop)
	}
	return fromHop && !r.Contested
}
