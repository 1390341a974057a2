package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
)

// How long a command waits for an answer.
const (
	lookWithin   = 20 * time.Second
	changeWithin = 90 * time.Second
)

// ask is what all commands have in common that talk to a running Fairlead.
type ask struct {
	guard  bool // the process to ask is "fairlead guard", and not "fairlead run"
	socket string
	json   bool
}

func (a *ask) flags(cmd *cobra.Command) {
	socket, whose := config.Default().Control.Socket, "Fairlead"
	if a.guard {
		socket, whose = config.DefaultGuard().Control.Socket, "guard"
	}
	cmd.Flags().StringVar(&a.socket, "socket", socket, "control socket of the running "+whose)
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON")
}

func (a *ask) client() *api.Client {
	if a.guard {
		return api.NewGuardClient(a.socket)
	}
	return api.NewClient(a.socket)
}

// look asks for a value and prints it.
func look[T any](cmd *cobra.Command, a *ask, get func(context.Context, *api.Client) (T, error), table func(io.Writer, T) error) error {
	return within(lookWithin, cmd, a, get, table)
}

// within asks for a value and waits no longer than most. It prints the value as JSON, or has
// table write it for people.
func within[T any](most time.Duration, cmd *cobra.Command, a *ask, get func(context.Context, *api.Client) (T, error), table func(io.Writer, T) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), most)
	defer cancel()
	value, err := get(ctx, a.client())
	switch {
	case err != nil:
		return err
	case a.json:
		return writeJSON(cmd.OutOrStdout(), value)
	}
	return table(cmd.OutOrStdout(), value)
}

// selection holds the flags --client, --prefix and --link.
type selection struct{ client, prefix, link string }

func (s *selection) flags(cmd *cobra.Command, a *ask, withPrefix bool) {
	s.clientFlag(cmd)
	s.linkFlag(cmd, a)
	if withPrefix {
		cmd.Flags().StringVar(&s.prefix, "prefix", "", "only what is inside this prefix or contains it")
	}
}

func (s *selection) clientFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.client, "client", "", "only this client, in hexadecimal, as the lists show it: its DUID, or its link-local and link-layer addresses if the DUID is not known; in DHCPv4 its client identifier, or 01 and its MAC address")
}

func (s *selection) linkFlag(cmd *cobra.Command, a *ask) {
	cmd.Flags().StringVar(&s.link, "link", "", "only this link: the name of an interface")
	mustFlag(cmd.RegisterFlagCompletionFunc("link", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return linkNames(cmd.Context(), a), cobra.ShellCompDirectiveNoFileComp
	}))
}

// linkNames are the client-facing links, for completion; none if Fairlead does not answer.
func linkNames(ctx context.Context, a *ask) []string {
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	found, err := someLinks(false)(ctx, a.client())
	if err != nil {
		return nil
	}
	var names []string
	for i := range found.Relay6 {
		names = append(names, found.Relay6[i].Name)
	}
	for i := range found.Relay4 {
		names = append(names, found.Relay4[i].Name)
	}
	for i := range found.Server6 {
		names = append(names, found.Server6[i].Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (s *selection) filter() (f api.Filter, err error) {
	f.Link = s.link
	if s.client != "" {
		if f.Client, err = api.ParseIdentifier(s.client); err != nil {
			return f, usagef("--client: %w", err)
		}
	}
	if s.prefix != "" {
		if f.Prefix, err = api.ParsePrefix(s.prefix); err != nil {
			return f, &usageError{err}
		}
	}
	return f, nil
}

// count writes a number with its noun: "1 problem", "2 problems".
func count[N int | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
