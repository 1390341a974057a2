package relay4_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	fairlead "fairlead/internal/lab/relay"
	"fairlead/internal/system/rig"
)

// The relay is killed while a server takes its time. The answer comes after the relay's start,
// and before the client sends anything again. It reaches the client: its giaddr, or our
// circuit-id in it, tells the link. If neither does, the answer is dropped under a name of its
// own, and no other client gets it.
func TestKilledWhileAServerThinks(t *testing.T) {
	for _, c := range []struct {
		name string
		keys []string
		mute bool // the server echoes no option 82
		lost bool
	}{
		{"giaddr of its own", []string{"agent-information: off"}, true, false},
		{"shared giaddr, circuit-id echoed", []string{"unnumbered: lo", "agent-information: add"}, false, false},
		{"shared giaddr, nothing echoed", []string{"unnumbered: lo", "agent-information: add"}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := build(t)
			if slices.Contains(c.keys, "unnumbered: lo") {
				n.unnumbered()
			}
			p := n.play()
			p.mute, p.silent = c.mute, func(*request) bool { return true }
			n.start(c.keys...)
			var heard [2]*rig.Capture
			for i, h := range n.clients {
				heard[i] = h.Record("c0", "udp port 68 and src port 67")
			}
			x := n.clients[1].Throw("c0", n.relay, "d2")
			xid := rand.Uint32()
			ask := datagram(x.Own, everybody, fromClient, toServers, discover(x.Own, xid))
			asked := p.await(xid, func() { x.Put(ask) })
			n.fairlead.Restart()
			p.answer(asked)
			if c.lost {
				n.Until("the answer is dropped", func() bool { return n.look().Drops["ambiguous-giaddr"] == 1 })
			} else if got := heard[1].Wait("dhcp.option.dhcp == 2", "dhcp.id", "dhcp.hw.mac_addr")[0]; got[0] != fmt.Sprintf("0x%08x", xid) || got[1] != x.Own.String() {
				t.Errorf("the client got %q, want the answer to %08x of %v", got, xid, x.Own)
			}
			for i, want := range []int{0, map[bool]int{false: 1}[c.lost]} {
				heard[i].Stop()
				if got := heard[i].Fields("dhcp", "frame.number"); len(got) != want {
					t.Errorf("the client on link %d was sent %d answers, want %d", i+1, len(got), want)
				}
			}
		})
	}
}

// Clients ask while the relay is killed again and again. After the relay's start, each client
// gets a lease of its own link, without anybody's help.
func TestKilledUnderLoad(t *testing.T) {
	n := build(t)
	n.play()
	n.start("agent-information: add")
	const rounds = 12
	one, two := n.keepsAsking(1), n.keepsAsking(2)
	for range rounds {
		before := n.look().Delivered["ack"]
		n.Until("clients are served", func() bool { return n.look().Delivered["ack"] >= before+uint64(1+rand.IntN(5)) })
		n.fairlead.Restart()
	}
	for i, stop := range []func() int{one, two} {
		leases := stop()
		t.Logf("the client on link %d got %d leases", i+1, leases)
		if leases < rounds {
			t.Errorf("the client on link %d got %d leases over %d crashes", i+1, leases, rounds)
		}
	}
}

// keepsAsking makes the client of a link get leases of that link until it is stopped. It then
// returns how many leases the client got.
func (n *network) keepsAsking(link int) (stop func() int) {
	n.T.Helper()
	end, done := make(chan struct{}), make(chan int, 1)
	go func() {
		for leases := 0; ; leases++ {
			select {
			case <-end:
				done <- leases
				return
			default:
			}
			if err := n.asks(link); err != nil {
				n.T.Errorf("the client on link %d: %v", link, err)
				<-end
				done <- leases
				return
			}
		}
	}()
	return func() int {
		close(end)
		return <-done
	}
}

// asks makes the client of a link get a lease of that link. Goroutines other than the test's may
// call it.
func (n *network) asks(link int) error {
	c, err := peer.StartClient4(n.clients[link-1].Node, "c0")
	if err != nil {
		return err
	}
	defer c.Close()
	got, err := c.Obtain(labtest.Patience)
	if err == nil && !subnet(link).Contains(got) {
		err = fmt.Errorf("got %v", got)
	}
	return err
}

// Links go down and come up, lose their addresses and get others, are deleted and made again,
// while a client of another link is served all the time. In the end the client of each link gets
// a lease.
func TestLinksFlap(t *testing.T) {
	n := build(t)
	n.play()
	n.start("agent-information: add")
	stop := n.keepsAsking(2)
	for _, words := range [][]string{
		{"link set d1 down"},
		{"link set d1 up"},
		{"addr flush dev d1"},
		{"addr add 10.1.1.77/24 dev d1", fmt.Sprintf("addr add %s/24 dev d1", giaddr(1)), "addr del 10.1.1.77/24 dev d1"},
		{"link set d1 down", "link set d1 name e1", "link set e1 name d1", "link set d1 up"},
		{"link set u0 down", "link set u0 up"},
	} {
		for _, w := range words {
			n.relay.IP("%s", w)
		}
		served := n.look().Delivered["ack"]
		n.Until("the other client goes on", func() bool { return n.look().Delivered["ack"] > served })
	}
	n.relay.IP("link del d1")
	n.fairlead.Logged(`msg="link vanished"`, "link=d1")
	n.Veth(n.relay, "d1", n.clients[0], "c0")
	n.relay.IP("addr add %s/24 dev d1", giaddr(1))
	n.obtain(1)
	stop()

	// The uplink is made anew too: it is another interface of the same name.
	n.relay.IP("link del u0")
	n.fairlead.Logged(`msg="link vanished"`, "link=u0")
	n.Veth(n.relay, "u0", n.server, "s0")
	n.relay.IP("addr add %s/24 dev u0", uplinkAddress)
	n.server.IP("addr replace %s/24 dev s0", serverAddress)
	n.server.IP("route replace 10.1.0.0/16 via %s", uplinkAddress)
	for link := 1; link <= 2; link++ {
		n.obtain(link)
	}
}

// If a server stops, the log and status say so, with the error that the network reports. They
// also report that it is back.
func TestServerStopsAndStarts(t *testing.T) {
	n := build(t)
	kea := n.serve(peer.Kea4UDP)
	n.start("agent-information: add")
	n.obtain(1)
	says := func(begins string) bool {
		var shown api.Status
		n.fairlead.Ask("/v1/status", &shown)
		return slices.ContainsFunc(shown.Degraded, func(line string) bool { return strings.HasPrefix(line, begins) })
	}
	n.Need(kea.Stop())
	x := n.clients[1].Throw("c0", n.relay, "d2")
	for i := range uint32(4) { // fewer clients would not be enough to say that the server is silent
		client := forged()
		x.Put(datagram(client, everybody, fromClient, toServers, discover(client, i)))
	}
	n.Until("status calls the server silent", func() bool { return says("peer server: silent since ") })
	if !says("peer server: cannot be reached: port unreachable (ICMP type 3, code 3, from ") {
		t.Errorf("status does not say what the server's host says:\n%s", n.fairlead.CLI("status"))
	}
	n.fairlead.Logged("level=WARN", `msg="server is silent"`, "peer=server")
	n.fairlead.Logged("level=WARN", `msg="peer cannot be reached"`, "peer=server", "port unreachable")
	n.serve(peer.Kea4UDP)
	n.obtain(1)
	n.fairlead.Logged("level=INFO", `msg="peer answers again"`, "peer=server")
	if says("peer ") {
		t.Errorf("after the server is back, status is\n%s", n.fairlead.CLI("status"))
	}
}

// Other programs with sockets at our port, which were started before us, get none of the answers
// of the server, and are named in the log and in status. If one of them does not share the port,
// the relay does not start, and names that program.
func TestPortIsShared(t *testing.T) {
	for kind, name := range map[peer.Relay4Kind]string{peer.Dhcrelay: "dhcrelay", peer.DnsmasqRelay: "dnsmasq", peer.DhcpHelper: "dhcp-helper"} {
		t.Run(name, func(t *testing.T) {
			n := build(t)
			n.play()
			other, err := peer.StartRelay4(n.relay.Node, kind, peer.Relay4Config{
				Down: map[string]netip.Addr{"d2": giaddr(2)}, Server: netip.MustParseAddr("10.9.0.77"),
			})
			n.Need(err)
			if kind != peer.Dhcrelay {
				n.fairlead = n.relay.Fairlead(fairlead.Config{Text: n.config()})
				if err := n.fairlead.Relay.Start(); err == nil || !strings.Contains(err.Error(), "it is used by "+name+" (process ") {
					t.Errorf("the relay says: %v", err)
				}
				return
			}
			n.start("agent-information: add")
			n.obtain(1)
			n.Until("status names it", func() bool { return strings.Contains(n.fairlead.CLI("status"), "port: "+name+" (process ") })
			n.fairlead.Logged("level=WARN", `msg="another program has a socket at our port`, name+" (process ")
			n.Need(other.Stop())
		})
	}
}
