package relay4

import "fairlead/internal/core/trust"

// Prospect is what a configuration means for one link, beside what the present one does.
type Prospect struct {
	Link      string
	Now, Then *LinkRule // nil: the link does not face clients
}

// Prospects are what cfg would mean for each link that is there, by name, as far as it has a
// rule now or then. Nothing changes.
func (r *Relay) Prospects(cfg *Config) (all []Prospect) {
	peers := trust.NewSet(cfg.Peers)
	for _, name := range r.links.Names() {
		if p := (Prospect{name, r.Rule(name), r.ruleUnder(cfg, peers, name)}); p.Now != nil || p.Then != nil {
			all = append(all, p)
		}
	}
	return all
}
