// Package events reads the output of `go test -json`, also when gotestsum has written it.
// gotestsum may have run a failed test once more, alone: then the second result counts.
package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Test is a test or a subtest of a package. The package is named by its import path.
type Test struct{ Package, Name string }

// Result is how a test ended.
type Result struct {
	Action string // "pass", "fail" or "skip"
	Flaky  bool   // it passed, but had failed before
	Output string // if the test was skipped, its output
}

// Run has the results of the tests in one file.
type Run struct {
	Results map[Test]Result
	// Broken are the packages that failed in a way that no second run of a test can repair: those
	// that were not built, and those that ended before all their tests had ended.
	Broken []string
}

type event struct{ Action, Package, Test, Output string }

// process is one run of a package's tests.
type process struct {
	running map[Test]bool
	failed  bool
}

// reader reads one file.
type reader struct {
	run       Run
	failed    map[Test]bool // tests, without subtests, that have failed once
	output    map[Test]string
	processes map[string]*process // processes that have not ended, by package
}

// Read reads a file.
func Read(name string) (*Run, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := reader{
		run:    Run{Results: make(map[Test]Result)},
		failed: make(map[Test]bool), output: make(map[Test]string), processes: make(map[string]*process),
	}
	for d := json.NewDecoder(f); ; {
		var e event
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r.take(e)
	}
	for name := range r.processes {
		r.end(name, "fail") // the file ends before the package does
	}
	slices.Sort(r.run.Broken)
	r.run.Broken = slices.Compact(r.run.Broken)
	return &r.run, nil
}

func (r *reader) take(e event) {
	if e.Package == "" {
		return // an event of a build: the package fails as well
	}
	if r.processes[e.Package] == nil {
		r.processes[e.Package] = &process{running: make(map[Test]bool)}
	}
	p, ended := r.processes[e.Package], slices.Contains([]string{"pass", "fail", "skip"}, e.Action)
	t := Test{e.Package, e.Test}
	switch {
	case e.Test == "" && ended:
		r.end(e.Package, e.Action)
	case e.Test == "":
	case e.Action == "run":
		p.running[t] = true
		if !strings.Contains(t.Name, "/") {
			r.forget(t)
		}
	case e.Action == "output":
		r.output[t] += e.Output
	case ended:
		delete(p.running, t)
		r.ends(t, e.Action)
		p.failed = p.failed || e.Action == "fail"
	}
}

// forget deletes the results of an earlier run of a test, and of its subtests.
func (r *reader) forget(t Test) {
	for known := range r.run.Results {
		if known == t || known.Package == t.Package && strings.HasPrefix(known.Name, t.Name+"/") {
			delete(r.run.Results, known)
		}
	}
}

func (r *reader) ends(t Test, action string) {
	result := Result{Action: action, Flaky: action == "pass" && r.failed[t]}
	if action == "skip" {
		result.Output = r.output[t]
	}
	delete(r.output, t)
	r.run.Results[t] = result
	if action == "fail" && !strings.Contains(t.Name, "/") {
		r.failed[t] = true
	}
}

// end notes how a package ended. If it failed while a test was still running, or although no test
// had failed, the reason is not a test, and results may be missing.
func (r *reader) end(name, action string) {
	p := r.processes[name]
	delete(r.processes, name)
	if action == "fail" && (!p.failed || len(p.running) > 0) {
		r.run.Broken = append(r.run.Broken, name)
	}
	for t := range p.running {
		r.ends(t, "fail")
	}
}
