// Command bench measures Fairlead, compares it with the bars that it has to reach, and writes the
// results into a document.
//
//	bench [relays] [options]     as a whole process against other relays and servers, or against
//	                             another revision, with -against: docs/performance.md
//	bench ipsec [options]        what IPsec costs, and how soon a hop is protected: docs/ipsec-figures.md
//	bench scale [options]        what grows with the number of delegations: docs/scale.md
//
// -h lists the options. A run prints tables, and a line for each bar, "bar NAME: FIGURE, wanted
// FIGURE:" with met, missed or void. A missed bar is a result; only a run that could not be
// completed ends with an error. All figures are also in build/relays.txt, ipsec.txt or scale.txt,
// for benchstat.
package main

import (
	"fmt"
	"os"
	"strings"

	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/ipsec"
	"fairlead/tools/bench/network"
	"fairlead/tools/bench/relays"
	"fairlead/tools/bench/scale"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if is, err := network.Self(args); is {
		return err
	}
	name := "relays"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	switch name {
	case "relays":
		return harness.Main(&relays.Suite{}, &harness.Run{Name: name, Rounds: 5}, "docs/performance.md", "relay6-, relay4- or server6-", args)
	case "ipsec":
		return harness.Main(ipsec.Suite{}, &harness.Run{Name: name, Rounds: 5}, "docs/ipsec-figures.md", "ipsec-", args)
	case "scale":
		return harness.Main(&scale.Suite{}, &harness.Run{Name: name, Rounds: 1}, "docs/scale.md", "", args)
	case "inside":
		return ipsec.Inside(strings.Join(args, " "))
	}
	return fmt.Errorf("there is no %q: relays, ipsec, or scale", name)
}
