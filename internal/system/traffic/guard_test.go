package traffic_test

import (
	"fmt"
	"net/netip"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// forged is a Relay-reply that would give client 2 a prefix, had a server sent
// it.
func (r *rig) forged(to netip.Addr, p netip.Prefix) []byte {
	reply := join(
		dhcp6.AppendMessageHeader(nil, dhcp6.Reply, 0xbad),
		raw(dhcp6.OptionClientID, duid(2)...), script.ServerID(script.DefaultServerDUID), script.IAPD(1, long(p)),
	)
	layer := dhcp6.AppendRelayHeader(nil, dhcp6.RelayReply, 0, lab.LinkAddress(2), to)
	return join(layer, raw(dhcp6.OptionInterfaceID, []byte(r.Downlink(2))...), raw(dhcp6.OptionRelayMessage, reply...))
}

// untouched fails if a forged Relay-reply did anything: a route, or a message on
// client 2's link, which record has watched.
func (r *rig) untouched(p netip.Prefix, record *capture.Capture) {
	r.t.Helper()
	// A message for client 2 that comes later is the first on its link.
	c := r.client(2)
	defer c.Close()
	r.settled(c)
	if got := r.RouteOf(p); len(got) > 0 {
		r.t.Errorf("the forged Relay-reply made a route: %+v", got)
	}
	rows, err := record.Wait(patience, "udp.dstport == 546 && ipv6.dst == "+c.Source.Addr().WithZone("").String(), "dhcpv6.xid")
	need(r.t, err)
	for _, row := range rows {
		if row[0] == "0xbad" || row[0] == "0x000bad" {
			r.t.Errorf("the forged message was delivered: %v", rows)
		}
	}
}

// A Relay-reply from a client-facing link is dropped, whatever its source says:
// the server's own address, and through an open filter.
func TestRelayReplyFromAClientLinkIsDropped(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			r := start(t, lab.Plan{Clients: 2, Access: access}, "filter: off")
			p := pfx("2001:db8:1200::/56")
			record, err := capture.Start(r.Client(2), "c0", capture.DHCPv6)
			need(t, err)
			victim, err := r.Client(2).LinkLocal("c0")
			need(t, err)
			x := r.throw(1)
			message := r.forged(victim, p)
			own, err := r.Client(1).LinkLocal("c0")
			need(t, err)
			to := func(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, dhcp6.ServerPort) }
			for _, source := range []netip.Addr{lab.ServerAddress, own} {
				for _, dest := range []netip.Addr{lab.LinkAddress(1), lab.RelayAddress} {
					x.Datagram(x.Own, x.Peer, to(source), to(dest), message)
				}
				x.ToRelays(x.Own, source, message)
			}
			c := r.client(1)
			passed(r.t, c)
			r.untouched(p, record)
			if n := r.drops(r.Downlink(1))["reply-from-client-link"]; n == 0 {
				t.Errorf("no drop of that name on the link: %v", r.drops(r.Downlink(1)))
			}
		})
	}
}

// drops are the discards on a link by reason, as the operator sees them.
func (r *rig) drops(name string) map[string]int {
	r.t.Helper()
	return labtest.LinkCounts(r.t, r.relay, name).Drops
}

// A Relay-reply on the uplink counts from the configured server alone.
func TestRelayReplyFromAStrangerIsDropped(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 2})
	p := pfx("2001:db8:1200::/56")
	record, err := capture.Start(r.Client(2), "c0", capture.DHCPv6)
	need(t, err)
	node, err := r.AddServer(2)
	need(t, err)
	stranger, err := script.StartServer(node, lab.ExtraServerAddress(2), nil)
	need(t, err)
	victim, err := r.Client(2).LinkLocal("c0")
	need(t, err)
	to := netip.AddrPortFrom(lab.RelayAddress, dhcp6.ServerPort)
	need(t, stranger.Send(to, r.forged(victim, p)))
	until(t, "the drop is counted", func() bool { return r.drops("u0")["untrusted-server"] > 0 })
	r.untouched(p, record)
	// The server itself may send it, to show that nothing else was wrong with it.
	need(t, r.server.Send(to, r.forged(victim, p)))
	r.wantRoute(p, 2)
}

// RFC 5007 section 5: leasequeries of clients stop at the relay, unless the
// operator lets them through.
func TestRFC5007_5_LeasequeryFromAClientLink(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		t.Run(fmt.Sprint(allowed), func(t *testing.T) {
			parallel(t)
			r := start(t, lab.Plan{Clients: 1}, fmt.Sprintf("leasequery: %v", allowed))
			c := r.client(1)
			want := 0
			if allowed {
				want = 1
			}
			for _, mt := range []dhcp6.MessageType{14, 22, 23} {
				m := c.Message(mt, raw(44, 1))
				need(t, c.Send(m))
				passed(r.t, c)
				if n := len(r.heard(m)); n != want {
					t.Errorf("type %d: the server got it %d times, want %d", mt, n, want)
				}
			}
		})
	}
}

// Messages that only servers send do not come from clients, and Relay-forwards
// of clients are no relay's.
func TestServersAndRelaysAreNotOnClientLinks(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 1})
	c := r.client(1)
	for _, mt := range []dhcp6.MessageType{dhcp6.Advertise, dhcp6.Reply, dhcp6.Reconfigure} {
		m := c.Message(mt, script.ServerID(script.DefaultServerDUID))
		need(t, c.Send(m))
		passed(r.t, c)
		if n := len(r.heard(m)); n != 0 {
			t.Errorf("%v: the server got it %d times, want never", mt, n)
		}
	}
	inner := c.Message(dhcp6.Solicit, script.IAPD(1))
	layer := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, netip.MustParseAddr("2001:db8:77::1"), netip.MustParseAddr("fe80::77"))
	need(t, c.Send(join(layer, raw(dhcp6.OptionRelayMessage, inner...))))
	passed(r.t, c)
	if n := len(r.heard(inner)); n != 0 {
		t.Errorf("Relay-forward: the server got it %d times, want never", n)
	}
	got := r.drops("d1")
	if got["server-message"] != 3 || got["untrusted-relay"] != 1 {
		t.Errorf("drops on d1: %v, want 3 of server-message and 1 of untrusted-relay", got)
	}
}

// delegable bounds what a server may route to a client's link: neither the
// infrastructure, nor a neighbour's prefix, nor what lies outside.
func TestServerCannotDelegateWhatIsNotItsOwn(t *testing.T) {
	parallel(t)
	top, err := lab.ForTest(t).Topology(lab.Plan{Clients: 2})
	need(t, err)
	text := standard(top, `delegable: [{prefix: "2001:db8:1000::/36", lengths: 48-60}]`)
	r := buildOn(t, top, replaceOnce(text, "relay6:\n", "relay6:\n  reserved-prefixes: [\"2001:db8:1fff::/48\"]\n"))
	need(t, r.relay.Start())
	mine, ok := pfx("2001:db8:1100::/56"), pfx("2001:db8:1102::/60")
	r.delegate(1, mine)
	r.grant(9,
		long(pfx("2001:db8:2100::/56")), // outside
		long(pfx("2001:db8:1200::/44")), // too short
		long(pfx("2001:db8:1201::/64")), // too long
		long(pfx("2001:db8:1100::/48")), // around a neighbour's
		long(pfx("2001:db8:1100:10::/60")),
		long(pfx("2001:db8:1fff:100::/56")), // the infrastructure
		long(pfx("2001:db8:1::/48")),        // the links
		long(pfx("::/0")), long(pfx("fe80::/56")), long(pfx("ff00::/56")),
		long(ok),
	)
	r.obtain(r.client(2), 9)
	r.wantRoute(ok, 2)
	for _, p := range r.Routed() {
		if p != mine.String() && p != ok.String() {
			t.Errorf("routed: %s", p)
		}
	}
	r.wantRoute(mine, 1)
}
