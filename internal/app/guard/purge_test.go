package guard

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Beside a guard that runs nothing is taken away, and the error says what to do.
func TestPurgeBesideAGuardThatRuns(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	socket := filepath.Join(dir, "control.sock")
	path := write("guard.yaml", fmt.Sprintf(`
peers:
  - {name: relay1, address: 2001:db8::1, local: 2001:db8::2, role: relay, protection: ipsec, ike: {psk-file: %s}}
control: {socket: %s}
`, write("psk", "no more than a test of purge"), socket))
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := Purge(path); err == nil || !strings.Contains(err.Error(), "fairlead guard runs, and listens at "+socket+": stop it first") {
		t.Errorf("purge: %v", err)
	}
}
