package delegation

import (
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

// Named is one IA of a client's Release (RFC 8987 G-9), Decline, Renew or Rebind, or
// of the answer: what it says about what the client holds.
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

// is reports whether a delegation is in the IA that is named. One whose IAID nobody has
// told is, if the message lists its prefix.
func (r Named) is(s *binding.Slot, listed bool) bool {
	iaid, known := s.IAID()
	return s.Kind() == r.Kind && (known && iaid == r.IAID || !known && listed)
}

// Release ends what the client gives back: the prefixes that the IA lists, or
// all of the IA if it lists none. It counts only if it shows that it is the
// holder's. Mismatched is how many delegations were named and did not match.
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
			mismatched++ // somebody else's
		}
	}
	if len(r.Prefixes) == 0 {
		t.doubtElsewhere(r)
	}
	return events, mismatched
}

// doubtElsewhere takes note of a Release that names no prefix: to a server it may be
// about what its client holds on other links.
func (t *Table) doubtElsewhere(r Named) {
	for s := range t.SlotsAnywhere(r.Client) {
		if iaid, known := s.IAID(); t.Link(s) != r.Link && (iaid == r.IAID || !known) && s.Kind() == r.Kind {
			s.Standing.Doubted = true
		}
	}
}

// Renewing takes note that a Renew or Rebind with that transaction-id names a prefix,
// if it is the holder's.
func (t *Table) Renewing(now instant.Now, r Named, p netip.Prefix, xid uint32) {
	s := t.At(r.VRF, p)
	if s != nil && r.is(s, true) && t.Link(s) == r.Link && t.Client(s) == r.Client && r.isFrom(s) {
		s.Standing.Renewed, s.Standing.XID, s.Standing.Doubted = now.Boot, xid, false
	}
}

// GivesUp takes note of a Reply to the holder's Renew or Rebind with that
// transaction-id, by the server that has granted the prefixes, which no longer gives
// those that the message named: all but Prefixes. It ends nothing, as a client uses
// what it has until that has expired, and gets it back if it asks in time.
func (t *Table) GivesUp(r Named, server string, xid uint32) {
	for s := range t.SlotsOf(r.Link, r.Client) {
		if r.is(s, false) && s.Standing.Renewed != 0 && s.Standing.XID == xid &&
			t.Server(s) == server && r.isFrom(s) && !slices.Contains(r.Prefixes, s.Prefix()) {
			s.Standing.GivenUp = true
		}
	}
}

// isFrom reports whether a message that names a delegation by link, DUID and IAID
// shows that it is the holder's. A source address is anybody's to write, and a
// client may have several: it says nothing where the link-layer address is known
// that the message must come from. A message that does not show its own (a unicast,
// one whose fragments came from several) then proves nothing. Where the link-layer
// address is not known, the source must be the next hop, and proves nothing while
// several hosts use it. Where the IAID is not known, the source must be the next hop,
// too.
func (r Named) isFrom(s *binding.Slot) bool {
	fromHop := s.NextHop() == r.Source
	if holder := s.LinkLayer(); holder.IsValid() {
		_, known := s.IAID()
		return holder == r.LinkLayer && (known || fromHop)
	}
	return fromHop && !r.Contested
}
