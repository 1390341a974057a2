package routing_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/relay"
	"fairlead/internal/lab/routing"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// patience covers the meeting of neighbours on a slow machine.
const patience = labtest.Patience

func TestMain(m *testing.M) { labtest.Main(m) }

// need is what every test says often.
var need = labtest.Need

// Prefixes that the clients may get, by IAID. The brief one is renewed for a second.
var (
	first  = netip.MustParsePrefix("2001:db8:1100::/56")
	second = netip.MustParsePrefix("2001:db8:1100:100::/56")
	brief  = netip.MustParsePrefix("2001:db8:1100:200::/60")
	marker = netip.MustParsePrefix("2001:db8:1100:300::/56")

	granted = map[uint32]dhcp6.IAPrefix{
		1: {Prefix: first, Preferred: 2000, Valid: 3000},
		2: {Prefix: second, Preferred: 2000, Valid: 3000},
		3: {Prefix: brief, Preferred: 2000, Valid: 3000},
		4: {Prefix: marker, Preferred: 2000, Valid: 3000},
	}
)

// speaker is a routing protocol with the words by which it selects the relay's
// routes.
type speaker struct {
	start  func(edge, core *lab.Node, c routing.Config) (*routing.Pair, error)
	config routing.Config
	// foreign is a route of somebody else that must not be exported, as arguments
	// of ip route add.
	foreign string
	// more are link keys of the relay's configuration.
	more string
}

// speakers are the ways to select that DESIGN names: FRR by metric, by
// prefix-list (BGP and OSPF), BIRD by protocol number and by table.
var speakers = map[string]speaker{
	"FRR by metric": {
		routing.StartFRR, routing.Config{Metric: 8700}, "2001:db8:1101::/56 metric 1024", "",
	},
	"FRR by prefix-list": {
		routing.StartFRR, routing.Config{}, "2001:db8:e00::/56 metric 8700 proto static", "",
	},
	"FRR OSPF by prefix-list": {
		routing.StartFRR, routing.Config{OSPF: true}, "2001:db8:e00::/56 metric 8700 proto static", "",
	},
	"BIRD by protocol": {
		routing.StartBIRD, routing.Config{Protocol: 87}, "2001:db8:1101::/56 metric 8700 proto 88", "",
	},
	"BIRD by table": {
		routing.StartBIRD, routing.Config{Table: 87}, "2001:db8:1101::/56 metric 8700 proto static", "      routes: {table: 87}\n",
	},
}

// rig is a network without routes to what is delegable but those that a routing
// protocol brings.
type rig struct {
	*lab.Topology
	t      *testing.T
	relay  *relay.Relay
	pair   *routing.Pair
	client *script.Client
}

// newRig starts everything; the session is up when a first prefix, the marker's,
// has come to the core.
func newRig(t *testing.T, s speaker, hostKeys string) *rig {
	t.Helper()
	labtest.Parallel(t)
	top, err := lab.ForTest(t).Topology(lab.Plan{Clients: 1, Dynamic: true})
	need(t, err)
	_, err = script.StartServer(top.Server, lab.ServerAddress, script.Grants{
		T1: 1000, T2: 1600,
		Prefixes: func(q script.Request, ia dhcp6.IA) []dhcp6.IAPrefix {
			p := granted[ia.IAID]
			if p.Prefix == brief && q.Message.Type() == dhcp6.Renew {
				p.Preferred, p.Valid = 1, 1
			}
			return []dhcp6.IAPrefix{p}
		},
	}.Answer)
	need(t, err)
	r := &rig{Topology: top, t: t}
	if s.config.Table != 0 { // the main table sends nothing to it by itself
		_, err = top.Relay.IP("-6 rule add lookup %d", s.config.Table)
		need(t, err)
	}
	next, err := top.Client(1).LinkLocal("c0")
	need(t, err)
	_, err = top.Relay.IP("-6 route add %s via %s dev d1", s.foreign, next)
	need(t, err)
	text := "metrics: {listen: off}\n" + relay.Standard(top) + s.more + hostKeys
	r.relay, err = relay.Start(top.Relay, relay.Config{Binary: labtest.Program(), Text: text})
	need(t, err)
	r.pair, err = s.start(top.Relay, top.Core, s.config)
	need(t, err)
	err = lab.Until(patience, "the client's address is usable", func() bool {
		var bad error
		r.client, bad = script.StartClient(top.Client(1), script.ClientConfig{DUID: dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, 1}})
		return bad == nil
	})
	need(t, err)
	r.obtain(4)
	r.comes(marker)
	return r
}

// obtain gets the prefix of an IAID.
func (r *rig) obtain(iaid uint32) dhcp6.Message {
	r.t.Helper()
	reply, err := r.client.Obtain(patience, iaid)
	need(r.t, err)
	return reply
}

// comes waits until the core's kernel has a route to a prefix, and goes until it
// has none.
func (r *rig) comes(p netip.Prefix) {
	r.t.Helper()
	need(r.t, r.pair.Await(patience, p, true))
}

func (r *rig) goes(p netip.Prefix) {
	r.t.Helper()
	need(r.t, r.pair.Await(patience, p, false))
}

// ip changes the relay's node.
func (r *rig) ip(format string, args ...any) {
	r.t.Helper()
	_, err := r.Relay.IP(format, args...)
	need(r.t, err)
}

// standIn waits until the relay's kernel holds a prefix as unreachable, or not.
func (r *rig) standIn(p netip.Prefix, want bool) {
	r.t.Helper()
	need(r.t, lab.Until(patience, fmt.Sprintf("the stand-in for %s is there: %v", p, want), func() bool {
		out, err := r.Relay.IP("-6 route show exact %s table all type unreachable", p)
		other, bad := r.Relay.IP("-6 route show exact %s table all type unicast", p)
		return err == nil && bad == nil && (out != "") == want && (other == "") == want
	}))
}

// withdrawn are the prefixes that BGP withdrew on the wire, and announced how
// often one was announced.
func (r *rig) withdrawn() (list []string) {
	r.t.Helper()
	updates, err := r.pair.Updates()
	need(r.t, err)
	for _, u := range updates {
		for _, a := range u.Withdrawn {
			list = append(list, a.String())
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (r *rig) announced(p netip.Prefix) (times int) {
	r.t.Helper()
	updates, err := r.pair.Updates()
	need(r.t, err)
	for _, u := range updates {
		if slices.Contains(u.Announced, p.Addr()) {
			times++
		}
	}
	return times
}

// text is the relay's configuration as it is.
func (r *rig) text() string {
	r.t.Helper()
	b, err := os.ReadFile(r.relay.File)
	need(r.t, err)
	return string(b)
}
