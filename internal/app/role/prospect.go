package role

import (
	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/core/links"
)

// Held counts the live bindings by link.
func Held[R any](prospects []links.Prospect[R]) map[string]int {
	held := make(map[string]int)
	for i := range prospects {
		if p := &prospects[i]; p.Holds() {
			held[p.Link] = p.Prefixes + p.Addresses
		}
	}
	return held
}

// Holdings is what a link has.
func Holdings[R any](p *links.Prospect[R]) api.LinkHoldings {
	return api.LinkHoldings{Link: p.Link, Prefixes: p.Prefixes, Addresses: p.Addresses}
}

// LinkChanges are the changes of links with clients of a role. changed finds the keys in which
// two rules for a link differ.
func LinkChanges[R any](role string, prospects []links.Prospect[R], changed func(link string, now, then *R) []config.KeyChange) (all []api.LinkChange) {
	for i := range prospects {
		p := &prospects[i]
		c := api.LinkChange{LinkHoldings: Holdings(p), Role: role}
		switch {
		case p.Now == nil && p.Then == nil:
			continue
		case p.Now == nil:
			c.Change = api.LinkGained
		case p.Then == nil:
			c.Change = api.LinkLost
		default:
			for _, k := range changed(p.Link, p.Now, p.Then) {
				c.Keys = append(c.Keys, api.KeyChange{Key: k.Key, Old: k.Old, New: k.New})
			}
			if c.Keys == nil {
				continue
			}
			c.Change = api.LinkChanged
		}
		all = append(all, c)
	}
	return all
}
