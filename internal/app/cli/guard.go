package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
)

// defaultGuardConfig is where packages and the systemd unit have the guard's
// configuration.
const defaultGuardConfig = "/etc/fairlead/guard.yaml"

func guardCommand(run func(context.Context, string) error, purge func(string) error) *cobra.Command {
	commands := []*cobra.Command{guardCheckCommand(), guardStatusCommand(), guardWatchCommand(), guardReloadCommand(), guardPurgeCommand(purge)}
	var path string
	cmd := &cobra.Command{
		Use:   "guard",
		Short: "Protect somebody else's DHCP server or relay on this host (RFC 8213)",
		Long: `Protect somebody else's DHCP server or relay on this host, which knows nothing of
it, until SIGTERM or SIGINT: its messages to and from the configured peers travel
in ESP or not at all, for DHCPv6 and DHCPv4. SIGHUP makes it
read the configuration file again. The filter that stops what is in clear stays
when the guard stops; "fairlead guard purge" removes it.

Only programs that use UDP sockets can be protected. One that reads or writes
packets below IP (ISC dhcpd and dhcrelay for IPv4, Kea unless told otherwise) is
reported: IPsec never sees what it does.`,
		Args: noOther(commands),
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), path) },
	}
	guardConfigFlag(cmd, &path)
	cmd.AddCommand(commands...)
	return cmd
}

func guardConfigFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", defaultGuardConfig, "configuration file")
	mustFlag(cmd.MarkFlagFilename("config", "yaml", "yml"))
}

func guardCheckCommand() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a guard's configuration file and show everything that is wrong with it",
		Long: `Check a guard's configuration file, and the key files that it names, and show
everything that is wrong, each with file, line and column. Nothing is changed, and
the guard need not run. "fairlead config reference --guard" explains every key.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return check(cmd, path, asJSON, config.LoadGuard, false) },
	}
	guardConfigFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: a list of problems")
	return cmd
}

func guardPurgeCommand(purge func(string) error) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Remove the guard's filter and keys, for a guard that is not to come back",
		Long: `Remove the guard's filter from the kernel, and its connections and keys from
strongSwan and the kernel, for a guard that is not to come back. One that runs is
left alone: stop it first. From then on messages travel in clear again. Where there
is no configuration file any more the defaults hold.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := purge(orNone(cmd, path)); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "nothing of the guard is left: DHCP travels in clear")
			return err
		},
	}
	guardConfigFlag(cmd, &path)
	return cmd
}

// askGuard is what all commands that talk to a running guard have in common.
type askGuard struct{ ask }

func (a *askGuard) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.socket, "socket", config.DefaultGuard().Control.Socket, "control socket of the running guard")
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON")
}

func (a *askGuard) client() *api.GuardClient { return api.NewGuardClient(a.socket) }

func guardStatusCommand() *cobra.Command {
	var a askGuard
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what a running guard protects, and what does not work as it should",
		Args:  atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), lookWithin)
			defer cancel()
			s, err := a.client().Status(ctx)
			if err != nil {
				return err
			}
			return print(cmd, &a.ask, s, writeGuardStatus)
		},
	}
	a.flags(cmd)
	return cmd
}

func writeGuardStatus(out io.Writer, s api.GuardStatus) error {
	g := newGrid()
	g.row("version", s.Version)
	g.row("running", fmt.Sprintf("%s, since %s", s.Uptime, clockTime(s.Started)))
	g.row("configuration", fmt.Sprintf("%s, read %s", s.Config.Path, clockTime(s.Config.Loaded)))
	if s.Config.LastError != "" {
		g.row("last reload", "refused: "+s.Config.LastError)
	}
	var hops []api.Hop
	for i := range s.Peers {
		p := &s.Peers[i]
		hops = append(hops, p.Hops...)
		g.row("peer "+p.Name, p.Role+", protection "+protectionText(p.Protection, p.Protected, p.Hops))
	}
	g.row("strangers", trafficText(s.Strangers)+" dropped")
	for _, p := range s.Programs {
		g.row("program", fmt.Sprintf("%s (pid %d): %s", p.Name, p.PID, p.Problem))
	}
	if err := g.write(out); err != nil {
		return err
	}
	if len(hops) > 0 {
		if _, err := fmt.Fprintln(out); err != nil {
			return err
		}
		if err := writeHops(out, hops); err != nil {
			return err
		}
	}
	return writeVerdict(out, s.Degraded)
}

// writeVerdict ends a status with what does not work as it should.
func writeVerdict(out io.Writer, degraded []string) error {
	if len(degraded) > 0 {
		return writeLines(out, "Not as it should be:", degraded)
	}
	_, err := fmt.Fprintln(out, "\nAll is well.")
	return err
}

func guardWatchCommand() *cobra.Command {
	var a askGuard
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Show what happens to the protection, as it happens",
		Args:  atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return follow(cmd, &a.ask, func(ctx context.Context) (api.Stream, error) { return a.client().Watch(ctx) })
		},
	}
	a.flags(cmd)
	return cmd
}

func guardReloadCommand() *cobra.Command {
	var a askGuard
	var r api.ReloadRequest
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make a running guard read its configuration file again",
		Long: `Make a running guard read its configuration file again, and show what that changes.
If the file has problems they are shown, and the guard goes on with the
configuration that it has.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return reload(cmd, &a.ask, r, a.client().Reload) },
	}
	cmd.Flags().BoolVar(&r.DryRun, "dry-run", false, "show what would change, and change nothing")
	a.flags(cmd)
	return cmd
}
