package relay4_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	fairlead "fairlead/internal/lab/relay"
)

// fatal is the transaction that makes the program of panicking panic.
const fatal = "0x0fa7a100"

// panicking builds the program with a fault in the core of the DHCPv4 relay: each message of that
// transaction makes it panic.
func panicking(t *testing.T) (binary string) {
	t.Helper()
	need := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	source, err := filepath.Abs("../../core/relay4/request.go")
	need(err)
	text, err := os.ReadFile(source)
	need(err)
	before, after, found := strings.Cut(string(text), "func (r *Relay) handleRequest(")
	head, body, _ := strings.Cut(after, "{\n")
	if !found {
		t.Fatal("the core has no handleRequest to put a fault into")
	}
	dir := t.TempDir()
	faulty, overlay := filepath.Join(dir, "request.go"), filepath.Join(dir, "overlay.json")
	need(os.WriteFile(faulty, []byte(before+"func (r *Relay) handleRequest("+head+"{\n\tif m.XID() == "+fatal+" {\n\t\tpanic(\"planted\")\n\t}\n"+body), 0o644))
	list, err := json.Marshal(map[string]map[string]string{"Replace": {source: faulty}})
	need(err)
	need(os.WriteFile(overlay, list, 0o644))
	binary = filepath.Join(dir, "fairlead")
	build := exec.Command("go", "build", "-overlay", overlay, "-o", binary, "fairlead/cmd/fairlead")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// A message that makes the core panic costs that message alone. The process goes on, leases stay
// on view, and the next clients are served, on that link too. The panic is counted, and the same
// message is refused from then on. After three such messages the relay ignores the link for a
// minute; other links are served all the time.
func TestPanicOfTheCore(t *testing.T) {
	binary := panicking(t)
	n := build(t)
	n.play()
	const metrics = "127.0.0.1:9847"
	n.fairlead = n.relay.Fairlead(fairlead.Config{Binary: binary, Text: strings.Replace(n.config("agent-information: add"), "listen: off", "listen: \""+metrics+"\"", 1)})
	n.fairlead.Start()
	pid := n.fairlead.Proc().Pid()
	n.obtain(1)
	n.obtain(2)
	n.onView(1, 1)
	x := n.clients[0].Throw("c0", n.relay, "d1")
	fault := func() []byte {
		return datagram(x.Own, everybody, fromClient, toServers, discover(forged(), 0x0fa7a100))
	}
	dropped := func(reason string, frame func() []byte) {
		t.Helper()
		n.Until("a message is dropped as "+reason, func() bool {
			x.Put(frame())
			return n.look().Drops[reason] > 0
		})
	}
	first := fault()
	dropped("refused-fingerprint", func() []byte { return first })
	if log := n.fairlead.Log(); strings.Count(log, "panic while deciding") != 1 {
		t.Errorf("want one report of a panic in the log:\n%s", log)
	}
	n.onView(1, 1)
	n.obtain(1)
	n.obtain(2)
	n.onView(1, 1)
	dropped("muted", fault)
	n.obtain(2)
	n.onView(1, 1)
	panics := strings.Count(n.fairlead.Log(), "panic while deciding")
	if out := n.relay.Run("curl", "-sf", "http://"+metrics+"/metrics"); panics < 3 || !strings.Contains(out, fmt.Sprintf("fairlead_panics_total %d\n", panics)) {
		t.Errorf("the log has %d panics, want 3, and as many in the metrics:\n%s", panics, out)
	}
	if n.fairlead.Proc().Pid() != pid || !n.fairlead.Proc().Running() {
		t.Error("the process has ended")
	}
}
