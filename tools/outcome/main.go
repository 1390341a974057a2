// Command outcome reports the results of tests, from the events that gotestsum wrote to files:
// every skip with its reason, every test that failed and then passed when it ran once more alone
// (on a line that begins with FLAKY), and the numbers. gotestsum itself reports what failed.
//
// It exits 1 if a test failed in its last run, or a package did not run to its end, if no test
// ran, or if a test was skipped that is not in the list of permitted skips.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"fairlead/tools/events"
)

func main() {
	skips := flag.String("skips", "scripts/skips", "file with the permitted skips: PACKAGE TEST, a line each, # comments")
	flag.Parse()
	good, err := tell(os.Stdout, *skips, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "outcome:", err)
	}
	if err != nil || !good {
		os.Exit(1)
	}
}

// tell prints the results of all files, and reports whether they are good.
func tell(out io.Writer, skips string, names []string) (good bool, err error) {
	permitted, err := readSkips(skips)
	if err != nil {
		return false, err
	}
	var passed, failed, skipped int
	good = true
	for _, name := range names {
		run, err := events.Read(name)
		if err != nil {
			return false, err
		}
		for _, t := range slices.SortedFunc(maps.Keys(run.Results), compare) {
			switch r := run.Results[t]; {
			case r.Action == "fail":
				failed++
			case r.Action == "skip":
				skipped++
				word := "skip, permitted"
				if !permitted[t] {
					word, good = "SKIP, NOT PERMITTED", false
				}
				fmt.Fprintf(out, "%s\t%s %s: %s\n", word, t.Package, t.Name, strings.TrimSpace(r.Output))
			default:
				passed++
				if r.Flaky {
					fmt.Fprintf(out, "FLAKY %s %s\n", t.Package, t.Name)
				}
			}
		}
		for _, name := range run.Broken {
			fmt.Fprintf(out, "BROKEN %s: not built, or ended before all its tests had run\n", name)
		}
		failed += len(run.Broken)
	}
	if passed == 0 {
		fmt.Fprintln(out, "no test ran")
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return good && passed > 0 && failed == 0, nil
}

func compare(a, b events.Test) int {
	return cmp.Or(strings.Compare(a.Package, b.Package), strings.Compare(a.Name, b.Name))
}

func readSkips(name string) (map[events.Test]bool, error) {
	permitted := make(map[events.Test]bool)
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) == 2 {
			permitted[events.Test{Package: f[0], Name: f[1]}] = true
		}
	}
	return permitted, nil
}
