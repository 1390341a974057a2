package traffic_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// texts are prefixes as text, in the order of routed.
func texts(prefixes ...netip.Prefix) (list []string) {
	for _, p := range prefixes {
		list = append(list, p.String())
	}
	slices.Sort(list)
	return list
}

// G-2: "The relay MUST allow for multiple prefixes to be delegated for the same
// client IA_PD. These delegations may have different lifetimes."
func TestRFC8987_G2_SeveralPrefixesInOneIAPD(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	short, middle, stays := pfx("2001:db8:1100::/56"), pfx("2001:db8:1101::/48"), pfx("2001:db8:1102:1::/64")
	given := []dhcp6.IAPrefix{lasting(short, 1000), lasting(middle, 2000), rig.Long(stays)}
	r.grant(1, given...)
	c := r.client(1)
	reply := c.Obtain(1)
	if diff := cmp.Diff(texts(short, middle, stays), r.Routed()); diff != "" {
		t.Errorf("routes when the Reply has come (-want +got):\n%s", diff)
	}
	if n := len(rig.Held(reply)); n != 3 {
		t.Errorf("the Reply has %d prefixes, want 3", n)
	}
	for _, d := range r.delegations() {
		i := slices.IndexFunc(given, func(p dhcp6.IAPrefix) bool { return p.Prefix.String() == d.Prefix })
		if valid := d.Valid.(float64); i < 0 || valid <= 0 || valid > float64(given[i].Valid) {
			t.Errorf("%s is shown with %v s left, want some of %+v", d.Prefix, d.Valid, given)
		}
	}
	// Each ends in its own time.
	r.expires(c, reply, 1, short, middle, stays)
	r.WantRoute(middle, 1)
	r.WantRoute(stays, 1)
	r.expires(c, reply, 1, middle, stays)
	r.WantRoute(stays, 1)
}

// G-2: a Renew that adds one prefix, leaves one out and takes one back changes
// just that.
func TestRFC8987_G2_EachPrefixHasALifeOfItsOwn(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	stays, silent, back, added := pfx("2001:db8:1100::/56"), pfx("2001:db8:1100:100::/56"), pfx("2001:db8:1100:200::/56"), pfx("2001:db8:1100:300::/56")
	r.grant(1, rig.Long(stays), rig.Long(silent), rig.Long(back))
	c := r.client(1)
	reply := c.Obtain(1)
	r.grant(1, rig.Long(stays), lasting(back, 0), rig.Long(added))
	c.Renew(reply)
	r.WantNoRoute(back) // an end is told first, and then taken out
	if diff := cmp.Diff(texts(stays, silent, added), r.Routed()); diff != "" {
		t.Errorf("routes after the Renew (-want +got):\n%s", diff)
	}
}

// G-3: "The relay MUST allow for multiple prefixes (with or without separate
// IA_PDs) to be delegated to a single client connected to a single interface,
// identified by its DHCPv6 Client Identifier (DUID)."
func TestRFC8987_G3_SeveralIAPDsOfOneClient(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 1, Access: access})
			var all []netip.Prefix
			for iaid := range uint32(4) {
				a, b := pfx("2001:db8:11%02x::/56", iaid), pfx("2001:db8:11%02x:100::/56", iaid)
				r.grant(iaid, rig.Long(a), rig.Long(b))
				all = append(all, a, b)
			}
			c := r.client(1)
			c.Obtain(0, 1, 2, 3)
			for _, p := range all {
				r.WantRoute(p, 1)
			}
			r.Server.Reaches(netip.Addr{}, r.AddressIn(1, all[0]))
			r.Server.Reaches(netip.Addr{}, r.AddressIn(1, all[7]))
			// One IA_PD given back leaves the others.
			m := c.Message(dhcp6.Release, script.ServerID(script.DefaultServerDUID), script.IAPD(2))
			c.Exchange(m)
			r.WantNoRoute(all[4])
			r.WantNoRoute(all[5])
			if n := len(r.Routed()); n != 6 {
				t.Errorf("%d routes after the release of one IA_PD of four, want 6", n)
			}
		})
	}
}

// G-3 with programs by others: each client gets three prefixes from Kea.
func TestRFC8987_G3_ClientsByOthers(t *testing.T) {
	kinds := []peer.ClientKind{peer.Dhcpcd, peer.DibblerClient}
	r := startWithKea(t, len(kinds))
	var clients []*rig.Foreign
	for i, kind := range kinds {
		c := r.Client(i+1).Foreign(kind, peer.ClientConfig{Prefixes: 3})
		clients = append(clients, c)
	}
	for i, c := range clients {
		got := c.Await(3)
		for _, p := range got {
			r.WantRoute(p, i+1)
		}
	}
	if n := len(r.Routed()); n != 6 {
		t.Errorf("%d routes, want 6: three of each client", n)
	}
}

// G-4: "The relay SHOULD allow the same client identifier (DUID) to have active
// delegated prefix leases on more than one interface simultaneously [...]. This
// is to allow client devices with duplicate DUIDs to function on separate
// broadcast domains." The same IAID and link-layer address, too.
func TestRFC8987_G4_SameDUIDOnTwoInterfaces(t *testing.T) {
	for name, access := range map[string]lab.Access{"cables": lab.Cables, "ppp": lab.PPP} {
		t.Run(name, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 2, Access: access})
			for i := 1; i <= 2; i++ {
				r.grantOn(lab.LinkAddress(i), 1, rig.Long(pfx("2001:db8:1%d00::/56", i)))
				if access == lab.Cables {
					r.Client(i).IP("link set c0 address 02:00:00:00:c0:aa")
				}
			}
			one := r.Play(1, rig.DUID(7))
			two := r.Play(2, rig.DUID(7))
			first, second := one.Obtain(1), two.Obtain(1)
			r.WantRoute(rig.Held(first)[0], 1)
			r.WantRoute(rig.Held(second)[0], 2)
			for i, p := range []netip.Prefix{rig.Held(first)[0], rig.Held(second)[0]} {
				r.Server.Reaches(netip.Addr{}, r.AddressIn(i+1, p))
			}
			// What one gives back, the other keeps.
			one.Release(first)
			r.WantNoRoute(rig.Held(first)[0])
			r.WantRoute(rig.Held(second)[0], 2)
		})
	}
}

// G-4: "unless client DUID uniqueness is necessary for the functioning or
// security of the network": then it is configured, and the second is refused.
// Its messages go through all the same.
func TestRFC8987_G4_UniqueByConfiguration(t *testing.T) {
	r := start(t, lab.Plan{Clients: 2}, "unique-duid: true")
	for i := 1; i <= 2; i++ {
		r.grantOn(lab.LinkAddress(i), 1, rig.Long(pfx("2001:db8:1%d00::/56", i)))
	}
	one := r.Play(1, rig.DUID(7))
	two := r.Play(2, rig.DUID(7))
	first := one.Obtain(1)
	second := two.Obtain(1)
	if n := len(rig.Held(second)); n != 1 {
		t.Errorf("the second client's Reply has %d prefixes, want the 1 that the server put there", n)
	}
	if diff := cmp.Diff([]string{"2001:db8:1100::/56"}, r.Routed()); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	one.Release(first)
	r.WantNoRoute(rig.Held(first)[0])
	two.Obtain(1)
	r.WantRoute(rig.Held(second)[0], 2)
}

// limited obtains one prefix for each of so many clients on a link, or IA_PDs of
// one, and returns how many have a route.
func limited(r *network, ask func(i int) bool, upTo int) int {
	r.T.Helper()
	for i := 1; i <= upTo; i++ {
		r.grant(uint32(i), rig.Long(pfx("2001:db8:11%02x::/56", i)))
		if !ask(i) {
			break
		}
	}
	return len(r.Routed())
}

// tries asks for one IA_PD more and reports whether it was answered. What is
// above a limit is not: the Request stays at the relay.
func (r *network) tries(c *rig.Client, iaid uint32) bool {
	r.T.Helper()
	solicit := c.Message(dhcp6.Solicit, script.IAPD(iaid))
	c.Exchange(solicit)
	request := c.Message(dhcp6.Request, script.ServerID(script.DefaultServerDUID), script.IAPD(iaid, rig.Long(pfx("2001:db8:11%02x::/56", iaid))))
	c.Send(request)
	c.Passed()
	return len(r.Played.Heard(request)) > 0
}

// G-5: "The maximum number of simultaneous prefixes delegated to a single client
// MUST be configurable."
func TestRFC8987_G5_LimitPerClientByConfiguration(t *testing.T) {
	for _, limit := range []int{1, 3} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 2}, "limits:", fmt.Sprintf("  client: %d", limit))
			c := r.client(1)
			n := limited(r, func(i int) bool { return r.tries(c, uint32(i)) }, limit+2)
			if n != limit {
				t.Errorf("%d routes for one client, want %d", n, limit)
			}
			// Another client is not concerned, and a place that is given back is free.
			r.grant(200, rig.Long(pfx("2001:db8:1200::/56")))
			if !r.tries(r.client(2), 200) {
				t.Error("another client was refused")
			}
			m := c.Message(dhcp6.Release, script.ServerID(script.DefaultServerDUID), script.IAPD(1))
			c.Exchange(m)
			if !r.tries(c, uint32(limit+1)) {
				t.Error("refused after a release")
			}
		})
	}
}

// G-5: a server that gives more than the limit in one Reply gets the rest
// refused: what fits is routed, and the Reply goes on as it is.
func TestRFC8987_G5_ExcessInOneReply(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1}, "limits:", "  client: 2")
	a, b, c := pfx("2001:db8:1101::/56"), pfx("2001:db8:1102::/56"), pfx("2001:db8:1103::/56")
	r.grant(1, rig.Long(a), rig.Long(b), rig.Long(c))
	reply := r.client(1).Obtain(1)
	if n := len(rig.Held(reply)); n != 3 {
		t.Errorf("the client's Reply has %d prefixes, want 3: it is not changed", n)
	}
	if diff := cmp.Diff(texts(a, b), r.Routed()); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	g := watch(r, 1)
	g.passes("2001:db8:1102::1")
	g.stops(spoofed, "2001:db8:1103::1")
}

// G-6: "The relay MUST implement a mechanism to limit the maximum number of
// active prefix delegations on a single port for all client identifiers and
// IA_PDs. This value MUST be configurable."
func TestRFC8987_G6_LimitPerPortByConfiguration(t *testing.T) {
	r := start(t, lab.Plan{Clients: 2}, "limits:", "  link: 4", "  per-mac: none")
	var clients []*rig.Client // many identifiers on one port
	n := limited(r, func(i int) bool {
		c := r.Play(1, rig.DUID(i))
		clients = append(clients, c)
		ok := r.tries(c, uint32(i))
		c.Close()
		return ok
	}, 6)
	if n != 4 || len(clients) != 5 {
		t.Errorf("%d routes on one port and %d clients served, want 4 and 4", n, len(clients)-1)
	}
	r.grant(200, rig.Long(pfx("2001:db8:1200::/56")))
	if !r.tries(r.client(2), 200) {
		t.Error("a client on another port was refused")
	}
}

// G-6, divided on shared links: one host cannot use up its neighbours' share
// with many identifiers.
func TestRFC8987_G6_OneHostCannotUseUpASharedPort(t *testing.T) {
	r := start(t, lab.Plan{Clients: 2, Access: lab.Switch}, "limits:", "  client: 2", "  link: 100", "  per-mac: 3")
	n := limited(r, func(i int) bool {
		c := r.Play(1, rig.DUID(i))
		defer c.Close()
		return r.tries(c, uint32(i))
	}, 6)
	if n != 3 {
		t.Errorf("%d routes for one host, want 3", n)
	}
	r.grant(200, rig.Long(pfx("2001:db8:1200::/56")))
	if !r.tries(r.client(2), 200) {
		t.Error("its neighbour was refused")
	}
	r.WantRoute(pfx("2001:db8:1200::/56"), 2)
}

// G-7: "It is RECOMMENDED that delegating relays support at least 8 active
// delegated leases per client device and use this as the default limit."
func TestRFC8987_G7_EightByDefault(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	c := r.client(1)
	if n := limited(r, func(i int) bool { return r.tries(c, uint32(i)) }, 10); n != 8 {
		t.Errorf("%d routes for one client, want 8", n)
	}
}
