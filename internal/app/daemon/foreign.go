package daemon

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/app/control"
	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/host/netlink"
	"fairlead/internal/wire/dhcp6"
)

// foreignRoutes tells of routes of others that take packets away from clients.
type foreignRoutes struct {
	d     *daemon
	found func() ([]netlink.Foreign, int)
	known []control.ForeignRoute // when it was last looked
}

// lookAnew is how long it waits before it looks again where the kernel did not let it.
const lookAnew = time.Minute

func (f *foreignRoutes) run(ctx context.Context) error {
	for {
		if err := f.watch(ctx); err != nil {
			f.d.log.Warn("routes of other programs are not looked at", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookAnew):
		}
	}
}

func (f *foreignRoutes) watch(ctx context.Context) error {
	w, err := f.d.nl.WatchForeign()
	if err != nil {
		return err
	}
	defer w.Close()
	f.d.mu.Lock()
	f.found = w.Found
	f.d.mu.Unlock()
	return w.Run(ctx, func() { f.update(ctx) })
}

// update logs what has come and what has gone.
func (f *foreignRoutes) update(ctx context.Context) {
	now, _, err := f.look(ctx)
	if err != nil {
		return // the process ends
	}
	f.tell(slog.LevelWarn, "a route of another program takes a client's packets away", now, f.known)
	f.tell(slog.LevelInfo, "a route of another program is no longer in a client's way", f.known, now)
	f.known = now
}

// tell logs those routes of some that are not among others.
func (f *foreignRoutes) tell(level slog.Level, text string, some, others []control.ForeignRoute) {
	told := 0
	for _, r := range some {
		if slices.Contains(others, r) {
			continue
		}
		if told++; told > maxReported {
			f.d.log.Log(context.Background(), level, text+": there are more", "routes", len(some))
			return
		}
		if times, due := f.d.relay.notes.once.due(text+r.Destination.String(), service.Now().Boot); due {
			f.d.log.Log(context.Background(), level, text, "link", r.Link, "client", dhcp6.DUID(r.Client), "prefix", r.Prefix,
				"destination", r.Destination, "protocol", r.Protocol, "device", r.Device, "gateway", r.Gateway, "metric", r.Metric, "kind", r.Kind, "times", times)
		}
	}
}

// look is what there is now, with the clients that are dark, and how many more routes
// there are than are remembered.
func (f *foreignRoutes) look(ctx context.Context) (routes []control.ForeignRoute, more int, err error) {
	f.d.mu.Lock()
	found := f.found
	f.d.mu.Unlock()
	routes = []control.ForeignRoute{}
	if found == nil {
		return routes, 0, nil // not looked yet
	}
	all, more := found()
	if len(all) == 0 {
		return routes, more, nil
	}
	return routes, more, f.d.engine.Call(ctx, func(instant.Now, *effect.Effects) {
		for i := range all {
			if r, ok := f.d.darkened(&all[i]); ok {
				routes = append(routes, r)
			}
		}
	})
}

// darkened says whom a foreign route takes packets from; ok is false where it leads to
// the client as well, and where it is for a prefix of another link that serves clients:
// such may lie within a delegation, and are not part of it.
func (d *daemon) darkened(f *netlink.Foreign) (r control.ForeignRoute, ok bool) {
	link := d.relay.net.names[f.Link]
	held, is := d.engine.Core.DelegationOn(link, f.Ours)
	device := d.relay.net.names[f.Device]
	switch {
	case is && f.Device == f.Link && f.Gateway == held.NextHop.WithZone(""):
		return r, false
	case f.Protocol == unix.RTPROT_KERNEL && !f.Gateway.IsValid() && d.engine.Core.Rule(device) != nil:
		return r, false
	}
	return control.ForeignRoute{
		Destination: f.Prefix, Protocol: netlink.ProtocolName(f.Protocol), Kind: netlink.FormName(f.Form), Device: device, Gateway: f.Gateway,
		Metric: f.Metric, Table: f.Table, Link: link, Client: control.DUID(held.Client), Prefix: f.Ours,
	}, true
}
