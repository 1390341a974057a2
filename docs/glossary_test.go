package docs

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The glossary has each word once, in alphabetic order, and names folders and files
// that there are; README leads to it.
func TestGlossary(t *testing.T) {
	text, err := os.ReadFile("glossary.md")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, m := range regexp.MustCompile(`(?m)^- \*\*(.+)\*\*: `).FindAllStringSubmatch(string(text), -1) {
		words = append(words, strings.ToLower(m[1]))
	}
	if len(words) < 50 {
		t.Fatalf("%d words, want all of the house", len(words))
	}
	for i, w := range words[1:] {
		if words[i] >= w {
			t.Errorf("%q stands before %q", words[i], w)
		}
	}
	paths := regexp.MustCompile("`((?:core|app|host)/[a-z0-9./]*)`").FindAllStringSubmatch(string(text), -1)
	for _, m := range paths {
		if _, err := os.Stat("../internal/" + m[1]); err != nil {
			t.Errorf("%s: %v", m[1], err)
		}
	}
	if len(paths) == 0 {
		t.Error("no path is named")
	}
	for _, file := range []string{"../README.md", "../CONTRIBUTING.md"} {
		readme, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(strings.FieldsFunc(string(readme), func(c rune) bool { return strings.ContainsRune(" \n()[],", c) }), "docs/glossary.md") {
			t.Errorf("%s does not name docs/glossary.md", file)
		}
	}
}
