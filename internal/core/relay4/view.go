package relay4

import (
	"iter"
	"net/netip"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
)

// Restore takes in the leases of the store. It is called once, after SetLink for each link and
// before any socket opens.
func (r *Relay) Restore(now instant.Now, records iter.Seq[binding.Record], lastWall time.Time, eff *effect.Effects) {
	for rec := range records {
		r.table.Restore(now, rec, r.bootID, lastWall)
	}
	r.ledger.Restored(r.setPolicy, eff)
}

// Leases are the live leases, link by link.
func (r *Relay) Leases(yield func(binding.Binding) bool) { r.table.All()(yield) }

// LeaseOn is the live lease of an address on a link.
func (r *Relay) LeaseOn(name string, a netip.Addr) (b binding.Binding, ok bool) {
	if l := r.links.Named(name); l != nil {
		b, ok = r.table.Lookup(l.VRF, single(a))
	}
	return b, ok && b.Link == name
}

// Clear takes leases off the view by the operator's word, a bounded number of them, and
// returns how many; it is called until that is none. What is cleared is there again once its
// client renews it.
func (r *Relay) Clear(now instant.Now, s delegation.Selection, eff *effect.Effects) int {
	r.events = r.table.Clear(r.events[:0], s)
	n := len(r.events)
	r.commit(now, eff)
	return n + r.ledger.EndOrphans(s.SelectsOrphan, eff)
}

// commit keeps that leases have ended of which nobody is told.
func (r *Relay) commit(now instant.Now, eff *effect.Effects) {
	r.counts.Add(r.events)
	r.ledger.CommitAll(now, r.events, eff)
}

// LimitsMet are the limits that somebody has run into and that have no room yet.
func (r *Relay) LimitsMet() []delegation.LimitMet {
	return r.table.LimitsMet(func(link string) *delegation.Policy {
		if l := r.links.Named(link); l != nil && l.rule != nil {
			return &l.policy
		}
		return nil
	})
}

// Totals are figures of the leases on view.
type Totals struct {
	Leases       int
	WaitForClock int // restored leases that wait for a trustworthy clock
	ledger.Progress
	Events   map[string]uint64 // leases that were granted, extended, moved and ended
	Ends     map[string]uint64 // by every binding.Reason of an end
	Refusals map[string]uint64 // by every binding.Reason that refuses
}

// Totals are the figures now.
func (r *Relay) Totals() Totals {
	t := Totals{
		Leases: r.table.Len(binding.Address), WaitForClock: r.table.Waiting(), Progress: r.ledger.Progress(),
	}
	counts := r.counts
	counts.Refuse(binding.NotKept, r.ledger.TakenBack())
	t.Events, t.Ends, t.Refusals = counts.ByName()
	return t
}
