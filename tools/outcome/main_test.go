package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOutcome(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const (
		ran     = `{"Action":"run","Package":"a","Test":"T"}`
		passes  = ran + `{"Action":"pass","Package":"a","Test":"T"}{"Action":"pass","Package":"a"}`
		fails   = ran + `{"Action":"fail","Package":"a","Test":"T"}{"Action":"fail","Package":"a"}`
		skips   = `{"Action":"output","Package":"a","Test":"S","Output":"no VRF\n"}{"Action":"skip","Package":"a","Test":"S"}{"Action":"pass","Package":"a"}`
		unbuilt = `{"Action":"fail","Package":"b"}`
	)
	permit, none := write("skips", "# VRF\na S\n"), write("none", "")
	for _, c := range []struct {
		events, skips, want string
		good                bool
	}{
		{passes, none, "1 passed, 0 failed, 0 skipped\n", true},
		{fails, none, "no test ran\n0 passed, 1 failed, 0 skipped\n", false},
		{fails + passes, none, "FLAKY a T\n1 passed, 0 failed, 0 skipped\n", true},
		{passes + skips, permit, "skip, permitted\ta S: no VRF\n1 passed, 0 failed, 1 skipped\n", true},
		{passes + skips, none, "SKIP, NOT PERMITTED\ta S: no VRF\n1 passed, 0 failed, 1 skipped\n", false},
		{passes + unbuilt, none, "BROKEN b: not built, or ended before all its tests had run\n1 passed, 1 failed, 0 skipped\n", false},
		{"", none, "no test ran\n0 passed, 0 failed, 0 skipped\n", false},
	} {
		var out strings.Builder
		good, err := tell(&out, c.skips, []string{write("x.json", c.events)})
		if err != nil || good != c.good || out.String() != c.want {
			t.Errorf("%s\n%v (%v):\n%swant %v:\n%s", c.events, good, err, out.String(), c.good, c.want)
		}
	}
	var out strings.Builder
	if good, err := tell(&out, none, []string{write("x.json", passes), write("y.json", fails)}); err != nil || good || out.String() != "1 passed, 1 failed, 0 skipped\n" {
		t.Errorf("two files: %v (%v): %s", good, err, out.String())
	}
}
