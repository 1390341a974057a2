package relay

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/app/api"
	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/host/netlink"
	"fairlead/internal/wire/dhcp6"
)

// foreignRoutes tells of routes of other programs: those that take packets away from clients, and
// those that permit their prefixes as source on a link.
type foreignRoutes struct {
	d     *player
	known []api.ForeignRoute // found by the last look

	mu      sync.Mutex             // guards all following fields
	watcher *netlink.ForeignRoutes // nil: it could not be opened yet
	tables  map[int]uint32         // the last argument of watchRouted
}

// lookAnew is how long it waits to look again after the kernel has refused.
const lookAnew = time.Minute

func (f *foreignRoutes) run(ctx context.Context) error {
	for {
		if err := f.watch(ctx); err != nil {
			f.d.House.Told.Warn("routes of other programs are not looked at", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookAnew):
		}
	}
}

func (f *foreignRoutes) watch(ctx context.Context) error {
	w, err := f.open()
	if err != nil {
		return err
	}
	defer f.Close()
	return w.Run(ctx, func() { f.update(ctx) })
}

// open begins to listen, unless it listens already.
func (f *foreignRoutes) open() (*netlink.ForeignRoutes, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watcher != nil {
		return f.watcher, nil
	}
	w, err := f.d.House.Netlink.WatchForeign()
	if err != nil {
		return nil, err
	}
	w.WatchRouted(f.tables, false)
	f.watcher = w
	return w, nil
}

// Close ends what open has begun.
func (f *foreignRoutes) Close() error {
	f.mu.Lock()
	w := f.watcher
	f.watcher = nil
	f.mu.Unlock()
	if w == nil {
		return nil
	}
	return w.Close()
}

// update takes in what there is now, and logs which routes have come and gone.
func (f *foreignRoutes) update(ctx context.Context) {
	if f.d.Engine.Call(ctx, func(_ instant.Now, eff *effect.Effects) { f.permit(f.d.Engine.Core, eff) }) != nil {
		return // the process ends
	}
	now, _, err := f.look(ctx)
	if err != nil {
		return // the process ends
	}
	f.tell(slog.LevelWarn, "a route of another program takes a client's packets away", now, f.known)
	f.tell(slog.LevelInfo, "a route of another program is no longer in a client's way", f.known, now)
	f.known = now
}

// maxTold bounds how many routes are named in the log at once.
const maxTold = 10

// tell logs the routes in some that are not in others.
func (f *foreignRoutes) tell(level slog.Level, text string, some, others []api.ForeignRoute) {
	told := 0
	for _, r := range some {
		if slices.Contains(others, r) {
			continue
		}
		if told++; told > maxTold {
			f.d.House.Told.Log(context.Background(), level, text+": there are more", "routes", len(some))
			return
		}
		if times, due := f.d.relay.Notes.Once.Due(text+r.Destination.String(), service.Now().Boot); due {
			f.d.House.Told.Log(context.Background(), level, text, "link", r.Link, "client", dhcp6.DUID(r.Client), "prefix", r.Prefix,
				"destination", r.Destination, "protocol", r.Protocol, "device", r.Device, "gateway", r.Gateway, "metric", r.Metric, "kind", r.Kind, "times", times)
		}
	}
}

// look finds the present foreign routes with the clients that they affect, and the number of
// further routes, which are not remembered.
func (f *foreignRoutes) look(ctx context.Context) (routes []api.ForeignRoute, more int, err error) {
	f.mu.Lock()
	w := f.watcher
	f.mu.Unlock()
	routes = []api.ForeignRoute{}
	if w == nil {
		return routes, 0, nil // there was no look yet
	}
	all, more := w.Found()
	if len(all) == 0 {
		return routes, more, nil
	}
	return routes, more, f.d.Engine.Call(ctx, func(instant.Now, *effect.Effects) {
		for i := range all {
			if r, ok := f.d.darkened(&all[i]); ok {
				routes = append(routes, r)
			}
		}
	})
}

// darkened finds the client that a foreign route takes packets from. ok is false if the route
// leads to the client too. It is also false if the route is for the prefix of another link with
// clients: such a prefix may lie within a delegation, and is not a part of it.
func (d *player) darkened(f *netlink.Foreign) (r api.ForeignRoute, ok bool) {
	link := d.relay.Net.Name(f.Link)
	held, is := d.Engine.Core.DelegationOn(link, f.Ours)
	device := d.relay.Net.Name(f.Device)
	switch {
	case is && f.Device == f.Link && f.Gateway == held.NextHop.WithZone(""):
		return r, false
	case f.Protocol == unix.RTPROT_KERNEL && !f.Gateway.IsValid() && d.Engine.Core.Rule(device) != nil:
		return r, false
	}
	return api.ForeignRoute{
		Destination: f.Prefix, Protocol: netlink.ProtocolName(f.Protocol), Kind: netlink.FormName(f.Form), Device: device, Gateway: f.Gateway,
		Metric: f.Metric, Table: f.Table, Link: link, Client: api.Identifier(held.Client.Identifier()), Prefix: f.Ours,
	}, true
}
