package cli

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"fairlead/internal/core/hop"
)

func ipsecCommand(run, guard Process) *cobra.Command {
	return group("ipsec", "Protection between relays and servers (RFC 8213): plan, state and keys",
		ipsecPlanCommand(run, guard), ipsecStatusCommand(), ipsecKeyCommand())
}

// group is a command that only has other commands below it.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  noOther(commands),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}

// noOther refuses an argument that is not the name of a command of the group.
func noOther(commands []*cobra.Command) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		names := make([]string, len(commands))
		for i, c := range commands {
			names[i] = c.Name()
		}
		last := len(names) - 1
		return usagef("no command %q, there are %s and %s", args[0], strings.Join(names[:last], ", "), names[last])
	}
}

func ipsecPlanCommand(run, guard Process) *cobra.Command {
	var path string
	var ofGuard bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Print what a configuration sets up, as swanctl, ip xfrm and nft would show it",
		Long: `Print what a configuration sets up so that peers are protected: connections as
strongSwan reads them in swanctl.conf, states and policies for "ip xfrm", and, for nft,
the filter table that drops messages in clear. Keys are left out. Nothing is changed,
and Fairlead need not run.`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			of := run
			if ofGuard {
				of = guard
				if !cmd.Flags().Changed("config") {
					path = defaultGuardConfig
				}
			}
			text, err := of.Plan(path)
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
	configFlag(cmd, &path, defaultConfig)
	cmd.Flags().BoolVar(&ofGuard, "guard", false, "the file is one of \"fairlead guard\" (default "+defaultGuardConfig+")")
	return cmd
}

func ipsecKeyCommand() *cobra.Command {
	return group("key", "Print a fresh random key for a key file", pskCommand(), manualKeyCommand())
}

const keyAdvice = `
Other users must not be able to read the file:

  umask 077
`

// pskOctets is the length of a new pre-shared key: as strong as the strongest cipher that it may
// protect (RFC 7296 section 2.15).
const pskOctets = 32

func pskCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "psk",
		Short: "Make and print a pre-shared key, for ike: psk-file",
		Long: `Make and print a pre-shared key of 256 random bits, for ike: psk-file at both ends.
Each pair of hosts needs a key of its own.
` + keyAdvice + `  fairlead ipsec key psk >/etc/fairlead/keys/kea1.psk`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "0s%s\n", base64.StdEncoding.EncodeToString(random(pskOctets)))
			return err
		},
	}
}

func manualKeyCommand() *cobra.Command {
	var algorithm string
	cmd := &cobra.Command{
		Use:   "manual",
		Short: "Make and print the keys of one direction, for manual: key-file",
		Long: `Make and print the keys of one direction, for key-file under manual. Each direction
needs keys of its own; "out" at one end is "in" at the other. Manual keys do not detect
replayed packets, and stay the same until you change them: use IKE wherever you can.
` + keyAdvice + `  fairlead ipsec key manual >/etc/fairlead/keys/kea1-out.key`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			suite, err := suiteNamed(algorithm)
			if err != nil {
				return usagef("--algorithm: %w", err)
			}
			encryption, integrity := suite.KeyLengths()
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "# %s\nencryption %s\nintegrity %s\n",
				suite, hex.EncodeToString(random(encryption)), hex.EncodeToString(random(integrity)))
			return err
		},
	}
	names := strings.Join(suiteNames(), ", ")
	cmd.Flags().StringVar(&algorithm, "algorithm", hop.AES256SHA256.String(), "what the keys are for: "+names)
	mustFlag(cmd.RegisterFlagCompletionFunc("algorithm", cobra.FixedCompletions(suiteNames(), cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

var suites = []hop.Suite{hop.AES256SHA256, hop.AES128SHA256, hop.AES256SHA512}

func suiteNames() []string {
	names := make([]string, len(suites))
	for i, s := range suites {
		names[i] = s.String()
	}
	return names
}

func suiteNamed(name string) (hop.Suite, error) {
	for _, s := range suites {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("%q is unknown (one of: %s)", name, strings.Join(suiteNames(), ", "))
}

// random makes n octets with the kernel's generator, which does not fail.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never returns an error: see crypto/rand
	return b
}
