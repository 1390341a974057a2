// Command mutants shows that the tests of each RFC 8987 requirement fail when the code breaks the
// requirement, and does the same for some tests of behaviour that no row of that RFC describes.
// For each mutation it copies the tree, makes the one change, and runs the tests of that
// requirement, which must fail. It prints one line per mutant. It exits 1 if a mutant survives,
// or if a requirement's tests do not pass without any change.
package main

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"fairlead/tools/conformance/claims"
)

func main() {
	root := flag.String("root", ".", "the tree")
	only := flag.String("row", "", "one row alone, such as G-2, or one test of those that no row has")
	flag.Parse()
	ok, err := run(*root, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(root, only string) (bool, error) {
	tree, err := os.MkdirTemp("", "fairlead-mutants-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(tree)
	if err := copyTree(root, tree); err != nil {
		return false, err
	}
	if err := passWithout(tree, only); err != nil {
		return false, err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer table.Flush()
	survivors := 0
	for _, m := range claims.Mutations() {
		if !wanted(m, only) {
			continue
		}
		started := time.Now()
		verdict, err := try(tree, m)
		if err != nil {
			return false, fmt.Errorf("%s: %w", label(m), err)
		}
		if verdict != noticed {
			survivors++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%.1f s\n", label(m), verdict, m.What, m.File, time.Since(started).Seconds())
		table.Flush()
	}
	fmt.Fprintf(table, "%d mutants survive\n", survivors)
	return survivors == 0, nil
}

// label returns the row of a mutation, or its test if it has no row.
func label(m claims.Mutation) string { return cmp.Or(m.Row, m.Test) }

// wanted reports whether a mutation is to be tried. If only is empty, all are.
func wanted(m claims.Mutation, only string) bool { return only == "" || label(m) == only }

// The verdicts.
const (
	noticed  = "noticed"
	survived = "SURVIVED"
)

// passWithout runs the tests of all rows in the unchanged tree. They must pass, because otherwise
// their failing under a mutation would show nothing.
func passWithout(tree, only string) error {
	rows := make(map[string][]claims.Mutation) // by package
	for _, m := range claims.Mutations() {
		if wanted(m, only) {
			rows[m.Package] = append(rows[m.Package], m)
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(rows)) {
		if out, ran, passed := test(tree, pkg, rows[pkg]); !ran || !passed {
			return fmt.Errorf("without any mutation the tests in %s fail, are skipped or are not there:\n%s", pkg, out)
		}
	}
	return nil
}

// try makes one change in the tree, runs the tests of its row, and undoes the change.
func try(tree string, m claims.Mutation) (verdict string, err error) {
	path := filepath.Join(tree, m.File)
	before, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	mutant, err := mutate(before, m)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, mutant, 0o644); err != nil {
		return "", err
	}
	defer func() {
		if back := os.WriteFile(path, before, 0o644); err == nil {
			err = back
		}
	}()
	out, ran, passed := test(tree, m.Package, []claims.Mutation{m})
	switch {
	case !ran:
		return "", fmt.Errorf("%s: with the mutation nothing ran:\n%s", m.File, out)
	case passed:
		return survived, nil
	}
	return noticed, nil
}

// mutate makes the change. The original text must be there exactly once.
func mutate(text []byte, m claims.Mutation) ([]byte, error) {
	if n := bytes.Count(text, []byte(m.From)); n != 1 {
		return nil, fmt.Errorf("%s has the text of the mutation %d times, want once: %q", m.File, n, m.From)
	}
	return bytes.Replace(text, []byte(m.From), []byte(m.To), 1), nil
}

const timeout = 3 * time.Minute

// test runs the tests of some mutations' rows in one package. ran is false if the package did not
// build, or has no such test.
func test(tree, pkg string, rows []claims.Mutation) (out string, ran, passed bool) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	env := os.Environ()
	if strings.HasPrefix(pkg, "./internal/system") { // these tests run the program itself
		bin := filepath.Join(tree, "build", "fairlead")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", bin, "./cmd/fairlead")
		build.Dir = tree
		if b, err := build.CombinedOutput(); err != nil {
			return string(b), false, false
		}
		env = append(env, "FAIRLEAD_BIN="+bin)
	}
	var names []string
	for _, m := range rows {
		name := m.Test
		if m.Row != "" {
			name = "TestRFC8987_" + strings.ReplaceAll(m.Row, "-", "") + "_" + name
		}
		if m.Test != "" {
			name += "$"
		}
		names = append(names, name)
	}
	pattern := "^(" + strings.Join(names, "|") + ")"
	cmd := exec.CommandContext(ctx, "go", "test", "-trimpath", "-vet=off", "-count=1", "-failfast", "-v", "-run", pattern, pkg)
	cmd.Dir, cmd.Env = tree, env
	b, err := cmd.CombinedOutput()
	out = string(b)
	return out, strings.Contains(out, "=== RUN"), err == nil && !strings.Contains(out, "--- SKIP")
}

// copyTree copies what the tests need: everything except the history and builds.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (rel == ".git" || rel == "build"):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, info.Mode().Perm())
	})
}
