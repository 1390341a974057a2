package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestCoresReadNoClock: time is an argument. Package time is welcome in cores
// for its types; these of its functions are not.
func TestCoresReadNoClock(t *testing.T) {
	forbidden := map[string]string{
		"Now": "reads the clock", "Since": "reads the clock", "Until": "reads the clock", "Sleep": "waits",
		"After": "starts a timer", "AfterFunc": "starts a timer", "NewTimer": "starts a timer", "NewTicker": "starts a timer", "Tick": "starts a timer",
	}
	files := 0
	eachFile(t, []string{"../core", "../wire"}, func(path string, fset *token.FileSet, f *ast.File) {
		files++
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && x.Obj == nil && forbidden[n.Sel.Name] != "" {
					t.Errorf("%s: time.%s %s: a core is handed its now", fset.Position(n.Pos()), n.Sel.Name, forbidden[n.Sel.Name])
				}
			case *ast.GoStmt:
				t.Errorf("%s: a goroutine: a core belongs to the one that called it", fset.Position(n.Pos()))
			}
			return true
		})
	})
	if files < 20 {
		t.Errorf("%d files read, which cannot be all", files)
	}
}

// TestCoresKeepNoGlobalState: a variable at package level is a table that nobody
// writes, an error or a parsed constant. What is assigned to anywhere is state.
func TestCoresKeepNoGlobalState(t *testing.T) {
	globals := make(map[string]map[string]token.Position) // by folder, name
	fsets := make(map[string][]func(names map[string]token.Position))
	eachFile(t, []string{"../core", "../wire"}, func(path string, fset *token.FileSet, f *ast.File) {
		dir := filepath.Dir(path)
		if globals[dir] == nil {
			globals[dir] = make(map[string]token.Position)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				for _, name := range s.(*ast.ValueSpec).Names {
					globals[dir][name.Name] = fset.Position(name.Pos())
				}
			}
		}
		fsets[dir] = append(fsets[dir], func(names map[string]token.Position) {
			ast.Inspect(f, func(n ast.Node) bool {
				a, ok := n.(*ast.AssignStmt)
				if !ok || a.Tok == token.DEFINE {
					return true
				}
				for _, left := range a.Lhs {
					if name := base(left); name != nil && name.Obj != nil && name.Obj.Kind == ast.Var {
						if at, global := names[name.Name]; global && fset.Position(name.Obj.Pos()) == at {
							t.Errorf("%s: assigns to the global %s: state belongs into a value", fset.Position(a.Pos()), name.Name)
						}
					}
				}
				return true
			})
		})
	})
	for dir, checks := range fsets {
		for _, check := range checks {
			check(globals[dir])
		}
	}
}

// base is the variable that an expression is a part of.
func base(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// eachFile parses every file under the folders that is not a test.
func eachFile(t *testing.T, folders []string, visit func(path string, fset *token.FileSet, f *ast.File)) {
	t.Helper()
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				return err
			}
			visit(path, fset, f)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
