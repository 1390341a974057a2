// Command report reads the events of `go test -json` and tells a person what
// happened: a line per package, the output of what failed, every skip with its
// probe. It exits 1 if anything failed, if nothing ran, or if a test was skipped
// that the list of permitted skips does not name.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

type key struct{ pkg, test string }

type report struct {
	output  map[key][]string
	passed  int
	failed  []key
	skipped []key
	broken  []string
}

func main() {
	skips := flag.String("skips", "", "file with the permitted skips: PACKAGE TEST, a line each, # comments")
	flag.Parse()
	r := report{output: make(map[key][]string)}
	for _, name := range flag.Args() {
		if err := r.read(name); err != nil {
			fmt.Fprintln(os.Stderr, "report:", err)
			os.Exit(1)
		}
	}
	permitted, err := readSkips(*skips)
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
	if !r.print(os.Stdout, permitted) {
		os.Exit(1)
	}
}

func (r *report) read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			continue // not every command speaks JSON; its words are in the other file
		}
		r.take(e)
	}
	return lines.Err()
}

func (r *report) take(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "output":
		r.output[k] = append(r.output[k], e.Output)
	case "pass":
		if e.Test != "" {
			r.passed++
			delete(r.output, k)
		} else {
			fmt.Printf("ok  \t%s\t%.1fs\n", e.Package, e.Elapsed)
		}
	case "fail":
		if e.Test != "" {
			r.failed = append(r.failed, k)
		} else {
			r.broken = append(r.broken, e.Package)
		}
	case "skip":
		if e.Test != "" {
			r.skipped = append(r.skipped, k)
		}
	}
}

func readSkips(name string) (map[key]bool, error) {
	permitted := make(map[key]bool)
	if name == "" {
		return permitted, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) == 2 {
			permitted[key{f[0], f[1]}] = true
		}
	}
	return permitted, nil
}

func (r *report) print(w io.Writer, permitted map[key]bool) (good bool) {
	good = len(r.failed) == 0 && len(r.broken) == 0
	for _, k := range r.failed {
		fmt.Fprintf(w, "FAIL\t%s %s\n%s", k.pkg, k.test, strings.Join(r.output[k], ""))
	}
	for _, p := range r.broken {
		fmt.Fprintf(w, "FAIL\t%s\n", p)
		if !slices.ContainsFunc(r.failed, func(k key) bool { return k.pkg == p }) {
			fmt.Fprint(w, strings.Join(r.output[key{p, ""}], ""))
		}
	}
	for _, k := range r.skipped {
		word := "skip, permitted"
		if !permitted[k] {
			word, good = "SKIP, NOT PERMITTED", false
		}
		fmt.Fprintf(w, "%s\t%s %s: %s\n", word, k.pkg, k.test, strings.TrimSpace(strings.Join(r.output[k], " ")))
	}
	if r.passed == 0 {
		fmt.Fprintln(w, "no test ran")
		good = false
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", r.passed, len(r.failed)+len(r.broken), len(r.skipped))
	return good
}
