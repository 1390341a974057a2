package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"github.com/spf13/cobra"
)

// defaultConfig is where packages and the systemd unit expect the configuration.
const defaultConfig = "/etc/fairlead/fairlead.yaml"

func configFlag(cmd *cobra.Command, path *string, unnamed string) {
	cmd.Flags().StringVarP(path, "config", "c", unnamed, "configuration file")
	mustFlag(cmd.MarkFlagFilename("config", "yaml", "yml"))
}

// mustFlag panics where we marked a flag that does not exist.
func mustFlag(err error) {
	if err != nil {
		panic("cli: " + err.Error())
	}
}

func runCommand(run func(context.Context, string) error) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Relay until told to stop",
		Long: `Relay until SIGTERM or SIGINT. SIGHUP makes it read the
configuration file again, as "fairlead reload" does. What it does to the kernel
stays when it stops, so that its clients keep their routes until it is back; "fairlead purge" removes it.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), path) },
	}
	configFlag(cmd, &path, defaultConfig)
	return cmd
}

func purgeCommand(purge func(string) error) *cobra.Command {
	return purgeOf(defaultConfig, "Remove every route, filter and IPsec key of Fairlead",
		`Remove every route, filter and IPsec key of Fairlead from the kernel, and its
connections from strongSwan, for a Fairlead that is not to come back. One that
runs is left alone: stop it first. What goes to and from protected peers travels
in clear from then on. What Fairlead keeps on disk stays, and so does what belongs
to "fairlead guard", which has a purge of its own. Where there is no configuration
file any more the defaults hold: routes with protocol 87.`, purge, "the kernel has no route, no filter and no key of Fairlead any more")
}

// purgeOf is a command that purges by a file, by default the one at this path, and then prints
// done.
func purgeOf(path, short, long string, purge func(string) error, done string) *cobra.Command {
	cmd := &cobra.Command{
		Use: "purge", Short: short, Long: long, Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := purge(orNone(cmd, path)); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), done)
			return err
		},
	}
	configFlag(cmd, &path, path)
	return cmd
}

// orNone is the path of the configuration; empty where the path is the default and there is no
// file.
func orNone(cmd *cobra.Command, path string) string {
	if _, err := os.Lstat(path); !cmd.Flags().Changed("config") && errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return path
}

func versionText(version string) string {
	return fmt.Sprintf("fairlead %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func versionCommand(version string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if asJSON {
				return json.NewEncoder(out).Encode(map[string]string{"version": version, "go": runtime.Version()})
			}
			_, err := io.WriteString(out, versionText(version))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
