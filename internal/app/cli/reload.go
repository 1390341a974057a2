package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"fairlead/internal/app/api"
)

func reloadCommand() *cobra.Command {
	return reloadOf(ask{}, "Read the configuration file again, without losing a packet",
		`Read the configuration file again, without losing a packet, and show what that
changes. If the file has problems, they are shown, and Fairlead goes on with the old
configuration. It does the same if the new file has no rule for a link that has
delegations, because they would lose their routes and filters. --force takes the new
file all the same.`)
}

// reloadOf is a command that has a process read its configuration file again, and prints what
// that changes. A dry run fails where the reload would be refused. A guard has no links with
// delegations: it needs no --force.
func reloadOf(a ask, short, long string) *cobra.Command {
	var r api.ReloadRequest
	cmd := &cobra.Command{
		Use: "reload", Short: short, Long: long, Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.DryRun && r.Force {
				return usagef("--dry-run and --force: want one of them")
			}
			var refused string
			do := func(ctx context.Context, c *api.Client) (api.ReloadResult, error) {
				result, err := c.Reload(ctx, r)
				refused = result.Refused
				return result, err
			}
			if err := change(cmd, &a, do, writeReload); err != nil || refused == "" {
				return err
			}
			return errors.New("it would be refused: " + refused)
		},
	}
	cmd.Flags().BoolVar(&r.DryRun, "dry-run", false, "show what would change, and change nothing")
	if !a.guard {
		cmd.Flags().BoolVar(&r.Force, "force", false, "reload even if links with delegations lose their rule")
	}
	a.flags(cmd)
	return cmd
}

func writeReload(out io.Writer, r api.ReloadResult) error {
	changes := reloadLines(&r)
	title := "the configuration was reloaded"
	switch {
	case !r.Reloaded && len(changes) == 0:
		title = "a reload would change nothing"
	case !r.Reloaded:
		title = "a reload would change:"
	case len(changes) == 0:
		title += ", and nothing has changed"
	default:
		title += ":"
	}
	text := title + "\n"
	for _, c := range changes {
		text += "  " + line(c) + "\n"
	}
	if len(r.Unmatched) > 0 {
		text += line("no rule matches these links with delegations: "+api.HoldingsText(r.Unmatched)) + "\n"
	}
	for _, w := range r.Warnings {
		text += line("warning: "+w) + "\n"
	}
	_, err := io.WriteString(out, text)
	return err
}

// reloadLines has one line for each change.
func reloadLines(r *api.ReloadResult) []string {
	var lines []string
	for _, p := range r.Peers {
		lines = append(lines, fmt.Sprintf("peer %s: %s", p.Peer, p.Change))
	}
	for i := range r.Links {
		l := &r.Links[i]
		text := fmt.Sprintf("%s: link %s: %s", l.Role, l.LinkHoldings, l.Change)
		switch {
		case l.Change == api.LinkGained:
			text += ", faces clients"
		case l.Change == api.LinkLost && l.Prefixes+l.Addresses > 0:
			text += ", faces clients no more; its routes and filters go"
		case l.Change == api.LinkLost:
			text += ", faces clients no more"
		}
		keys := make([]string, len(l.Keys))
		for i, k := range l.Keys {
			keys[i] = fmt.Sprintf("%s from %s to %s", k.Key, k.Old, k.New)
		}
		if len(keys) > 0 {
			text += ": " + strings.Join(keys, "; ")
		}
		lines = append(lines, text)
	}
	if len(r.Settings) > 0 {
		lines = append(lines, "settings: "+strings.Join(r.Settings, ", "))
	}
	return lines
}
