//go:build vm

package ipsec_test

import (
	"testing"

	"fairlead/internal/system/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
