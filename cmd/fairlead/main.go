// Command fairlead is the relay, the guard, and the tools to operate them.
package main

import (
	"os"

	"fairlead/internal/app/cli"
	"fairlead/internal/app/role/guard"
	"fairlead/internal/app/role/relay"
	"fairlead/internal/app/service"
)

func main() {
	os.Exit(cli.Main(cli.Commands{
		Version:    service.Version(),
		Run:        relay.Run,
		Purge:      relay.Purge,
		Plan:       plan,
		Guard:      guard.Run,
		PurgeGuard: guard.Purge,
	}, os.Args[1:], os.Stdout, os.Stderr))
}

// plan is what a configuration, of the relay or of a guard, sets up so that peers
// are protected.
func plan(path string, ofGuard bool) (string, error) {
	if ofGuard {
		return guard.Plan(path)
	}
	return relay.Plan(path)
}
