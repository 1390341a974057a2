package config

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzParse: no text makes the decoder panic; what it refuses, it refuses with
// sorted positions inside the text; what it accepts, it accepts again with the
// same result, and keeps the promises that the core relies on.
func FuzzParse(f *testing.F) {
	f.Add([]byte(Reference()))
	f.Add([]byte(Minimal()))
	f.Add([]byte(allSetText()))
	archive, err := txtar.ParseFile("testdata/problems.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		if strings.HasSuffix(file.Name, ".yaml") {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("f.yaml", text)
		again, err2 := Parse("f.yaml", text)
		if diff := cmp.Diff(c, again, asWritten); diff != "" || (err == nil) != (err2 == nil) {
			t.Errorf("parsed twice: %v, %v\n%s", err, err2, diff)
		}
		if err != nil {
			refused(t, text, c, err)
			return
		}
		accepted(t, c)
	})
}

func refused(t *testing.T, text []byte, c *Config, err error) {
	var problems Problems
	if !errors.As(err, &problems) || len(problems) == 0 || len(problems) > maxProblems+1 || c != nil {
		t.Fatalf("error %T with %d problems", err, len(problems))
	}
	lines := strings.Count(string(text), "\n") + 1
	for _, p := range problems {
		if p.Line < 0 || p.Line > lines || (p.Line > 0) != (p.Column > 0) || p.Text == "" || p.File != "f.yaml" {
			t.Errorf("%d lines, but a problem at %d:%d: %s", lines, p.Line, p.Column, p)
		}
		if strings.Contains(p.Text, "the parser stopped") {
			t.Logf("parser: %s", p)
		}
	}
	sorted := slices.IsSortedFunc(problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	if last := problems[len(problems)-1]; !sorted && !strings.HasSuffix(last.Text, "more problems") {
		t.Errorf("not sorted:\n%v", err)
	}
}

func accepted(t *testing.T, c *Config) {
	servers := 0
	for i := range c.Peers {
		p := &c.Peers[i]
		if p.Role.String() == "server" {
			servers++
		}
		if p.Name == "" || !p.Prefix.Contains(p.Address) || p.Protection == 0 || len(p.Interfaces) == 0 {
			t.Errorf("peer %+v", p)
		}
	}
	if servers == 0 {
		t.Error("no server")
	}
	for i := range c.Relay6.Links {
		r := &c.Relay6.Links[i]
		d := r.Delegations
		if len(r.Match) == 0 || d.ClientLimit < 1 || d.LinkLimit < 1 || d.HostLimit < -1 || r.Host.Metric == 0 || r.Host.Table == 255 {
			t.Errorf("link %+v", r)
		}
	}
	if c.Relay6.SourcePort == 0 || c.State == "" || c.Control.Socket == "" {
		t.Errorf("%+v", c)
	}
}
