package nft

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"fairlead/internal/core/hop"
	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// Guard has a guard's tables in the kernel. Their rules, made by core/hop, let nothing pass in
// clear between peers (RFC 8213). They stay when the process ends. A Guard is safe for concurrent
// use.
type Guard struct {
	mu      sync.Mutex // guards all following fields
	owner   hop.Owner
	rules   guardTable // hop.Owner.GuardTable
	frames  guardTable // hop.Owner.FrameTable; unset for owners that have none
	devices *bulk.Conn // lists links
	links   []hop.GuardLink
	guarded []hop.Hop // the hops that were installed last
	hops    map[string]counters
}

// counters are the names of a hop's counters.
type counters struct {
	in, out string
}

// OpenGuard opens the owner's guard, in the network namespace of the calling
// thread. It changes nothing.
func OpenGuard(owner hop.Owner) (_ *Guard, err error) {
	g := &Guard{owner: owner}
	if g.rules, err = openGuardTable(unix.NFPROTO_INET, owner.Table()); err != nil {
		return nil, err
	}
	if g.frames, err = openGuardTable(unix.NFPROTO_NETDEV, owner.Table()); err != nil {
		return nil, errors.Join(err, g.rules.bulk.Close())
	}
	if g.devices, err = bulk.Open(unix.NETLINK_ROUTE); err != nil {
		return nil, errors.Join(fmt.Errorf("nft: links: %w", err), g.rules.bulk.Close(), g.frames.bulk.Close())
	}
	return g, nil
}

// Close closes the Guard. What was installed stays.
func (g *Guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return errors.Join(g.rules.bulk.Close(), g.frames.bulk.Close(), g.devices.Close())
}

// Install makes the tables as core/hop decides for these hops, whatever was in them. Each changes
// in one transaction: there is no moment without either the old rules or the new ones. Counters
// go on from their values. Peers that are open may be heard in clear; hop.Owner.GuardTable
// explains others. If the table of frames cannot be made, that is not an error: Observe reports
// it.
func (g *Guard) Install(hops []hop.Hop, others bool, open ...hop.Open) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.owner.GuardTable(hops, others, open...)
	if err := checkGuard(&t); err != nil {
		return err
	}
	if err := g.rules.install(&t); err != nil {
		return err
	}
	g.guarded = slices.Clone(hops)
	g.hops = map[string]counters{}
	for i := range hops {
		name := hops[i].Name
		g.hops[name] = counters{in: hop.CounterName(name, false), out: hop.CounterName(name, true)}
	}
	g.links, g.frames.table = nil, nil
	g.follow()
	return nil
}

// checkGuard says why the kernel would misread a table; nil: it would not.
func checkGuard(t *hop.GuardTable) error {
	var links []string
	for _, s := range t.Sets {
		for _, e := range s.Elements {
			links = append(links, e.Link)
		}
	}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			for _, m := range r.Match {
				links = append(links, m.Link)
			}
		}
	}
	for _, l := range links {
		if len(l) >= nameLen {
			return fmt.Errorf("nft: table %s: %q is not an interface name", t.Name, l)
		}
	}
	return nil
}

// Observe tells whether the tables are as they were installed, and what was dropped so far. It
// costs little while nobody changes nftables. When it returns, interfaces that are new since the
// last call are guarded.
func (g *Guard) Observe() (hop.Guard, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rules.table == nil {
		return hop.Guard{}, nil
	}
	intact, err := g.rules.intact()
	if err != nil {
		return hop.Guard{}, err
	}
	framesIntact, problem := g.follow()
	if err := errors.Join(g.rules.count(), g.frames.count()); err != nil {
		return hop.Guard{}, err
	}
	o := hop.Guard{
		Intact: intact && framesIntact, Hops: map[string]hop.Dropped{},
		Strangers: g.rules.total(hop.CounterStrangers), Frames: problem,
	}
	for name, c := range g.hops {
		o.Hops[name] = hop.Dropped{In: g.rules.total(c.in), Out: sum(g.rules.total(c.out), g.frames.total(c.out))}
	}
	return o, nil
}

// Remove removes the tables, and with them all protection against messages in clear.
func (g *Guard) Remove() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.links, g.guarded = nil, nil
	return errors.Join(g.rules.remove(), g.frames.remove())
}
