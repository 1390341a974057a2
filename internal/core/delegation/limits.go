package delegation

import (
	"cmp"

	"fairlead/internal/core/binding"
	"fairlead/internal/wire/linkaddr"
)

// makeRoom checks the limits for one more delegation. If the policy says so, it ends the
// delegations of a client on the link that no longer answers. A delegation that the grant
// replaces does not count.
func (t *Table) makeRoom(events []binding.Event, g Grant, old *entry, terms Terms) ([]binding.Event, binding.Reason) {
	r := t.room(g, old, terms)
	if r != binding.LimitLink || terms.Policy.OnLimit != LimitReplaceUnreachable {
		return events, r
	}
	victim := t.oldestOther(g, old)
	if victim == nil || !terms.denied(binding.Question{NextHop: victim.Via()}) {
		return events, r
	}
	hop := victim.Via()
	for s := range t.SlotsOf(victim.Link, victim.Client) {
		if e := t.entry(s); !e.is(old) && e.Via() == hop && e.Kind == g.Kind {
			events = append(events, t.End(s, binding.Evicted))
		}
	}
	return events, t.room(g, old, terms)
}

// room is the limit that a grant would exceed. The grant replaces old, which may be nil.
func (t *Table) room(g Grant, old *entry, terms Terms) binding.Reason {
	if s := t.excess.at[excessPlace{g.VRF, g.Prefix}]; s != nil {
		t.excess.count(s, -1)
		defer t.excess.count(s, 1)
	}
	return t.roomBut(old, g.Link, g.Client, g.LinkLayer, g.Kind, 1-terms.Ending[g.Kind], 0, terms.Policy)
}

// Room is the limit that n more delegations of one client would exceed, or NoReason (RFC
// 8987 G-5, G-6, G-7). Where hosts have a limit of their own, delegations behind another
// host do not count against the client: that host may have copied the client's DUID. The
// excess counts as well; own is how many of it are among the n, and are not counted twice.
// Where an unreachable client can make room, the link's limit alone does not refuse.
func (t *Table) Room(link string, client binding.Client, host linkaddr.Addr, k binding.Kind, n, own int, p *Policy) binding.Reason {
	return t.roomBut(nil, link, client, host, k, n, own, p)
}

// roomBut is Room where one delegation does not count, which may be nil.
func (t *Table) roomBut(old *entry, link string, client binding.Client, host linkaddr.Addr, k binding.Kind, n, own int, p *Policy) binding.Reason {
	held := 0
	for s := t.First(t.Holder(link, client)); s != nil; s = t.Next(s) {
		if s.Kind() == k && s != old.at() && (p.HostLimit <= 0 || mayBe(s.LinkLayer(), host)) {
			held++
		}
	}
	on := excessLink{link, k}
	onLink, ofHost := t.LinkLen(link, k), t.HostLen(link, host, k)
	if old != nil && old.Link == link && old.Kind == k {
		onLink--
		if old.LinkLayer == host {
			ofHost--
		}
	}
	if p.OnLimit != LimitReplaceUnreachable {
		onLink += max(0, t.excess.onLink[on]-own)
	}
	switch {
	case held+n > p.ClientLimit:
		return binding.LimitClient
	case onLink+n > p.LinkLimit:
		return binding.LimitLink
	case p.HostLimit > 0 && host.IsValid() && ofHost+max(0, t.excess.ofHost[excessHost{on, host}]-own)+n > p.HostLimit:
		return binding.LimitHost
	}
	return binding.NoReason
}

// mayBe reports whether two link-layer addresses are equal, or one of them is not known.
func mayBe(a, b linkaddr.Addr) bool { return a == b || !a.IsValid() || !b.IsValid() }

// Holds reports whether the client has a delegation of this kind in that IA, or in one
// whose IAID is not known.
func (t *Table) Holds(link string, client binding.Client, iaid uint32, k binding.Kind) bool {
	for s := t.First(t.Holder(link, client)); s != nil; s = t.Next(s) {
		if in, known := s.IAID(); s.Kind() == k && (in == iaid || !known) {
			return true
		}
	}
	return false
}

// HoldsOf reports whether the client with a DUID has a delegation from the server.
func (t *Table) HoldsOf(link string, duid []byte, server string) bool {
	for s := t.First(t.Holder(link, binding.DUID(duid))); s != nil; s = t.Next(s) {
		if t.Server(s) == server {
			return true
		}
	}
	return false
}

// OldestOther is the next hop that is probed to make room on a link for a client; false if
// there is none.
func (t *Table) OldestOther(link string, client binding.Client, k binding.Kind) (binding.NextHop, bool) {
	e := t.oldestOther(Grant{Link: link, Client: client, Kind: k}, nil)
	if e == nil {
		return binding.NextHop{}, false
	}
	return e.Via(), true
}

// oldestOther is the delegation of another client on the link that ends first.
func (t *Table) oldestOther(g Grant, old *entry) *entry {
	var oldest *binding.Slot
	own := t.Holder(g.Link, g.Client)
	for s := range t.Slots(g.Link) {
		if s == old.at() || own.Has(s) || s.Kind() != g.Kind {
			continue
		}
		if oldest == nil || cmp.Or(cmp.Compare(s.Valid(), oldest.Valid()), s.Prefix().Compare(oldest.Prefix())) < 0 {
			oldest = s
		}
	}
	if oldest == nil {
		return nil
	}
	return t.entry(oldest)
}
