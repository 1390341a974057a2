//go:build vm

package ipsec4_test

import (
	"testing"

	"fairlead/internal/system/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }
