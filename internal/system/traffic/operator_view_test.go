package traffic_test

import (
	"time"

	"fairlead/internal/lab/labtest"
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
func (r *rig) delegations(flags ...string) (all []shown) {
	r.t.Helper()
	r.cli(&all, append([]string{"delegations"}, flags...)...)
	return all
}

// cli runs a command with --json and reads what it prints.
func (r *rig) cli(into any, args ...string) {
	r.t.Helper()
	labtest.Show(r.t, r.relay, into, args...)
}
