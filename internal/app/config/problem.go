package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxProblems bounds how many problems of one file are listed.
const maxProblems = 200

// Problem is one thing that is wrong with a configuration file.
type Problem struct {
	File   string
	Line   int    // from 1; 0 if the problem is of the file as a whole
	Column int    // in characters, from 1
	Path   string // such as "relay6.links[2].match"; empty if the problem is the form of the file
	Text   string // what is wrong, and what is allowed
}

func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path)
		b.WriteString(": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems has everything that is wrong with a file, in the order of the file. It is the error
// that Parse returns, for errors.As.
type Problems []Problem

// Error returns one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// warn notes what the operator should know of a value that is accepted. An empty text is ignored.
func (v Value) warn(text string) {
	if text == "" || len(v.d.warnings) == maxProblems {
		return
	}
	at := start(v.node)
	v.d.warnings = append(v.d.warnings, Problem{v.d.file, at.Line, at.Column, v.path, text})
}

func (p Problems) sort() {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
