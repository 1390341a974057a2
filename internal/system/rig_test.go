package system_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/relay"
)

// patience is for conditions that a slow machine may take long to reach.
const patience = labtest.Patience

func TestMain(m *testing.M) { labtest.Main(m) }

// need is what every test says often.
var need = labtest.Need

// rig is a topology with a fairlead in its relay node.
type rig struct {
	*lab.Topology
	t     *testing.T
	relay *relay.Relay
}

// newRig builds a topology and prepares the relay with a configuration: the
// standard one with the text added. It is not started.
func newRig(t *testing.T, plan lab.Plan, more string) *rig {
	t.Helper()
	top, err := lab.ForTest(t).Topology(plan)
	need(t, err)
	r, err := relay.New(top.Relay, relay.Config{Binary: labtest.Program(), Text: relay.Standard(top) + more})
	need(t, err)
	return &rig{Topology: top, t: t, relay: r}
}

// start starts the relay and waits until it is ready.
func (r *rig) start() {
	r.t.Helper()
	need(r.t, r.relay.Start())
}

// route returns the relay's route to exactly a prefix, as ip prints it without
// its name, or nothing.
func (r *rig) route(prefix netip.Prefix) string {
	r.t.Helper()
	out, err := r.Relay.IP("-6 route show exact %s table all", prefix)
	need(r.t, err)
	return strings.TrimSpace(out)
}

// routed waits until the relay's kernel sends a prefix to a client.
func (r *rig) routed(prefix netip.Prefix, client int) {
	r.t.Helper()
	next, err := r.Client(client).LinkLocal("c0")
	need(r.t, err)
	want := "via " + next.String() + " dev " + r.Downlink(client)
	need(r.t, lab.Until(patience, "the relay routes "+prefix.String()+" "+want, func() bool {
		got := r.route(prefix)
		return strings.Contains(got, want) && strings.Contains(got, "proto 87") || strings.Contains(got, want) && strings.Contains(got, "proto fairlead")
	}))
}

// reaches waits until an address answers a node. An invalid from leaves the
// source to the kernel.
func reaches(t *testing.T, node *lab.Node, from, to netip.Addr) {
	t.Helper()
	need(t, lab.Until(patience, node.Name+" reaches "+to.String(), func() bool {
		return node.Ping(from, to) == nil
	}))
}
