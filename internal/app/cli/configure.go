package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"fairlead/internal/app/config"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check a configuration file, or print one with every key explained",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("no command %q, there are check and reference", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(checkCommand(), referenceCommand())
	return cmd
}

func checkCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration file and show everything that is wrong with it",
		Long: `Check a configuration file and show everything that is wrong with it, each with
file, line and column. Nothing is changed, and Fairlead need not run. The file
is ` + defaultConfig + ` unless it is named.`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := defaultConfig
			if len(args) > 0 {
				path = args[0]
			}
			return check(cmd, path, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: a list of problems")
	return cmd
}

// problem is a config.Problem in JSON.
type problem struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Path   string `json:"path,omitempty"`
	Text   string `json:"text"`
}

func check(cmd *cobra.Command, path string, asJSON bool) error {
	_, err := config.Load(path)
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	out := cmd.OutOrStdout()
	if asJSON {
		list := make([]problem, len(problems))
		for i, p := range problems {
			list[i] = problem(p)
		}
		if err := writeJSON(out, list); err != nil {
			return err
		}
	} else {
		for _, p := range problems {
			if _, err := fmt.Fprintln(out, p); err != nil {
				return err
			}
		}
	}
	switch n := len(problems); {
	case n > 0:
		return fmt.Errorf("%s: %s", path, count(n, "problem", "problems"))
	case asJSON:
		return nil
	}
	_, err = fmt.Fprintf(out, "%s: no problems\n", path)
	return err
}

func referenceCommand() *cobra.Command {
	var minimal bool
	cmd := &cobra.Command{
		Use:   "reference",
		Short: "Print a configuration file with every key, its default and its meaning",
		Args:  atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text := config.Reference()
			if minimal {
				text = config.Minimal()
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().BoolVar(&minimal, "minimal", false, "print the smallest file that relays instead")
	return cmd
}

// writeJSON prints a value as people can read it too.
func writeJSON(out interface{ Write([]byte) (int, error) }, value any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(value)
}
