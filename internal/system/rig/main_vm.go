//go:build vm

package rig

import (
	"os"
	"testing"

	"fairlead/internal/app/cli"
	"fairlead/internal/app/daemon"
	"fairlead/internal/app/role/guard"
	"fairlead/internal/app/role/relay"
	"fairlead/internal/app/role/relay4"
	"fairlead/internal/app/role/server6"
)

// asProgram is the variable that makes the test binary run as the program. It is set for
// everything that the tests start.
const asProgram = "FAIRLEAD_VM_PROGRAM"

// Main is the TestMain of a package that runs in a virtual machine. There is no compiler, so the
// test binary is also the program. At the end it calls the functions end.
func Main(m *testing.M, end ...func()) {
	if os.Getenv(asProgram) != "" {
		commands := daemon.Commands(guard.Role(), relay.Role(), relay4.Role(), server6.Role())
		os.Exit(cli.Main(commands, os.Args[1:], os.Stdout, os.Stderr))
	}
	if err := os.Setenv(asProgram, "1"); err != nil {
		panic(err)
	}
	code := m.Run()
	for _, f := range end {
		f()
	}
	os.Exit(code)
}

// Binary returns the path of the program under test.
func Binary() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}
