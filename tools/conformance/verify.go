package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"fairlead/tools/events"
)

// verify reads the last run: every test that the document names must have run and passed.
func verify(found map[row][]evidence, glob string) error {
	files, err := filepath.Glob(glob)
	if err != nil {
		return err
	}
	results := make(map[string]string) // by folder and test
	for _, name := range files {
		if err := readResults(name, results); err != nil {
			return err
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

// readResults reads how each test ended. If a subtest was skipped or failed, its test does not
// count as passed. The same holds if the test did not pass in another layer.
func readResults(name string, results map[string]string) error {
	run, err := events.Read(name)
	if err != nil {
		return err
	}
	worse := []string{"", "pass", "skip", "fail"}
	for t, r := range run.Results {
		test, _, _ := strings.Cut(t.Name, "/")
		key := strings.TrimPrefix(t.Package, "fairlead/") + " " + test
		if slices.Index(worse, r.Action) > slices.Index(worse, results[key]) {
			results[key] = r.Action
		}
	}
	return nil
}
