package relay

import (
	"context"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/role"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
)

// Prospect adds what another configuration would change. It changes nothing.
func (d *player) Prospect(ctx context.Context, next *config.Config, result *api.ReloadResult) (held map[string]int, err error) {
	var links []relay6.Prospect
	err = d.Engine.Call(ctx, func(instant.Now, *effect.Effects) { links = d.Engine.Core.Prospects(d.coreConfig(next)) })
	for i := range links {
		p := &links[i]
		if c := role.LinkChange("relay6", holdings(p), p.Now, p.Then, config.Rule6Changed); c.Change != "" {
			result.Links = append(result.Links, c)
		}
		if p.Holds() && p.Then == nil {
			result.Unmatched = append(result.Unmatched, holdings(p))
		}
	}
	return heldOn(links), err
}

// heldOn counts the live delegations by link.
func heldOn(links []relay6.Prospect) map[string]int {
	held := make(map[string]int)
	for i := range links {
		if p := &links[i]; p.Holds() {
			held[p.Link] = p.Prefixes + p.Addresses
		}
	}
	return held
}

func holdings(p *relay6.Prospect) api.LinkHoldings {
	return api.LinkHoldings{Link: p.Link, Prefixes: p.Prefixes, Addresses: p.Addresses}
}

// unmatched are the links with delegations that no rule matches.
func unmatched(links []relay6.Prospect) []api.LinkHoldings {
	all := make([]api.LinkHoldings, 0, len(links))
	for i := range links {
		all = append(all, holdings(&links[i]))
	}
	return all
}
