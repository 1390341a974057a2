// Command fairlead is the relay, the server, the guard, and the tools to operate them.
package main

import (
	"os"

	"fairlead/internal/app/cli"
	"fairlead/internal/app/daemon"
	"fairlead/internal/app/role/guard"
	"fairlead/internal/app/role/relay"
	"fairlead/internal/app/role/relay4"
	"fairlead/internal/app/role/server6"
)

func main() {
	// The roles that "fairlead run" can play are the last ones.
	commands := daemon.Commands(guard.Role(), relay.Role(), relay4.Role(), server6.Role())
	os.Exit(cli.Main(commands, os.Args[1:], os.Stdout, os.Stderr))
}
