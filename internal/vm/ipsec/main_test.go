//go:build vm

package ipsec_test

import (
	"os"
	"testing"
	"time"

	"fairlead/internal/app/cli"
	"fairlead/internal/app/daemon"
	"fairlead/internal/app/role/guard"
	"fairlead/internal/app/role/relay"
	"fairlead/internal/lab/labtest"
)

// patience is for conditions that the emulated machine may take long to reach.
const patience = 3 * time.Minute

// asProgram has the test binary be the program: it is set for everything that
// the tests start.
const asProgram = "FAIRLEAD_VM_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		commands := daemon.Commands(guard.Role(), relay.Role())
		os.Exit(cli.Main(commands, os.Args[1:], os.Stdout, os.Stderr))
	}
	if err := os.Setenv(asProgram, "1"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// need is what every test says often.
var need = labtest.Need
