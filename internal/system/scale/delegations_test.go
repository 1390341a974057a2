package scale

import (
	"fmt"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
)

// A hundred thousand clients on one link: each has its route and its filter
// elements; after kill -9 and the loss of all of these they are back when the
// relay says that it is ready; and the operator can end all of them at once.
// RFC 8987 S-1, O-2.
func TestHundredThousandDelegations(t *testing.T) {
	const clients = 100_000
	r := newRig(t, lab.Plan{Clients: 1}, "d*")
	labtest.Need(t, r.relay.Start())
	r.tell("started")
	_, err := r.Client(1).Run(labtest.Program(), "load", "--interface", "c0", "--clients", fmt.Sprint(clients),
		"--prepare", fmt.Sprint(clients), "--mix", "renew", "--count", "100")
	labtest.Need(t, err)
	r.tell("filled")
	r.want(clients)
	r.tell("counted")

	labtest.Need(t, r.relay.Kill())
	_, err = r.Relay.IP("-6 route flush proto 87")
	labtest.Need(t, err)
	_, err = r.Relay.Run("nft", "delete", "table", "inet", "fairlead")
	labtest.Need(t, err)
	if n := r.routes(); n != 0 {
		t.Fatalf("%d routes are left of those that were flushed", n)
	}
	began := time.Now()
	labtest.Need(t, r.relay.Start())
	r.tell(fmt.Sprint("restarted in ", time.Since(began).Round(time.Millisecond)))
	r.want(clients)

	_, err = r.relay.CLI("clear", "--link", "d1")
	labtest.Need(t, err)
	labtest.Until(t, "no route is left", func() bool { return r.routes() == 0 })
	r.want(0)
	r.tell("cleared")
	labtest.Need(t, r.relay.Stop())
	labtest.Need(t, r.relay.Start())
	r.want(0)
	labtest.Need(t, r.relay.Stop())
}

func (r *rig) tell(what string) { r.t.Logf("%s: %d MiB", what, r.resident()) }

// want checks that as many delegations are known, routed and filtered.
func (r *rig) want(n int) {
	r.t.Helper()
	var status struct {
		Totals struct{ Prefixes int }
	}
	labtest.Ask(r.t, r.relay, "/v1/status", &status)
	strict := r.elements("source-strict-56")
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"delegations", status.Totals.Prefixes, n},
		{"routes", r.routes(), n},
		// A client whose link-layer address was forgotten meanwhile, as only so many
		// are remembered, has its prefix for the link.
		{"sources", strict + r.elements("source-link-56"), n},
		{"known sources", r.elements("source-known-56"), strict},
		{"loops", r.elements("loop-shared-56"), strict},
	} {
		if c.got != c.want {
			r.t.Errorf("%d %s, want %d", c.got, c.what, c.want)
		}
	}
	if strict < n*9/10 {
		r.t.Errorf("%d of %d prefixes are bound to a link-layer address", strict, n)
	}
}
