package relay

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/network"
	"fairlead/internal/core/binding"
)

// refusedGrants are the grants that were not learned lately, by link and reason, except those
// that a limit refused: the core knows which limits are still full.
type refusedGrants struct {
	mu  sync.Mutex // guards all following fields
	all map[refusedKey]*refused
}

type refusedKey struct{ link, reason string }

type refused struct {
	times  uint64
	prefix netip.Prefix
	detail string
	last   time.Time
}

// maxRefused bounds their number; above it, the oldest is forgotten.
const maxRefused = 256

func (r *refusedGrants) take(e *binding.Event, now time.Time) {
	if e.Kind != binding.Refused || e.Reason.IsLimit() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k := refusedKey{e.New.Link, e.Reason.String()}
	one := r.all[k]
	if one == nil || now.Sub(one.last) > network.Recent {
		if one == nil && len(r.all) == maxRefused {
			delete(r.all, slices.MinFunc(slices.Collect(maps.Keys(r.all)), func(a, b refusedKey) int { return r.all[a].last.Compare(r.all[b].last) }))
		}
		if r.all == nil {
			r.all = make(map[refusedKey]*refused)
		}
		one = new(refused)
		r.all[k] = one
	}
	one.times++
	one.prefix, one.detail, one.last = e.New.Prefix, e.Detail, now
}

// lately are those that are not too old, by link.
func (r *refusedGrants) lately(now time.Time) []api.RefusedGrants {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := []api.RefusedGrants{}
	for k, one := range r.all {
		if now.Sub(one.last) <= network.Recent {
			found = append(found, api.RefusedGrants{Link: k.link, Reason: k.reason, Times: one.times, Prefix: one.prefix, Detail: one.detail, Last: one.last})
		}
	}
	slices.SortFunc(found, func(a, b api.RefusedGrants) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), cmp.Compare(a.Reason, b.Reason))
	})
	return found
}
