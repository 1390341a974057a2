//go:build vm

package vm_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/system/rig"
)

// onPPP is a rig with PPP links: each client is a node whose pppd talks to one on
// the relay node, which takes the lowest unit that is free.
type onPPP struct {
	*network
	*labtest.Kernel
	server *rig.Server
}

// customer is a node with a PPP link.
type customer struct {
	*rig.Client
	node *rig.Host
	call *lab.Call
	far  *labtest.Listener // test packets that arrive at the node
}

// dial gives a node a PPP link to the relay, which must become the interface unit
// there. The customer's end is fe80::LETTER.
func (r *onPPP) dial(node *rig.Host, letter, unit string, options ...string) *lab.Call {
	r.T.Helper()
	call, err := r.Dial(
		lab.PPPEnd{Node: r.node.Node, Program: "pppd" + node.Name, ID: "::1", Options: options},
		lab.PPPEnd{Node: node.Node, Program: "pppd", ID: "::" + letter, Options: []string{"ifname", "c0"}})
	r.Need(err)
	if call.Interfaces[0] != unit {
		r.T.Fatalf("the relay's end of %s is %s, want %s", node.Name, call.Interfaces[0], unit)
	}
	r.node.Address(unit, onUnit(unit)+"/64")
	node.IP("-6 route replace default via fe80::1 dev c0")
	return call
}

// onUnit is the relay's address on a PPP interface.
func onUnit(unit string) string { return linkAddress(0x70 + int(unit[len(unit)-1]-'0')) }

// customer is a node with a link, a DHCPv6 client and an address of its prefix.
func (r *onPPP) customer(letter, unit string, prefix netip.Prefix, options ...string) *customer {
	r.T.Helper()
	c := &customer{node: r.Node(letter)}
	c.node.Address("lo", prefix.Addr().Next().String()+"/128")
	c.call = r.dial(c.node, letter, unit, options...)
	c.Client = r.network.client(c.node, "c0", letter[0])
	c.far = c.node.Listen()
	return c
}

// unproved waits until a prefix of a unit has a stand-in and no place in the filter,
// and is shown so.
func (r *onPPP) unproved(prefix netip.Prefix) {
	r.T.Helper()
	r.WantStandIn(prefix)
	r.filtered(prefix, false)
	if got := r.Fairlead.CLI("delegations", "--prefix", prefix.String()); !strings.Contains(got, "unproved") {
		r.T.Errorf("delegations:\n%s", got)
	}
}

// filtered waits until the source filter lets a prefix pass from a PPP interface, or no
// longer does.
func (r *onPPP) filtered(prefix netip.Prefix, want bool) {
	r.T.Helper()
	r.Until(fmt.Sprintf("it is %v that the filter lets %s pass", want, prefix), func() bool {
		return want == slices.ContainsFunc(r.Permitted(`"`+prefix.Addr().String()+`"`), func(e string) bool { return strings.HasPrefix(e, "source") })
	})
}

// throws sends a test packet from a node to an address, named by its payload.
func (r *onPPP) throws(from *rig.Host, link string, source, dest netip.Addr, name string) {
	r.T.Helper()
	near := map[string]string{"s1": "u1", "c0": "ppp0"}[link]
	from.Throw(link, r.node, near).Send(source.String(), dest.String(), name)
}

// R-3 and S-2 with real PPP: A's line ends, and B is given the unit that A had. What
// A was delegated neither comes out at B nor may B use it, until the server says who
// is there. On a link whose addresses are marked as fixed, the address of the peer
// says it.
func TestRFC8987_R3_PPPUnitIsUsedAgain(t *testing.T) {
	r := &onPPP{network: build(rig.New(t))}
	r.Kernel = labtest.KernelOf(t, r.node.Node)
	r.uplink(1, "")
	r.far.IP("-6 route add default via %s", near(1))
	r.server = r.network.server(1)
	r.start("  - {match: ppp9, reuse: fixed-addresses}\n  - match: \"ppp*\"\n", 1)
	beyondAll := r.far.Listen()
	remote := netip.MustParseAddr(beyond(1))
	as, bs, fs := netip.MustParsePrefix("2001:db8:a00::/56"), netip.MustParsePrefix("2001:db8:b00::/56"), netip.MustParsePrefix("2001:db8:f00::/56")
	in := func(p netip.Prefix) netip.Addr { return p.Addr().Next() }
	grant := func(unit string, p netip.Prefix) {
		r.server.Become(grants{onUnit(unit): p.String()}.answer)
	}

	// Two customers on their units, one with a fixed address.
	fixed := r.customer("f", "ppp9", fs, "unit", "9")
	grant("ppp9", fs)
	obtains(t, fixed.Client, fs.String())
	r.WantRouteVia(fs, "fe80::f", "ppp9")
	a := r.customer("a", "ppp0", as)
	grant("ppp0", as)
	reply := obtains(t, a.Client, as.String())
	r.WantRouteVia(as, "fe80::a", "ppp0")
	r.throws(r.far, "s1", remote, in(as), "for A")
	a.far.Wait("for A")
	r.throws(a.node, "c0", in(as), remote, "by A")
	beyondAll.Wait("by A")

	// A itself calls again: another line, to which the next renewal belongs.
	r.Need(a.call.HangUp())
	r.unproved(as)
	a.call = r.dial(a.node, "a", "ppp0")
	r.unproved(as)
	a.Client = r.network.client(a.node, "c0", 'a')
	a.Renew(reply)
	r.WantRouteVia(as, "fe80::a", "ppp0")
	r.filtered(as, true)

	// A's line ends, and B is given the unit.
	r.Need(a.call.HangUp())
	r.unproved(as)
	b := r.customer("b", "ppp0", bs)
	grant("ppp0", bs)
	obtains(t, b.Client, bs.String())
	r.WantRouteVia(bs, "fe80::b", "ppp0")
	r.unproved(as)
	spoofed := r.counter("spoofed")
	r.throws(r.far, "s1", remote, in(as), "for A, at B")
	r.throws(r.far, "s1", remote, in(bs), "for B")
	b.far.Wait("for B")
	r.throws(b.node, "c0", in(as), remote, "by B as A")
	r.throws(b.node, "c0", in(bs), remote, "by B")
	beyondAll.Wait("by B")
	if got := b.far.Got(); len(got) != 1 {
		t.Errorf("at B arrived %q, want what is for B alone", got)
	}
	if got := beyondAll.Got(); len(got) != 2 {
		t.Errorf("beyond the relay arrived %q, want one packet by A and one by B", got)
	}
	if n := r.counter("spoofed") - spoofed; n != 1 {
		t.Errorf("%d packets dropped as spoofed, want 1", n)
	}

	// A fixed address: nobody else's, and the customer's own again.
	r.WantRouteVia(fs, "fe80::f", "ppp9")
	r.Need(fixed.call.HangUp())
	r.unproved(fs)
	call := r.dial(r.Node("g"), "e", "ppp9", "unit", "9")
	r.unproved(fs)
	r.Need(call.HangUp())
	fixed.call = r.dial(fixed.node, "f", "ppp9", "unit", "9")
	r.WantRouteVia(fs, "fe80::f", "ppp9")
	r.filtered(fs, true)
	r.throws(r.far, "s1", remote, in(fs), "for F")
	fixed.far.Wait("for F")
}
