package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"testing"

	"fairlead/tools/conformance/claims"
)

// Every mutation fits the present code exactly once, and its result can be parsed as Go.
func TestMutationsFitTheCode(t *testing.T) {
	for _, m := range claims.Mutations() {
		text, err := os.ReadFile(filepath.Join("../..", m.File))
		if err != nil {
			t.Errorf("%s: %v", label(m), err)
			continue
		}
		mutant, err := mutate(text, m)
		if err != nil {
			t.Errorf("%s: %v", label(m), err)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), m.File, mutant, 0); err != nil {
			t.Errorf("%s: the mutant is not Go: %v", label(m), err)
		}
	}
}
