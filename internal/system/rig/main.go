//go:build !vm

package rig

import (
	"testing"

	"fairlead/internal/lab/labtest"
)

// Main is the TestMain of a package that runs the program. Binary returns the program's path.
func Main(m *testing.M) { labtest.Main(m) }

// Binary returns the path of the program under test.
func Binary() string { return labtest.Program() }
