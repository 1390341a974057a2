package relay

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
)

// live copies the live delegations out of the loop, which does nothing else for
// a caller: what is chosen of them, and how it is shown, is worked out here.
func (d *player) live(ctx context.Context) (all []living, at instant.Now, err error) {
	err = d.engine.Call(ctx, func(n instant.Now, _ *effect.Effects) {
		core := d.engine.Core
		at = n
		t := core.Totals()
		all = make([]living, 0, t.Prefixes+t.Addresses)
		core.Delegations(func(one binding.Binding) bool {
			all = append(all, living{one, core.Unproved(&one)})
			return true
		})
	})
	return all, at, err
}

// living is a live delegation.
type living struct {
	binding.Binding
	unproved bool
}

func matches(f *api.Filter, one *binding.Binding) bool {
	return f.Matches(api.Identifier(one.Client.DUID()), one.Prefix, one.Link)
}

func (d *player) Delegations(ctx context.Context, f api.Filter) ([]api.Delegation, error) {
	all, at, err := d.live(ctx)
	if err != nil {
		return nil, err
	}
	var found []api.Delegation
	for i := range all {
		if matches(&f, &all[i].Binding) {
			one := control.DelegationOf(&all[i].Binding, at)
			one.Unproved = all[i].unproved
			found = append(found, one)
		}
	}
	if f.Client == "" {
		orphans, err := d.orphans(ctx, &f)
		if err != nil {
			return nil, err
		}
		found = append(found, orphans...)
	}
	slices.SortFunc(found, func(a, b api.Delegation) int { return comparePrefix(a.Prefix, b.Prefix) })
	return found, nil
}

// orphans are what the kernel has and the store does not explain.
func (d *player) orphans(ctx context.Context, f *api.Filter) (found []api.Delegation, err error) {
	err = d.engine.Call(ctx, func(at instant.Now, _ *effect.Effects) {
		for o := range d.engine.Core.Orphans {
			if f.Matches("", o.Prefix, o.Link) {
				found = append(found, control.OrphanOf(&o, d.relay.net.Links()[o.Link].VRF, d.engine.Core.OrphansEnd(), at))
			}
		}
	})
	return found, err
}

func comparePrefix(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

// History is the newest of what matches: what is held now, and what was held.
func (d *player) History(ctx context.Context, f api.HistoryFilter) ([]api.HistoryEntry, error) {
	if f.To.IsZero() {
		f.To = time.Now()
	}
	if f.Limit <= 0 || f.Limit > api.MaxHistory {
		f.Limit = api.MaxHistory
	}
	all, _, err := d.live(ctx)
	if err != nil {
		return nil, err
	}
	h := newest{limit: f.Limit}
	for i := range all {
		if all[i].Granted.Before(f.To) && matches(&f.Filter, &all[i].Binding) {
			h.add(control.HistoryOf(&all[i].Binding, time.Time{}, ""))
		}
	}
	from := f.From
	if from.IsZero() {
		from = time.Unix(0, 0)
	}
	// What ended after To may have been held before it.
	lo, hi := ledger.HistoryRange(from, time.Now().Add(time.Hour))
	masked := d.maskedFilter(f.Filter)
	err = d.store.Scan(lo, hi, func(k, v []byte) bool {
		past, err := ledger.ParsePast(k, v)
		if err == nil && past.Granted.Before(f.To) && (matches(&f.Filter, &past.Binding) || matches(&masked, &past.Binding)) {
			h.add(control.HistoryOf(&past.Binding, past.Ended, past.Reason))
		}
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err() // a part of it would look like the whole
	}
	return h.take(), err
}

// maskedFilter selects what a filter does among records that are masked: who asks
// for one client, or for one prefix, knows him.
func (d *player) maskedFilter(f api.Filter) api.Filter {
	m := d.privacy.History()
	if m.How() == config.IdentifiersNone { // there is nothing to be found
		return f
	}
	f.Client, f.Prefix = api.Identifier(m.DUID(string(f.Client))), m.Prefix(f.Prefix)
	return f
}

// newest keeps the entries that were granted last, a bounded number of them.
type newest struct {
	limit   int
	entries []api.HistoryEntry
}

func (h *newest) add(e api.HistoryEntry) {
	if h.entries = append(h.entries, e); len(h.entries) >= 2*h.limit {
		h.entries = h.take()
	}
}

func (h *newest) take() []api.HistoryEntry {
	slices.SortStableFunc(h.entries, func(a, b api.HistoryEntry) int { return b.Granted.Compare(a.Granted) })
	return h.entries[:min(len(h.entries), h.limit)]
}

func (d *player) Blocks(ctx context.Context) ([]api.Block, error) {
	var blocks []delegation.Block
	err := d.engine.Call(ctx, func(instant.Now, *effect.Effects) { blocks = d.engine.Core.Blocks() })
	all := make([]api.Block, 0, len(blocks))
	for _, b := range blocks {
		all = append(all, control.BlockOf(b))
	}
	return all, err
}
