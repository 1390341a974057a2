package traffic_test

import (
	"time"
)

// shown is a delegation as `fairlead delegations --json` shows it.
type shown struct {
	Prefix    string    `json:"prefix"`
	Link      string    `json:"link"`
	Client    string    `json:"client"`
	IAID      uint32    `json:"iaid"`
	NextHop   string    `json:"next_hop"`
	Preferred any       `json:"preferred"`
	Valid     any       `json:"valid"`
	Expires   time.Time `json:"expires"`
	Server    string    `json:"server"`
	Source    string    `json:"source"`
}

// delegations are what the operator sees, with more flags if given.
func (r *network) delegations(flags ...string) (all []shown) {
	r.T.Helper()
	r.Fairlead.Show(&all, append([]string{"delegations"}, flags...)...)
	return all
}
