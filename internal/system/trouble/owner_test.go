package trouble_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead/internal/lab/relay"
	"fairlead/internal/system/rig"
)

// TestSecondRelay: a network namespace has one relay. A second one, with a state
// folder and a control socket of its own, is refused before it touches anything,
// and so is a purge; the error says which process is in the way. After a kill the
// next one starts at once.
func TestSecondRelay(t *testing.T) {
	r := start(t, plan{clients: 1})
	r.obtain(r.Play(1, rig.DUID(1)), 1)
	r.WantRoute(r.book.Prefix(rig.DUID(1), 1), 1)
	second := r.Relay.Fairlead(relay.Config{Text: r.config(), Name: "second"})
	r.Need(os.Remove(second.State))
	kernel := func() string {
		routes := r.Relay.IP("-6 route show table all")
		return routes + r.Relay.Run("nft", "-s", "list", "ruleset") // without what time changes in it
	}
	before := kernel()
	refused := func() {
		t.Helper()
		holder := fmt.Sprintf("fairlead runs in this network namespace already (fairlead run, process %d): stop it first", r.Fairlead.Proc().Pid())
		for _, command := range []string{"run", "purge"} {
			_, err := r.Relay.Node.Run(rig.Binary(), command, "--config", second.File)
			if err == nil || !strings.Contains(err.Error(), holder) {
				t.Errorf("%s beside a relay: %v, want %q", command, err, holder)
			}
		}
	}
	refused()
	if got := kernel(); got != before {
		t.Errorf("the second relay changed the kernel's state from\n%s\nto\n%s", before, got)
	}
	for _, path := range []string{second.State, filepath.Join(second.Dir, "control.sock")} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("the second relay made %s", path)
		}
	}

	r.Relay.Run("nft", "flush", "ruleset")
	refused()
	r.Until("the filter is back", func() bool { return r.elements() != "" })

	r.Fairlead.Kill()
	second.Start()
	second.Stop()
	r.Fairlead.Start()
	r.Fairlead.Stop()
	r.Fairlead.Purge()
}
