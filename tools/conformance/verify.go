package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// verify reads the last run: every test that the document names must have run
// and passed.
func verify(found map[row][]evidence, glob string) error {
	files, err := filepath.Glob(glob)
	if err != nil {
		return err
	}
	results := make(map[string]string) // by folder and test
	for _, name := range files {
		if err := readResults(name, results); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(results) == 0 {
		return fmt.Errorf("no results of tests in %s", glob)
	}
	var wrong []string
	for r, tests := range found {
		for _, e := range tests {
			switch got := results[e.Package+" "+e.Test]; got {
			case "pass":
			case "":
				wrong = append(wrong, fmt.Sprintf("RFC %s %s: %s in %s did not run", r.rfc, r.id, e.Test, e.Package))
			default:
				wrong = append(wrong, fmt.Sprintf("RFC %s %s: %s in %s: %s", r.rfc, r.id, e.Test, e.Package, got))
			}
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return errors.New("the last run does not bear the document out:\n  " + strings.Join(wrong, "\n  "))
}

// readResults takes in how each test ended. A subtest that was skipped or failed
// counts against its test.
func readResults(name string, results map[string]string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for d := json.NewDecoder(f); ; {
		var e struct{ Action, Package, Test string }
		if err := d.Decode(&e); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if e.Test == "" || !slices.Contains([]string{"pass", "fail", "skip"}, e.Action) {
			continue
		}
		test, _, sub := strings.Cut(e.Test, "/")
		key := strings.TrimPrefix(e.Package, "fairlead/") + " " + test
		switch {
		case e.Action != "pass":
			results[key] = e.Action
		case !sub && results[key] == "":
			results[key] = "pass"
		}
	}
}
