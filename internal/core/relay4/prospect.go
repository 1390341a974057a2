package relay4

import (
	"fairlead/internal/core/binding"
	"fairlead/internal/core/links"
	"fairlead/internal/core/trust"
)

// Prospects are what cfg would mean for each link. Nothing changes.
func (r *Relay) Prospects(cfg *Config) []links.Prospect[LinkRule] {
	peers := trust.NewSet(cfg.Peers)
	return links.Prospects(r.links, r.table.Links(), func(name string) links.Prospect[LinkRule] {
		return links.Prospect[LinkRule]{Link: name, Now: r.Rule(name), Then: r.ruleUnder(cfg, peers, name), Addresses: r.table.LinkLen(name, binding.Address)}
	})
}
