package traffic_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/system/rig"
)

// line makes the point-to-point link ppp7 towards a node, which has a link-local
// address there and sends everything to the relay.
func (r *network) line(node *rig.Host, address string) *lab.Pump {
	r.T.Helper()
	pump := r.Tun(r.Relay, "ppp7", "fe80::1/64", node, "c0", address+"/64")
	r.Relay.Address("ppp7", "2001:db8:7::1/64")
	node.IP("-6 route replace default via fe80::1 dev c0")
	return pump
}

// unproved waits until a prefix has a stand-in, no filter element on ppp7, and is
// shown as what it is.
func (r *network) unproved(p netip.Prefix) {
	r.T.Helper()
	r.WantStandIn(p)
	r.Until(fmt.Sprintf("the filter has let go of %s", p), func() bool { return len(r.permittedOn("ppp7", p)) == 0 })
	if got := r.Fairlead.CLI("delegations", "--prefix", p.String()); !strings.Contains(got, "unproved") {
		r.T.Errorf("delegations:\n%s", got)
	}
}

// R-3 and S-2 on point-to-point links, here tun devices: a name that is used again is
// another line. What the client of the line before was delegated is neither routed
// there nor a good source, until the server says that the client is there.
func TestRFC8987_R3_NameOfAPointToPointLinkIsUsedAgain(t *testing.T) {
	r := start(t, lab.Plan{Access: lab.PPP})
	as, bs := pfx("2001:db8:1100::/56"), pfx("2001:db8:1200::/56")
	r.grant(1, rig.Long(as))
	r.grant(2, rig.Long(bs))
	one := r.Node("one")
	two := r.Node("two")

	pump := r.line(one, "fe80::a")
	a := one.Play(rig.DUID(1))
	a.Obtain(1)
	r.WantRouteVia(as, "fe80::a", "ppp7")
	a.Close()
	r.Need(pump.Close())
	r.unproved(as)

	pump = r.line(two, "fe80::b")
	b := two.Play(rig.DUID(2))
	reply := b.Obtain(2)
	r.WantRouteVia(bs, "fe80::b", "ppp7")
	r.unproved(as)
	g := &guard{network: r, Thrower: two.Throw("c0", r.Relay, "ppp7"), in: r.Server.Listen()}
	g.passes("2001:db8:1200::1")
	g.stops(spoofed, "2001:db8:1100::1")

	// The same interface after it was down, with its index.
	r.Relay.IP("link set ppp7 down")
	r.unproved(bs)
	r.Relay.IP("link set ppp7 up")
	r.Relay.Address("ppp7", "fe80::1/64", "2001:db8:7::1/64")
	r.unproved(bs)
	reply = b.Renew(reply)
	r.WantRouteVia(bs, "fe80::b", "ppp7")
	g.passes("2001:db8:1200::2")

	// A restart of the relay: what is unproved is out of the filter before it is ready.
	r.Fairlead.Restart()
	if left := r.permittedOn("ppp7", bs); len(left) > 0 {
		t.Errorf("after a restart the filter lets %s through, which is not proved: %q", bs, left)
	}
	r.unproved(bs)
	g.stops(spoofed, "2001:db8:1200::3")
	b.Renew(reply)
	g.passes("2001:db8:1200::4")
	r.WantRouteVia(bs, "fe80::b", "ppp7")
	b.Close()
	r.Need(pump.Close())
}
