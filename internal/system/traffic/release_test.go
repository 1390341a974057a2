package traffic_test

import (
	"net"
	"net/netip"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// G-9: "On receipt of a Release message from the client, the delegating relay
// MUST expire the active leases for each of the IA_PDs in the message." It does
// not wait for a server that says nothing.
func TestRFC8987_G9_ReleaseEndsEachIAPDAtOnce(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			r := start(t, lab.Plan{Clients: 1, Access: access})
			var all []netip.Prefix
			for iaid := range uint32(3) {
				p := pfx("2001:db8:11%02x::/56", iaid)
				r.grant(iaid, long(p))
				all = append(all, p)
			}
			c := r.client(1)
			r.obtain(c, 0, 1, 2)
			r.wantRoute(all[2], 1)
			r.server.Become(nil)
			m := c.Message(dhcp6.Release, script.ServerID(script.DefaultServerDUID), script.IAPD(0), script.IAPD(2, long(all[2])))
			need(t, c.Send(m))
			r.WantNoRoute(all[0])
			r.WantNoRoute(all[2])
			r.wantRoute(all[1], 1)
			// What the kernel is told and what the server is told are not in an order.
			until(t, "the server gets the Release", func() bool { return len(r.heard(m)) > 0 })
			if n := len(r.heard(m)); n != 1 {
				t.Errorf("the server got the Release %d times, want once", n)
			}
		})
	}
}

// G-9: a Release that names one of an IA_PD's prefixes ends that one.
func TestRFC8987_G9_NamedPrefixesAlone(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 1})
	a, b := pfx("2001:db8:1100::/56"), pfx("2001:db8:1100:100::/56")
	r.grant(1, long(a), long(b))
	c := r.client(1)
	r.obtain(c, 1)
	need(t, c.Send(c.Message(dhcp6.Release, script.ServerID(script.DefaultServerDUID), script.IAPD(1, long(a)))))
	r.WantNoRoute(a)
	r.wantRoute(b, 1)
}

// G-9: a Release may be as long as it likes. In fragments it shows its link-layer
// source as any other does.
func TestRFC8987_G9_ReleaseInFragments(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			r := start(t, lab.Plan{Clients: 1, Access: access})
			p := pfx("2001:db8:1100::/56")
			c, _ := r.delegate(1, p)
			r.wantRoute(p, 1)
			options := append([][]byte{script.ServerID(script.DefaultServerDUID), script.IAPD(1, long(p))}, bulky(4000)...)
			need(t, c.Send(c.Message(dhcp6.Release, options...)))
			r.WantNoRoute(p)
		})
	}
}

// G-9, "from the client": a Release by another host, which has copied the
// client's identifiers, ends nothing. Nor does one that has copied the client's
// address as well, or speaks on another link. All of them go on to the server.
func TestRFC8987_G9_ForgedReleaseEndsNothing(t *testing.T) {
	for name, access := range map[string]lab.Access{"switch": lab.Switch, "cables": lab.Cables} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			r := start(t, lab.Plan{Clients: 2, Access: access})
			p := pfx("2001:db8:1100::/56")
			c, _ := r.delegate(1, p)
			r.wantRoute(p, 1)
			forger := r.clientAs(2, script.ClientConfig{DUID: duid(1)})
			release := func() []byte {
				return c.Message(dhcp6.Release, script.ServerID(script.DefaultServerDUID), script.IAPD(1, long(p)))
			}
			first := release()
			need(t, forger.Send(first))
			second := release()
			victim, err := r.Client(1).LinkLocal("c0")
			need(t, err)
			mac, err := r.Client(2).Interface("c0")
			need(t, err)
			r.throw(2).ToRelays(mac.HardwareAddr, victim, second)
			passed(r.t, forger)
			r.settled(forger)
			r.wantRoute(p, 1)
			for i, m := range [][]byte{first, second} {
				if n := len(r.heard(m)); n != 1 {
					t.Errorf("the server got forged Release %d %d times, want once", i+1, n)
				}
			}
			// The rightful one counts still.
			need(t, c.Send(release()))
			r.WantNoRoute(p)
		})
	}
}

// G-9 with programs by others: what each client releases goes, from the routes
// and from the filter.
func TestRFC8987_G9_ClientsByOthers(t *testing.T) {
	parallel(t)
	r := startWithKea(t, len(peer.ClientKinds))
	var clients []*peer.Client
	for i, kind := range peer.ClientKinds {
		c, err := peer.StartClient(r.Client(i+1), kind, peer.ClientConfig{})
		need(t, err)
		clients = append(clients, c)
	}
	for i, c := range clients {
		got, err := c.Await(patience, 1)
		need(t, err)
		r.wantRoute(got[0], i+1)
	}
	for _, c := range clients {
		p := c.Prefixes()[0]
		need(t, c.Release())
		r.ended(p)
	}
}

// hijack is a shared link on which client 1 holds a prefix, and client 2 has
// copied its identifiers, so that the server takes it for the same.
func hijack(t *testing.T, linkKeys ...string) (r *rig, p netip.Prefix, victim, thief *script.Client) {
	t.Helper()
	r = start(t, lab.Plan{Clients: 2, Access: lab.Switch}, linkKeys...)
	p = pfx("2001:db8:1100::/56")
	victim, _ = r.delegate(1, p)
	r.wantRoute(p, 1)
	thief = r.clientAs(2, script.ClientConfig{DUID: duid(1)})
	return r, p, victim, thief
}

// A delegation that would move to another host of a shared link stays while the
// rightful one answers, and follows when it is really gone.
func TestHijackOnASharedLinkIsRefused(t *testing.T) {
	parallel(t)
	r, p, victim, thief := hijack(t, "filter: strict")
	reply := r.obtain(thief, 1)
	if got := held(reply); len(got) != 1 || got[0] != p {
		t.Fatalf("the server gave the thief %v, want %s: the test shows nothing", got, p)
	}
	r.wantRoute(p, 1)
	g := watch(r, 2)
	g.stops(stolen, "2001:db8:1100::1")
	r.renew(thief, reply)
	r.wantRoute(p, 1)
	r.renew(victim, reply)
	r.wantRoute(p, 1)

	// A client whose router was swapped for another with the same identifiers.
	_, err := r.Client(1).IP("link set c0 down")
	need(t, err)
	r.renew(thief, reply)
	r.wantRoute(p, 2)
	g.passes("2001:db8:1100::1")
}

// The same with the victim's link-local address copied as well: it is the
// link-layer address that tells them apart.
func TestHijackWithACopiedAddressIsRefused(t *testing.T) {
	parallel(t)
	r, p, victim, thief := hijack(t, "filter: strict")
	mac, err := r.Client(2).Interface("c0")
	need(t, err)
	x := r.throw(2)
	solicit := victim.Message(dhcp6.Request, script.ServerID(script.DefaultServerDUID), script.IAPD(1))
	x.ToRelays(mac.HardwareAddr, victim.Source.Addr().WithZone(""), solicit)
	_, err = r.server.Wait(patience, "the forged Request", func(q script.Request) bool { return string(q.Inner) == string(solicit) })
	need(t, err)
	passed(r.t, thief)
	r.settled(thief)
	own, err := r.Client(1).Interface("c0")
	need(t, err)
	r.watchStrict(p, own.HardwareAddr, mac.HardwareAddr)
}

// watchStrict waits until the filter binds a prefix to one link-layer address,
// and fails if it binds it to another.
func (r *rig) watchStrict(p netip.Prefix, want, not net.HardwareAddr) {
	r.t.Helper()
	r.wantRoute(p, 1)
	var bound []string
	for _, e := range r.Permitted(`"` + p.Addr().String() + `"`) {
		if contains(e, "source-strict") {
			bound = append(bound, e)
		}
	}
	if len(bound) != 1 || !contains(bound[0], want.String()) || contains(bound[0], not.String()) {
		r.t.Errorf("the filter binds %s to %v, want %s", p, bound, want)
	}
}

// The policy is the operator's: deny keeps the old next hop even when it is
// gone, follow believes the server at once.
func TestMovePolicies(t *testing.T) {
	t.Run("deny", func(t *testing.T) {
		parallel(t)
		r, p, _, thief := hijack(t, "lease-move: deny")
		next, err := r.Client(1).LinkLocal("c0")
		need(t, err)
		_, err = r.Client(1).IP("link set c0 down")
		need(t, err)
		r.obtain(thief, 1)
		r.WantRouteVia(p, next.String(), "br0")
	})
	t.Run("follow", func(t *testing.T) {
		parallel(t)
		r, p, _, thief := hijack(t, "lease-move: follow")
		r.obtain(thief, 1)
		r.wantRoute(p, 2)
	})
}
