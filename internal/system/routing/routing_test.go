package routing_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/lab"
	"fairlead/internal/lab/routing"
)

// R-4: "The relay MAY provide a mechanism to dynamically advertise delegated
// leases into a routing protocol as they are learned. If such a mechanism is
// implemented, when a delegated lease is released or expires, the delegated route
// MUST be withdrawn from the routing protocol." A route of somebody else's in the
// same kernel is not exported.
func comeAndGo(t *testing.T, name string) {
	s := speakers[name]
	r := start(t, s, "")
	short := r.client.Obtain(3)
	r.comes(brief)
	reply := r.client.Obtain(1)
	r.comes(first)
	r.client.Obtain(2)
	r.comes(second)
	r.Core.Reaches(netip.Addr{}, lab.LinkAddress(1))
	r.traffic(first)

	r.client.Renew(short)
	r.goes(brief) // expired
	r.client.Release(reply)
	r.goes(first)
	r.Fairlead.CLI("clear", second.String())
	r.goes(second)
	r.comes(marker) // and this one stays

	foreign := netip.MustParsePrefix(strings.Fields(s.foreign)[0])
	if out, err := r.Relay.Node.IP("-6 route show exact %s", foreign); err != nil || out == "" {
		t.Errorf("%s has gone from the relay's kernel: the test shows nothing (%v)", foreign, err)
	}
	if r.pair.Announced(foreign) {
		t.Errorf("%s is not the relay's, and the core has it", foreign)
	}
	if s.config.OSPF {
		return
	}
	want := []string{first.Addr().String(), second.Addr().String(), brief.Addr().String()}
	slices.Sort(want)
	announced, withdrawn := r.onTheWire()
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(withdrawn))); diff != "" {
		t.Errorf("withdrawn on the wire (-want +got):\n%s", diff)
	}
	if n := announced[foreign.Addr().String()]; n > 0 {
		t.Errorf("%s was announced %d times on the wire", foreign, n)
	}
}

func TestRFC8987_R4_FRRByMetricSeesPrefixesComeAndGo(t *testing.T) {
	comeAndGo(t, "FRR by metric")
}

func TestRFC8987_R4_FRRByPrefixListSeesPrefixesComeAndGo(t *testing.T) {
	comeAndGo(t, "FRR by prefix-list")
}

func TestRFC8987_R4_OSPFSeesPrefixesComeAndGo(t *testing.T) {
	comeAndGo(t, "FRR OSPF by prefix-list")
}

func TestRFC8987_R4_BIRDByProtocolSeesPrefixesComeAndGo(t *testing.T) {
	comeAndGo(t, "BIRD by protocol")
}

func TestRFC8987_R4_BIRDByTableSeesPrefixesComeAndGo(t *testing.T) {
	comeAndGo(t, "BIRD by table")
}

// R-4 with aggregates: the whole pool is announced once, whoever holds a part of
// it, and what nobody holds ends at the edge instead of going round.
func TestRFC8987_R4_AggregateStandsForThePool(t *testing.T) {
	pool := netip.MustParsePrefix("2001:db8:1100::/44")
	r := start(t, speakers["FRR by metric"], fmt.Sprintf("host:\n  aggregates:\n    - prefix: %s\n", pool))
	r.comes(pool)
	reply := r.client.Obtain(1)
	r.comes(first)
	r.traffic(first)
	r.client.Release(reply)
	r.goes(first)
	// The pool's route is still there, and traffic for what is free ends at the
	// relay: unreachable, not up again by the default route.
	if !r.pair.Announced(pool) {
		t.Error("the core has lost the aggregate with a delegation")
	}
	r.endsHere(first)
	// It is configuration that takes it away.
	r.Fairlead.Reload(strings.ReplaceAll(r.Fairlead.Text(), fmt.Sprintf("    - prefix: %s\n", pool), "    []\n"))
	r.goes(pool)
	r.comes(marker)
}

// a delegation that moves to another next hop or is extended is not
// withdrawn in between.
func TestRFC8987_R4_ExtendingWithdrawsNothing(t *testing.T) {
	r := start(t, speakers["BIRD by protocol"], "")
	reply := r.client.Obtain(1)
	r.comes(first)
	for range 5 {
		r.client.Renew(reply)
	}
	r.Fairlead.CLI("clear", marker.String())
	r.goes(marker)
	announced, withdrawn := r.onTheWire()
	if diff := cmp.Diff([]string{marker.Addr().String()}, slices.Sorted(maps.Keys(withdrawn))); diff != "" {
		t.Errorf("withdrawn on the wire (-want +got):\n%s", diff)
	}
	if n := announced[first.Addr().String()]; n != 1 {
		t.Errorf("%s was announced %d times on the wire, want once", first, n)
	}
}

// R-4, what the daemons themselves say of the relay's routes on the edge.
func TestRFC8987_R4_DaemonsNameTheRelaysRoutes(t *testing.T) {
	t.Run("FRR", func(t *testing.T) {
		r := start(t, speakers["FRR by metric"], "")
		out, err := routing.Vtysh(r.Core.Node, "show bgp ipv6 unicast "+marker.String()+" json")
		r.Need(err)
		if !strings.Contains(out, `"metric":8700`) || !strings.Contains(out, lab.RelayAddress.String()) {
			t.Errorf("FRR in the core says of %s: %s; want metric 8700 and the relay as next hop", marker, out)
		}
	})
	t.Run("BIRD", func(t *testing.T) {
		r := start(t, speakers["BIRD by protocol"], "")
		out, err := routing.Birdc(r.Relay.Node, "show route all for "+marker.String()+" table delegated")
		r.Need(err)
		if !strings.Contains(out, "Kernel.source: 87") || !strings.Contains(out, "Kernel.metric: 8700") {
			t.Errorf("BIRD at the edge says of %s: %s; want source 87 and metric 8700", marker, out)
		}
	})
}
