package events

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	pass, fail, skip := Result{Action: "pass"}, Result{Action: "fail"}, Result{Action: "skip", Output: "no VRF\n"}
	for _, c := range []struct {
		name   string
		events string // one line each: action, package or package.test, output
		want   Run
	}{
		{"all is well", "run a.T\nrun a.T/s\npass a.T/s\npass a.T\npass a", Run{Results: map[Test]Result{{"a", "T"}: pass, {"a", "T/s"}: pass}}},
		{"a skip", "run a.T\noutput a.T no VRF\nskip a.T\npass a", Run{Results: map[Test]Result{{"a", "T"}: skip}}},
		{"a failure", "run a.T\nfail a.T\nrun a.U\npass a.U\nfail a", Run{Results: map[Test]Result{{"a", "T"}: fail, {"a", "U"}: pass}}},
		{
			"what failed passes the second time", "run a.T\nrun a.T/s\nfail a.T/s\nfail a.T\nrun a.U\npass a.U\nfail a\nrun a.T\nrun a.T/s\npass a.T/s\npass a.T\npass a",
			Run{Results: map[Test]Result{{"a", "T"}: {Action: "pass", Flaky: true}, {"a", "T/s"}: pass, {"a", "U"}: pass}},
		},
		{
			"a subtest that is not reached the second time", "run a.T\nrun a.T/s\nfail a.T/s\nfail a.T\nfail a\nrun a.T\nfail a.T\nfail a",
			Run{Results: map[Test]Result{{"a", "T"}: fail}},
		},
		{"a test of that name elsewhere", "run a.T\nfail a.T\nfail a\nrun b.T\npass b.T\npass b", Run{Results: map[Test]Result{{"a", "T"}: fail, {"b", "T"}: pass}}},
		{"not built", "output a\nfail a", Run{Results: map[Test]Result{}, Broken: []string{"a"}}},
		{
			"no test failed, the package did, and a second run finds nothing to do", "run a.T\npass a.T\nfail a\npass a",
			Run{Results: map[Test]Result{{"a", "T"}: pass}, Broken: []string{"a"}},
		},
		{
			"the process ended in the middle: others have not run", "run a.T\nfail a\nrun a.T\npass a.T\npass a",
			Run{Results: map[Test]Result{{"a", "T"}: {Action: "pass", Flaky: true}}, Broken: []string{"a"}},
		},
		{"the file ends in the middle", "run a.T\npass a.T\nrun a.U", Run{Results: map[Test]Result{{"a", "T"}: pass, {"a", "U"}: fail}, Broken: []string{"a"}}},
	} {
		path := filepath.Join(t.TempDir(), "x.json")
		if err := os.WriteFile(path, []byte(written(c.events)), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

// written returns the events in the form in which go test writes them.
func written(events string) string {
	var b strings.Builder
	for line := range strings.Lines(events) {
		action, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		of, output, _ := strings.Cut(rest, " ")
		pkg, test, _ := strings.Cut(of, ".")
		b.WriteString(`{"Action":"` + action + `","Package":"` + pkg + `"`)
		if test != "" {
			b.WriteString(`,"Test":"` + test + `"`)
		}
		if output != "" {
			b.WriteString(`,"Output":"` + output + `\n"`)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func TestReadWhatIsNoEvent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.json")
	if err := os.WriteFile(path, []byte("{\"Action\":\"start\"}\ngo: no such tool\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that names %s", err, path)
	}
}
