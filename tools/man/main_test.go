package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The units name the first two pages, and these lead to the others.
func TestPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man8")
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"fairlead.8":       "fairlead-guard(8)",
		"fairlead-guard.8": "fairlead guard",
		"fairlead-clear.8": "RFC 8987 O-2",

		"fairlead-leases.8":        "server has given",
		"fairlead-config-check.8":  "fairlead config check",
		"fairlead-ipsec-key-psk.8": "fairlead ipsec key psk",
	} {
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(page), ".nh\n.TH \"FAIRLEAD") || !strings.Contains(strings.ReplaceAll(string(page), `\-`, "-"), text) {
			t.Errorf("%s lacks %q:\n%.400s", name, text, page)
		}
	}
}

// A folder that cannot be made is an error that names it.
func TestNoFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := write(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("writing into a file: %v", err)
	}
}
