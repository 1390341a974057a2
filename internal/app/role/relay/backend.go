package relay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/traffic"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/netlink"
)

// Judge adds what is not as it should be.
func (d *player) Judge(ctx context.Context, s *api.Status, c *api.Counters) error {
	s.Degraded = append(s.Degraded, degraded(c)...)
	s.RefusedGrants = d.refusedGrants.lately(time.Now())
	routes, more, err := d.foreign.look(ctx)
	if s.ForeignRoutes = routes; more > 0 {
		s.Degraded = append(s.Degraded, fmt.Sprintf("kernel: %d more routes of other programs take clients' packets away", more))
	}
	if err != nil {
		return err
	}
	return d.Engine.Call(ctx, func(instant.Now, *effect.Effects) {
		d.AddTrouble(s, trust.Globs(section(d.Config()).Links, func(r *relay6.LinkRule) []string { return r.Match }))
		s.Degraded = append(s.Degraded, d.foreign.overfull()...)
	})
}

// degraded tells an operator what is wrong with the relay.
func degraded(c *api.Counters) []string {
	var words []string
	add := func(bad bool, text string) {
		if bad {
			words = append(words, text)
		}
	}
	add(c.Totals.Unkept > 0, fmt.Sprintf("store: %d records not kept yet", c.Totals.Unkept))
	add(c.Totals.WaitForClock > 0, fmt.Sprintf("clock: %d delegations wait for a trustworthy clock", c.Totals.WaitForClock))
	if len(c.Unmatched) > 0 {
		add(true, "delegations without routes and filters, because no rule matches their links: "+api.HoldingsText(c.Unmatched))
	}
	for i := range c.Links {
		l := &c.Links[i]
		add(l.LinkAddressMissing, fmt.Sprintf("link %s: its link-address %s is no longer there, and is used for an hour at most", l.Name, l.LinkAddress))
	}
	add(c.Totals.Uninstalled > 0, fmt.Sprintf("kernel: %d delegations without their route or filter element; the log says what the kernel did not take", c.Totals.Uninstalled))
	if trouble := notForwarding(c.Links); trouble != "" {
		add(true, trouble)
	}
	return words
}

// notForwarding tells an operator of links whose packets the kernel does not forward: there,
// delegations are useless.
func notForwarding(links []api.Link) string {
	off := []string{}
	for i := range links {
		if l := &links[i]; l.ClientFacing && !netlink.Forwards(l.Name) {
			off = append(off, l.Name)
		}
	}
	switch len(off) {
	case 0:
		return ""
	case 1:
		return "kernel: IPv6 forwarding is off on " + off[0]
	}
	return fmt.Sprintf("kernel: IPv6 forwarding is off on %s and %d more links", off[0], len(off)-1)
}

func (d *player) Links(ctx context.Context) ([]api.Link, error) {
	var views []relay6.LinkView
	err := d.Engine.Call(ctx, func(instant.Now, *effect.Effects) { views = d.Engine.Core.Links() })
	routed := d.foreign.routed()
	links := d.shown(views)
	for i := range links {
		links[i].Routed = routed[links[i].Index].Prefixes
	}
	return links, err
}

// shown are links, with the packets that were dropped there for their source.
func (d *player) shown(views []relay6.LinkView) []api.Link {
	spoofed := d.House.Kernel.Spoofed()
	links := make([]api.Link, 0, len(views))
	for i := range views {
		l := control.LinkOf(&views[i])
		if s, ok := spoofed[l.Name]; ok && l.ClientFacing {
			l.Counters.Spoofed, l.LastSpoofed = s.Packets, control.SpoofedOf(&s, time.Now())
		}
		links = append(links, l)
	}
	return links
}

func (d *player) Unblock(ctx context.Context, b api.Block, who string) error {
	found := false
	err := d.Engine.Call(ctx, func(_ instant.Now, eff *effect.Effects) {
		found = d.Engine.Core.Unblock(control.CoreBlock(b), eff)
	})
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("block: %w", control.ErrNotFound)
	}
	d.House.Told.Info("unblocked", "by", who)
	return nil
}

// Count fills in the relay's figures.
func (d *player) Count(ctx context.Context, c *api.Counters) error {
	var totals relay6.Totals
	var links []relay6.LinkView
	err := d.Engine.Call(ctx, func(n instant.Now, _ *effect.Effects) {
		core := d.Engine.Core
		totals = core.Totals()
		d.AddCounts(n, c)
		c.Unmatched = unmatched(core.Unmatched())
		links = core.Links()
	})
	if err != nil {
		return err
	}
	c.Links = d.shown(slices.DeleteFunc(links, func(v relay6.LinkView) bool {
		return !v.ClientFacing && v.Counters.Counts == (traffic.Counts{})
	}))
	c.Totals, c.Unknown = control.TotalsOf(&totals), control.DropsOf(&totals.Traffic.Unknown)
	c.Sum = control.TrafficOfAll(&totals)
	c.RelayID = api.Identifier(d.House.Identity.ID())
	return nil
}
