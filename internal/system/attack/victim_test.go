package attack_test

import (
	"testing"

	"fairlead/internal/system/rig"
)

// iaid is that of the victim's IA_PD.
const iaid = 1

// victim makes client 1 one.
func (r *network) victim() *rig.Victim {
	r.T.Helper()
	return r.Victim(shared, "delegations")
}

// The rig works: the victim is served, and nothing has changed when nothing was
// done.
func TestNobodyAttacks(t *testing.T) {
	r := withKea(t)
	v := r.victim()
	v.Unmoved()
	// The attackers are there, and would be served.
	for _, d := range []*rig.Host{r.Client(2), r.far} {
		d.Play(rig.DUID(7)).Obtain(iaid)
	}
	v.Unmoved()
}
