package routing_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/routing"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

func TestMain(m *testing.M) { rig.Main(m) }

// Prefixes that the clients may get, by IAID. The brief one is renewed for a second.
var (
	first  = netip.MustParsePrefix("2001:db8:1100::/56")
	second = netip.MustParsePrefix("2001:db8:1100:100::/56")
	brief  = netip.MustParsePrefix("2001:db8:1100:200::/60")
	marker = netip.MustParsePrefix("2001:db8:1100:300::/56")

	granted = map[uint32]netip.Prefix{1: first, 2: second, 3: brief, 4: marker}
)

// speaker is a routing protocol with the words by which it selects the relay's
// routes.
type speaker struct {
	start  func(edge, core *lab.Node, c routing.Config) (*routing.Pair, error)
	config routing.Config
	// foreign is a route of somebody else that must not be exported, as arguments
	// of ip route add.
	foreign  string
	linkKeys []string // of the relay's configuration
}

// speakers are the ways to select that DESIGN names: FRR by metric, by
// prefix-list (BGP and OSPF), BIRD by protocol number and by table.
var speakers = map[string]speaker{
	"FRR by metric": {
		routing.StartFRR, routing.Config{Metric: 8700}, "2001:db8:1101::/56 metric 1024", nil,
	},
	"FRR by prefix-list": {
		routing.StartFRR, routing.Config{}, "2001:db8:e00::/56 metric 8700 proto static", nil,
	},
	"FRR OSPF by prefix-list": {
		routing.StartFRR, routing.Config{OSPF: true}, "2001:db8:e00::/56 metric 8700 proto static", nil,
	},
	"BIRD by protocol": {
		routing.StartBIRD, routing.Config{Protocol: 87}, "2001:db8:1101::/56 metric 8700 proto 88", nil,
	},
	"BIRD by table": {
		routing.StartBIRD, routing.Config{Table: 87}, "2001:db8:1101::/56 metric 8700 proto static", []string{"routes: {table: 87}"},
	},
}

// network is a rig without routes to what is delegable but those that a routing
// protocol brings.
type network struct {
	*rig.Rig
	pair   *routing.Pair
	client *rig.Client
}

// start starts everything; the session is up when a first prefix, the marker's,
// has come to the core. The test runs beside one other.
func start(t *testing.T, s speaker, hostKeys string) *network {
	t.Helper()
	labtest.Parallel(t)
	r := &network{Rig: rig.Build(t, lab.Plan{Clients: 1, Dynamic: true})}
	r.Answers(rig.Grants(func(q script.Request, ia dhcp6.IA) []dhcp6.IAPrefix {
		p := rig.Long(granted[ia.IAID])
		if p.Prefix == brief && q.Message.Type() == dhcp6.Renew {
			p.Preferred, p.Valid = 1, 1
		}
		return []dhcp6.IAPrefix{p}
	}).Answer)
	if s.config.Table != 0 { // the main table sends nothing to it by itself
		r.Relay.IP("-6 rule add lookup %d", s.config.Table)
	}
	r.Relay.IP("-6 route add %s via %s dev d1", s.foreign, r.Client(1).LinkLocal("c0"))
	r.Prepare(r.Standard(s.linkKeys...) + hostKeys)
	r.Fairlead.Start()
	var err error
	r.pair, err = s.start(r.Relay.Node, r.Core.Node, s.config)
	r.Need(err)
	r.client = r.Play(1, rig.DUID(1))
	r.client.Obtain(4)
	r.comes(marker)
	return r
}

// comes waits until the core's kernel has a route to a prefix, and goes until it
// has none.
func (r *network) comes(p netip.Prefix) {
	r.T.Helper()
	r.Need(r.pair.Await(labtest.Patience, p, true))
}

func (r *network) goes(p netip.Prefix) {
	r.T.Helper()
	r.Need(r.pair.Await(labtest.Patience, p, false))
}

// traffic waits until the server reaches an address in a client's prefix, by no
// other routes than those of the protocol.
func (r *network) traffic(p netip.Prefix) {
	r.T.Helper()
	r.Server.Reaches(netip.Addr{}, r.AddressIn(1, p))
}

// endsHere fails unless the relay calls what is sent into a prefix unreachable.
func (r *network) endsHere(p netip.Prefix) {
	r.T.Helper()
	out, err := r.Server.Node.Run("ping", "-6", "-n", "-c", "1", "-W", "2", p.Addr().Next().String())
	if err == nil || !strings.Contains(out, "From "+lab.RelayAddress.String()) || !strings.Contains(out, "Destination unreachable") {
		r.T.Errorf("a ping into %s says %q (%v), want that the relay calls it unreachable", p, out, err)
	}
}

// onTheWire counts how often BGP announced and withdrew a prefix.
func (r *network) onTheWire() (announced, withdrawn map[string]int) {
	r.T.Helper()
	updates, err := r.pair.Updates()
	r.Need(err)
	announced, withdrawn = map[string]int{}, map[string]int{}
	for _, u := range updates {
		for _, a := range u.Announced {
			announced[a.String()]++
		}
		for _, a := range u.Withdrawn {
			withdrawn[a.String()]++
		}
	}
	return announced, withdrawn
}
