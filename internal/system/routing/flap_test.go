package routing_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/routing"
)

// witness listens to the core's kernel: what it lost on the way can no longer be
// seen afterwards.
type witness struct {
	*network
	monitor *lab.Proc
}

func watch(r *network) *witness {
	r.T.Helper()
	m := r.Core.Start("monitor", "ip", "-6", "monitor", "route")
	w := &witness{r, m}
	w.fence(netip.MustParsePrefix("2001:db8:f00::/64")) // it listens
	return w
}

// fence adds a route to the core and waits until the monitor has shown it.
func (w *witness) fence(p netip.Prefix) {
	w.T.Helper()
	w.Until("the monitor shows the core's routes", func() bool {
		if _, err := w.Core.Node.IP("-6 route replace unreachable %s", p); err != nil {
			return false
		}
		return strings.Contains(w.monitor.Log(), p.String())
	})
}

// lost says how often the core's kernel has lost a route to a prefix. When the
// edge announces anew what it has announced, as FRR does after a flap, FRR in the
// core takes each route out and puts it back, one after another and the same:
// that is no withdrawal, which takes all that go away out before any comes back.
func (w *witness) lost(p netip.Prefix) (times int) {
	gone := ""
	for line := range strings.Lines(w.monitor.Log()) {
		line = strings.TrimSpace(line)
		if !strings.Contains(line, " proto ") { // a fence's
			continue
		}
		if gone != "" && line != gone {
			times++
		}
		gone = ""
		if way, deleted := strings.CutPrefix(line, "Deleted "); deleted && strings.HasPrefix(way, p.String()) {
			gone = way
		}
	}
	if gone != "" {
		times++
	}
	return times
}

// keeps fails if the prefix was withdrawn, in the core's kernel or on the wire.
// What was on its way has arrived when the core has seen a later withdrawal, the
// marker's.
func (w *witness) keeps(p netip.Prefix, s speaker) {
	w.T.Helper()
	w.Fairlead.CLI("clear", marker.String())
	w.Until("the core loses the marker", func() bool { return w.lost(marker) > 0 && !w.pair.Announced(marker) })
	w.fence(netip.MustParsePrefix("2001:db8:f01::/64")) // all of it is told
	if n := w.lost(p); n > 0 || !w.pair.Announced(p) {
		w.T.Errorf("the core lost %s %d times, and has it now: %v", p, n, w.pair.Announced(p))
	}
	if s.config.OSPF {
		return
	}
	var withdrawn map[string]int
	w.Until("the marker's withdrawal is recorded", func() bool {
		_, withdrawn = w.onTheWire()
		return withdrawn[marker.Addr().String()] > 0
	})
	if withdrawn[p.Addr().String()] > 0 {
		w.T.Errorf("withdrawn on the wire: %v, want the marker alone", withdrawn)
	}
}

// carrier flaps the client's end of the link.
func (r *network) carrier() {
	r.T.Helper()
	for _, to := range []struct{ state, shown string }{{"down", "NO-CARRIER"}, {"up", "LOWER_UP"}} {
		r.Client(1).IP("link set c0 %s", to.state)
		r.Until("d1 shows "+to.shown, func() bool {
			return strings.Contains(r.Relay.IP("-o link show d1"), to.shown)
		})
	}
}

// R-4 and S-2: a carrier that flaps withdraws nothing, nor does a restart of the
// relay, be it by kill -9.
func noFlap(t *testing.T, name string) {
	s := speakers[name]
	r := start(t, s, "")
	r.client.Obtain(1)
	r.comes(first)
	w := watch(r)
	for range 3 {
		r.carrier()
	}
	r.Fairlead.Kill()
	r.carrier()
	r.Fairlead.Start()
	r.Fairlead.Stop()
	r.Fairlead.Start()
	w.keeps(first, s)
}

func TestRFC8987_R4_FRRWithdrawsNothingOnACarrierFlap(t *testing.T) { noFlap(t, "FRR by metric") }

func TestRFC8987_R4_OSPFWithdrawsNothingOnACarrierFlap(t *testing.T) {
	noFlap(t, "FRR OSPF by prefix-list")
}

func TestRFC8987_R4_BIRDWithdrawsNothingOnACarrierFlap(t *testing.T) { noFlap(t, "BIRD by protocol") }

// tries is how often an interface is set down. The kernel takes its routes away
// before the relay can put the stand-in there; in between BGP may speak. FRR
// waits some 60 ms before it does, and a relay that needs as long, on a machine
// with other things to do, is no defect. One that never makes it is.
const tries = 8

// S-2 and R-4: a stand-in keeps the announcement while the interface is down or
// gone, and after its return it is the client's route that is announced.
func standsIn(t *testing.T, down, up func(r *network)) {
	s := speakers["FRR by metric"]
	r := start(t, s, "")
	r.client.Obtain(1)
	r.comes(first)
	w := watch(r)
	lost := w.lost(first)
	for try := 1; ; try++ {
		down(r)
		r.WantStandIn(first)
		up(r)
		r.WantRoute(first, 1)
		r.comes(first)
		now := w.lost(first)
		if now == lost {
			break
		}
		if lost = now; try == tries {
			t.Fatalf("the core lost the route %d times in %d tries", lost, tries)
		}
		t.Logf("try %d: the stand-in was late", try)
	}
	// While it is down, the prefix is announced, and packets end at the relay.
	down(r)
	r.WantStandIn(first)
	r.comes(first)
	r.endsHere(first)
	path, err := routing.Vtysh(r.Core.Node, "show bgp ipv6 unicast "+first.String()+" json")
	r.Need(err)
	if !strings.Contains(path, lab.RelayAddress.String()) {
		t.Errorf("FRR in the core says of %s: %s, want it from the relay", first, path)
	}
	up(r)
	r.WantRoute(first, 1)
	r.traffic(first)
}

func TestRFC8987_R4_StandInHoldsTheAnnouncementWhileAdminDown(t *testing.T) {
	standsIn(
		t,
		func(r *network) { r.Relay.IP("link set d1 down") },
		func(r *network) { r.Relay.IP("link set d1 up") },
	)
}

func TestRFC8987_R4_StandInHoldsTheAnnouncementWhileDeleted(t *testing.T) {
	standsIn(
		t,
		func(r *network) { r.Relay.IP("link del d1") },
		func(r *network) {
			r.Relay.IP("link add name d1 address 02:00:00:00:d0:01 type veth peer name c0 address 02:00:00:00:c0:01 netns %s", r.Client(1).Namespace)
			r.Client(1).IP("link set c0 up")
			r.Relay.IP("link set d1 up")
			router := r.Relay.LinkLocal("d1")
			r.Until("the client has a default route", func() bool {
				_, err := r.Client(1).Node.IP("-6 route replace default via %s dev c0", router)
				return err == nil
			})
		},
	)
}
