package trouble_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// linkAddress is the link-address of the Relay-forward that brings a message of
// the client to the server.
func (r *network) linkAddress(c *rig.Client) netip.Addr {
	r.T.Helper()
	before := len(r.Played.Received())
	c.Exchange(c.Message(dhcp6.Solicit, script.IAPD(9)))
	return r.Played.Received()[before].Relays[0].LinkAddress()
}

// TestLinkAddressStays: an address that is added to the link changes nothing, and
// an interface that went down and lost its addresses still names its link by the
// one that it had; the status says so until it is back.
func TestLinkAddressStays(t *testing.T) {
	r := start(t, plan{clients: 1})
	c := r.Play(1, rig.DUID(1))
	r.obtain(c, 1)
	wants := func(when string) {
		t.Helper()
		if got := r.linkAddress(c); got != lab.LinkAddress(1) {
			t.Errorf("%s: link-address %v, want %v", when, got, lab.LinkAddress(1))
		}
	}
	wants("at first")
	r.Relay.Batch("addr add 2001:db8:9::1/64 dev d1 nodad", "addr add 2001:db8:a::1/128 dev d1 nodad")
	r.shows("d1", "2001:db8:9::1/64")
	r.shows("d1", "2001:db8:a::1/128")
	wants("with another address")
	r.Relay.Batch("addr del 2001:db8:9::1/64 dev d1", "addr del 2001:db8:a::1/128 dev d1", "link set d1 down", "link set d1 up")
	missing := func() bool {
		return strings.Contains(strings.Join(r.status().Degraded, "\n"), "link d1: its link-address "+lab.LinkAddress(1).String()+" is no longer there")
	}
	r.Until("the status says that the link-address is missing", missing)
	wants("after the link was down")
	r.Relay.Batch("addr add " + lab.LinkAddress(1).String() + "/64 dev d1 nodad")
	r.Until("the link-address is back", func() bool { return !missing() })
	wants("once it is back")
}

// shows waits until the relay knows an address of a link.
func (r *network) shows(link, address string) {
	r.T.Helper()
	r.Until(link+" has "+address, func() bool {
		return strings.Contains(r.Fairlead.CLI("links", link), address)
	})
}

// TestLinkWithoutLinkLocal: while the relay's interface has no link-local address,
// no answer could reach a client: its messages are dropped by name, and the server
// hears of none. Once there is one, it is served.
func TestLinkWithoutLinkLocal(t *testing.T) {
	r := start(t, plan{clients: 1})
	c := r.Play(1, rig.DUID(1))
	own := r.Relay.LinkLocal("d1")
	r.Relay.Batch("link set d1 addrgenmode none", "addr del "+own.String()+"/64 dev d1")
	r.Until("the relay knows that the address is gone", func() bool {
		return !strings.Contains(r.Fairlead.CLI("links", "d1"), own.String())
	})
	r.Until("messages are dropped as no-link-local", func() bool {
		c.Send(request(c, 1))
		return r.Fairlead.Counts("d1").Drops["no-link-local"] > 0
	})
	before, dropped := len(r.Played.Received()), r.Fairlead.Counts("d1").Drops["no-link-local"]
	for range 5 {
		c.Send(request(c, 1))
	}
	r.Until("these are dropped as well", func() bool { return r.Fairlead.Counts("d1").Drops["no-link-local"] >= dropped+5 })
	if got, routes := len(r.Played.Received()), len(r.routes()); got != before || routes != 0 {
		t.Errorf("the server has heard %d messages more, and there are %d routes, want none", got-before, routes)
	}
	r.Relay.Batch("addr add " + own.String() + "/64 dev d1 nodad")
	r.obtain(c, 1)
	r.WantRoute(r.book.Prefix(rig.DUID(1), 1), 1)
}
