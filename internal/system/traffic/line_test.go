package traffic_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
)

// line makes the point-to-point link ppp7 towards a node, which has a link-local
// address there and sends everything to the relay.
func (r *rig) line(node *lab.Node, address string) *lab.Pump {
	r.t.Helper()
	pump, err := r.Tun(r.Relay, "ppp7", "fe80::1/64", node, "c0", address+"/64")
	need(r.t, err)
	need(r.t, r.Relay.Address("ppp7", "2001:db8:7::1/64"))
	_, err = node.IP("-6 route replace default via fe80::1 dev c0")
	need(r.t, err)
	return pump
}

// unproved waits until a prefix has a stand-in, no filter element on ppp7, and is
// shown as what it is.
func (r *rig) unproved(p netip.Prefix) {
	r.t.Helper()
	r.WantStandIn(p)
	until(r.t, fmt.Sprintf("the filter has let go of %s", p), func() bool { return len(r.permittedOn("ppp7", p)) == 0 })
	if got, err := r.relay.CLI("delegations", "--prefix", p.String()); err != nil || !strings.Contains(got, "unproved") {
		r.t.Errorf("delegations: %v\n%s", err, got)
	}
}

// R-3 and S-2 on point-to-point links, here tun devices: a name that is used again is
// another line. What the client of the line before was delegated is neither routed
// there nor a good source, until the server says that the client is there.
func TestRFC8987_R3_NameOfAPointToPointLinkIsUsedAgain(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Access: lab.PPP})
	as, bs := pfx("2001:db8:1100::/56"), pfx("2001:db8:1200::/56")
	r.grant(1, long(as))
	r.grant(2, long(bs))
	one, err := r.Node("one")
	need(t, err)
	two, err := r.Node("two")
	need(t, err)

	pump := r.line(one, "fe80::a")
	a := labtest.Client(t, one, script.ClientConfig{DUID: duid(1)})
	r.obtain(a, 1)
	r.WantRouteVia(as, "fe80::a", "ppp7")
	need(t, a.Close())
	need(t, pump.Close())
	r.unproved(as)

	pump = r.line(two, "fe80::b")
	b := labtest.Client(t, two, script.ClientConfig{DUID: duid(2)})
	reply := r.obtain(b, 2)
	r.WantRouteVia(bs, "fe80::b", "ppp7")
	r.unproved(as)
	g := &guard{rig: r, Thrower: labtest.Throw(t, two, "c0", nil), in: labtest.Listen(t, r.Server)}
	g.passes("2001:db8:1200::1")
	g.stops(spoofed, "2001:db8:1100::1")

	// The same interface after it was down, with its index.
	_, err = r.Relay.IP("link set ppp7 down")
	need(t, err)
	r.unproved(bs)
	_, err = r.Relay.IP("link set ppp7 up")
	need(t, err)
	need(t, r.Relay.Address("ppp7", "fe80::1/64", "2001:db8:7::1/64"))
	r.unproved(bs)
	reply = r.renew(b, reply)
	r.WantRouteVia(bs, "fe80::b", "ppp7")
	g.passes("2001:db8:1200::2")

	// A restart of the relay: what is unproved is out of the filter before it is ready.
	need(t, r.relay.Kill())
	need(t, r.relay.Start())
	if left := r.permittedOn("ppp7", bs); len(left) > 0 {
		t.Errorf("after a restart the filter lets %s through, which is not proved: %q", bs, left)
	}
	r.unproved(bs)
	g.stops(spoofed, "2001:db8:1200::3")
	r.renew(b, reply)
	g.passes("2001:db8:1200::4")
	r.WantRouteVia(bs, "fe80::b", "ppp7")
	need(t, b.Close())
	need(t, pump.Close())
}
