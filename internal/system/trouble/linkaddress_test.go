package trouble_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// linkAddress is the link-address of the Relay-forward that brings a message of
// the client to the server.
func (r *rig) linkAddress(c *script.Client) netip.Addr {
	r.t.Helper()
	before := len(r.server.Received())
	_, err := c.Exchange(patience, c.Message(dhcp6.Solicit, script.IAPD(9)))
	need(r.t, err)
	return r.server.Received()[before].Relays[0].LinkAddress()
}

// TestLinkAddressStays: an address that is added to the link changes nothing, and
// an interface that went down and lost its addresses still names its link by the
// one that it had; the status says so until it is back.
func TestLinkAddressStays(t *testing.T) {
	parallel(t)
	r := start(t, plan{clients: 1})
	c := r.client(1, duid(1))
	r.obtain(c, 1)
	wants := func(when string) {
		t.Helper()
		if got := r.linkAddress(c); got != lab.LinkAddress(1) {
			t.Errorf("%s: link-address %v, want %v", when, got, lab.LinkAddress(1))
		}
	}
	wants("at first")
	need(t, r.Relay.Batch("addr add 2001:db8:9::1/64 dev d1 nodad", "addr add 2001:db8:a::1/128 dev d1 nodad"))
	r.shows("d1", "2001:db8:9::1/64")
	r.shows("d1", "2001:db8:a::1/128")
	wants("with another address")
	need(t, r.Relay.Batch("addr del 2001:db8:9::1/64 dev d1", "addr del 2001:db8:a::1/128 dev d1", "link set d1 down", "link set d1 up"))
	missing := func() bool {
		return strings.Contains(strings.Join(r.status().Degraded, "\n"), "link d1: its link-address "+lab.LinkAddress(1).String()+" is no longer there")
	}
	until(t, "the status says that the link-address is missing", missing)
	wants("after the link was down")
	need(t, r.Relay.Batch("addr add "+lab.LinkAddress(1).String()+"/64 dev d1 nodad"))
	until(t, "the link-address is back", func() bool { return !missing() })
	wants("once it is back")
}

// shows waits until the relay knows an address of a link.
func (r *rig) shows(link, address string) {
	r.t.Helper()
	until(r.t, link+" has "+address, func() bool {
		out, err := r.relay.CLI("links", link)
		return err == nil && strings.Contains(out, address)
	})
}

// TestLinkWithoutLinkLocal: while the relay's interface has no link-local address,
// no answer could reach a client: its messages are dropped by name, and the server
// hears of none. Once there is one, it is served.
func TestLinkWithoutLinkLocal(t *testing.T) {
	parallel(t)
	r := start(t, plan{clients: 1})
	c := r.client(1, duid(1))
	own, err := r.Relay.LinkLocal("d1")
	need(t, err)
	need(t, r.Relay.Batch("link set d1 addrgenmode none", "addr del "+own.String()+"/64 dev d1"))
	until(t, "messages are dropped as no-link-local", func() bool {
		need(t, c.Send(request(c, 1)))
		return r.counts("d1").Drops["no-link-local"] > 0
	})
	before, dropped := len(r.server.Received()), r.counts("d1").Drops["no-link-local"]
	for range 5 {
		need(t, c.Send(request(c, 1)))
	}
	until(t, "these are dropped as well", func() bool { return r.counts("d1").Drops["no-link-local"] >= dropped+5 })
	if got, routes := len(r.server.Received()), len(r.routes()); got != before || routes != 0 {
		t.Errorf("the server has heard %d messages more, and there are %d routes, want none", got-before, routes)
	}
	need(t, r.Relay.Batch("addr add "+own.String()+"/64 dev d1 nodad"))
	r.obtain(c, 1)
	r.routed(r.book.prefix(duid(1), 1), 1)
}
