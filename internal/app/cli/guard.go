package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
)

// defaultGuardConfig is where packages and the systemd unit expect the guard's configuration.
const defaultGuardConfig = "/etc/fairlead/guard.yaml"

func guardCommand(p Process) *cobra.Command {
	a := ask{guard: true}
	commands := []*cobra.Command{
		checkOf(defaultGuardConfig, "Check a guard's configuration file and show everything that is wrong with it",
			`Check a guard's configuration file, and the key files that it names, and show
everything that is wrong, each with file, line and column. Nothing is changed, and
the guard need not run. If no file is named, it is `+defaultGuardConfig+`.
"fairlead config reference --guard" explains every key.`, config.LoadGuard, false),
		statusOf(a, "Show what a running guard protects, and what does not work as it should",
			`Show what a running guard protects, and what does not work as it should. With
--check the exit code is 0 if all is well, 3 if something is not as it should be, and
1 if the guard does not answer.`, (*api.Client).GuardStatus, (*api.GuardStatus).Wrong, writeGuardStatus),
		watchOf(a, "Show what happens to the protection, as it happens", ""),
		reloadOf(a, "Make a running guard read its configuration file again",
			`Make a running guard read its configuration file again, and show what that changes.
If the file has problems, they are shown, and the guard goes on with the old
configuration.`),
		purgeOf(defaultGuardConfig, "Remove the guard's filter and keys, when it will not run here any more",
			`Remove the guard's filter from the kernel, and its connections and keys from
strongSwan and the kernel, when the guard will not run here any more. Stop the guard
first: purge refuses while it runs. From then on messages travel in clear again. If
there is no configuration file any more, the defaults are used.`, p, "nothing of the guard is left: DHCP travels in clear"),
	}
	var path string
	cmd := &cobra.Command{
		Use:   "guard",
		Short: "Protect the DHCP server or relay of another program on this host (RFC 8213)",
		Long: `Protect the DHCP server or relay of another program on this host, until SIGTERM or
SIGINT: its messages to and from the configured peers travel in ESP or not at all, for
DHCPv6 and DHCPv4. The program itself needs no change. SIGHUP makes the guard read the
configuration file again. The filter that drops messages in clear stays when the guard
stops; "fairlead guard purge" removes it.

Only programs that use UDP sockets can be protected. The guard reports programs that
read or write packets below IP (ISC dhcpd and dhcrelay for IPv4; Kea unless configured
otherwise), because their packets do not pass IPsec.`,
		Args: noOther(commands),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.Run(cmd.Context(), path) },
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
