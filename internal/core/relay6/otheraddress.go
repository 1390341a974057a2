package relay6

import (
	"maps"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
)

// otherAddress has the delegations of one client for which it asked from another of its
// addresses than the next hop. They get that address as their next hop once it answers a
// probe. No Reply waits for that. The map of these is bounded as Relay.waiting is.
type otherAddress struct {
	client binding.Client
	places []ledger.Place
	until  instant.Instant
}

// askOther sends a probe to the address from which the holder of a delegation has asked for
// it, unless such a probe is under way.
func (r *Relay) askOther(now instant.Now, e *binding.Event, eff *effect.Effects) {
	to := binding.NextHop{Link: e.New.Link, Addr: e.AskedFrom, LinkLayer: e.New.LinkLayer}
	if f := r.others[to]; f != nil && now.Boot < f.until && f.client == e.New.Client {
		if at := ledger.PlaceOf(&e.New); !slices.Contains(f.places, at) {
			f.places = append(f.places, at)
		}
		return
	}
	if len(r.others) >= maxWaiting {
		maps.DeleteFunc(r.others, func(_ binding.NextHop, f *otherAddress) bool { return f.until <= now.Boot })
	}
	if len(r.others) >= maxWaiting {
		return // the client's next Renew asks again
	}
	r.others[to] = &otherAddress{client: e.New.Client, places: []ledger.Place{ledger.PlaceOf(&e.New)}, until: now.Boot + waitFor}
	r.probe(binding.Question{NextHop: to}, eff)
}

// otherAnswered takes in whether an address answered that a holder has asked from.
func (r *Relay) otherAnswered(now instant.Now, to binding.NextHop, answers bool, eff *effect.Effects) {
	f := r.others[to]
	if f == nil {
		return
	}
	delete(r.others, to)
	if !answers || f.until <= now.Boot {
		return
	}
	r.events = r.events[:0]
	for _, at := range f.places {
		r.events = r.table.Follow(r.events, at.VRF, at.Prefix, f.client, to)
	}
	r.ledger.Commit(now, r.events, eff)
}
