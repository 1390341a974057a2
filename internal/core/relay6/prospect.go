package relay6

import (
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/links"
	"fairlead/internal/core/trust"
)

// Prospects are what cfg would mean for each link. An orphan counts as a prefix of its link.
// Nothing changes.
func (r *Relay) Prospects(cfg *Config) []links.Prospect[LinkRule] {
	orphans := r.ledger.OrphansOn()
	peers := trust.NewSet(cfg.Peers)
	return links.Prospects(r.links, r.table.Links(), func(name string) links.Prospect[LinkRule] {
		return links.Prospect[LinkRule]{
			Link: name, Now: r.Rule(name), Then: r.ruleUnder(cfg, peers, name),
			Prefixes: r.table.LinkLen(name, binding.Prefix) + orphans[name], Addresses: r.table.LinkLen(name, binding.Address),
		}
	})
}

// Unmatched are the links whose delegations no rule matches: these have neither route nor filter
// until one does.
func (r *Relay) Unmatched() []links.Prospect[LinkRule] {
	return slices.DeleteFunc(r.Prospects(r.cfg), func(p links.Prospect[LinkRule]) bool { return p.Now != nil })
}
