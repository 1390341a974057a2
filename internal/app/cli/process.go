package cli

import (
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

func runCommand(p Process) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run all roles that the configuration has a section for",
		Long: `Run all roles that the configuration has a section for, until SIGTERM or SIGINT. SIGHUP
makes Fairlead read the configuration file again, as "fairlead reload" does. Routes and
filters stay in the kernel when it stops, so that clients keep their routes until it runs
again; "fairlead purge" removes them.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.Run(cmd.Context(), path) },
	}
	configFlag(cmd, &path, defaultConfig)
	return cmd
}

func purgeCommand(p Process) *cobra.Command {
	return purgeOf(defaultConfig, "Remove every route, filter and IPsec key of Fairlead",
		`Remove every route, filter and IPsec key of Fairlead from the kernel, and its
connections from strongSwan, when it will not run here any more. Stop Fairlead
first: purge refuses while it runs. From then on, messages to and from protected peers
travel in clear. What Fairlead has on disk stays. So does everything of "fairlead guard",
which has a purge of its own. If there is no configuration file any more, the defaults
are used: routes with protocol 87.`, p, "the kernel has no route, no filter and no key of Fairlead any more")
}

// purgeOf is a command that purges by a file, by default the one at this path, and then prints
// done.
func purgeOf(path, short, long string, p Process, done string) *cobra.Command {
	cmd := &cobra.Command{
		Use: "purge", Short: short, Long: long, Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.Purge(orNone(cmd, path)); err != nil {
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
