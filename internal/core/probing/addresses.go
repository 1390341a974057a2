package probing

import (
	"maps"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
)

// Addresses are the addresses from which a holder has asked for its delegations although its next
// hop is another address. Such an address becomes the next hop of the delegations when it answers a
// probe. No message waits for that.
type Addresses struct{ by map[binding.NextHop]*asking }

// asking is a client that has asked from such an address, and the delegations that it has asked for.
type asking struct {
	client binding.Client
	places []ledger.Place
	until  instant.Instant
}

// Add takes in that the holder of a delegation has asked for it from another address
// (binding.Event.AskedFrom). Add returns that address, and whether it is to be probed. It is not
// probed while a probe of it is under way, or too many probes are; the client's next Renew then
// brings it here again.
func (a *Addresses) Add(now instant.Now, e *binding.Event) (to binding.NextHop, ask bool) {
	to = binding.NextHop{Link: e.New.Link, Addr: e.AskedFrom, LinkLayer: e.New.LinkLayer}
	if w := a.by[to]; w != nil && now.Boot < w.until && w.client == e.New.Client {
		if at := ledger.PlaceOf(&e.New); !slices.Contains(w.places, at) {
			w.places = append(w.places, at)
		}
		return to, false
	}
	if a.by == nil {
		a.by = make(map[binding.NextHop]*asking)
	}
	if len(a.by) >= most {
		maps.DeleteFunc(a.by, func(_ binding.NextHop, w *asking) bool { return w.until <= now.Boot })
	}
	if len(a.by) >= most {
		return to, false
	}
	a.by[to] = &asking{client: e.New.Client, places: []ledger.Place{ledger.PlaceOf(&e.New)}, until: now.Boot + Longest}
	return to, true
}

// Answered takes in whether an address has answered its probe. It appends the events of the
// delegations that have the address as their next hop now.
func (a *Addresses) Answered(now instant.Now, to binding.NextHop, answers bool, table *delegation.Table, events []binding.Event) []binding.Event {
	w := a.by[to]
	if w == nil {
		return events
	}
	delete(a.by, to)
	if !answers || w.until <= now.Boot {
		return events
	}
	for _, at := range w.places {
		events = table.Follow(events, at.VRF, at.Prefix, w.client, to)
	}
	return events
}
