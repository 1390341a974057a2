package system_test

import (
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/system/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// prepared is a rig whose relay has the standard configuration with link keys added. It
// is not started.
func prepared(t *testing.T, plan lab.Plan, linkKeys ...string) *rig.Rig {
	t.Helper()
	r := rig.Build(t, plan)
	r.Prepare(r.Standard(linkKeys...))
	return r
}
