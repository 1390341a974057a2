// Package cli is what a user types and reads. The commands that look at a
// running Fairlead or change it are clients of its control interface; what is
// behind run, guard, plan, purge and demo is handed in, so that this package
// knows no relay.
//
// Exit codes: 0 done, 1 not done (stderr says why), 2 the command line is wrong.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Commands is what the program does beside talking to a running Fairlead.
type Commands struct {
	Version string
	Run     func(ctx context.Context, configPath string) error // returns when ctx ends
	Purge   func(configPath string) error
	// Plan is what a configuration, of the relay or of a guard, sets up so that
	// peers are protected, without its keys.
	Plan       func(configPath string, guard bool) (string, error)
	Guard      func(ctx context.Context, configPath string) error // returns when ctx ends
	PurgeGuard func(configPath string) error
}

// The exit codes.
const (
	exitDone    = 0
	exitError   = 1
	exitUsage   = 2
	exitTrouble = 3 // status --check: something is not as it should be
)

// errTrouble ends status --check with exitTrouble; all has been said.
var errTrouble = errors.New("")

// Main runs one command line, without the program's name, and returns the exit
// code. SIGINT and SIGTERM end the context of the command.
func Main(c Commands, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := New(c)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	var wrong *usageError
	code := exitError
	if errors.As(err, &wrong) {
		code = exitUsage
		err = fmt.Errorf("%w (see: %s --help)", err, cmd.CommandPath())
	}
	if errors.Is(err, errTrouble) {
		code = exitTrouble
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(stderr, "fairlead:", strings.ReplaceAll(text, "\n", "\n  "))
	}
	return code
}

// usageError is a command line that is wrong.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// New is the tree of commands.
func New(c Commands) *cobra.Command {
	root := &cobra.Command{
		Use:           "fairlead",
		Short:         "DHCPv6 relay that delegates prefixes (RFC 8987), and the tools to operate it",
		Version:       c.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return usagef("no command %q, did you mean %s?", args[0], strings.Join(near, " or "))
			}
			return usagef("no command %q", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate(versionText(c.Version))
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddGroup(
		&cobra.Group{ID: groupLook, Title: "Look at a running Fairlead:"},
		&cobra.Group{ID: groupChange, Title: "Change what it does:"},
		&cobra.Group{ID: groupProcess, Title: "The program itself:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, cmd := range commands {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	add(groupLook, statusCommand(), linksCommand(), peersCommand(), delegationsCommand(), historyCommand(), blocksCommand(), watchCommand(), traceCommand())
	add(groupChange, clearCommand(), unblockCommand(), reloadCommand())
	add(groupProcess, runCommand(c.Run), guardCommand(c.Guard, c.PurgeGuard), ipsecCommand(c.Plan), configCommand(), purgeCommand(c.Purge), loadCommand(), versionCommand(c.Version))
	root.SetHelpCommandGroupID(groupProcess)
	root.SetCompletionCommandGroupID(groupProcess)
	return root
}

const (
	groupLook    = "look"
	groupChange  = "change"
	groupProcess = "process"
)

// atMost is a check of the number of arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > n {
			return usagef("too many arguments: %q is one more than there is use for", args[n])
		}
		return nil
	}
}
