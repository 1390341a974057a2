package traffic_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// forged is a Relay-reply that would give client 2 a prefix, had a server sent
// it.
func (r *network) forged(to netip.Addr, p netip.Prefix) []byte {
	reply := slices.Concat(
		dhcp6.AppendMessageHeader(nil, dhcp6.Reply, 0xbad),
		script.Option(dhcp6.OptionClientID, rig.DUID(2)...), script.ServerID(script.DefaultServerDUID), script.IAPD(1, rig.Long(p)),
	)
	layer := dhcp6.AppendRelayHeader(nil, dhcp6.RelayReply, 0, lab.LinkAddress(2), to)
	return slices.Concat(layer, script.Option(dhcp6.OptionInterfaceID, []byte(r.Downlink(2))...), script.Option(dhcp6.OptionRelayMessage, reply...))
}

// untouched fails if a forged Relay-reply did anything: a route, or a message on
// client 2's link, which record has watched.
func (r *network) untouched(p netip.Prefix, record *rig.Capture) {
	r.T.Helper()
	// A message for client 2 that comes later is the first on its link.
	c := r.client(2)
	defer c.Close()
	r.installed(c)
	if got := r.RouteOf(p); len(got) > 0 {
		r.T.Errorf("the forged Relay-reply made a route: %+v", got)
	}
	rows := record.Wait("udp.dstport == 546 && ipv6.dst == "+c.Own().String(), "dhcpv6.xid")
	for _, row := range rows {
		if row[0] == "0xbad" || row[0] == "0x000bad" {
			r.T.Errorf("the forged message was delivered: %v", rows)
		}
	}
}

// A Relay-reply from a client-facing link is dropped, whatever its source says:
// the server's own address, and through an open filter.
func TestRelayReplyFromAClientLinkIsDropped(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 2, Access: access}, "filter: off")
			p := pfx("2001:db8:1200::/56")
			record := r.Client(2).Record("c0", capture.DHCPv6)
			victim := r.Client(2).LinkLocal("c0")
			x := r.throw(1)
			message := r.forged(victim, p)
			own := r.Client(1).LinkLocal("c0")
			to := func(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, dhcp6.ServerPort) }
			for _, source := range []netip.Addr{lab.ServerAddress, own} {
				for _, dest := range []netip.Addr{lab.LinkAddress(1), lab.RelayAddress} {
					x.Datagram(x.Own, x.Peer, to(source), to(dest), message)
				}
				x.ToRelays(x.Own, source, message)
			}
			c := r.client(1)
			c.Passed()
			r.untouched(p, record)
			if n := r.Fairlead.Counts(r.Downlink(1)).Drops["reply-from-client-link"]; n == 0 {
				t.Errorf("no drop of that name on the link: %v", r.Fairlead.Counts(r.Downlink(1)).Drops)
			}
		})
	}
}

// A Relay-reply on the uplink counts from the configured server alone.
func TestRelayReplyFromAStrangerIsDropped(t *testing.T) {
	r := start(t, lab.Plan{Clients: 2})
	p := pfx("2001:db8:1200::/56")
	record := r.Client(2).Record("c0", capture.DHCPv6)
	node := r.AddServer(2)
	stranger := node.Server(lab.ExtraServerAddress(2), nil)
	victim := r.Client(2).LinkLocal("c0")
	to := netip.AddrPortFrom(lab.RelayAddress, dhcp6.ServerPort)
	stranger.Send(to, r.forged(victim, p))
	r.Until("the drop is counted", func() bool { return r.Fairlead.Counts("u0").Drops["untrusted-server"] > 0 })
	r.untouched(p, record)
	// The server itself may send it, to show that nothing else was wrong with it.
	r.Played.Send(to, r.forged(victim, p))
	r.WantRoute(p, 2)
}

// RFC 5007 section 5: leasequeries of clients stop at the relay, unless the
// operator lets them through.
func TestRFC5007_5_LeasequeryFromAClientLink(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		t.Run(fmt.Sprint(allowed), func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 1}, fmt.Sprintf("leasequery: %v", allowed))
			c := r.client(1)
			want := 0
			if allowed {
				want = 1
			}
			for _, mt := range []dhcp6.MessageType{14, 22, 23} {
				m := c.Message(mt, script.Option(44, 1))
				c.Send(m)
				c.Passed()
				if n := len(r.Played.Heard(m)); n != want {
					t.Errorf("type %d: the server got it %d times, want %d", mt, n, want)
				}
			}
		})
	}
}

// Messages that only servers send do not come from clients, and Relay-forwards
// of clients are no relay's.
func TestServersAndRelaysAreNotOnClientLinks(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	c := r.client(1)
	for _, mt := range []dhcp6.MessageType{dhcp6.Advertise, dhcp6.Reply, dhcp6.Reconfigure} {
		m := c.Message(mt, script.ServerID(script.DefaultServerDUID))
		c.Send(m)
		c.Passed()
		if n := len(r.Played.Heard(m)); n != 0 {
			t.Errorf("%v: the server got it %d times, want never", mt, n)
		}
	}
	inner := c.Message(dhcp6.Solicit, script.IAPD(1))
	layer := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, netip.MustParseAddr("2001:db8:77::1"), netip.MustParseAddr("fe80::77"))
	c.Send(slices.Concat(layer, script.Option(dhcp6.OptionRelayMessage, inner...)))
	c.Passed()
	if n := len(r.Played.Heard(inner)); n != 0 {
		t.Errorf("Relay-forward: the server got it %d times, want never", n)
	}
	got := r.Fairlead.Counts("d1").Drops
	if got["server-message"] != 3 || got["untrusted-relay"] != 1 {
		t.Errorf("drops on d1: %v, want 3 of server-message and 1 of untrusted-relay", got)
	}
}

// delegable bounds what a server may route to a client's link: neither the
// infrastructure, nor a neighbour's prefix, nor what lies outside.
func TestServerCannotDelegateWhatIsNotItsOwn(t *testing.T) {
	r := build(t, lab.Plan{Clients: 2})
	text := r.Standard(`delegable: [{prefix: "2001:db8:1000::/36", lengths: 48-60}]`)
	r.Fairlead.Write(strings.Replace(text, "relay6:\n", "relay6:\n  reserved-prefixes: [\"2001:db8:1fff::/48\"]\n", 1))
	r.Fairlead.Start()
	mine, ok := pfx("2001:db8:1100::/56"), pfx("2001:db8:1102::/60")
	r.delegate(1, mine)
	r.grant(9,
		rig.Long(pfx("2001:db8:2100::/56")), // outside
		rig.Long(pfx("2001:db8:1200::/44")), // too short
		rig.Long(pfx("2001:db8:1201::/64")), // too long
		rig.Long(pfx("2001:db8:1100::/48")), // around a neighbour's
		rig.Long(pfx("2001:db8:1100:10::/60")),
		rig.Long(pfx("2001:db8:1fff:100::/56")), // the infrastructure
		rig.Long(pfx("2001:db8:1::/48")),        // the links
		rig.Long(pfx("::/0")), rig.Long(pfx("fe80::/56")), rig.Long(pfx("ff00::/56")),
		rig.Long(ok),
	)
	r.client(2).Obtain(9)
	r.WantRoute(ok, 2)
	for _, p := range r.Routed() {
		if p != mine.String() && p != ok.String() {
			t.Errorf("routed: %s", p)
		}
	}
	r.WantRoute(mine, 1)
}
