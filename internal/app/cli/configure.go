package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/service"
)

func configCommand(load loader) *cobra.Command {
	return group("config", "Check a configuration file, or print one with every key explained", checkCommand(load), referenceCommand())
}

// loader reads a configuration.
type loader = func(path string) (*config.Config, error)

func checkCommand(load loader) *cobra.Command {
	return checkOf(defaultConfig, "Check a configuration file and show everything that is wrong with it",
		`Check a configuration file, and the key files that it names, and show everything
that is wrong, each with file, line and column. Nothing is changed, and Fairlead
need not run. If no file is named, it is `+defaultConfig+`.

A file with warnings alone can be used. Warnings tell of likely mistakes, and of
interfaces, accounts and programs that this machine does not have. While Fairlead runs,
they also tell of links with delegations that no rule of the file matches.`, load, true)
}

// checkOf is a command that checks a file, by default the one at this path. relays says that
// links with delegations may be served by its rules.
func checkOf(path, short, long string, load loader, relays bool) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "check [FILE]", Short: short, Long: long, Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				if cmd.Flags().Changed("config") {
					return usagef("FILE and --config: want one of them")
				}
				path = args[0]
			}
			return check(cmd, path, asJSON, load, relays)
		},
	}
	configFlag(cmd, &path, path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: a list of problems")
	return cmd
}

// problem is a config.Problem in JSON. A file with warnings alone can be used.
type problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"`
	Text    string `json:"text"`
	Warning bool   `json:"warning,omitempty"`
}

func problemOf(p config.Problem, warning bool) problem {
	return problem{File: p.File, Line: p.Line, Column: p.Column, Path: p.Path, Text: p.Text, Warning: warning}
}

// warnings are about a file, and about what it names and this machine does not have. Where
// Fairlead runs, they also tell of delegations that no rule matches.
func warnings(ctx context.Context, c *config.Config, running bool) (config.Problems, error) {
	var held map[string]int
	if running {
		held = heldAt(ctx, c.Control.Socket)
	}
	m, err := service.Machine(held)
	if err != nil {
		return nil, fmt.Errorf("interfaces of this machine: %w", err)
	}
	return slices.Concat(c.Warnings, c.Misfits(m)), nil
}

// heldAt counts the live delegations by link, of the relay that listens at a socket. It is nil if
// the relay does not run, or does not answer us.
func heldAt(ctx context.Context, socket string) map[string]int {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	all, err := api.NewClient(socket).Delegations(ctx, api.Filter{})
	if err != nil {
		return nil
	}
	held := make(map[string]int)
	for i := range all {
		held[all[i].Link]++
	}
	return held
}

func check(cmd *cobra.Command, path string, asJSON bool, load loader, running bool) error {
	c, err := load(path)
	var problems, about config.Problems
	if err == nil {
		about, err = warnings(cmd.Context(), c, running)
	}
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	out := cmd.OutOrStdout()
	if asJSON {
		err = writeJSON(out, append(jsonProblems(problems, false), jsonProblems(about, true)...))
	} else {
		err = writeProblems(out, path, problems, about)
	}
	if n := len(problems); n > 0 && err == nil {
		return fmt.Errorf("%s: %s", path, count(n, "problem", "problems"))
	}
	return err
}

func jsonProblems(problems config.Problems, warnings bool) []problem {
	list := make([]problem, len(problems))
	for i, p := range problems {
		list[i] = problemOf(p, warnings)
	}
	return list
}

func writeProblems(out io.Writer, path string, problems, warnings config.Problems) error {
	for _, p := range problems {
		if _, err := fmt.Fprintln(out, p); err != nil {
			return err
		}
	}
	for _, w := range warnings {
		if _, err := fmt.Fprintf(out, "%s (a warning)\n", w); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		return nil
	}
	_, err := fmt.Fprintf(out, "%s: no problems\n", path)
	return err
}

func referenceCommand() *cobra.Command {
	var minimal, guard, server6 bool
	cmd := &cobra.Command{
		Use:   "reference",
		Short: "Print a configuration file with every key, its default and its meaning",
		Args:  atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text := config.Reference()
			switch {
			case minimal && guard, minimal && server6, guard && server6:
				return usagef("--minimal, --guard and --server6: want one of them")
			case minimal:
				text = config.Minimal()
			case guard:
				text = config.GuardReference()
			case server6:
				text = config.Server6Reference()
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().BoolVar(&minimal, "minimal", false, "print the smallest file that relays instead")
	cmd.Flags().BoolVar(&guard, "guard", false, "print the file of \"fairlead guard\" instead")
	cmd.Flags().BoolVar(&server6, "server6", false, "print a file of the DHCPv6 server instead")
	return cmd
}

// writeJSON prints a value as indented JSON.
func writeJSON(out interface{ Write([]byte) (int, error) }, value any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(value)
}
