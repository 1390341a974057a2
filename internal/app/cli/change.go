package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/spf13/cobra"

	"fairlead/internal/app/api"
)

// change asks for a deed, and prints the result.
func change[T any](cmd *cobra.Command, a *ask, do func(context.Context, *api.Client) (T, error), text func(io.Writer, T) error) error {
	return within(changeWithin, cmd, a, do, text)
}

// target reads what a clear or an unblock names: [PREFIX] --client --link.
func (s *selection) target(args []string) (p netip.Prefix, client api.Identifier, err error) {
	if len(args) > 0 {
		s.prefix = args[0]
	}
	f, err := s.filter()
	return f.Prefix, f.Client, err
}

var errNothing = errors.New("nothing matches")

func clearCommand() *cobra.Command {
	var a ask
	var s selection
	var all, block bool
	cmd := &cobra.Command{
		Use:   "clear [PREFIX]",
		Short: "End delegations and leases of clients, with their routes and filters",
		Long: `End the delegations and leases that match everything that is named (RFC 8987 O-2):
exactly this prefix or address, this client, this link. Their routes and filters are
removed at once. The client is not told. The server still has the lease, and may grant
it again when the client next asks. With --block, Fairlead does not learn it again
until "fairlead unblock" with the same arguments.

Leases of DHCPv4 cannot be blocked. A client whose DUID is not known cannot be blocked
either: when its DUID becomes known, the block would not match it any more. --all cannot
be combined with --block: servers would go on granting prefixes that have no route.`,
		Example: `  fairlead clear 2001:db8:4000::/56
  fairlead clear 192.0.2.7
  fairlead clear --client 00:03:00:01:02:00:5e:10:00:01 --link br-cust7 --block`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := api.ClearRequest{Link: s.link, All: all, Block: block}
			var err error
			if r.Prefix, r.Client, err = s.target(args); err != nil {
				return err
			}
			switch named := r.Prefix.IsValid() || r.Client != "" || r.Link != ""; {
			case !named && !all:
				return usagef("clear needs a prefix, --client, --link or --all")
			case all && named:
				return usagef("--all goes with nothing else")
			case all && block:
				return usagef("--all cannot be blocked: servers would go on granting what nobody is routed; name a --link, or stop the relay")
			}
			do := func(ctx context.Context, c *api.Client) (api.ClearResult, error) { return c.Clear(ctx, r) }
			return change(cmd, &a, do, writeCleared)
		},
	}
	s.flags(cmd, &a, false)
	cmd.Flags().BoolVar(&all, "all", false, "everything")
	cmd.Flags().BoolVar(&block, "block", false, "do not learn it again until it is unblocked")
	a.flags(cmd)
	return cmd
}

func writeCleared(out io.Writer, r api.ClearResult) error {
	if r.Cleared == 0 && !r.Blocked {
		return errNothing
	}
	text := fmt.Sprint(r.Cleared, " cleared")
	if r.Blocked {
		text += ", blocked until \"fairlead unblock\""
	}
	_, err := fmt.Fprintln(out, text)
	return err
}

func unblockCommand() *cobra.Command {
	var a ask
	var s selection
	cmd := &cobra.Command{
		Use:   "unblock [PREFIX]",
		Short: "Remove a block that clear --block has set",
		Long:  `Remove the block that names exactly this. "fairlead blocks" shows all blocks.`,
		Args:  atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b := api.Block{Link: s.link}
			var err error
			if b.Prefix, b.Client, err = s.target(args); err != nil {
				return err
			}
			if !b.Prefix.IsValid() && b.Client == "" && b.Link == "" {
				return usagef("unblock needs a prefix, --client or --link")
			}
			do := func(ctx context.Context, c *api.Client) (api.Block, error) { return b, c.Unblock(ctx, b) }
			return change(cmd, &a, do, func(out io.Writer, _ api.Block) error {
				_, err := fmt.Fprintln(out, "unblocked")
				return err
			})
		},
	}
	s.flags(cmd, &a, false)
	a.flags(cmd)
	return cmd
}

func writeBlocks(out io.Writer, blocks []api.Block) error {
	if len(blocks) == 0 {
		_, err := fmt.Fprintln(out, "nothing is blocked")
		return err
	}
	g := newGrid("prefix", "client", "link")
	for _, b := range blocks {
		prefix := "any"
		if b.Prefix.IsValid() {
			prefix = b.Prefix.String()
		}
		g.row(prefix, orAny(b.Client.String()), orAny(b.Link))
	}
	return g.write(out)
}

func orAny(s string) string {
	if s == "" {
		return "any"
	}
	return s
}
