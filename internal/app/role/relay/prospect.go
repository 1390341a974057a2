package relay

import (
	"context"
	"slices"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/process"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
)

// prospect is what another configuration would change. Nothing is changed.
func (d *daemon) prospect(ctx context.Context, next *config.Config) (api.ReloadResult, error) {
	old := d.config()
	var links []relay6.Prospect
	err := d.engine.Call(ctx, func(instant.Now, *effect.Effects) { links = d.engine.Core.Prospects(d.coreConfig(next)) })
	if err != nil {
		return api.ReloadResult{}, err
	}
	result := api.ReloadResult{Links: []api.LinkChange{}, Settings: old.SettingsChanged(next)}
	for _, p := range old.PeersChanged(&next.Process) {
		result.Peers = append(result.Peers, api.PeerChange{Peer: p.Peer, Change: p.Change})
	}
	for i := range links {
		p := &links[i]
		if c := linkChange(p); c.Change != "" {
			result.Links = append(result.Links, c)
		}
		if p.Holds() && p.Then == nil {
			result.Unmatched = append(result.Unmatched, holdings(p))
		}
	}
	for _, w := range slices.Concat(next.Warnings, d.misfits(next, links)) {
		result.Warnings = append(result.Warnings, w.String())
	}
	return result, nil
}

// linkChange is what becomes of a link; its Change is empty if nothing does.
func linkChange(p *relay6.Prospect) api.LinkChange {
	c := api.LinkChange{LinkHoldings: holdings(p)}
	switch {
	case p.Now == nil && p.Then == nil:
	case p.Now == nil:
		c.Change = api.LinkGained
	case p.Then == nil:
		c.Change = api.LinkLost
	default:
		for _, k := range config.RuleChanged(p.Now, p.Then) {
			c.Keys = append(c.Keys, api.KeyChange{Key: k.Key, Old: k.Old, New: k.New})
		}
		if c.Keys != nil {
			c.Change = api.LinkChanged
		}
	}
	return c
}

func holdings(p *relay6.Prospect) api.LinkHoldings {
	return api.LinkHoldings{Link: p.Link, Prefixes: p.Prefixes, Addresses: p.Addresses}
}

// lostOf are the links with delegations that a reload takes the rule from; nil if
// there is none.
func lostOf(r *api.ReloadResult) *api.LossError {
	var lost []api.LinkHoldings
	for i := range r.Links {
		if l := &r.Links[i]; l.Change == api.LinkLost && l.Prefixes+l.Addresses > 0 {
			lost = append(lost, l.LinkHoldings)
		}
	}
	if lost == nil {
		return nil
	}
	return &api.LossError{Links: lost}
}

// misfits are what a configuration names and the host does not have.
func (d *daemon) misfits(cfg *config.Config, links []relay6.Prospect) config.Problems {
	held := make(map[string]int)
	for i := range links {
		if p := &links[i]; p.Holds() {
			held[p.Link] = p.Prefixes + p.Addresses
		}
	}
	return process.Misfits(d.log, held, cfg)
}

// unmatched are the links with delegations that no rule matches.
func unmatched(links []relay6.Prospect) []api.LinkHoldings {
	all := make([]api.LinkHoldings, 0, len(links))
	for i := range links {
		all = append(all, holdings(&links[i]))
	}
	return all
}
