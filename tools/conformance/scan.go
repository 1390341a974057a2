package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"fairlead/tools/conformance/claims"
)

// evidence is one test that shows a row.
type evidence struct {
	Package string // import path below the module
	Test    string
	Kernel  bool
}

// row identifies a requirement: document and identifier.
type row struct{ rfc, id string }

var (
	byName     = regexp.MustCompile(`^TestRFC(\d+)_(.+)$`)
	byShort    = regexp.MustCompile(`^Test([GRSO])([1-9])[A-Z_]`)
	inComment  = regexp.MustCompile(`RFC\s+(8987|8415|8213|8221|3527|6603|6607|7550|7839|8168|8357)\s+(` + rowID + `)((?:(?:,\s+|\s+and\s+|,\s+and\s+)(?:` + rowID + `))*)`)
	identifier = regexp.MustCompile(rowID)
)

// rowID matches a row as comments name it.
const rowID = `[GRSO]-\d|\d+(?:\.\d+)*[a-z]\b|19[.\d]*|5\.\d\b`

// wholeSection stands for the rows of a test whose name has only a section, and for which
// claims.Named has no rows.
const wholeSection = "a section as a whole"

// sections has, for the documents in which a test that is named after the document must name
// something of it, the beginnings of names that have only a section.
var sections = map[string][]string{"8987": nil, "8415": {"19_"}, "8213": {"3_", "4_"}}

var (
	kernelFolders = []string{
		"internal/system", "internal/vm", "internal/host/nft", "internal/host/netlink", "internal/host/udp", "internal/host/ipsec",
	}
	noKernel = regexp.MustCompile(`Fake|Scripted`)
)

// scan reads every test of the tree, and finds which rows each test shows.
func scan(root string) (map[row][]evidence, error) {
	known := make(map[row]bool)
	for _, t := range claims.Tables() {
		for _, r := range t.Rows {
			known[row{t.RFC, r.ID}] = true
		}
		known[row{t.RFC, wholeSection}] = true
	}
	found := make(map[row][]evidence)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "build") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		return scanFile(path, filepath.ToSlash(rel), known, found)
	})
	for _, tests := range found {
		slices.SortFunc(tests, func(a, b evidence) int {
			return cmp.Or(strings.Compare(a.Package, b.Package), strings.Compare(a.Test, b.Test))
		})
	}
	return found, err
}

func scanFile(path, folder string, known map[row]bool, found map[row][]evidence) error {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Test") {
			continue
		}
		rows, err := shows(fn, strings.HasPrefix(folder, "internal/host"), known)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", path, fn.Name.Name, err)
		}
		kernel := !noKernel.MatchString(fn.Name.Name) && slices.ContainsFunc(kernelFolders, func(k string) bool {
			return folder == k || strings.HasPrefix(folder, k+"/")
		})
		for _, r := range rows {
			found[r] = append(found[r], evidence{Package: folder, Test: fn.Name.Name, Kernel: kernel})
		}
	}
	return nil
}

// shows returns the rows that a test shows by its name and its comment.
func shows(fn *ast.FuncDecl, host bool, known map[row]bool) ([]row, error) {
	var rows []row
	add := func(r row) {
		if known[r] && !slices.Contains(rows, r) {
			rows = append(rows, r)
		}
	}
	name := fn.Name.Name
	if m := byName.FindStringSubmatch(name); m != nil {
		for _, id := range claims.Named[name] {
			add(row{m[1], id})
		}
		if err := addNamed(name, m[1], m[2], known, add); err != nil {
			return nil, err
		}
	}
	if m := byShort.FindStringSubmatch(name); m != nil && host {
		add(row{"8987", m[1] + "-" + m[2]})
	}
	for _, m := range inComment.FindAllStringSubmatch(fn.Doc.Text(), -1) {
		for _, id := range identifier.FindAllString(m[2]+" "+m[3], -1) {
			add(row{m[1], strings.TrimSuffix(id, ".")})
		}
	}
	return rows, nil
}

// addNamed adds the row that is in a test's name. If the name has only a section, and
// claims.Named has no rows for it, it adds the section as a whole.
func addNamed(name, rfc, rest string, known map[row]bool, add func(row)) error {
	whole, strict := sections[rfc]
	if r, ok := rowOf(rfc, rest, known); ok {
		add(r)
		return nil
	}
	if !strict || claims.Named[name] != nil {
		return nil
	}
	if !slices.ContainsFunc(whole, func(s string) bool { return strings.HasPrefix(rest, s) }) {
		return fmt.Errorf("no row of RFC %s begins its name", rfc)
	}
	add(row{rfc, wholeSection})
	return nil
}

// rowOf reads the row from the rest of a test's name, "G2_Several..." or "19_1_1d_Interface...".
// It takes the longest row that exists.
func rowOf(rfc, rest string, known map[row]bool) (row, bool) {
	parts := strings.Split(rest, "_")
	for n := len(parts) - 1; n > 0; n-- {
		id := strings.Join(parts[:n], ".")
		if rfc == "8987" && len(id) == 2 && !known[row{rfc, id}] {
			id = id[:1] + "-" + id[1:]
		}
		if r := (row{rfc, id}); known[r] {
			return r, true
		}
	}
	return row{}, false
}
