package arch_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "fairlead/"

// listed is what the tests want to know of a package.
type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
	Deps                               []string
}

// list asks the go command for every package of the module.
func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", module+"...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			t.Fatalf("go list: %v: %s", err, failed.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list names %d packages, which cannot be all", len(all))
	}
	return all
}

// under reports whether a package is, or lies under, one of the folders.
func under(pkg string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool {
		return pkg == module+f || strings.HasPrefix(pkg, module+f+"/")
	})
}

func ours(pkg string) bool { return strings.HasPrefix(pkg, module) }

// rule says which imports a part of the tree may not have.
type rule struct {
	name    string
	reason  string
	applies func(pkg string) bool
	forbids func(imported string) bool
}

var rules = []rule{
	{
		name:    "wire stands on nothing of ours",
		reason:  "a codec is bytes in, values out: whoever reads one needs no other floor to understand it",
		applies: func(p string) bool { return under(p, "internal/wire") },
		forbids: func(i string) bool { return ours(i) && !under(i, "internal/wire") },
	},
	{
		name:    "core stands on wire alone",
		reason:  "a decision that knows the operating system or the process cannot be replayed in a test",
		applies: func(p string) bool { return under(p, "internal/core") },
		forbids: func(i string) bool { return ours(i) && !under(i, "internal/core", "internal/wire") },
	},
	{
		name:    "host stands on core and wire",
		reason:  "deeds are carried out for whoever asks; what the process is made of is none of their business",
		applies: func(p string) bool { return under(p, "internal/host") },
		forbids: func(i string) bool { return ours(i) && !under(i, "internal/host", "internal/core", "internal/wire") },
	},
	{
		name:    "nothing below stands on app or cmd",
		reason:  "imports point one way only: app -> host -> core -> wire",
		applies: func(p string) bool { return !under(p, "internal/app", "cmd", "internal/system", "tools/man") },
		forbids: func(i string) bool { return under(i, "internal/app", "cmd") },
	},
	{
		name:    "api stands on wire alone",
		reason:  "whoever only asks a running Fairlead must not be built with a core, a store or a host for the types of the answers",
		applies: func(p string) bool { return under(p, "internal/app/api") },
		forbids: func(i string) bool { return strings.Contains(i, ".") || ours(i) && !under(i, "internal/wire") },
	},
	{
		name:    "the process knows no role",
		reason:  "a role is a value that cmd/fairlead hands in: one more touches its own folder and a word there",
		applies: func(p string) bool { return under(p, "internal/app") && !under(p, "internal/app/role") },
		forbids: func(i string) bool { return strings.HasPrefix(i, module+"internal/app/role/") },
	},
	{
		name:   "only the process and its roles serve the control interface",
		reason: "a command, a metric or a tool that shows an answer needs app/api; app/control makes the answers out of what cores and hosts know",
		applies: func(p string) bool {
			return !under(p, "internal/app/role", "internal/app/daemon", "internal/app/process", "internal/app/control", "internal/app/notes", "internal/app/bindings", "internal/app/kernel")
		},
		forbids: func(i string) bool { return under(i, "internal/app/control") },
	},
	{
		name:    "wire and core reach for no network, no operating system and no log",
		reason:  "a core is a function of (state, event, now): what it wants done it returns as Effects, what it wants told as Notes",
		applies: func(p string) bool { return under(p, "internal/wire", "internal/core") },
		forbids: func(i string) bool {
			return slices.Contains([]string{
				"net", "os", "log", "log/slog", "io/ioutil", "os/exec", "os/signal", "syscall", "unsafe", "sync", "sync/atomic", "context", "math/rand", "math/rand/v2", "crypto/rand", "runtime",
			}, i) || strings.HasPrefix(i, "golang.org/x/sys") || strings.HasPrefix(i, "golang.org/x/net")
		},
	},
	{
		name:   "the laboratory is for tests and for the demo",
		reason: "virtual networks, packet captures and other people's programs have no place in what an operator runs",
		applies: func(p string) bool {
			return !under(p, "internal/lab", "internal/system", "tools", "cmd/fairlead-demo")
		},
		forbids: func(i string) bool { return under(i, "internal/lab") },
	},
	{
		name:    "labtest and what the tests of the whole have in common are for tests alone",
		reason:  "they need package testing, which no program carries, the demo included",
		applies: func(p string) bool { return !under(p, "internal/lab/labtest", "internal/system") },
		forbids: func(i string) bool { return under(i, "internal/lab/labtest", "internal/system") },
	},
	{
		name:   "no grab bag",
		reason: "a package is explained in one sentence; util, common, helpers, types and models explain nothing",
		applies: func(p string) bool {
			return slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "types", "models", "misc"}, p[strings.LastIndexByte(p, '/')+1:])
		},
		forbids: func(string) bool { return true },
	},
}

// TestImports holds every rule against every import that is not a test's.
func TestImports(t *testing.T) {
	packages := list(t)
	for _, r := range rules {
		for _, p := range packages {
			if !r.applies(p.ImportPath) {
				continue
			}
			for _, i := range p.Imports {
				if r.forbids(i) {
					t.Errorf("%s imports %s\n  rule:   %s\n  reason: %s", p.ImportPath, i, r.name, r.reason)
				}
			}
		}
	}
}

// TestRulesApply: a rule that no package comes under would pass for ever. (There
// should be none of the grab bags.)
func TestRulesApply(t *testing.T) {
	packages := list(t)
	for _, r := range rules {
		n := 0
		for _, p := range packages {
			if r.applies(p.ImportPath) {
				n++
			}
		}
		if n == 0 && r.name != "no grab bag" {
			t.Errorf("rule %q applies to no package", r.name)
		}
	}
}

// TestLaboratoryIsNotInTheProduct looks at everything that the program is made
// of, at any distance.
func TestLaboratoryIsNotInTheProduct(t *testing.T) {
	for _, p := range list(t) {
		if !under(p.ImportPath, "cmd/fairlead", "internal/host", "internal/core", "internal/wire") {
			continue
		}
		for _, d := range p.Deps {
			if under(d, "internal/lab") || d == "testing" {
				t.Errorf("%s is built with %s: no test code in the product", p.ImportPath, d)
			}
		}
	}
}
