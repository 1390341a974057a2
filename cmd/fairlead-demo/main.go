package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	os.Exit(demonstrate(os.Args[1:]))
}

// demonstrate shows the demo that the command line asks for, and returns the exit code: 0 if
// everything held, 1 if something did not hold, 2 if the command line is wrong.
func demonstrate(args []string) int {
	flags := flag.NewFlagSet("fairlead-demo", flag.ContinueOnError)
	o := options{}
	flags.BoolVar(&o.IPsec, "ipsec", false, "show messages between relays and server under IPsec, instead of prefixes")
	flags.Func("server", "whose `server` gives addresses and prefixes: fairlead, or kea, which lacks some steps (default fairlead)", o.chooseServer)
	flags.BoolVar(&o.Keep, "keep", false, "leave it running at the end, to be looked at, until Enter or Ctrl-C")
	flags.StringVar(&o.Binary, "fairlead", "", "the `program` that is shown: FAIRLEAD_BIN, or fairlead beside this program, if empty")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "fairlead-demo: %q: there are flags and nothing else\n", flags.Arg(0))
		return 2
	}
	if o.IPsec && o.Kea {
		fmt.Fprintln(os.Stderr, "fairlead-demo: --ipsec has Kea in any case: --server is for the story of prefixes")
		return 2
	}
	err := o.findFairlead()
	if err == nil {
		err = give(context.Background(), o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fairlead-demo:", err)
		return 1
	}
	return 0
}

// chooseServer reads which server the demo uses.
func (o *options) chooseServer(name string) error {
	if name != "fairlead" && name != "kea" {
		return errors.New("there are fairlead and kea")
	}
	o.Kea = name == "kea"
	return nil
}

// findFairlead finds the fairlead program.
func (o *options) findFairlead() error {
	if o.Binary == "" {
		o.Binary = os.Getenv("FAIRLEAD_BIN")
	}
	if o.Binary == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("where am I: %w", err)
		}
		o.Binary = filepath.Join(filepath.Dir(self), "fairlead")
	}
	// The path must be absolute, because the programs run in folders of their own.
	absolute, err := filepath.Abs(o.Binary)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Binary, err)
	}
	if _, err := os.Stat(absolute); err != nil {
		return fmt.Errorf("the program to show (-fairlead, or FAIRLEAD_BIN): %w", err)
	}
	o.Binary = absolute
	return nil
}
