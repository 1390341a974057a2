package relay4

import (
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/trust"
)

// Prospect is what a configuration means for one link, beside what the present one does.
type Prospect struct {
	Link      string
	Now, Then *LinkRule // nil: the link does not face clients
	Leases    int
}

// Prospects are what cfg would mean for each link that is there or on which leases are seen,
// by name, as far as it has a rule now or then, or such leases. Nothing changes.
func (r *Relay) Prospects(cfg *Config) (all []Prospect) {
	peers := trust.NewSet(cfg.Peers)
	names := slices.Concat(r.links.Names(), slices.Collect(r.table.Links()))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		p := Prospect{name, r.Rule(name), r.ruleUnder(cfg, peers, name), r.table.LinkLen(name, binding.Address)}
		if p.Now != nil || p.Then != nil || p.Leases > 0 {
			all = append(all, p)
		}
	}
	return all
}
