package relay4_test

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	fairlead "fairlead/internal/lab/relay"
	"fairlead/internal/system/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

const (
	serverAddress = "10.9.0.2"
	uplinkAddress = "10.9.0.1"
)

// network has two clients on links of their own, a relay, and a server behind it.
type network struct {
	*rig.Net
	clients       [2]*rig.Host // each has the interface c0
	relay, server *rig.Host    // with the interfaces d1, d2 and u0; s0
	fairlead      *rig.Program
	peers         string // further peers, in YAML
}

// subnet returns the subnet of a link, counted from 1, and giaddr the relay's address on it.
func subnet(link int) netip.Prefix { return netip.MustParsePrefix(fmt.Sprintf("10.1.%d.0/24", link)) }
func giaddr(link int) netip.Addr   { return subnet(link).Addr().Next() }

// build makes the network. The test runs at the same time as one other.
func build(t *testing.T) *network {
	t.Helper()
	labtest.Parallel(t)
	n := &network{Net: rig.New(t)}
	n.relay, n.server = n.Node("r"), n.Node("s")
	n.Veth(n.relay, "u0", n.server, "s0")
	n.relay.IP("addr add %s/24 dev u0", uplinkAddress)
	n.server.IP("addr add %s/24 dev s0", serverAddress)
	for i := range n.clients {
		n.clients[i] = n.Node(fmt.Sprint("c", i+1))
		link := fmt.Sprint("d", i+1)
		n.Veth(n.relay, link, n.clients[i], "c0")
		n.relay.IP("addr add %s/24 dev %s", giaddr(i+1), link)
	}
	n.server.IP("route add 10.1.0.0/16 via %s", uplinkAddress)
	return n
}

// unnumbered removes the relay's addresses from both links. The address of the first link is then
// on the loopback interface.
func (n *network) unnumbered() {
	n.T.Helper()
	n.relay.IP("addr flush dev d1 scope global")
	n.relay.IP("addr flush dev d2 scope global")
	n.relay.IP("addr add %s/32 dev lo", giaddr(1))
}

// serve starts a server for both links, and for a third link behind another relay.
func (n *network) serve(kind peer.Server4Kind) *lab.Proc {
	n.T.Helper()
	p, err := peer.StartServer4(n.server.Node, kind, peer.Server4Config{
		Interface: "s0", Address: netip.MustParseAddr(serverAddress), Subnets: []netip.Prefix{subnet(1), subnet(2), subnet(3)},
		LogsRelayID: true,
	})
	n.Need(err)
	return p
}

// config returns a configuration with additional keys for the links.
func (n *network) config(keys ...string) string {
	text := rig.NoMetrics + "peers:\n  - {name: server, address: " + serverAddress + ", role: server, interfaces: [u0], protection: none}\n" +
		n.peers + "relay4:\n  links:\n    - match: \"d*\"\n"
	for _, k := range keys {
		text += "      " + k + "\n"
	}
	return text
}

// start runs the relay with additional keys for its links.
func (n *network) start(keys ...string) {
	n.T.Helper()
	n.fairlead = n.relay.Fairlead(fairlead.Config{Text: n.config(keys...)})
	n.fairlead.Start()
}

// obtain makes the client of a link get a lease, and returns its address.
func (n *network) obtain(link int) netip.Addr {
	n.T.Helper()
	return n.obtainAs(n.clients[link-1], "c0")
}

// obtainAs does the same for any host.
func (n *network) obtainAs(h *rig.Host, link string) netip.Addr {
	n.T.Helper()
	c, err := peer.StartClient4(h.Node, link)
	n.Need(err)
	defer c.Close()
	got, err := c.Obtain(labtest.Patience)
	n.Need(err)
	return got
}

// discover makes the client of a link send one Discover.
func (n *network) discover(link int) {
	n.T.Helper()
	c, err := peer.StartClient4(n.clients[link-1].Node, "c0")
	n.Need(err)
	defer c.Close()
	n.Need(c.Discover())
}

// look returns what the relay reports about itself.
func (n *network) look() (about api.Relay4) {
	n.T.Helper()
	n.fairlead.Ask("/v1/relay4", &about)
	return about
}

// endDaemon ends a client program that continues in the background, once it has written its
// process id: dhclient writes it only after the process that started it has returned.
func (n *network) endDaemon(client int, pidFile string) {
	n.T.Helper()
	n.Until("the program has written its process id", func() bool {
		b, err := os.ReadFile(pidFile)
		return err == nil && strings.HasSuffix(string(b), "\n")
	})
	n.clients[client].Run("pkill", "-F", pidFile)
}

// wellFormed ends a recording, and fails if tshark objects to any DHCPv4 in it.
func wellFormed(t *testing.T, c *rig.Capture) {
	t.Helper()
	c.Stop()
	for _, f := range c.Fields(`dhcp && (_ws.malformed || udp.checksum.status == 0 || _ws.expert.severity >= "Warning")`, "frame.number", "_ws.expert.message") {
		t.Errorf("tshark objects to frame %s: %s", f[0], f[1])
	}
}

// With our relay, each server leases from the subnet of the client's link. The server gets
// giaddr, one hop, circuit-id and relay-id, and the client gets none of them. Kea and dhcpd log
// the relay-id.
func TestServersOfOthers(t *testing.T) {
	for _, kind := range []peer.Server4Kind{peer.Kea4UDP, peer.Kea4Raw, peer.Dhcpd4, peer.Dnsmasq4} {
		t.Run(string(kind), func(t *testing.T) {
			n := build(t)
			server := n.serve(kind)
			n.start("agent-information: add")
			up, down := n.server.Record("s0", "udp port 67"), n.clients[0].Record("c0", "udp port 67 or udp port 68")
			for link := 1; link <= 2; link++ {
				if got := n.obtain(link); !subnet(link).Contains(got) {
					t.Errorf("the client on link %d got %v, want one of %v", link, got, subnet(link))
				}
			}
			var about api.Relay4
			n.fairlead.Ask("/v1/relay4", &about)
			id := strings.ReplaceAll(about.RelayID.String(), ":", "")
			if id == "" {
				t.Fatal("the relay does not say what its identifier is")
			}
			if kind != peer.Dnsmasq4 { // dnsmasq does not log it
				octets, err := hex.DecodeString(id)
				n.Need(err)
				n.Need(server.Logged(labtest.Patience, peer.LoggedRelayID(kind, octets)))
			}
			// These are the messages that the server received, decoded by tshark.
			circuits := map[string]bool{}
			for _, f := range up.Wait("dhcp.type == 1 && ip.dst == "+serverAddress+" && dhcp.option.dhcp == 3", "dhcp.ip.relay", "dhcp.hops", "dhcp.option.agent_information_option.agent_circuit_id", "dhcp.option.agent_information_option.value") {
				if f[1] != "1" {
					t.Errorf("%s hops, want 1", f[1])
				}
				circuits[f[0]+" "+strings.ReplaceAll(f[2], ":", "")] = true
				if !strings.Contains(strings.ReplaceAll(strings.Join(f, " "), ":", ""), id) {
					t.Errorf("no relay-id %s in %q", id, f)
				}
			}
			want := map[string]bool{giaddr(1).String() + " 6431": true, giaddr(2).String() + " 6432": true}
			if fmt.Sprint(circuits) != fmt.Sprint(want) {
				t.Errorf("giaddr and circuit-id are %v, want %v", circuits, want)
			}
			if got := down.Wait("dhcp.option.dhcp == 5", "dhcp.option.type", "ip.src", "udp.checksum.status"); slices.Contains(strings.Split(got[0][0], ","), "82") || got[0][1] != giaddr(1).String() {
				t.Errorf("the client got %q, want no option 82, and from %v", got[0], giaddr(1))
			}
			wellFormed(t, up)
			wellFormed(t, down)
		})
	}
}

// Clients of other authors get their addresses, by unicast frames if they do not ask for
// broadcasts: none of them is in the relay's neighbour table.
func TestClientsOfOthers(t *testing.T) {
	n := build(t)
	n.serve(peer.Kea4UDP)
	n.start("agent-information: add")
	down := n.clients[0].Record("c0", "udp port 67 or udp port 68")
	n.clients[0].Run("busybox", "udhcpc", "-i", "c0", "-n", "-q", "-f", "-t", "20", "-T", "1", "-s", "/bin/true")
	got := down.Wait("dhcp.option.dhcp == 5", "eth.dst", "ip.dst", "dhcp.ip.your")
	own := n.clients[0].Interface("c0").HardwareAddr.String()
	if got[0][0] != own || got[0][1] != got[0][2] {
		t.Errorf("the answer went to %q, want it to %s and to the address in it", got[0], own)
	}
	if table := n.relay.IP("-4 neigh show dev d1"); strings.Contains(table, got[0][2]) {
		t.Errorf("the neighbour table has the client:\n%s", table)
	}
	dir := t.TempDir()
	n.clients[1].Run("dhclient", "-4", "-1", "-v", "-sf", "/bin/true", "-lf", dir+"/leases", "-pf", dir+"/pid", "c0")
	if leases := n.clients[1].Run("cat", dir+"/leases"); !strings.Contains(leases, "fixed-address 10.1.2.") {
		t.Errorf("dhclient has\n%s", leases)
	}
	n.endDaemon(1, dir+"/pid")
	other, err := peer.StartDhcpcd4(n.clients[0].Node, "c0")
	n.Need(err)
	n.Until("dhcpcd has an address", func() bool { return strings.Contains(n.clients[0].IP("-4 addr show dev c0"), "inet 10.1.1.") })
	n.Need(other.Stop())
	_, err = peer.StartNetworkd(n.clients[1].Node, "c0")
	n.Need(err)
	n.Until("networkd has an address", func() bool { return strings.Contains(n.clients[1].IP("-4 addr show dev c0"), "inet 10.1.2.") })
}

// Both links have the same giaddr, which is in neither of their subnets. Dnsmasq supports the
// link selection (RFC 3527), and leases from the subnet of the client's link. It also supports
// the server identifier override (RFC 5107): the client renews at our address on its link, and
// the renewal that we forward has option 82 too, which says that it was a unicast (RFC 5010).
func TestRFC5107_4a_LinkSelectionAndServerIDOverride(t *testing.T) {
	n := build(t)
	n.serve(peer.Dnsmasq4)
	n.start("agent-information: add", "giaddr: "+uplinkAddress, "link-selection: true", "server-id-override: true", "relay-flags: true")
	up, down := n.server.Record("s0", "udp port 67"), n.clients[1].Record("c0", "udp port 67 or udp port 68")
	if got := n.obtain(1); !subnet(1).Contains(got) {
		t.Errorf("the client on link 1 got %v, want one of %v", got, subnet(1))
	}
	c, err := peer.StartDhcpcd4(n.clients[1].Node, "c0")
	n.Need(err)
	const answer = "dhcp.option.dhcp == 5"
	got := down.Wait(answer, "dhcp.option.dhcp_server_id", "dhcp.ip.your")[0]
	if leased := netip.MustParseAddr(got[1]); got[0] != giaddr(2).String() || !subnet(2).Contains(leased) {
		t.Errorf("dhcpcd on link 2 got %s of server %s, want one of %v of %v", got[1], got[0], subnet(2), giaddr(2))
	}
	n.Until("dhcpcd has given the address to its interface", func() bool { return strings.Contains(n.clients[1].IP("-4 addr show dev c0"), got[1]+"/") })
	n.Need(c.Renew())
	n.Until("the renewal is acknowledged", func() bool { return len(down.Fields(answer, "frame.number")) > 1 })
	down.Wait("dhcp.option.dhcp == 3 && ip.src == "+got[1]+" && ip.dst == "+giaddr(2).String(), "frame.number")
	heard := up.Wait("dhcp.option.dhcp == 3 && dhcp.ip.client == "+got[1], "dhcp.ip.relay", "ip.dst", "dhcp.option.agent_information_option.agent_circuit_id", "dhcp.option.agent_information_option.flags")[0]
	if want := []string{uplinkAddress, serverAddress, "6432", "0x80"}; !slices.Equal(heard, want) {
		t.Errorf("the server heard %q of the renewal, want %q", heard, want)
	}
	wellFormed(t, up)
	wellFormed(t, down)
}

// Two links without addresses of their own use the address of the loopback interface. By the
// circuit-id that a server echoes, each answer finds its link. link-selection is not needed if
// the server serves the subnet of the borrowed address.
func TestUnnumberedLinks(t *testing.T) {
	n := build(t)
	n.unnumbered()
	n.serve(peer.Kea4UDP)
	n.start("unnumbered: lo", "agent-information: add")
	for link := 1; link <= 2; link++ {
		if got := n.obtain(link); !subnet(1).Contains(got) {
			t.Errorf("the client on link %d got %v, want one of %v", link, got, subnet(1))
		}
	}
	if out := n.fairlead.CLI("links"); strings.Count(out, giaddr(1).String()+" ") != 2 {
		t.Errorf("want both links with one giaddr:\n%s", out)
	}
}

// A link that gets its address later is served from then on. A link that is deleted and made anew
// is served again.
func TestLinkComesLater(t *testing.T) {
	n := build(t)
	n.relay.IP("addr flush dev d1 scope global")
	n.serve(peer.Kea4UDP)
	n.start()
	if out := n.fairlead.CLI("status"); !strings.Contains(out, "link d1: it has no IPv4 address") {
		t.Errorf("status does not tell of a link without an address:\n%s", out)
	}
	n.relay.IP("addr add %s/24 dev d1", giaddr(1))
	n.obtain(1)
	n.relay.IP("link del d2")
	n.Veth(n.relay, "d2", n.clients[1], "c0")
	n.relay.IP("addr add %s/24 dev d2", giaddr(2))
	n.obtain(2)
}
