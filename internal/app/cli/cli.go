// Package cli has the commands that a user types, and the text that they print. The commands that
// look at a running Fairlead or change it are clients of its control interface. What run, guard,
// plan and purge do is given to this package as two Processes, so that it knows no relay.
//
// Exit codes: 0 done, 1 not done (stderr says why), 2 the command line is wrong, 3 status --check
// has found something wrong.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"

	"github.com/spf13/cobra"
)

// Process is a process that plays roles by a configuration file.
type Process interface {
	Run(ctx context.Context, path string) error // returns when ctx ends
	// Plan describes what the file sets up so that peers are protected. It leaves out the keys.
	Plan(path string) (string, error)
	Purge(path string) error
}

// Commands is what the program does besides talking to a running Fairlead.
type Commands struct {
	Version string
	Run     Process                                         // "fairlead run"
	Guard   Process                                         // "fairlead guard"
	Load    func(configPath string) (*config.Config, error) // a configuration of run
	Roles   []Command                                       // commands of the roles that run can play
}

// Command is a command of a role, with its title in the help.
type Command struct {
	Title Title
	*cobra.Command
}

// The exit codes.
const (
	exitDone    = 0
	exitError   = 1
	exitUsage   = 2
	exitTrouble = 3 // status --check: something is not as it should be
)

// errTrouble ends status --check with exitTrouble. It has no text: status has told everything.
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

// usageError says that the command line is wrong.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// New makes the tree of commands.
func New(c Commands) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:           "fairlead",
		Short:         "DHCP relay for both families and DHCPv6 server, and the tools to operate them",
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !version {
				return cmd.Help()
			}
			_, err := io.WriteString(cmd.OutOrStdout(), versionText(c.Version))
			return err
		},
	}
	// cobra's own flag prints by a template. With package text/template in the program, the linker
	// could leave out no exported method: the program would be a fifth larger.
	root.Flags().BoolVarP(&version, "version", "v", false, "version for fairlead")
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddGroup(
		&cobra.Group{ID: string(Looks), Title: "Look at a running Fairlead:"},
		&cobra.Group{ID: string(Changes), Title: "Change what it does:"},
		&cobra.Group{ID: string(processes), Title: "The program itself:"},
	)
	add := func(title Title, commands ...*cobra.Command) {
		for _, cmd := range commands {
			cmd.GroupID = string(title)
			root.AddCommand(cmd)
		}
	}
	add(Looks, statusCommand(), linksCommand(), historyCommand(), traceCommand(), watchCommand(),
		Look("peers", "Show servers and relays, and when each was last heard", "peers", writePeers).Command)
	add(Changes, clearCommand(), reloadCommand())
	for _, cmd := range c.Roles {
		add(cmd.Title, cmd.Command)
	}
	add(processes, runCommand(c.Run), guardCommand(c.Guard), ipsecCommand(c.Run, c.Guard), configCommand(c.Load), purgeCommand(c.Run), loadCommand(), versionCommand(c.Version))
	root.SetHelpCommandGroupID(string(processes))
	root.SetCompletionCommandGroupID(string(processes))
	return root
}

// Title is the heading above a group of commands in the help.
type Title string

// Looks are commands that look at a running Fairlead, Changes those that change what it does.
const (
	Looks     Title = "look"
	Changes   Title = "change"
	processes Title = "process"
)

// Relay are the commands of the DHCPv6 relay.
func Relay() []Command {
	return []Command{
		{Looks, delegationsCommand()},
		Look("blocks", "Show the blocks that clear --block has set", "blocks", writeBlocks),
		{Changes, unblockCommand()},
	}
}

// Join are the commands of several roles. Where two roles have a command of one name, it is the
// same, which asks the process for what all roles have.
func Join(roles ...[]Command) (all []Command) {
	for _, commands := range roles {
		for _, one := range commands {
			if !slices.ContainsFunc(all, func(known Command) bool { return known.Name() == one.Name() }) {
				all = append(all, one)
			}
		}
	}
	return all
}

// Look is a command of a role. It asks for the answer of a path of the control interface, below
// /v1, and has show print it for people.
func Look[T any](use, short, path string, show func(io.Writer, T) error) Command {
	var a ask
	cmd := &cobra.Command{
		Use: use, Short: short, Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return look(cmd, &a, func(ctx context.Context, c *api.Client) (T, error) { return api.Get[T](ctx, c, path) }, show)
		},
	}
	a.flags(cmd)
	return Command{Looks, cmd}
}

// exactly checks that there are n arguments.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return usagef("%s needs %s", cmd.Name(), what)
		}
		return atMost(n)(cmd, args)
	}
}

// atMost checks that there are no more than n arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > n {
			return usagef("too many arguments: %q is one more than there is use for", args[n])
		}
		return nil
	}
}
