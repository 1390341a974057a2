package system_test

import (
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/system/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// prepared returns a rig whose relay has the standard configuration with additional link keys.
// The relay is not started.
func prepared(t *testing.T, plan lab.Plan, linkKeys ...string) *rig.Rig {
	t.Helper()
	r := rig.Build(t, plan)
	r.Prepare(r.Standard(linkKeys...))
	return r
}
