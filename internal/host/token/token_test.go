package token_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead/internal/host/token"
)

// A file is read in its present state, on a disk and in memory. A path that is not a file, and a
// file that is too long, are refused.
func TestRead(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/dev/shm"} {
		path := filepath.Join(dir, "fairlead-token-test")
		t.Cleanup(func() { os.Remove(path) })
		for _, text := range []string{"00:04:aa\n", "", strings.Repeat("x", token.Size-1)} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := token.Read(path); err != nil || string(got) != text {
				t.Errorf("%s: %d octets, %v; want %d", dir, len(got), err, len(text))
			}
		}
		if err := os.WriteFile(path, make([]byte, token.Size), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := token.Read(path); err == nil || !strings.Contains(err.Error(), "longer") {
			t.Errorf("too long a file: %v", err)
		}
		os.Remove(path)
		if _, err := token.Read(path); !os.IsNotExist(unwrap(err)) {
			t.Errorf("no file: %v", err)
		}
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := token.Read(path); err == nil || !strings.Contains(err.Error(), "not a file") {
			t.Errorf("a pipe: %v", err)
		}
	}
}

func unwrap(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return err
}
