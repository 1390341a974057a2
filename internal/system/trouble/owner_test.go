package trouble_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/relay"
)

// TestSecondRelay: a network namespace has one relay. A second one, with a state
// folder and a control socket of its own, is refused before it touches anything,
// and so is a purge; the error says which process is in the way. After a kill the
// next one starts at once.
func TestSecondRelay(t *testing.T) {
	parallel(t)
	r := start(t, plan{clients: 1})
	r.obtain(r.client(1, duid(1)), 1)
	r.routed(r.book.prefix(duid(1), 1), 1)
	second, err := relay.New(r.Relay, relay.Config{Binary: labtest.Program(), Text: r.config(), Name: "second"})
	need(t, err)
	need(t, os.Remove(second.State))
	kernel := func() string {
		routes, err := r.Relay.IP("-6 route show table all")
		need(t, err)
		rules, err := r.Relay.Run("nft", "-s", "list", "ruleset") // without what time changes in it
		need(t, err)
		return routes + rules
	}
	before := kernel()
	refused := func() {
		t.Helper()
		holder := fmt.Sprintf("fairlead runs in this network namespace already (fairlead run, process %d): stop it first", r.relay.Proc().Pid())
		for _, command := range []string{"run", "purge"} {
			_, err := r.Relay.Run(labtest.Program(), command, "--config", second.File)
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

	_, err = r.Relay.Run("nft", "flush", "ruleset")
	need(t, err)
	refused()
	until(t, "the filter is back", func() bool { return r.elements() != "" })

	need(t, r.relay.Kill())
	need(t, second.Start())
	need(t, second.Stop())
	need(t, r.relay.Start())
	need(t, r.relay.Stop())
	_, err = r.Relay.Run(labtest.Program(), "purge", "--config", r.relay.File)
	need(t, err)
}
