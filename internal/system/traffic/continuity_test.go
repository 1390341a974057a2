package traffic_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// homed is a rig with one delegation, an address in it at the client, and a
// recording of all DHCPv6 on the client's link since then.
func homed(t *testing.T, access lab.Access, linkKeys ...string) (r *network, p netip.Prefix, inside netip.Addr) {
	t.Helper()
	r = start(t, lab.Plan{Clients: 1, Access: access}, linkKeys...)
	p = pfx("2001:db8:1100::/56")
	c, _ := r.delegate(1, p)
	r.WantRoute(p, 1)
	inside = r.AddressIn(1, p)
	r.Server.Reaches(netip.Addr{}, inside)
	c.Close() // from now on the client is silent
	return r, p, inside
}

// silent fails if the server has heard anything since it had heard that much.
func (r *network) silent(before int) {
	r.T.Helper()
	if more := len(r.Played.Received()) - before; more != 0 {
		r.T.Errorf("the server heard %d messages meanwhile, want none: routes must come back without DHCP", more)
	}
}

// S-2: "If a client's next-hop link-local address becomes unreachable (e.g., due
// to a link-down event on the relevant physical interface), routes for the
// client's delegated prefixes MUST be retained by the delegating relay unless
// they are released or removed due to expiring DHCP timers. This is to
// reestablish routing for the delegated prefix if the client next hop becomes
// reachable without the delegated prefixes needing to be relearned."
func TestRFC8987_S2_CarrierLoss(t *testing.T) {
	r, p, inside := homed(t, lab.Cables)
	heard := len(r.Played.Received())
	next := r.Client(1).LinkLocal("c0")
	r.Client(1).IP("link set c0 down")
	r.Until("d1 has no carrier", func() bool {
		return strings.Contains(r.Relay.IP("-o link show d1"), "NO-CARRIER")
	})
	r.WantRouteVia(p, next.String(), "d1") // as it was
	r.Client(1).IP("link set c0 up")
	r.back(p, inside)
	r.silent(heard)
}

// back gives client 1 its default route back, which it lost with its interface,
// and waits until its prefix is reached.
func (r *network) back(p netip.Prefix, inside netip.Addr) {
	r.T.Helper()
	router := r.Relay.LinkLocal(r.Downlink(1))
	r.Client(1).IP("-6 route replace default via %s dev c0", router)
	r.WantRoute(p, 1)
	r.Server.Reaches(netip.Addr{}, inside)
}

// S-2: the kernel removes all routes of an interface that is set down; an
// unreachable one of the same length stands in, and is swapped on the way up; on
// point-to-point links it is so where names are not used again.
func TestRFC8987_S2_AdminDownAndUp(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			r, p, inside := homed(t, access, "reuse: never")
			heard := len(r.Played.Received())
			down := r.Downlink(1)
			r.Relay.IP("link set %s down", down)
			r.WantStandIn(p)
			if got := r.RouteOf(p); got[0].Metric != 8700 || netip.MustParsePrefix(got[0].Dst).Bits() != 56 {
				t.Errorf("the stand-in is %+v, want the route's length and metric", got[0])
			}
			// A packet for the prefix ends here, and does not go round by the default
			// route.
			out, _ := r.Relay.Node.IP("-6 route get %s", inside)
			if strings.Contains(out, "u0") {
				t.Errorf("the kernel sends packets for the prefix back up: %s", out)
			}
			r.Relay.IP("link set %s up", down)
			switch access {
			case lab.PPP: // what PPP negotiates is lost with the interface
				r.Relay.Address(down, "fe80::1/64", lab.LinkAddress(1).String()+"/64")
			default:
				r.Relay.Address(down, lab.LinkAddress(1).String()+"/64")
			}
			r.back(p, inside)
			r.silent(heard)
		})
	}
}

// S-2: an interface that is deleted and made anew, with another index.
func TestRFC8987_S2_DeletionAndReturn(t *testing.T) {
	r, p, inside := homed(t, lab.Cables)
	heard := len(r.Played.Received())
	r.Relay.IP("link del d1")
	r.WantStandIn(p)
	for _, command := range []string{
		"link add name d1 address 02:00:00:00:d0:01 type veth peer name c0 address 02:00:00:00:c0:01 netns " + r.Client(1).Namespace,
		"link set d1 up",
		"-6 addr add 2001:db8:1::1/64 dev d1 nodad",
	} {
		r.Relay.IP("%s", command)
	}
	r.Client(1).IP("link set c0 up")
	r.back(p, inside)
	r.silent(heard)
}

// S-2: "unless they are released or removed due to expiring DHCP timers", also
// while the link is away, whose return brings nothing of it back.
func TestRFC8987_S2_ExpiryMeanwhile(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	c := r.client(1)
	untilSeen(t, 3, func(within netip.Prefix, valid dhcp6.Lifetime) bool {
		p, stays := part(within, 0), part(within, 1)
		r.grant(1, lasting(p, valid), rig.Long(stays))
		begin := time.Now()
		c.Obtain(1)
		r.Relay.IP("link set d1 down")
		r.WantStandIn(stays)
		seen := false
		r.Until("there is a stand-in, or its time has elapsed", func() bool {
			seen = r.IsStandIn(p)
			return seen || !lives(begin, valid)
		})
		r.ends(p, valid)
		r.Relay.IP("link set d1 up")
		r.WantRoute(stays, 1)
		if got := r.RouteOf(p); len(got) > 0 {
			t.Errorf("the link's return brought %+v back", got)
		}
		return seen
	})
}

// S-2: a client that vanishes without a word keeps its routes.
func TestRFC8987_S2_ClientCrashes(t *testing.T) {
	r := startWithKea(t, 1)
	c := r.Client(1).Foreign(peer.Dhcpcd, peer.ClientConfig{})
	held := c.Await(1)
	r.WantRoute(held[0], 1)
	inside := c.Inside()
	next := r.Client(1).LinkLocal("c0")
	c.Crash()
	r.Client(1).IP("link set c0 down")
	r.WantRouteVia(held[0], next.String(), "d1")
	r.Client(1).IP("link set c0 up")
	r.Client(1).IP("-6 addr replace %s/64 dev c0 nodad", next) // dhcpcd keeps the kernel from it
	record := r.Relay.Record("any", capture.DHCPv6)
	r.back(held[0], inside)
	// A message of ours is the first that is recorded.
	last := r.Client(1).PlayAs(script.ClientConfig{DUID: rig.DUID(1), Port: 5460}) // what dhcpcd left behind has the other
	message := last.Message(11)
	last.Send(message)
	rows := record.Wait("dhcpv6", "dhcpv6.xid")
	if want := fmt.Sprintf("0x%06x", message[1:4]); rows[0][0] != want && !strings.Contains(rows[0][0], fmt.Sprintf("%x", message[1:4])) {
		t.Errorf("DHCPv6 was spoken until the prefix was reached again: %v, want %s first", rows, want)
	}
}

// S-1: "To preserve active client prefix delegations across relay restarts, the
// relay SHOULD [...] Store active prefix delegations in persistent storage so
// they can be reread after the reboot." The routes and the filter are there
// before any client speaks, also if a purge or a reboot has taken the old ones; on
// point-to-point links they are where names are not used again.
func TestRFC8987_S1_RestartBeforeAnyClientSpeaks(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			r, p, inside := homed(t, access, "reuse: never")
			heard := len(r.Played.Received())
			r.Fairlead.Kill()
			r.Server.Reaches(netip.Addr{}, inside) // while it is dead
			r.Relay.Run(rig.Binary(), "purge", "--config", r.Fairlead.File)
			if got := r.Routed(); len(got) > 0 {
				t.Fatalf("purge left routes: %v", got)
			}
			r.Fairlead.Start()
			// READY was said: from here on there is no waiting.
			if got := r.RouteOf(p); len(got) != 1 || got[0].Dev != r.Downlink(1) {
				t.Errorf("routes to %s when the relay was ready: %+v, want the client's", p, got)
			}
			if got := r.Permitted(p.Addr().String()); len(got) == 0 {
				t.Errorf("the filter does not know %s when the relay is ready", p)
			}
			r.Server.Reaches(netip.Addr{}, inside)
			r.silent(heard)
		})
	}
}

// S-1: what ended while the relay was away does not come back, and what has
// not keeps its time.
func TestRFC8987_S1_TimeGoesOnMeanwhile(t *testing.T) {
	r := build(t, lab.Plan{Clients: 1})
	r.Fairlead.Start()
	c := r.client(1)
	untilSeen(t, 2, func(within netip.Prefix, valid dhcp6.Lifetime) bool {
		gone, brief, stays := part(within, 0), part(within, 1), part(within, 2)
		r.grant(1, lasting(gone, valid), lasting(brief, 4*valid), rig.Long(stays))
		begin := time.Now()
		c.Obtain(1)
		given := time.Now()
		r.Fairlead.Stop()
		seen := len(r.RouteOf(gone)) > 0 // a stop in good order leaves traffic alone, too
		if lives(begin, valid) && !seen {
			t.Errorf("the route is gone before its valid lifetime of %d s has elapsed", valid)
		}
		r.WantRoute(stays, 1)
		r.Need(lab.Until(time.Duration(valid)*time.Second+labtest.Patience, "a lifetime has elapsed", func() bool { return !lives(given, valid) }))
		r.Fairlead.Start()
		// READY was said.
		if got := r.RouteOf(gone); len(got) > 0 {
			t.Errorf("what ended while the relay was away has its route: %+v", got)
		}
		log := r.Fairlead.Log()
		if end, restored := strings.LastIndex(log, "prefix="+gone.String()+" "), strings.LastIndex(log, "msg=restored"); end < 0 || end > restored {
			t.Errorf("what ended while the relay was away did not end before the kernel was brought to what was kept:\n%s", log)
		}
		kept := len(r.RouteOf(brief)) > 0
		if lives(begin, 4*valid) && !kept {
			t.Errorf("the route is gone before its valid lifetime of %d s has elapsed", 4*valid)
		}
		r.WantRoute(stays, 1)
		r.ends(brief, 4*valid)
		if lives(begin, 4*valid) {
			t.Errorf("the route was gone after %v, before the valid lifetime of %d s", time.Since(begin), 4*valid)
		}
		r.WantRoute(stays, 1)
		return seen && kept
	})
}
