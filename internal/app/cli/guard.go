package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
)

// defaultGuardConfig is where packages and the systemd unit expect the guard's configuration.
const defaultGuardConfig = "/etc/fairlead/guard.yaml"

func guardCommand(run func(context.Context, string) error, purge func(string) error) *cobra.Command {
	a := ask{guard: true}
	commands := []*cobra.Command{
		checkOf(defaultGuardConfig, "Check a guard's configuration file and show everything that is wrong with it",
			`Check a guard's configuration file, and the key files that it names, and show
everything that is wrong, each with file, line and column. Nothing is changed, and
the guard need not run. The file is `+defaultGuardConfig+` unless it is named.
"fairlead config reference --guard" explains every key.`, config.LoadGuard, false),
		statusOf(a, "Show what a running guard protects, and what does not work as it should",
			`Show what a running guard protects, and what does not work as it should. With
--check the exit code is 0 if all is well, 3 if something is not as it should be, and
1 if the guard does not answer.`, (*api.Client).GuardStatus, (*api.GuardStatus).Wrong, writeGuardStatus),
		watchOf(a, "Show what happens to the protection, as it happens", ""),
		reloadOf(a, "Make a running guard read its configuration file again",
			`Make a running guard read its configuration file again, and show what that changes.
If the file has problems they are shown, and the guard goes on with the
configuration that it has.`),
		purgeOf(defaultGuardConfig, "Remove the guard's filter and keys, for a guard that is not to come back",
			`Remove the guard's filter from the kernel, and its connections and keys from
strongSwan and the kernel, for a guard that is not to come back. One that runs is
left alone: stop it first. From then on messages travel in clear again. Where there
is no configuration file any more the defaults hold.`, purge, "nothing of the guard is left: DHCP travels in clear"),
	}
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
	configFlag(cmd, &path, defaultGuardConfig)
	cmd.AddCommand(commands...)
	return cmd
}

func writeGuardStatus(out io.Writer, s api.GuardStatus) error {
	g := newGrid()
	runningRows(g, s.Version, s.Uptime, s.Started)
	configRows(g, &s.Config)
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
