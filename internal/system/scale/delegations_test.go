package scale

import (
	"fmt"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/system/rig"
)

// A hundred thousand clients on one link: each has its route and its filter
// elements; after kill -9 and the loss of all of these they are back when the
// relay says that it is ready; and the operator can end all of them at once.
// RFC 8987 S-1, O-2.
func TestHundredThousandDelegations(t *testing.T) {
	const clients = 100_000
	r := build(t, lab.Plan{Clients: 1})
	r.Fairlead.Start()
	r.tell("started")
	r.Client(1).Run(rig.Binary(), "load", "--interface", "c0", "--clients", fmt.Sprint(clients),
		"--prepare", fmt.Sprint(clients), "--mix", "renew", "--count", "100")
	r.tell("filled")
	r.want(clients)
	r.tell("counted")

	r.Fairlead.Kill()
	r.Relay.IP("-6 route flush proto 87")
	r.Relay.Run("nft", "delete", "table", "inet", "fairlead")
	if n := len(r.Routes()); n != 0 {
		t.Fatalf("%d routes are left of those that were flushed", n)
	}
	began := time.Now()
	r.Fairlead.Start()
	r.tell(fmt.Sprint("restarted in ", time.Since(began).Round(time.Millisecond)))
	r.want(clients)

	r.Fairlead.CLI("clear", "--link", "d1")
	r.Until("no route is left", func() bool { return len(r.Routes()) == 0 })
	r.want(0)
	r.tell("cleared")
	r.Fairlead.Stop()
	r.Fairlead.Start()
	r.want(0)
	r.Fairlead.Stop()
}

func (r *network) tell(what string) { r.T.Logf("%s: %d MiB", what, r.Fairlead.Resident()>>10) }

// want checks that as many delegations are known, routed and filtered.
func (r *network) want(n int) {
	r.T.Helper()
	var status struct {
		Totals struct{ Prefixes int }
	}
	r.Fairlead.Ask("/v1/status", &status)
	strict := r.elements("source-strict-56")
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"delegations", status.Totals.Prefixes, n},
		{"routes", len(r.Routes()), n},
		// A client whose link-layer address was forgotten meanwhile, as only so many
		// are remembered, has its prefix for the link.
		{"sources", strict + r.elements("source-link-56"), n},
		{"known sources", r.elements("source-known-56"), strict},
		{"loops", r.elements("loop-shared-56"), strict},
	} {
		if c.got != c.want {
			r.T.Errorf("%d %s, want %d", c.got, c.what, c.want)
		}
	}
	if strict < n*9/10 {
		r.T.Errorf("%d of %d prefixes are bound to a link-layer address", strict, n)
	}
}
