package traffic_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// G-9: "On receipt of a Release message from the client, the delegating relay
// MUST expire the active leases for each of the IA_PDs in the message." It does
// not wait for a server that says nothing.
func TestRFC8987_G9_ReleaseEndsEachIAPDAtOnce(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 1, Access: access})
			var all []netip.Prefix
			for iaid := range uint32(3) {
				p := pfx("2001:db8:11%02x::/56", iaid)
				r.grant(iaid, rig.Long(p))
				all = append(all, p)
			}
			c := r.client(1)
			c.Obtain(0, 1, 2)
			r.WantRoute(all[2], 1)
			r.Played.Become(nil)
			m := c.Message(dhcp6.Release, script.ServerID(script.DefaultServerDUID), script.IAPD(0), script.IAPD(2, rig.Long(all[2])))
			c.Send(m)
			r.WantNoRoute(all[0])
			r.WantNoRoute(all[2])
			r.WantRoute(all[1], 1)
			// What the kernel is told and what the server is told are not in an order.
			r.Until("the server gets the Release", func() bool { return len(r.Played.Heard(m)) > 0 })
			if n := len(r.Played.Heard(m)); n != 1 {
				t.Errorf("the server got the Release %d times, want once", n)
			}
		})
	}
}

// G-9: a Release that names one of an IA_PD's prefixes ends that one.
func TestRFC8987_G9_NamedPrefixesAlone(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	a, b := pfx("2001:db8:1100::/56"), pfx("2001:db8:1100:100::/56")
	r.grant(1, rig.Long(a), rig.Long(b))
	c := r.client(1)
	c.Obtain(1)
	c.Send(c.Message(dhcp6.Release, script.ServerID(script.DefaultServerDUID), script.IAPD(1, rig.Long(a))))
	r.WantNoRoute(a)
	r.WantRoute(b, 1)
}

// G-9: a Release may be as long as it likes. In fragments it shows its link-layer
// source as any other does.
func TestRFC8987_G9_ReleaseInFragments(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 1, Access: access})
			p := pfx("2001:db8:1100::/56")
			c, _ := r.delegate(1, p)
			r.WantRoute(p, 1)
			options := append([][]byte{script.ServerID(script.DefaultServerDUID), script.IAPD(1, rig.Long(p))}, bulky(4000)...)
			c.Send(c.Message(dhcp6.Release, options...))
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
			r := start(t, lab.Plan{Clients: 2, Access: access})
			p := pfx("2001:db8:1100::/56")
			c, _ := r.delegate(1, p)
			r.WantRoute(p, 1)
			forger := r.Play(2, rig.DUID(1))
			release := func() []byte {
				return c.Message(dhcp6.Release, script.ServerID(script.DefaultServerDUID), script.IAPD(1, rig.Long(p)))
			}
			first := release()
			forger.Send(first)
			second := release()
			victim := r.Client(1).LinkLocal("c0")
			mac := r.Client(2).Interface("c0")
			r.throw(2).ToRelays(mac.HardwareAddr, victim, second)
			forger.Passed()
			r.installed(forger)
			r.WantRoute(p, 1)
			for i, m := range [][]byte{first, second} {
				if n := len(r.Played.Heard(m)); n != 1 {
					t.Errorf("the server got forged Release %d %d times, want once", i+1, n)
				}
			}
			// The rightful one counts still.
			c.Send(release())
			r.WantNoRoute(p)
		})
	}
}

// G-9 with programs by others: what each client releases goes, from the routes
// and from the filter.
func TestRFC8987_G9_ClientsByOthers(t *testing.T) {
	r := startWithKea(t, len(peer.ClientKinds))
	var clients []*rig.Foreign
	for i, kind := range peer.ClientKinds {
		c := r.Client(i+1).Foreign(kind, peer.ClientConfig{})
		clients = append(clients, c)
	}
	for i, c := range clients {
		got := c.Await(1)
		r.WantRoute(got[0], i+1)
	}
	for _, c := range clients {
		p := c.Prefixes()[0]
		c.Release()
		r.ended(p)
	}
}

// hijack is a shared link on which client 1 holds a prefix, and client 2 has
// copied its identifiers, so that the server takes it for the same.
func hijack(t *testing.T, linkKeys ...string) (r *network, p netip.Prefix, victim, thief *rig.Client) {
	t.Helper()
	r = start(t, lab.Plan{Clients: 2, Access: lab.Switch}, linkKeys...)
	p = pfx("2001:db8:1100::/56")
	victim, _ = r.delegate(1, p)
	r.WantRoute(p, 1)
	thief = r.Play(2, rig.DUID(1))
	return r, p, victim, thief
}

// A delegation that would move to another host of a shared link stays while the
// rightful one answers, and follows when it is really gone.
func TestHijackOnASharedLinkIsRefused(t *testing.T) {
	r, p, victim, thief := hijack(t, "filter: strict")
	reply := thief.Obtain(1)
	if got := rig.Held(reply); len(got) != 1 || got[0] != p {
		t.Fatalf("the server gave the thief %v, want %s: the test shows nothing", got, p)
	}
	r.WantRoute(p, 1)
	g := watch(r, 2)
	g.stops(stolen, "2001:db8:1100::1")
	thief.Renew(reply)
	r.WantRoute(p, 1)
	victim.Renew(reply)
	r.WantRoute(p, 1)

	// A client whose router was swapped for another with the same identifiers.
	r.Client(1).IP("link set c0 down")
	thief.Renew(reply)
	r.WantRoute(p, 2)
	g.passes("2001:db8:1100::1")
}

// The same with the victim's link-local address copied as well: it is the
// link-layer address that tells them apart.
func TestHijackWithACopiedAddressIsRefused(t *testing.T) {
	r, p, victim, thief := hijack(t, "filter: strict")
	mac := r.Client(2).Interface("c0")
	x := r.throw(2)
	solicit := victim.Message(dhcp6.Request, script.ServerID(script.DefaultServerDUID), script.IAPD(1))
	x.ToRelays(mac.HardwareAddr, victim.Own(), solicit)
	r.Played.Wait("the forged Request", func(q script.Request) bool { return string(q.Inner) == string(solicit) })
	thief.Passed()
	r.installed(thief)
	own := r.Client(1).Interface("c0")
	r.watchStrict(p, own.HardwareAddr, mac.HardwareAddr)
}

// watchStrict waits until the filter binds a prefix to one link-layer address,
// and fails if it binds it to another.
func (r *network) watchStrict(p netip.Prefix, want, not net.HardwareAddr) {
	r.T.Helper()
	r.WantRoute(p, 1)
	var bound []string
	for _, e := range r.Permitted(`"` + p.Addr().String() + `"`) {
		if strings.Contains(e, "source-strict") {
			bound = append(bound, e)
		}
	}
	if len(bound) != 1 || !strings.Contains(bound[0], want.String()) || strings.Contains(bound[0], not.String()) {
		r.T.Errorf("the filter binds %s to %v, want %s", p, bound, want)
	}
}

// The policy is the operator's: deny keeps the old next hop even when it is
// gone, follow believes the server at once.
func TestMovePolicies(t *testing.T) {
	t.Run("deny", func(t *testing.T) {
		r, p, _, thief := hijack(t, "lease-move: deny")
		next := r.Client(1).LinkLocal("c0")
		r.Client(1).IP("link set c0 down")
		thief.Obtain(1)
		r.WantRouteVia(p, next.String(), "br0")
	})
	t.Run("follow", func(t *testing.T) {
		r, p, _, thief := hijack(t, "lease-move: follow")
		thief.Obtain(1)
		r.WantRoute(p, 2)
	})
}
