package roles_test

import (
	"os"
	"testing"

	"fairlead/internal/app/cli"
	"fairlead/internal/app/daemon"
	"fairlead/internal/app/role/guard"
	"fairlead/internal/app/role/relay"
)

// asProgram is the variable that makes the test binary run as the program. It is set for
// everything that the tests start.
const asProgram = "FAIRLEAD_ROLES_PROGRAM"

// TestMain is the program's main function, with one role more.
func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		commands := daemon.Commands(guard.Role(), relay.Role(), echoRole())
		os.Exit(cli.Main(commands, os.Args[1:], os.Stdout, os.Stderr))
	}
	if err := os.Setenv(asProgram, "1"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
