package routing_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/routing"
)

// patience is how long the daemons may take to become neighbours on a slow machine.
const patience = 60 * time.Second

var need = labtest.Need

func TestPairs(t *testing.T) {
	type start func(edge, core *lab.Node, c routing.Config) (*routing.Pair, error)
	for _, tt := range []struct {
		name    string
		start   start
		config  routing.Config
		ours    string // how the text of a route of the relay ends
		foreign string // how the text of a route of another program ends
	}{
		{"frr-bgp-metric", routing.StartFRR, routing.Config{Metric: 8700}, "metric 8700", "metric 1024"},
		{"frr-ospf", routing.StartFRR, routing.Config{OSPF: true}, "", ""},
		{"bird-protocol", routing.StartBIRD, routing.Config{}, "proto 87", "proto 88"},
		{"bird-table", routing.StartBIRD, routing.Config{Table: 87}, "proto 87 table 87", "proto 87"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := lab.ForTest(t)
			top, err := n.Topology(lab.Plan{Clients: 1, Dynamic: true})
			need(t, err)
			pair, err := tt.start(top.Relay, top.Core, tt.config)
			need(t, err)
			next, err := top.Client(1).LinkLocal("c0")
			need(t, err)

			ours := netip.MustParsePrefix("2001:db8:1100::/56")
			foreign := netip.MustParsePrefix("2001:db8:1101::/56")
			outside := netip.MustParsePrefix("2001:db8:e00::/56") // a prefix of the infrastructure
			if tt.foreign != "" {
				_, err = top.Relay.IP("-6 route add %s via %s dev d1 %s", foreign, next, tt.foreign)
				need(t, err)
			}
			_, err = top.Relay.IP("-6 route add %s via %s dev d1 %s", outside, next, tt.ours)
			need(t, err)
			_, err = top.Relay.IP("-6 route add %s via %s dev d1 %s", ours, next, tt.ours)
			need(t, err)
			need(t, pair.Await(patience, ours, true))
			for _, p := range []netip.Prefix{foreign, outside} {
				if pair.Announced(p) {
					t.Errorf("%s is announced too", p)
				}
			}
			_, err = top.Relay.IP("-6 route del %s %s", ours, tt.ours)
			need(t, err)
			need(t, pair.Await(patience, ours, false))

			if !tt.config.OSPF {
				updates, err := pair.Updates()
				need(t, err)
				came := slices.IndexFunc(updates, func(u routing.Update) bool { return slices.Contains(u.Announced, ours.Addr()) })
				went := slices.IndexFunc(updates, func(u routing.Update) bool { return slices.Contains(u.Withdrawn, ours.Addr()) })
				if came < 0 || went < came {
					t.Errorf("on the wire: announced in message %d, withdrawn in message %d of %v", came, went, updates)
				}
			}
		})
	}
}

func TestShells(t *testing.T) {
	n := lab.ForTest(t)
	top, err := n.Topology(lab.Plan{Dynamic: true})
	need(t, err)
	_, err = routing.StartFRR(top.Relay, top.Core, routing.Config{})
	need(t, err)
	_, err = routing.Vtysh(top.Core, "show bgp ipv6 summary")
	need(t, err)
	need(t, lab.Until(patience, "the session is up", func() bool {
		out, err := routing.Vtysh(top.Core, "show bgp ipv6 neighbors "+lab.RelayAddress.String())
		return err == nil && strings.Contains(out, "BGP state = Established")
	}))
}
