package daemon

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
	"fairlead/internal/app/kernel"
	"fairlead/internal/app/network"
	"fairlead/internal/app/protect"
	"fairlead/internal/app/service"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/clock"
	"fairlead/internal/host/udp"
)

// Status is the status of the process and its roles.
func (d *daemon) Status(ctx context.Context) (api.Status, error) {
	c, err := d.counters(ctx)
	if err != nil {
		return api.Status{}, err
	}
	return d.judge(ctx, &c)
}

// judge makes the status from these figures.
func (d *daemon) judge(ctx context.Context, c *api.Counters) (api.Status, error) {
	s := api.Status{
		Version: c.Version, Started: c.Started, Uptime: api.Lifetime(time.Since(c.Started)),
		Roles: slices.Sorted(maps.Keys(d.players)), RelayID: c.RelayID, RelayIDv4: c.RelayIDv4,
		Config: c.Config.ConfigStatus, Clock: c.Clock, Store: c.Store, Host: c.Host, Totals: c.Totals, Refusals: control.NonZero(maps.Clone(c.Sum.Refusals)),
		Unmatched: c.Unmatched, Degraded: d.wrong(),
	}
	if !d.Beside {
		s.Spoofed = d.Kernel.SpoofedOn()
		s.Degraded = append(s.Degraded, kernel.Degraded(&c.Host)...)
	}
	for i := range c.Peers {
		s.Peers = append(s.Peers, c.Peers[i].Summary())
		s.Degraded = append(s.Degraded, network.Unanswered(&c.Peers[i])...)
	}
	for _, name := range slices.Sorted(maps.Keys(d.players)) {
		if err := d.players[name].Judge(ctx, &s, c); err != nil {
			return s, err
		}
	}
	return s, nil
}

// reasons says in words what is not as it should be, without naming a client.
func (d *daemon) reasons(ctx context.Context) ([]string, error) {
	s, err := d.Status(ctx)
	return s.Reasons(), err
}

// Counters is one snapshot of all figures.
func (d *daemon) Counters(ctx context.Context) (api.Counters, error) {
	c, err := d.counters(ctx)
	if err != nil {
		return c, err
	}
	s, err := d.judge(ctx, &c)
	c.Degraded = s.Wrong()
	return c, err
}

// counters is the snapshot without the number of things that are wrong.
func (d *daemon) counters(ctx context.Context) (api.Counters, error) {
	c := api.Counters{
		Version: service.Version(), Started: d.Started, Config: d.Reloads(),
		Strangers: api.Traffic(d.Hops.Strangers()), EventsLost: d.Feed.Lost(),
	}
	if !d.Beside {
		c.Clock = control.ClockOf(clock.Adjtimex())
		c.Store = api.StoreStatus(d.Store.Stats())
		c.Socket = d.traffic()
		c.Hook = d.Hook.Stats()
		d.Kernel.Count(&c)
	}
	for _, name := range slices.Sorted(maps.Keys(d.players)) {
		if err := d.players[name].Count(ctx, &c); err != nil {
			return c, err
		}
	}
	peers := d.config().Peers
	place := func(p *api.Peer) int {
		return slices.IndexFunc(peers, func(one trust.Peer) bool { return one.Name == p.Name })
	}
	slices.SortStableFunc(c.Peers, func(a, b api.Peer) int { return place(&a) - place(&b) })
	return c, nil
}

// Peers are those of all roles, in the order of the file.
func (d *daemon) Peers(ctx context.Context) ([]api.Peer, error) {
	c, err := d.counters(ctx)
	return c.Peers, err
}

// wrong tells an operator what is wrong in the parts that all roles share.
func (d *daemon) wrong() []string {
	words := append([]string{}, d.unwritten...)
	add := func(bad bool, text string) {
		if bad {
			words = append(words, text)
		}
	}
	if !d.Beside {
		s := d.Store.Stats()
		trouble := d.Identity.Trouble()
		add(trouble != "", trouble)
		add(!s.Healthy, "store: "+s.LastError)
		add(s.CommitsLost > 0, fmt.Sprintf("store: the end of its log was lost before this start, and with it the last %d commits", s.CommitsLost))
		add(len(s.DatabasesSetAside) > 0, "store: a damaged database was set aside")
		words = append(words, d.Kernel.Trouble()...)
		add(!control.ClockOf(clock.Adjtimex()).Synchronised, "clock: not synchronised")
		for _, w := range d.wires {
			for _, index := range w.conn.Flooding() {
				add(true, flooding(index, w.conn.Stats().Drops[udp.FloodFull.String()]))
			}
		}
	}
	add(d.Reloads().LastError != "", "configuration: the last reload was refused")
	trouble := d.scrapes.Trouble()
	add(trouble != "", trouble)
	return append(words, protect.Degraded(d.Hops.States())...)
}

// flooding tells an operator of a link that fills the queue of all links.
func flooding(index int, lost uint64) string {
	name := fmt.Sprint("with index ", index) // if the link has just gone
	if on, err := net.InterfaceByIndex(index); err == nil {
		name = on.Name
	}
	return fmt.Sprintf("link %s: floods, so what comes from it waits apart from other links; the kernel has dropped %d messages of such links", name, lost)
}
