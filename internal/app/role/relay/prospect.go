package relay

import (
	"context"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/role"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
)

// Prospect adds what another configuration would change. It changes nothing.
func (d *player) Prospect(ctx context.Context, next *config.Config, result *api.ReloadResult) (held map[string]int, err error) {
	var prospects []links.Prospect[relay6.LinkRule]
	err = d.Engine.Call(ctx, func(instant.Now, *effect.Effects) { prospects = d.Engine.Core.Prospects(d.coreConfig(next)) })
	result.Links = append(result.Links, role.LinkChanges("relay6", prospects, config.Rule6Changed)...)
	for i := range prospects {
		if p := &prospects[i]; p.Holds() && p.Then == nil {
			result.Unmatched = append(result.Unmatched, role.Holdings(p))
		}
	}
	return role.Held(prospects), err
}

// unmatched are the links with delegations that no rule matches.
func unmatched(prospects []links.Prospect[relay6.LinkRule]) []api.LinkHoldings {
	all := make([]api.LinkHoldings, 0, len(prospects))
	for i := range prospects {
		all = append(all, role.Holdings(&prospects[i]))
	}
	return all
}
