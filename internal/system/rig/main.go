//go:build !vm

package rig

import (
	"testing"

	"fairlead/internal/lab/labtest"
)

// Main is the TestMain of a package that runs the program, and Binary the program's path.
func Main(m *testing.M) { labtest.Main(m) }

// Binary is the path of the program under test.
func Binary() string { return labtest.Program() }
