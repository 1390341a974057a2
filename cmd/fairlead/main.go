// Command fairlead is the relay, the tools to operate it, and a demonstration.
package main

import (
	"context"
	"os"

	"fairlead/internal/app/cli"
	"fairlead/internal/app/daemon"
	"fairlead/internal/app/demo"
)

func main() {
	os.Exit(cli.Main(cli.Commands{
		Version: daemon.Version(),
		Run:     daemon.Run,
		Purge:   daemon.Purge,
		Demo:    func(ctx context.Context, keep bool) error { return demo.Run(ctx, demo.Options{Keep: keep}) },
	}, os.Args[1:], os.Stdout, os.Stderr))
}
