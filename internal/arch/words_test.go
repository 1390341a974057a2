package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// meanings are words that had several meanings once: in the names of which
// packages each stands for what docs/glossary.md says, and which longer words, that begin or
// end with it, mean something else. A word in another package, or in another meaning, gets a
// longer name there.
var meanings = map[string]struct {
	in     []string // below internal
	longer []string
	all    bool // unexported names as well, and fields, but not those of the laboratory and the tests
}{
	"audit": {in: []string{"app/config", "app/control"}, all: true},
	"block": {in: []string{"core/delegation", "core/relay6", "app/api", "app/control", "app/control/controltest", "app/role/relay", "app/bindings"}, longer: []string{"BlockPolic"}},
	"claim": {all: true},
	"guard": {in: []string{"core/hop", "host/nft", "app/api", "app/config", "app/control", "app/control/controltest", "app/metrics", "system/protected"}},
	"hop": {
		in:     []string{"core/hop", "app/api", "app/config", "app/control", "app/control/controltest", "system/protected"},
		longer: []string{"NextHop", "HopCount", "HopLimit", "MaxHops", "DefaultHops"},
	},
	"lease":  {in: []string{"app/control/controltest", "core/effect", "core/relay4", "core/server6", "app/api", "app/bindings", "lab/script"}},
	"mark":   {in: []string{"core/effect"}},
	"settle": {in: []string{"app/engine", "core/ledger", "core/relay4", "core/relay6", "core/server6"}, all: true},
	"turn":   {in: []string{"app/engine"}, all: true},
}

// A word means one thing in exported names, and some words in all (docs/glossary.md).
func TestOneWordOneMeaning(t *testing.T) {
	glossary, err := os.ReadFile("../../docs/glossary.md")
	if err != nil {
		t.Fatal(err)
	}
	for word := range meanings {
		if !regexp.MustCompile(`(?m)^- \*\*` + word + `\*\*: `).Match(glossary) {
			t.Errorf("docs/glossary.md does not say what %q means", word)
		}
	}
	used := make(map[string]map[string]bool) // packages by word
	for pkg, names := range declared(t) {
		for _, name := range names {
			for word, is := range meanings {
				if !token.IsExported(name) && (!is.all || !product.MatchString(pkg)) || !says(name, word, is.longer) {
					continue
				}
				if used[word] == nil {
					used[word] = make(map[string]bool)
				}
				used[word][pkg] = true
				if !slices.Contains(is.in, pkg) {
					t.Errorf("%s: the name %s has the word %q, which means something else: see docs/glossary.md, and take a longer name, or add the package to those that mean the same", pkg, name, word)
				}
			}
		}
	}
	for word, is := range meanings {
		for _, pkg := range is.in {
			if !used[word][pkg] {
				t.Errorf("%q is in no exported name of %s: take the package out of the list", word, pkg)
			}
		}
	}
}

// product are the packages of the program itself.
var product = regexp.MustCompile(`^(core|host|app)/`)

// says reports whether a name has a word by itself, and not as a part of a longer one.
func says(name, word string, longer []string) bool {
	for _, l := range longer {
		name = strings.ReplaceAll(name, l, "")
	}
	for _, w := range split(name) {
		if w == word || w == word+"s" {
			return true
		}
	}
	return false
}

// split has the words of a name in lower case: HopCount is hop and count.
func split(name string) (words []string) {
	begin := 0
	runes := []rune(name)
	for i := 1; i <= len(runes); i++ {
		if i == len(runes) || unicode.IsUpper(runes[i]) && !unicode.IsUpper(runes[i-1]) {
			words = append(words, strings.ToLower(string(runes[begin:i])))
			begin = i
		}
	}
	return words
}

// declared are the names of functions, methods, types, constants, variables and unexported
// fields, by package below internal. Those of codecs are the RFCs' own.
func declared(t *testing.T) map[string][]string {
	t.Helper()
	names := make(map[string][]string)
	add := func(pkg string, id *ast.Ident) {
		names[pkg] = append(names[pkg], id.Name)
	}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path == "../wire" {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(path), "../"))
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				add(pkg, d.Name)
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						add(pkg, s.Name)
						if fields, is := s.Type.(*ast.StructType); is {
							for _, f := range fields.Fields.List {
								for _, id := range f.Names {
									if !id.IsExported() {
										add(pkg, id)
									}
								}
							}
						}
					case *ast.ValueSpec:
						for _, id := range s.Names {
							add(pkg, id)
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 40 {
		t.Fatalf("%d packages, which cannot be all: %v", len(names), slices.Sorted(maps.Keys(names)))
	}
	return names
}
