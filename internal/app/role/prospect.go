package role

import (
	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
)

// LinkChange tells what happens to a link with clients of a role. now and then are the rules for
// it, before and after the change; nil means none. changed finds the keys in which two rules
// differ. If nothing changes, Change is empty.
func LinkChange[R any](role string, on api.LinkHoldings, now, then *R, changed func(now, then *R) []config.KeyChange) api.LinkChange {
	c := api.LinkChange{LinkHoldings: on, Role: role}
	switch {
	case now == nil && then == nil:
	case now == nil:
		c.Change = api.LinkGained
	case then == nil:
		c.Change = api.LinkLost
	default:
		for _, k := range changed(now, then) {
			c.Keys = append(c.Keys, api.KeyChange{Key: k.Key, Old: k.Old, New: k.New})
		}
		if c.Keys != nil {
			c.Change = api.LinkChanged
		}
	}
	return c
}
