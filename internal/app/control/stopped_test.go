package control_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead/internal/app/control"
)

// A process counts as stopped where nobody takes connections: no socket, or one
// that a killed process has left behind. What cannot be told is an error.
func TestStopped(t *testing.T) {
	dir := t.TempDir()
	listen := func(name string) (string, *net.UnixListener) {
		path := filepath.Join(dir, name)
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		return path, l
	}
	left, l := listen("left")
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	alive, l := listen("alive")
	defer l.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "",
		left:                       "",
		alive:                      "a program runs, and listens at " + alive + ": stop it first (systemctl stop unit)",
		filepath.Join(file, "in"):  "control socket: whether a program runs:",
	} {
		switch err := control.Stopped(path, "a program", "unit"); {
		case want == "" && err != nil:
			t.Errorf("%s: %v", path, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
