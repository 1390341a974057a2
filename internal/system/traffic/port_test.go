package traffic_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// Section 3.1: "the delegating relay already has an active PD lease entry for an
// existing client on a port. A new client is connected to this port and sends a
// Solicit message." It is served at once, and so is a third.
func TestRFC8987_G1_NewClientOnABusyPort(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	for i := 1; i <= 3; i++ {
		p := pfx("2001:db8:11%02x::/56", i)
		r.grant(uint32(i), rig.Long(p))
		c := r.Play(1, rig.DUID(i))
		c.Obtain(uint32(i))
		c.Close()
		r.WantRoute(p, 1)
	}
	if n := len(r.Routed()); n != 3 {
		t.Errorf("%d routes, want 3: nobody's place was taken", n)
	}
}

// G-4: "one or more interfaces on which it acts as a relay, as well as one or
// more interfaces on which it does not".
func TestRFC8987_G4_NoRelayOnOtherInterfaces(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	stranger := r.Core.PlayAs(script.ClientConfig{Interface: "k0", DUID: rig.DUID(9)})
	message := stranger.Message(dhcp6.Solicit, script.IAPD(1))
	stranger.Send(message)
	stranger.SendTo(lab.RelayAddress, message)
	r.Until("the drop is counted", func() bool { return r.Fairlead.Counts("u0").Drops["not-client-link"] > 0 })
	r.client(1).Passed()
	if n := len(r.Played.Heard(message)); n != 0 {
		t.Errorf("the server got a message from the uplink %d times, want never", n)
	}
}

// G-6 with on-limit: replace-unreachable, for ports of one customer: a router
// that was swapped for another takes the place of the one that is gone, and not
// of one that is there.
func TestRFC8987_G6_SwappedRouterTakesTheOldPlace(t *testing.T) {
	r := start(t, lab.Plan{Clients: 2, Access: lab.Switch}, "limits:", "  link: 1", "  on-limit: replace-unreachable")
	old, next := pfx("2001:db8:1100::/56"), pfx("2001:db8:1100:100::/56")
	r.delegate(1, old)
	r.WantRoute(old, 1)

	r.grant(2, rig.Long(next))
	two := r.client(2)
	solicit := two.Message(dhcp6.Solicit, script.IAPD(2))
	two.Exchange(solicit)
	request := two.Message(dhcp6.Request, script.ServerID(script.DefaultServerDUID), script.IAPD(2))
	two.Send(request)
	r.Played.Await(request)
	r.Until("the Reply above the limit is dropped", func() bool { return r.Fairlead.Counts("br0").Drops["limit"] > 0 })
	r.WantRoute(old, 1)

	r.Client(1).IP("link set c0 down")
	two.Obtain(2)
	r.WantRoute(next, 2)
	if diff := cmp.Diff(texts(next), r.Routed()); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// An address that a server assigns outside the prefixes on the link gets a route
// of its own, and passes the filter; one inside needs neither.
func TestRFC8987_R1_AssignedAddressesOffLink(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	off, on := netip.MustParseAddr("2001:db8:1900::5"), netip.MustParseAddr("2001:db8:1::55")
	answers := r.said.answers()
	answers.Addresses = func(script.Request, dhcp6.IA) []dhcp6.IAAddr {
		return []dhcp6.IAAddr{{Address: off, Preferred: 2000, Valid: 3000}, {Address: on, Preferred: 2000, Valid: 3000}}
	}
	r.Played.Become(answers.Answer)
	c := r.client(1)
	reply := c.Exchange(c.Message(dhcp6.Request, script.ServerID(script.DefaultServerDUID), script.IANA(1)))
	r.Until("the address is routed", func() bool { return len(r.Routed()) == 1 })
	if got := r.Routes()[0]; got.Dst != off.String() || got.Dev != "d1" {
		t.Errorf("the route is %+v, want one to %s by d1", got, off)
	}
	r.Client(1).Address("c0", off.String()+"/128")
	r.Server.Reaches(netip.Addr{}, off)
	g := watch(r, 1)
	g.stops(spoofed, "2001:db8:1900::6")
	c.Release(reply)
	r.Until("the route has gone", func() bool { return len(r.Routed()) == 0 })
}

// A server that starts a conversation (Reconfigure, RFC 8415 section 18.3.11)
// reaches its client, named by interface-id or by link-address.
func TestRFC8415_19_2_ServerInitiatedReconfigure(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 2, Access: access})
			c := r.client(2)
			own := c.Own()
			message := c.Message(dhcp6.Reconfigure, script.ServerID(script.DefaultServerDUID), script.Option(19, 5))
			link := lab.LinkAddress(2)
			if access == lab.Switch {
				link = lab.LinkAddress(1)
			}
			for _, options := range [][]byte{script.Option(dhcp6.OptionInterfaceID, []byte(r.Downlink(2))...), nil} {
				head := dhcp6.AppendRelayHeader(nil, dhcp6.RelayReply, 0, link, own)
				r.Played.Send(rig.ToRelay, slices.Concat(head, options, script.Option(dhcp6.OptionRelayMessage, message...)))
				c.Gets(message)
			}
		})
	}
}
