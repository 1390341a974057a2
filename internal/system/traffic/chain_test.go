package traffic_test

import (
	"fmt"
	"net/netip"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/relay"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// below is a rig in which client 1 is a router with one more client behind it:
//
//	e c0 ------ down0 c1 c0 ------ d1 r
//
// A relay on c1 is then one below ours.
type below struct {
	*rig
	end *lab.Node
}

// behind is the link-address of the relay on c1.
var behind = netip.MustParseAddr("2001:db8:77::1")

const nearAddress = "2001:db8:1::c1" // of c1, towards our relay

func buildBelow(t *testing.T, text string) *below {
	t.Helper()
	top, err := lab.ForTest(t).Topology(lab.Plan{Clients: 1})
	need(t, err)
	end, err := top.Node("e")
	need(t, err)
	near := top.Client(1)
	need(t, top.Veth(near, "down0", end, "c0"))
	need(t, near.Address("down0", behind.String()+"/64"))
	need(t, near.Address("c0", nearAddress+"/64"))
	_, err = top.Relay.IP("-6 route add 2001:db8:77::/64 via %s dev d1", nearAddress)
	need(t, err)
	for _, d := range []*lab.Node{near, end} {
		_, err = d.LinkLocal("c0")
		need(t, err)
	}
	gateway, err := near.LinkLocal("down0")
	need(t, err)
	_, err = end.IP("-6 route add default via %s dev c0", gateway)
	need(t, err)
	need(t, end.Stub("lan0"))
	return &below{buildOn(t, top, text), end}
}

// endClient starts a client behind c1.
func (b *below) endClient() *script.Client {
	b.t.Helper()
	var c *script.Client
	until(b.t, "the end client's address is usable", func() (ok bool) {
		var err error
		c, err = script.StartClient(b.end, script.ClientConfig{DUID: duid(99)})
		return err == nil
	})
	return c
}

// chained checks the two relay layers of a message that the server got: the
// lower relay's inside, ours around it.
func (b *below) chained(message []byte) {
	b.t.Helper()
	got := b.heard(message)
	if len(got) == 0 || len(got[0].Relays) != 2 {
		b.t.Fatalf("the server got the message %d times, want it in two relay layers", len(got))
	}
	outer, inner := got[0].Relays[0], got[0].Relays[1]
	if outer.HopCount() != 1 || inner.HopCount() != 0 {
		b.t.Errorf("hop counts %d and %d, want 1 and 0", outer.HopCount(), inner.HopCount())
	}
	if inner.LinkAddress() != behind {
		b.t.Errorf("the inner link-address is %s, want %s of the relay below", inner.LinkAddress(), behind)
	}
	if id, _ := outer.Options().First(dhcp6.OptionInterfaceID); string(id) != "d1" {
		b.t.Errorf("our interface-id is %q, want d1", id)
	}
}

// standardBelow is the configuration of ours above c1.
func standardBelow(linkKeys string) string {
	return fmt.Sprintf(`peers:
  - {name: server, address: %s, role: server, interfaces: [u0], protection: none}
relay6:
  links:
    - match: d1
%s`, lab.ServerAddress, linkKeys)
}

// RFC 8415 section 19.1.2 and RFC 8987 section 1: a relay by others below ours.
// Ours carries both ways and delegates nothing itself, for it is not the
// client's first hop.
func TestRFC8415_19_1_2_DhcrelayBelowOurs(t *testing.T) {
	parallel(t)
	b := buildBelow(t, standardBelow("      trusted: true\n"))
	need(t, b.rig.relay.Start())
	_, err := b.Client(1).Start(lab.Command{Name: "dhcrelay", Args: []string{
		"/usr/sbin/dhcrelay", "-6", "-d", "--no-pid", "-I", "-l", "down0", "-u", lab.LinkAddress(1).String() + "%c0",
	}})
	need(t, err)
	c := b.endClient()
	p := pfx("2001:db8:1100::/56")
	b.grant(1, long(p))
	record, err := capture.Start(b.Relay, "any", capture.DHCPv6)
	need(t, err)
	solicit := c.Message(dhcp6.Solicit, script.IAPD(1))
	_, err = c.Exchange(patience, solicit)
	need(t, err)
	b.chained(solicit)
	reply := b.obtain(c, 1)
	if got := held(reply); len(got) != 1 || got[0] != p {
		t.Errorf("the client holds %v, want %s", got, p)
	}
	if got := b.Routed(); len(got) > 0 {
		t.Errorf("ours is not the first hop, and routes %v", got)
	}
	_, err = record.Wait(patience, "dhcpv6.msgtype == 7", "frame.number")
	need(t, err)
	need(t, record.Stop())
	need(t, record.Check())
}

// Two of ours in a row: the lower one is the delegating relay, the upper one
// carries, and a restart of either loses nothing.
func TestRFC8415_19_1_2_AnotherFairleadBelowOurs(t *testing.T) {
	for name, text := range map[string]string{
		"trusted link": standardBelow("      trusted: true\n"),
		"configured relay": fmt.Sprintf(`peers:
  - {name: server, address: %s, role: server, interfaces: [u0], protection: none}
  - {name: below, address: "%s", role: relay, interfaces: [d1], protection: none}
relay6:
  links:
    - match: d1
`, lab.ServerAddress, nearAddress),
	} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			b := buildBelow(t, text)
			need(t, b.rig.relay.Start())
			lower, err := relay.Start(b.Client(1), relay.Config{Binary: labtest.Program(), Text: fmt.Sprintf(`metrics: {listen: off}
peers:
  - {name: above, address: "%s", role: server, interfaces: [c0], protection: none}
relay6:
  links:
    - match: down0
`, lab.LinkAddress(1))})
			need(t, err)
			c := b.endClient()
			p := pfx("2001:db8:1100::/56")
			b.grant(1, long(p))
			solicit := c.Message(dhcp6.Solicit, script.IAPD(1))
			_, err = c.Exchange(patience, solicit)
			need(t, err)
			b.chained(solicit)
			reply := b.obtain(c, 1)
			if got := b.Routed(); len(got) > 0 {
				t.Errorf("the upper relay is not the first hop, and routes %v", got)
			}
			out, err := b.Client(1).IP("-N -6 route show %s proto 87", p)
			need(t, err)
			if !contains(out, c.Source.Addr().WithZone("").String()+" dev down0") {
				t.Errorf("the lower relay's route is %q, want one to the client", out)
			}
			need(t, b.rig.relay.Kill())
			need(t, lower.Kill())
			need(t, b.rig.relay.Start())
			need(t, lower.Start())
			b.renew(c, reply)
		})
	}
}

// above has our relay talk to one on the core router instead of to the server.
func above(t *testing.T, clients int) *rig {
	t.Helper()
	top, err := lab.ForTest(t).Topology(lab.Plan{Clients: clients})
	need(t, err)
	r := buildOn(t, top, replaceOnce(standard(top), lab.ServerAddress.String(), lab.CoreAddress.String()))
	need(t, r.relay.Start())
	return r
}

// RFC 8415 section 19.2: ours below a relay by others: it is the delegating
// relay all the same.
func TestRFC8415_19_2_DhcrelayAboveOurs(t *testing.T) {
	parallel(t)
	r := above(t, 2)
	need(t, r.server.Close())
	_, err := r.Core.Start(lab.Command{Name: "dhcrelay", Args: []string{
		"/usr/sbin/dhcrelay", "-6", "-d", "--no-pid", "-I", "-l", "k0", "-u", lab.ServerAddress.String() + "%k1",
	}})
	need(t, err)
	// Kea finds the link by the innermost link-address, which is ours.
	_, err = peer.StartServer(r.Server, peer.Kea, peer.ServerConfig{Timers: peer.LongTimers})
	need(t, err)
	for i := 1; i <= 2; i++ {
		c := r.client(i)
		reply := r.obtain(c, 1)
		got := held(reply)
		if len(got) != 1 || !lab.Delegable(i).Contains(got[0].Addr()) {
			t.Fatalf("client %d holds %v, want one prefix of its link", i, got)
		}
		r.wantRoute(got[0], i)
		_, err := c.Release(patience, reply)
		need(t, err)
		r.WantNoRoute(got[0])
	}
}

// The same with another of ours above, which knows the lower one as a peer and
// has no client-facing link at all.
func TestRFC8415_19_2_AnotherFairleadAboveOurs(t *testing.T) {
	parallel(t)
	r := above(t, 1)
	_, err := relay.Start(r.Core, relay.Config{Binary: labtest.Program(), Text: fmt.Sprintf(`metrics: {listen: off}
peers:
  - {name: server, address: "%s", role: server, interfaces: [k1], protection: none}
  - {name: edge, address: "%s", role: relay, interfaces: [k0], protection: none}
relay6: {}
`, lab.ServerAddress, lab.RelayAddress)})
	need(t, err)
	p := pfx("2001:db8:1100::/56")
	c, reply := r.delegate(1, p)
	r.wantRoute(p, 1)
	out, err := r.Core.IP("-6 route show proto 87")
	need(t, err)
	if out != "" {
		t.Errorf("the upper relay is not the first hop, and routes %q", out)
	}
	_, err = c.Release(patience, reply)
	need(t, err)
	r.WantNoRoute(p)
}

// relayForward wraps a message as a relay below ours does.
func relayForward(hops byte, link, peerAddress netip.Addr, message []byte, options ...[]byte) []byte {
	b := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, hops, link, peerAddress)
	return join(b, join(options...), raw(dhcp6.OptionRelayMessage, message...))
}

// RFC 8415 section 19.1.2: "If the hop-count value in the message is greater
// than or equal to HOP_COUNT_LIMIT, the relay agent MUST discard the received
// message."
func TestRFC8415_19_1_2_HopCountLimit(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 1}, "trusted: true")
	c := r.client(1)
	for hops, want := range map[byte]int{0: 1, 7: 1, 8: 0, 9: 0, 32: 0, 255: 0} {
		inner := c.Message(dhcp6.InformationRequest)
		need(t, c.Send(relayForward(hops, behind, netip.MustParseAddr("fe80::77"), inner)))
		passed(r.t, c)
		got := r.heard(inner)
		if len(got) != want {
			t.Errorf("hop count %d: the server got it %d times, want %d", hops, len(got), want)
		} else if want == 1 && got[0].Relays[0].HopCount() != hops+1 {
			t.Errorf("hop count %d became %d, want one more", hops, got[0].Relays[0].HopCount())
		}
	}
}

// RFC 8357: our own source port towards the server, and back to it.
func TestRFC8357_5_2_OwnSourcePort(t *testing.T) {
	parallel(t)
	top, err := lab.ForTest(t).Topology(lab.Plan{Clients: 1})
	need(t, err)
	r := buildOn(t, top, replaceOnce(standard(top), "relay6:\n", "relay6:\n  source-port: 5470\n"))
	need(t, r.relay.Start())
	record, err := capture.Start(r.Relay, "u0", "udp port 547")
	need(t, err)
	p := pfx("2001:db8:1100::/56")
	r.delegate(1, p)
	r.wantRoute(p, 1)
	for _, q := range r.server.Received() {
		if port := q.From.Port(); port != 5470 {
			t.Errorf("a message came from port %d, want 5470", port)
		}
		if got, ok := q.Relays[0].Options().First(dhcp6.OptionRelayPort); !ok || string(got) != "\x00\x00" {
			t.Errorf("relay source port option: %x (%v), want zero", got, ok)
		}
	}
	rows, err := record.Wait(patience, "udp.dstport == 547", "udp.srcport")
	need(t, err)
	back, err := record.Wait(patience, "udp.srcport == 547", "udp.dstport")
	need(t, err)
	for _, row := range append(rows, back...) {
		if row[0] != "5470" {
			t.Errorf("on the wire: port %s on our side, want 5470", row[0])
		}
	}
}

// RFC 8357 section 5.2: a relay below us that uses another port gets its
// Relay-replies there.
func TestRFC8357_5_2_PortOfTheRelayBelow(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 1}, "trusted: true")
	lower := r.clientAs(1, script.ClientConfig{DUID: duid(1), Port: 6000})
	inner := lower.Message(dhcp6.InformationRequest)
	need(t, lower.Send(relayForward(0, behind, netip.MustParseAddr("fe80::77"), inner, raw(dhcp6.OptionRelayPort, 0, 0))))
	got, err := lower.Receive(patience)
	need(t, err)
	m, err := dhcp6.ParseRelay(got.Data)
	need(t, err)
	if m.Type() != dhcp6.RelayReply || m.PeerAddress() != netip.MustParseAddr("fe80::77") {
		t.Errorf("at port 6000: a %v for %s, want a Relay-reply for fe80::77", m.Type(), m.PeerAddress())
	}
	if port, _ := r.heard(inner)[0].Relays[0].Options().First(dhcp6.OptionRelayPort); string(port) != "\x17\x70" {
		t.Errorf("our relay source port option says %x, want 6000 of the relay below", port)
	}
}

// RFC 6221: behind a lightweight relay (an access switch that adds a layer with
// link-address ::) we are the delegating relay still.
func TestRFC6221_7_2_DelegationsBehindAnLDRA(t *testing.T) {
	parallel(t)
	r := start(t, lab.Plan{Clients: 1}, "trusted: true")
	p := pfx("2001:db8:1100::/56")
	r.grant(1, long(p))
	// The switch speaks with its client's address, and hears on port 547.
	ldra := r.clientAs(1, script.ClientConfig{DUID: duid(1), Port: dhcp6.ServerPort})
	client := ldra.Source.Addr().WithZone("")
	port := raw(dhcp6.OptionInterfaceID, []byte("port 7")...)
	ask := func(message []byte) dhcp6.Message {
		t.Helper()
		need(t, ldra.Send(relayForward(0, netip.IPv6Unspecified(), client, message, port)))
		got, err := ldra.Receive(patience)
		need(t, err)
		m, err := dhcp6.ParseRelay(got.Data)
		need(t, err)
		if id, _ := m.Options().First(dhcp6.OptionInterfaceID); m.Type() != dhcp6.RelayReply || string(id) != "port 7" {
			t.Errorf("the LDRA got a %v with interface-id %q, want a Relay-reply for port 7", m.Type(), id)
		}
		inner, _ := m.Inner()
		reply, err := dhcp6.ParseMessage(inner)
		need(t, err)
		return reply
	}
	server := script.ServerID(script.DefaultServerDUID)
	ask(ldra.Message(dhcp6.Solicit, script.IAPD(1)))
	ask(ldra.Message(dhcp6.Request, server, script.IAPD(1)))
	r.WantRouteVia(p, client.String(), "d1")
	g := watch(r, 1)
	g.passes("2001:db8:1100::1")
	ask(ldra.Message(dhcp6.Release, server, script.IAPD(1)))
	r.WantNoRoute(p)
}
