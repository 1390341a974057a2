package daemon

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Beside a relay that runs nothing is taken away, and the error says what to do.
func TestPurgeBesideARelayThatRuns(t *testing.T) {
	dir := t.TempDir()
	path, socket := filepath.Join(dir, "fairlead.yaml"), filepath.Join(dir, "control.sock")
	text := fmt.Sprintf(`
peers:
  - {name: kea1, address: 2001:db8::547, role: server, interfaces: [eth0], protection: none}
relay6: {links: [{match: "ppp*"}]}
control: {socket: %s}
`, socket)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := Purge(path); err == nil || !strings.Contains(err.Error(), "fairlead runs, and listens at "+socket+": stop it first") {
		t.Errorf("purge: %v", err)
	}
}
