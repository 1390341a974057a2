// Command fairlead is the relay and the tools to operate it.
package main

import (
	"os"

	"fairlead/internal/app/cli"
	"fairlead/internal/app/daemon"
)

func main() {
	os.Exit(cli.Main(cli.Commands{
		Version: daemon.Version(),
		Run:     daemon.Run,
		Purge:   daemon.Purge,
	}, os.Args[1:], os.Stdout, os.Stderr))
}
