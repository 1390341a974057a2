// Package controltest has a small relay to put behind the control interface in
// tests: a Backend with behaviour and fixed figures. It is imported by tests
// alone.
package controltest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
)

// Fake is a Backend that holds what it was given. Clear, Unblock and Reload act
// on it and remember who asked.
type Fake struct {
	Feed *control.Feed

	Mu        sync.Mutex // guards all following fields
	Figures   api.Counters
	Overview  api.Status
	LinkList  []api.Link
	PeerList  []api.Peer
	Of4       api.Relay4
	Served    api.Server6
	Heard     []api.RelayAgent
	Live      []api.Delegation
	Live4     []api.Delegation // leases of DHCPv4
	Past      []api.HistoryEntry
	Blocked   []api.Block
	Reloaded  api.ReloadResult // what Reload answers
	ReloadErr error            // if set, instead
	Deeds     []string         // "clear by alice (uid ...)"
	Fail      error            // what every question is answered with, if set
}

var (
	_ control.Backend  = (*Fake)(nil)
	_ control.Bindings = (*Fake)(nil)
)

// Status is Overview.
func (f *Fake) Status(context.Context) (api.Status, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return f.Overview, f.Fail
}

// Links is LinkList.
func (f *Fake) Links(context.Context) ([]api.Link, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return slices.Clone(f.LinkList), f.Fail
}

// Relay4 is Of4.
func (f *Fake) Relay4(context.Context) (api.Relay4, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return f.Of4, f.Fail
}

// Server6 is Served.
func (f *Fake) Server6(context.Context) (api.Server6, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return f.Served, f.Fail
}

// Relays is Heard.
func (f *Fake) Relays(context.Context) ([]api.RelayAgent, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return slices.Clone(f.Heard), f.Fail
}

// ComeBack has asked two clients, and cannot ask two others.
func (f *Fake) ComeBack(_ context.Context, r api.ReconfigureRequest, who string) (api.ReconfigureResult, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Deeds = append(f.Deeds, fmt.Sprintf("reconfigure %+v by %s", r, who))
	if r.Link == "nowhere" {
		return api.ReconfigureResult{}, f.Fail
	}
	return api.ReconfigureResult{Asked: 2, Refuse: 1, WayUnknown: 1}, f.Fail
}

// Reserve has reserved what is asked, or ended that, but in one subnet.
func (f *Fake) Reserve(_ context.Context, r api.ReserveRequest, who string) (api.ReservationAtRunTime, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Deeds = append(f.Deeds, fmt.Sprintf("reserve %+v by %s", r, who))
	if r.Subnet == netip.MustParsePrefix("2001:db8:7::/64") {
		return api.ReservationAtRunTime{}, fmt.Errorf("%w: outside of every subnet", control.ErrInvalid)
	}
	return api.ReservationAtRunTime{Subnet: r.Subnet, Reservation: r.Reservation, Made: Start, By: who}, f.Fail
}

// Reservations are one that holds and one that does not.
func (f *Fake) Reservations(context.Context) ([]api.ReservationAtRunTime, error) {
	subnet := netip.MustParsePrefix("2001:db8:1::/64")
	return []api.ReservationAtRunTime{
		{Subnet: subnet, Reservation: api.Reservation{DUID: Alice, Addresses: []netip.Addr{netip.MustParseAddr("2001:db8:1::5")}}, Made: Start, By: "root"},
		{
			Subnet: subnet, Reservation: api.Reservation{RemoteID: &api.RemoteID{Enterprise: 32473, ID: "house-7"}, Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:4000:300::/56")}},
			Made: Start, By: "root", Refused: "overlaps",
		},
	}, f.Fail
}

// Why explains the leases of Alice, and what Bob would get.
func (f *Fake) Why(_ context.Context, q api.WhyQuestion) ([]api.WhyLink, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	switch {
	case q.Client == Alice:
		return []api.WhyLink{why()}, f.Fail
	case q.Link == "" && !q.LinkAddress.IsValid():
		return nil, fmt.Errorf("%w: the client has no lease of this server", control.ErrNotFound)
	}
	return []api.WhyLink{whyNot(&q)}, f.Fail
}

// Peers is PeerList.
func (f *Fake) Peers(context.Context) ([]api.Peer, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return slices.Clone(f.PeerList), f.Fail
}

// Delegations are those of Live that the filter selects.
func (f *Fake) Delegations(_ context.Context, filter api.Filter) ([]api.Delegation, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return selected(f.Live, filter), f.Fail
}

// Leases are those of Live4 that the filter selects.
func (f *Fake) Leases(_ context.Context, filter api.Filter) ([]api.Delegation, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return selected(f.Live4, filter), f.Fail
}

func selected(all []api.Delegation, filter api.Filter) (found []api.Delegation) {
	for _, d := range all {
		if filter.Matches(d.Client, d.Prefix, d.Link) {
			found = append(found, d)
		}
	}
	return found
}

// History are the entries of Past that the filter selects, by their order.
func (f *Fake) History(_ context.Context, filter api.HistoryFilter) ([]api.HistoryEntry, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	var found []api.HistoryEntry
	for _, e := range f.Past {
		late := !filter.To.IsZero() && !e.Granted.Before(filter.To)
		early := !e.Ended.IsZero() && e.Ended.Before(filter.From)
		if !late && !early && len(found) < filter.Limit && filter.Matches(e.Client, e.Prefix, e.Link) {
			found = append(found, e)
		}
	}
	return found, f.Fail
}

// Clear takes what matches out of Live.
func (f *Fake) Clear(_ context.Context, r api.ClearRequest, who string) (api.ClearResult, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Deeds = append(f.Deeds, "clear by "+who)
	before := len(f.Live)
	f.Live = slices.DeleteFunc(f.Live, func(d api.Delegation) bool {
		return r.All || (!r.Prefix.IsValid() || r.Prefix == d.Prefix) && (r.Client == "" || r.Client == d.Client) && (r.Link == "" || r.Link == d.Link)
	})
	if r.Block {
		f.Blocked = append(f.Blocked, api.Block{Prefix: r.Prefix, Client: r.Client, Link: r.Link})
	}
	return api.ClearResult{Cleared: before - len(f.Live), Blocked: r.Block}, f.Fail
}

// Unblock takes a block out of Blocked.
func (f *Fake) Unblock(_ context.Context, b api.Block, who string) error {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Deeds = append(f.Deeds, "unblock by "+who)
	i := slices.Index(f.Blocked, b)
	if i < 0 {
		return fmt.Errorf("block: %w", control.ErrNotFound)
	}
	f.Blocked = slices.Delete(f.Blocked, i, i+1)
	return f.Fail
}

// Blocks is Blocked.
func (f *Fake) Blocks(context.Context) ([]api.Block, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return slices.Clone(f.Blocked), f.Fail
}

// Reload answers Reloaded or ReloadErr, which Force has it do without.
func (f *Fake) Reload(_ context.Context, r api.ReloadRequest, who string) (api.ReloadResult, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Deeds = append(f.Deeds, "reload by "+who)
	return reloaded(f.Reloaded, f.ReloadErr, r)
}

func reloaded(result api.ReloadResult, err error, r api.ReloadRequest) (api.ReloadResult, error) {
	if result.Reloaded = !r.DryRun; r.DryRun && err != nil {
		result.Refused = err.Error()
		return result, nil
	}
	if err != nil && !r.Force {
		return api.ReloadResult{}, err
	}
	return result, nil
}

// Watch hands out what is put into Feed.
func (f *Fake) Watch(ctx context.Context, filter api.Filter) (<-chan api.Event, error) {
	return f.Feed.Subscribe(ctx, func(e *api.Event) bool { return filter.Matches(e.Client, e.Prefix(), e.Link) })
}

// Trace hands out what is put into Feed.
func (f *Fake) Trace(ctx context.Context, filter api.TraceFilter) (<-chan api.Event, error) {
	return f.Feed.Subscribe(ctx, func(e *api.Event) bool {
		return e.Kind == "trace" && (filter.Client == "" || filter.Client == e.Client) && (filter.Link == "" || filter.Link == e.Link)
	})
}

// Counters is Figures.
func (f *Fake) Counters(context.Context) (api.Counters, error) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return f.Figures, f.Fail
}

// Routes are the paths that the relay answers.
func (f *Fake) Routes() []control.Route {
	return slices.Concat([]control.Route{control.Status(f.Status), control.Peers(f.Peers), control.Look("/v1/relay4", f.Relay4), control.Look("/v1/server6", f.Server6), control.Relays(f.Relays), control.Change("reconfigure", f.ComeBack), control.Change("reserve", f.Reserve), control.Reservations(f.Reservations), control.Why(f.Why)}, control.Process(f), control.Relay(f), []control.Route{control.Held("/v1/leases", f.Leases)}, control.OfBindings(f))
}
