package delegation

import (
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
)

// Selection names delegations: those that match every field that is set.
type Selection struct {
	Prefix netip.Prefix // exactly this one
	Client binding.Client
	Link   string
	All    bool // every delegation; otherwise at least one field must be set
}

// selects reports whether a delegation is selected.
func (s Selection) selects(p netip.Prefix, client binding.Client, link string) bool {
	if s.All {
		return true
	}
	if !s.Prefix.IsValid() && s.Client.IsZero() && s.Link == "" {
		return false
	}
	return (!s.Prefix.IsValid() || s.Prefix == p) && (s.Client.IsZero() || s.Client == client) && s.isOn(link)
}

// isOn reports whether delegations on a link may be selected.
func (s Selection) isOn(link string) bool { return s.All || s.Link == "" || s.Link == link }

// SelectsOrphan reports whether an orphan of a prefix on a link is selected. Whose it is is not
// known, so that an order which names a client selects none.
func (s Selection) SelectsOrphan(link string, p netip.Prefix) bool {
	return s.Client.IsZero() && s.selects(p, binding.Client{}, link)
}

// clearAtOnce bounds how many delegations one Clear ends.
const clearAtOnce = 1024

// Clear ends selected delegations by the operator's word (RFC 8987 O-2), a
// bounded number of them. It is called until it ends none. What is selected and was
// not installed counts no more.
func (t *Table) Clear(events []binding.Event, s Selection) []binding.Event {
	t.excess.clear(s)
	var found []*entry
	for link := range t.Links() {
		if !s.isOn(link) {
			continue
		}
		begin := len(found)
		for held := range t.Slots(link) {
			if len(found) == clearAtOnce {
				break
			}
			if s.selects(held.Prefix(), t.Client(held), link) {
				found = append(found, t.entry(held))
			}
		}
		slices.SortFunc(found[begin:], func(a, b *entry) int { return a.Prefix.Compare(b.Prefix) })
	}
	for _, e := range found {
		events = append(events, t.End(e.slot, binding.Cleared))
	}
	return events
}
