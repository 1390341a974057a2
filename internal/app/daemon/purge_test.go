package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Beside a relay that runs nothing is taken away, by a purge or by a second relay
// that was started by mistake, and the error says what to do.
func TestBesideARelayThatRuns(t *testing.T) {
	dir := t.TempDir()
	path, socket, state := filepath.Join(dir, "fairlead.yaml"), filepath.Join(dir, "control.sock"), filepath.Join(dir, "state")
	text := fmt.Sprintf(`
peers:
  - {name: kea1, address: 2001:db8::547, role: server, interfaces: [eth0], protection: none}
relay6: {links: [{match: "ppp*"}]}
control: {socket: %s}
state: %s
`, socket, state)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	second := func(path string) error { return Run(context.Background(), path) }
	for what, deed := range map[string]func(path string) error{"purge": Purge, "a second relay": second} {
		if err := deed(path); err == nil || !strings.Contains(err.Error(), "fairlead runs, and listens at "+socket+": stop it first") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("the second one made its folder")
	}
}
