package traffic_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/relay"
	"fairlead/internal/system/rig"

	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// below is a rig in which client 1 is a router with one more client behind it:
//
//	e c0 ------ down0 c1 c0 ------ d1 r
//
// A relay on c1 is then one below ours.
type below struct {
	*network
	end *rig.Host
}

// behind is the link-address of the relay on c1.
var behind = netip.MustParseAddr("2001:db8:77::1")

const nearAddress = "2001:db8:1::c1" // of c1, towards our relay

func startAbove(t *testing.T, text string) *below {
	t.Helper()
	b := &below{network: build(t, lab.Plan{Clients: 1})}
	near, end := b.Client(1), b.Node("e")
	b.end = end
	b.Veth(near, "down0", end, "c0")
	near.Address("down0", behind.String()+"/64")
	near.Address("c0", nearAddress+"/64")
	b.Relay.IP("-6 route add 2001:db8:77::/64 via %s dev d1", nearAddress)
	for _, d := range []*rig.Host{near, end} {
		d.LinkLocal("c0")
	}
	end.IP("-6 route add default via %s dev c0", near.LinkLocal("down0"))
	b.Need(end.Stub("lan0"))
	b.Fairlead.Write(text)
	b.Fairlead.Start()
	return b
}

// chained checks the two relay layers of a message that the server got: the
// lower relay's inside, ours around it.
func (b *below) chained(message []byte) {
	b.T.Helper()
	got := b.Played.Heard(message)
	if len(got) == 0 || len(got[0].Relays) != 2 {
		b.T.Fatalf("the server got the message %d times, want it in two relay layers", len(got))
	}
	outer, inner := got[0].Relays[0], got[0].Relays[1]
	if outer.HopCount() != 1 || inner.HopCount() != 0 {
		b.T.Errorf("hop counts %d and %d, want 1 and 0", outer.HopCount(), inner.HopCount())
	}
	if inner.LinkAddress() != behind {
		b.T.Errorf("the inner link-address is %s, want %s of the relay below", inner.LinkAddress(), behind)
	}
	if id, _ := outer.Options().First(dhcp6.OptionInterfaceID); string(id) != "d1" {
		b.T.Errorf("our interface-id is %q, want d1", id)
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
	b := startAbove(t, standardBelow("      trusted: true\n"))
	b.Client(1).Start("dhcrelay", "/usr/sbin/dhcrelay", "-6", "-d", "--no-pid", "-I", "-l", "down0", "-u", lab.LinkAddress(1).String()+"%c0")
	c := b.end.Play(rig.DUID(99))
	p := pfx("2001:db8:1100::/56")
	b.grant(1, rig.Long(p))
	record := b.Relay.Record("any", capture.DHCPv6)
	solicit := c.Message(dhcp6.Solicit, script.IAPD(1))
	c.Exchange(solicit)
	b.chained(solicit)
	reply := c.Obtain(1)
	if got := rig.Held(reply); len(got) != 1 || got[0] != p {
		t.Errorf("the client holds %v, want %s", got, p)
	}
	if got := b.Routed(); len(got) > 0 {
		t.Errorf("ours is not the first hop, and routes %v", got)
	}
	record.Wait("dhcpv6.msgtype == 7", "frame.number")
	record.Check()
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
			b := startAbove(t, text)
			lower := b.Client(1).Fairlead(relay.Config{Text: fmt.Sprintf(`metrics: {listen: off}
peers:
  - {name: above, address: "%s", role: server, interfaces: [c0], protection: none}
relay6:
  links:
    - match: down0
`, lab.LinkAddress(1))})
			lower.Start()
			c := b.end.Play(rig.DUID(99))
			p := pfx("2001:db8:1100::/56")
			b.grant(1, rig.Long(p))
			solicit := c.Message(dhcp6.Solicit, script.IAPD(1))
			c.Exchange(solicit)
			b.chained(solicit)
			reply := c.Obtain(1)
			if got := b.Routed(); len(got) > 0 {
				t.Errorf("the upper relay is not the first hop, and routes %v", got)
			}
			if out := b.Client(1).IP("-N -6 route show %s proto 87", p); !strings.Contains(out, c.Own().String()+" dev down0") {
				t.Errorf("the lower relay's route is %q, want one to the client", out)
			}
			b.Fairlead.Kill()
			lower.Kill()
			b.Fairlead.Start()
			lower.Start()
			c.Renew(reply)
		})
	}
}

// above has our relay talk to one on the core router instead of to the server.
func above(t *testing.T, clients int) *network {
	t.Helper()
	r := build(t, lab.Plan{Clients: clients})
	r.Fairlead.Write(strings.Replace(r.Standard(), lab.ServerAddress.String(), lab.CoreAddress.String(), 1))
	r.Fairlead.Start()
	return r
}

// RFC 8415 section 19.2: ours below a relay by others: it is the delegating
// relay all the same.
func TestRFC8415_19_2_DhcrelayAboveOurs(t *testing.T) {
	r := above(t, 2)
	r.Played.Close()
	r.Core.Start("dhcrelay", "/usr/sbin/dhcrelay", "-6", "-d", "--no-pid", "-I", "-l", "k0", "-u", lab.ServerAddress.String()+"%k1")
	// Kea finds the link by the innermost link-address, which is ours.
	r.Kea()
	for i := 1; i <= 2; i++ {
		c := r.client(i)
		reply := c.Obtain(1)
		got := rig.Held(reply)
		if len(got) != 1 || !lab.Delegable(i).Contains(got[0].Addr()) {
			t.Fatalf("client %d holds %v, want one prefix of its link", i, got)
		}
		r.WantRoute(got[0], i)
		c.Release(reply)
		r.WantNoRoute(got[0])
	}
}

// The same with another of ours above, which knows the lower one as a peer and
// has no client-facing link at all.
func TestRFC8415_19_2_AnotherFairleadAboveOurs(t *testing.T) {
	r := above(t, 1)
	r.Core.Fairlead(relay.Config{Text: fmt.Sprintf(`metrics: {listen: off}
peers:
  - {name: server, address: "%s", role: server, interfaces: [k1], protection: none}
  - {name: edge, address: "%s", role: relay, interfaces: [k0], protection: none}
relay6: {}
`, lab.ServerAddress, lab.RelayAddress)}).Start()
	p := pfx("2001:db8:1100::/56")
	c, reply := r.delegate(1, p)
	r.WantRoute(p, 1)
	if out := r.Core.IP("-6 route show proto 87"); out != "" {
		t.Errorf("the upper relay is not the first hop, and routes %q", out)
	}
	c.Release(reply)
	r.WantNoRoute(p)
}

// relayForward wraps a message as a relay below ours does.
func relayForward(hops byte, link, peerAddress netip.Addr, message []byte, options ...[]byte) []byte {
	b := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, hops, link, peerAddress)
	return slices.Concat(b, slices.Concat(options...), script.Option(dhcp6.OptionRelayMessage, message...))
}

// RFC 8415 section 19.1.2: "If the hop-count value in the message is greater
// than or equal to HOP_COUNT_LIMIT, the relay agent MUST discard the received
// message."
func TestRFC8415_19_1_2_HopCountLimit(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1}, "trusted: true")
	c := r.client(1)
	for hops, want := range map[byte]int{0: 1, 7: 1, 8: 0, 9: 0, 32: 0, 255: 0} {
		inner := c.Message(dhcp6.InformationRequest)
		c.Send(relayForward(hops, behind, netip.MustParseAddr("fe80::77"), inner))
		c.Passed()
		got := r.Played.Heard(inner)
		if len(got) != want {
			t.Errorf("hop count %d: the server got it %d times, want %d", hops, len(got), want)
		} else if want == 1 && got[0].Relays[0].HopCount() != hops+1 {
			t.Errorf("hop count %d became %d, want one more", hops, got[0].Relays[0].HopCount())
		}
	}
}

// RFC 8357: our own source port towards the server, and back to it.
func TestRFC8357_5_2_OwnSourcePort(t *testing.T) {
	r := build(t, lab.Plan{Clients: 1})
	r.Fairlead.Write(strings.Replace(r.Standard(), "relay6:\n", "relay6:\n  source-port: 5470\n", 1))
	r.Fairlead.Start()
	record := r.Relay.Record("u0", "udp port 547")
	p := pfx("2001:db8:1100::/56")
	r.delegate(1, p)
	r.WantRoute(p, 1)
	for _, q := range r.Played.Received() {
		if port := q.From.Port(); port != 5470 {
			t.Errorf("a message came from port %d, want 5470", port)
		}
		if got, ok := q.Relays[0].Options().First(dhcp6.OptionRelayPort); !ok || string(got) != "\x00\x00" {
			t.Errorf("relay source port option: %x (%v), want zero", got, ok)
		}
	}
	rows := record.Wait("udp.dstport == 547", "udp.srcport")
	back := record.Wait("udp.srcport == 547", "udp.dstport")
	for _, row := range append(rows, back...) {
		if row[0] != "5470" {
			t.Errorf("on the wire: port %s on our side, want 5470", row[0])
		}
	}
}

// RFC 8357 section 5.2: a relay below us that uses another port gets its
// Relay-replies there.
func TestRFC8357_5_2_PortOfTheRelayBelow(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1}, "trusted: true")
	lower := r.Client(1).PlayAs(script.ClientConfig{DUID: rig.DUID(1), Port: 6000})
	inner := lower.Message(dhcp6.InformationRequest)
	lower.Send(relayForward(0, behind, netip.MustParseAddr("fe80::77"), inner, script.Option(dhcp6.OptionRelayPort, 0, 0)))
	m, err := dhcp6.ParseRelay(lower.Receive().Data)
	r.Need(err)
	if m.Type() != dhcp6.RelayReply || m.PeerAddress() != netip.MustParseAddr("fe80::77") {
		t.Errorf("at port 6000: a %v for %s, want a Relay-reply for fe80::77", m.Type(), m.PeerAddress())
	}
	if port, _ := r.Played.Heard(inner)[0].Relays[0].Options().First(dhcp6.OptionRelayPort); string(port) != "\x17\x70" {
		t.Errorf("our relay source port option says %x, want 6000 of the relay below", port)
	}
}

// RFC 6221: behind a lightweight relay (an access switch that adds a layer with
// link-address ::) we are the delegating relay still.
func TestRFC6221_7_2_DelegationsBehindAnLDRA(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1}, "trusted: true")
	p := pfx("2001:db8:1100::/56")
	r.grant(1, rig.Long(p))
	// The switch speaks with its client's address, and hears on port 547.
	ldra := r.Client(1).PlayAs(script.ClientConfig{DUID: rig.DUID(1), Port: dhcp6.ServerPort})
	client := ldra.Own()
	port := script.Option(dhcp6.OptionInterfaceID, []byte("port 7")...)
	ask := func(message []byte) dhcp6.Message {
		t.Helper()
		ldra.Send(relayForward(0, netip.IPv6Unspecified(), client, message, port))
		m, err := dhcp6.ParseRelay(ldra.Receive().Data)
		r.Need(err)
		if id, _ := m.Options().First(dhcp6.OptionInterfaceID); m.Type() != dhcp6.RelayReply || string(id) != "port 7" {
			t.Errorf("the LDRA got a %v with interface-id %q, want a Relay-reply for port 7", m.Type(), id)
		}
		inner, _ := m.Inner()
		reply, err := dhcp6.ParseMessage(inner)
		r.Need(err)
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
