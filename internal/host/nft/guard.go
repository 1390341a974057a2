package nft

import (
	"fmt"
	"sync"

	"fairlead/internal/core/hop"
)

// Guard is a guard table in the kernel: the rules of core/hop that let nothing
// pass in clear between peers (RFC 8213). What it holds stays when the process
// ends. It is safe for concurrent use.
type Guard struct {
	mu sync.Mutex // guards all following fields
	session
	owner hop.Owner
	table *hop.GuardTable  // as last installed; nil: nothing was
	tally map[string]tally // of each counter
	hops  map[string]counters
	print print
	seen  uint32 // number of the rule set when everything was last found intact; 0: never
}

// counters are the names of a hop's counters.
type counters struct {
	in, out string
}

// OpenGuard opens the owner's guard, in the network namespace of the calling
// thread. It changes nothing.
func OpenGuard(owner hop.Owner) (*Guard, error) {
	s, err := openSession(owner.Table())
	if err != nil {
		return nil, err
	}
	return &Guard{session: s, owner: owner, tally: map[string]tally{}}, nil
}

// Close closes the Guard. What was installed stays.
func (g *Guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.bulk.Close()
}

// Install makes the table hold what core/hop decides for these hops, whatever was
// in it, all in one transaction: there is no moment without the old rules or the
// new. Counters go on from where they were. Peers that are open may be heard in
// clear; hop.Owner.GuardTable says what others means.
func (g *Guard) Install(hops []hop.Hop, others bool, open ...hop.Open) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.owner.GuardTable(hops, others, open...)
	if err := checkGuard(&t); err != nil {
		return err
	}
	if err := g.count(); err != nil {
		return err
	}
	if err := g.bringAbout(&t); err != nil {
		return err
	}
	p, err := g.look(&t)
	if err != nil {
		return err
	}
	if !p.holds(&t) {
		return fmt.Errorf("nft: table %s: changed by somebody else while it was made", g.name)
	}
	g.table, g.print, g.seen = &t, p, 0
	g.hops = map[string]counters{}
	for i := range hops {
		name := hops[i].Name
		g.hops[name] = counters{in: hop.CounterName(name, false), out: hop.CounterName(name, true)}
	}
	return nil
}

// checkGuard says what is wrong with a table that the kernel would misread.
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

// Observe says whether everything is as it was installed, and what was dropped
// so far. It costs little while nobody changes anything in nftables.
func (g *Guard) Observe() (hop.Guard, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.table == nil {
		return hop.Guard{}, nil
	}
	intact, err := g.intact()
	if err != nil {
		return hop.Guard{}, err
	}
	if err := g.count(); err != nil {
		return hop.Guard{}, err
	}
	o := hop.Guard{Intact: intact, Hops: map[string]hop.Dropped{}, Strangers: g.total(hop.CounterStrangers)}
	for name, c := range g.hops {
		o.Hops[name] = hop.Dropped{In: g.total(c.in), Out: g.total(c.out)}
	}
	return o, nil
}

// intact compares what there is with what was installed, unless nothing at all
// has changed in nftables since that was last the same.
func (g *Guard) intact() (bool, error) {
	number, err := g.generation()
	if err != nil {
		return false, err
	}
	if g.seen != 0 && number == g.seen {
		return true, nil
	}
	p, err := g.look(g.table)
	if err != nil {
		return false, err
	}
	if p != g.print {
		g.seen = 0
		return false, nil
	}
	g.seen = number
	return true, nil
}

// Remove removes the table, and with it all protection against what is in clear.
func (g *Guard) Remove() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.table, g.seen = nil, 0
	x := begin(g.buf, g.name)
	x.addTable() // so that there is one
	x.dropTable()
	return g.commit(x)
}
