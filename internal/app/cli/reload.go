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
	var a ask
	var r api.ReloadRequest
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Read the configuration file again, without losing a packet",
		Long: `Read the configuration file again, without losing a packet, and show what that
changes. If the file has problems they are shown, and Fairlead goes on with the
configuration that it has. It also does so if the new file has no rule for a link that
has delegations: they would lose their routes and filters. --force takes the new file
all the same.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.DryRun && r.Force {
				return usagef("--dry-run and --force: want one of them")
			}
			return reload(cmd, &a, r, a.client().Reload)
		},
	}
	cmd.Flags().BoolVar(&r.DryRun, "dry-run", false, "show what would change, and change nothing")
	cmd.Flags().BoolVar(&r.Force, "force", false, "also where links with delegations lose their rule")
	a.flags(cmd)
	return cmd
}

// reload asks for a reload and prints what it changes. A dry run of one that would
// be refused fails as the reload would.
func reload(cmd *cobra.Command, a *ask, r api.ReloadRequest, do func(context.Context, api.ReloadRequest) (api.ReloadResult, error)) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), changeWithin)
	defer cancel()
	result, err := do(ctx, r)
	if err != nil {
		return err
	}
	if err := print(cmd, a, result, writeReload); err != nil {
		return err
	}
	if result.Refused != "" {
		return errors.New("it would be refused: " + result.Refused)
	}
	return nil
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

// reloadLines are the changes, one a line.
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
