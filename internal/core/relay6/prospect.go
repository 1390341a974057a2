package relay6

import (
	"maps"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/trust"
)

// Prospect is what a configuration means for one link, beside what the present
// one does.
type Prospect struct {
	Link      string
	Now, Then *LinkRule // nil: the link does not face clients
	Prefixes  int       // live delegations of the link, and what may be some (orphans)
	Addresses int
}

// Holds reports whether the link has live delegations.
func (p *Prospect) Holds() bool { return p.Prefixes+p.Addresses > 0 }

// Prospects are what cfg would mean for each link that is there or holds
// delegations, by name, as far as it has a rule now, then, or holds any. Nothing
// changes.
func (r *Relay) Prospects(cfg *Config) []Prospect {
	names := make(map[string]struct{})
	for l := range r.links.All() {
		names[l.Name] = struct{}{}
	}
	for name := range r.table.Links() {
		names[name] = struct{}{} // it may be gone, and still the holder's
	}
	orphans := make(map[string]int)
	for o := range r.host.Orphans {
		orphans[o.Link]++
	}
	peers := trust.NewSet(cfg.Peers)
	var all []Prospect
	for _, name := range slices.Sorted(maps.Keys(names)) {
		p := Prospect{
			Link: name, Now: r.ruleFor(name), Then: r.ruleUnder(cfg, peers, name),
			Prefixes: r.table.LinkLen(name, binding.Prefix) + orphans[name], Addresses: r.table.LinkLen(name, binding.Address),
		}
		if p.Now != nil || p.Then != nil || p.Holds() {
			all = append(all, p)
		}
	}
	return all
}

// Unmatched are the links whose delegations no rule matches: these have neither
// route nor filter until one does.
func (r *Relay) Unmatched() []Prospect {
	return slices.DeleteFunc(r.Prospects(r.cfg), func(p Prospect) bool { return p.Now != nil })
}
