package relay4_test

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/rig"
)

// addRelay puts a host between a third client and the relay's link d3, for a relay of other
// authors. It returns the host and the client.
func (n *network) addRelay() (below, client *rig.Host) {
	n.T.Helper()
	below, client = n.Node("f"), n.Node("c3")
	n.Veth(n.relay, "d3", below, "u0")
	n.Veth(below, "d1", client, "c0")
	n.relay.IP("addr add 10.1.9.1/24 dev d3")
	below.IP("addr add 10.1.9.2/24 dev u0")
	below.IP("addr add %s/24 dev d1", giaddr(3))
	below.IP("route add default via 10.1.9.1")
	n.relay.IP("route add %s via 10.1.9.2", subnet(3))
	n.relay.Sysctl("net/ipv4/ip_forward", "1")
	return below, client
}

// others starts a relay of other authors with clients on its interface d1.
func (n *network) others(h *rig.Host, c peer.Relay4Config, kind peer.Relay4Kind, giaddr netip.Addr) {
	n.T.Helper()
	c.Down = map[string]netip.Addr{"d1": giaddr}
	_, err := peer.StartRelay4(h.Node, kind, c)
	n.Need(err)
}

// payloads returns the DHCPv4 messages of a recording that match, as octets.
func payloads(t *testing.T, c *rig.Capture, filter string) (all [][]byte) {
	t.Helper()
	for _, f := range c.Fields(filter, "udp.payload") {
		b, err := hex.DecodeString(strings.ReplaceAll(f[0], ":", ""))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// A message that a relay of other authors below ours has passed on goes to the server unchanged,
// except for the hops: its giaddr and its option 82 stay, and no option 82 is added. The server's
// answers go to the giaddr, and reach the client. Either the relay below is configured as a peer,
// or its link is trusted.
func TestRelaysOfOthersBelow(t *testing.T) {
	for _, c := range []struct {
		kind    peer.Relay4Kind
		source  string // the address that it sends from
		informs bool
		trusted bool
	}{
		{peer.Dhcrelay, "10.1.9.2", true, false},
		{peer.Dhcrelay, "10.1.9.2", true, true},
		{peer.DnsmasqRelay, giaddr(3).String(), false, false},
		{peer.DhcpHelper, "10.1.9.2", false, false},
	} {
		t.Run(fmt.Sprintf("%s trusted=%v", c.kind, c.trusted), func(t *testing.T) {
			n := build(t)
			below, client := n.addRelay()
			n.serve(peer.Kea4UDP)
			if !c.trusted {
				n.peers = "  - {name: below, address: " + c.source + ", role: relay, interfaces: [d3], protection: none}\n"
			}
			n.start("agent-information: add", fmt.Sprintf("trusted: %v", c.trusted))
			n.others(below, peer.Relay4Config{Up: "u0", Server: netip.MustParseAddr("10.1.9.1"), Informs: c.informs}, c.kind, giaddr(3))
			before, after := n.relay.Record("d3", "udp port 67"), n.server.Record("s0", "udp port 67")
			if got := n.obtainAs(client, "c0"); !subnet(3).Contains(got) {
				t.Errorf("the client got %v, want one of %v", got, subnet(3))
			}
			n.obtain(1) // all messages of the first client have passed by then
			n.Until("the wire has shown both", func() bool {
				return len(after.Fields("dhcp.option.dhcp == 5", "frame.number")) >= 2
			})
			const request = "dhcp.type == 1"
			ours := request + " && dhcp.ip.relay == " + giaddr(3).String()
			in, out := payloads(t, before, request), payloads(t, after, ours)
			for _, m := range in {
				m[3]++ // the field hops
			}
			if len(in) < 2 || !slices.EqualFunc(in, out, slices.Equal) {
				t.Errorf("the relay below sent, one hop more\n%x\nand the server heard\n%x", in, out)
			}
			for _, f := range after.Fields(ours, "dhcp.hops", "dhcp.option.type", "dhcp.option.agent_information_option.agent_circuit_id") {
				informed := strings.Count(","+f[1]+",", ",82,")
				if want := map[bool]int{true: 1}[c.informs]; f[0] != "2" || informed != want || c.informs && strings.ReplaceAll(f[2], ":", "") != "6431" {
					t.Errorf("the server heard %s hops, %d times option 82, circuit-id %q", f[0], informed, f[2])
				}
			}
			if about := n.look(); sum(about.Drops) > 0 {
				t.Errorf("dropped: %v", about.Drops)
			}
			wellFormed(t, after)
		})
	}
}

func sum(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// A relay of other authors beside ours serves the same clients. Its host has one interface, so
// that its messages to the server, and the answers to it, are routed by our host over the same
// link. Each relay passes on each message once, with its own giaddr, and each answer reaches the
// client once. Neither relay relays what the other has sent.
func TestRelaysOfOthersBeside(t *testing.T) {
	for _, kind := range []peer.Relay4Kind{peer.Dhcrelay, peer.DnsmasqRelay, peer.DhcpHelper} {
		t.Run(string(kind), func(t *testing.T) {
			n := build(t)
			client, beside := n.clients[0], n.Node("f")
			n.Veth(client, "x0", beside, "d1")
			n.Need(client.Bridge("br0", "c0", "x0"))
			other := giaddr(1).Next()
			beside.IP("addr add %s/24 dev d1", other)
			beside.IP("route add default via %s", giaddr(1))
			n.relay.Sysctl("net/ipv4/ip_forward", "1")
			n.serve(peer.Kea4UDP)
			n.start("agent-information: add")
			n.others(beside, peer.Relay4Config{Server: netip.MustParseAddr(serverAddress), Informs: true}, kind, other)
			down, up := client.Record("br0", "udp port 67 or udp port 68"), n.server.Record("s0", "udp port 67")
			if got := n.obtainAs(client, "br0"); !subnet(1).Contains(got) {
				t.Errorf("the client got %v, want one of %v", got, subnet(1))
			}
			once := func() bool {
				below, above := tally(down), tally(up)
				asked := below["1 0.0.0.0 0.0.0.0 0 to 67"]
				for _, relay := range []netip.Addr{giaddr(1), other} {
					answers := above[fmt.Sprintf("2 %s %s to 67", serverAddress, relay)]
					if asked < 2 || answers < 2 || below[fmt.Sprintf("2 %s %s to 68", relay, relay)] != answers {
						return false
					}
				}
				return above[fmt.Sprintf("1 %s %s 1 to 67", uplinkAddress, giaddr(1))] == asked && above[fmt.Sprintf("1 %s %s 1 to 67", other, other)] == asked
			}
			if err := lab.Until(labtest.Patience, "each message has come by both relays, and each answer has gone back", once); err != nil {
				t.Fatalf("%v: the client's link has had %v, and the server's %v", err, tally(down), tally(up))
			}
			n.obtain(2) // all packets that the first client's messages cause come before this
			n.Until("the wire has shown the second client's", func() bool {
				return len(up.Fields("dhcp.option.dhcp == 5 && dhcp.ip.relay == "+giaddr(2).String(), "frame.number")) > 0
			})
			if !once() || len(tally(up)) != 6 {
				t.Errorf("the client's link has had %v, and the server's %v", tally(down), tally(up))
			}
			if about := n.look(); sum(about.Drops) > 0 {
				t.Errorf("dropped: %v", about.Drops)
			}
		})
	}
}

// By mistake, a relay of other authors is configured as our server, and we as its server. What we
// send there comes back with our giaddr, and is dropped at once, under a name of its own.
func TestRelaysThatFaceEachOther(t *testing.T) {
	n := build(t)
	_, err := peer.StartRelay4(n.server.Node, peer.DhcpHelper, peer.Relay4Config{
		Down: map[string]netip.Addr{"s0": netip.MustParseAddr(serverAddress)}, Server: netip.MustParseAddr(uplinkAddress),
	})
	n.Need(err)
	n.start("agent-information: add", "trusted: true")
	between := n.server.Record("s0", "udp port 67")
	for link := range uint64(2) {
		n.Until("what came back is dropped", func() bool {
			if n.look().Drops["spoofed-giaddr"] > link {
				return true
			}
			n.discover(int(link) + 1)
			return false
		})
	}
	between.Stop()
	all := tally(between)
	for link := 1; link <= 2; link++ {
		there, back := all[fmt.Sprintf("1 %s %s 1 to 67", uplinkAddress, giaddr(link))], all[fmt.Sprintf("1 %s %s 2 to 67", serverAddress, giaddr(link))]
		if there == 0 || back > there || len(all) > 4 {
			t.Errorf("link %d: %d messages there, %d back; in all %v", link, there, back, all)
		}
	}
	if about := n.look(); sum(about.Drops) != about.Drops["spoofed-giaddr"] {
		t.Errorf("dropped: %v", about.Drops)
	}
}

// tally returns how many messages a recording has by op, source, giaddr, hops and port. In
// answers, hops is left out, as servers put any value into it.
func tally(c *rig.Capture) map[string]int {
	all := map[string]int{}
	for _, f := range c.Fields("dhcp && !icmp", "dhcp.type", "ip.src", "dhcp.ip.relay", "dhcp.hops", "udp.dstport") {
		if f[0] == "2" {
			f = slices.Delete(f, 3, 4)
		}
		last := len(f) - 1
		all[strings.Join(f[:last], " ")+" to "+f[last]]++
	}
	return all
}
