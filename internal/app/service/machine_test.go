package service

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Machine tells of the machine that the test runs on.
func TestMachine(t *testing.T) {
	held := map[string]int{"a": 1}
	m, err := Machine(held)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(m.Interfaces, "lo") || m.Held["a"] != 1 {
		t.Errorf("interfaces %v, held %v", m.Interfaces, m.Held)
	}
	if !m.User("root") || m.User("no-such-user") || !m.Group("root") || m.Group("no-such-group") {
		t.Error("users or groups are not those of this host")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "hook")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		path: "not executable (chmod +x)", dir: "not a regular file", path + "x": "no such file or directory",
	} {
		if err := m.Program(name); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := m.Program(path); err != nil {
		t.Errorf("an executable: %v", err)
	}
}
