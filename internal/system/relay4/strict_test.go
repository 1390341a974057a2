package relay4_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/rig"
)

// eye sees which packets reach the server. Each packet has a source port of its own.
type eye struct {
	*network
	seen   *rig.Capture
	last   uint16
	marker netip.Addr // packets of client 2 with this source pass
}

// sends makes the client of a link send a packet to the server, with any source addresses, and
// returns tshark's filter for the packet.
func (e *eye) sends(link int, mac net.HardwareAddr, source netip.Addr) (filter string) {
	e.T.Helper()
	e.last++
	at := []string{"d1", "d2"}[link-1]
	e.clients[link-1].Throw("c0", e.relay, at).Put(datagram(mac, e.relay.Interface(at).HardwareAddr,
		netip.AddrPortFrom(source, e.last), netip.AddrPortFrom(netip.MustParseAddr(serverAddress), discardPort), []byte("x")))
	return fmt.Sprintf("ip.src == %v && udp.srcport == %d", source, e.last)
}

const discardPort = 9

// linkNow returns what the relay shows of a link.
func (n *network) linkNow(name string) (found api.Relay4Link) {
	n.T.Helper()
	for _, l := range n.look().Links {
		if l.Name == name {
			found = l
		}
	}
	return found
}

// passes sends a packet, and waits until it reaches the server.
func (e *eye) passes(link int, mac net.HardwareAddr, source netip.Addr) {
	e.T.Helper()
	e.seen.Wait(e.sends(link, mac, source), "frame.number")
}

// stopped sends a packet of client 1, and fails if it reaches the server.
func (e *eye) stopped(what string, mac net.HardwareAddr, source netip.Addr) {
	e.T.Helper()
	sent := e.sends(1, mac, source)
	e.passes(2, e.clients[1].Interface("c0").HardwareAddr, e.marker)
	if len(e.seen.Fields(sent, "frame.number")) > 0 {
		e.T.Errorf("%s reached the server", what)
	}
}

// A client's packets pass from its acknowledgement until its lease ends, if they come from its
// own hardware address; with other source addresses they do not pass. The same holds after
// another program has flushed the ruleset, and after the relay was killed. A client whose lease
// was lost with the store is learned when it renews, and passes again.
func TestStrictFilter(t *testing.T) {
	n := build(t)
	n.relay.Sysctl("net/ipv4/ip_forward", "1")
	n.serve(peer.Dnsmasq4)
	n.start("agent-information: add", "server-id-override: true", "filter: strict")
	c, err := peer.StartDhcpcd4(n.clients[0].Node, "c0")
	n.Need(err)
	leased, own := n.addressOf(1), n.clients[0].Interface("c0").HardwareAddr
	e := &eye{network: n, seen: n.server.Record("s0", "udp port 9"), last: 1000, marker: n.obtain(2)}
	other := net.HardwareAddr{2, 0, 0x5e, 0x10, 0, 0x99}
	foreign := subnet(1).Addr().Next().Next().Next()
	check := func(when string) {
		t.Helper()
		e.passes(1, own, leased)
		e.stopped(when+": an address that is not leased", own, foreign)
		e.stopped(when+": the leased address from another hardware address", other, leased)
		e.stopped(when+": an address of another link", own, e.marker)
	}
	check("leased")
	if l := n.linkNow("d1"); l.Spoofed != 3 || l.LastSpoofed == nil {
		t.Errorf("the link is shown with %d packets that were dropped, the last %+v; want 3", l.Spoofed, l.LastSpoofed)
	}
	if out := n.fairlead.CLI("status"); !strings.Contains(out, "spoofed") {
		t.Errorf("status does not tell of the packets that were dropped:\n%s", out)
	}
	if out := n.fairlead.CLI("links", "d1"); !strings.Contains(out, "strict") || !strings.Contains(out, "3 packets, the last from") {
		t.Errorf("the link is shown as\n%s", out)
	}

	n.relay.Run("nft", "flush", "ruleset")
	n.Until("the filter is back", func() bool {
		out, err := n.relay.Node.Run("nft", "list", "table", "inet", "fairlead")
		return err == nil && strings.Contains(out, leased.String())
	})
	check("flushed")

	n.fairlead.Kill()
	check("killed")
	n.fairlead.Start()
	check("started again")

	n.fairlead.Stop()
	kept, err := filepath.Glob(filepath.Join(n.fairlead.State, "*"))
	n.Need(err)
	for _, path := range kept {
		n.Need(os.RemoveAll(path))
	}
	n.fairlead.Start()
	e.marker = n.obtain(2)
	e.stopped("an address that the store has lost", own, leased)
	n.Need(c.Renew())
	n.fairlead.Logged("lease granted", "link=d1", "prefix="+leased.String()+"/32")
	check("renewed")
	n.Need(c.Release())
	n.fairlead.Logged("lease ended", "link=d1", "reason=released")
	e.stopped("an address that was released", own, leased)
}

// Clients on unnumbered links are reached by a route to each address. It comes with the
// acknowledgement, is there again after a restart, and is removed with the lease. Without the
// rule, the same process has neither routes nor a filter for IPv4.
func TestHostRoutesOfUnnumberedLinks(t *testing.T) {
	n := build(t)
	n.relay.Sysctl("net/ipv4/ip_forward", "1")
	n.unnumbered()
	n.serve(peer.Dnsmasq4)
	keys := []string{"unnumbered: lo", "agent-information: add", "server-id-override: true"}
	n.start(append(keys, "host-routes: true", "filter: strict")...)
	c, err := peer.StartDhcpcd4(n.clients[1].Node, "c0")
	n.Need(err)
	leased := n.addressOf(2)
	route := func() string { return strings.TrimSpace(n.relay.IP("-4 route show %s/32", leased)) }
	want := leased.String() + " dev d2 proto 87 scope link metric 8700"
	if got := route(); got != want {
		t.Errorf("the route is %q, want %q", got, want)
	}
	n.clients[1].IP("route replace %s via %s dev c0 onlink", serverAddress, giaddr(1))
	n.Until("the server reaches the client", func() bool {
		_, err := n.server.Node.Run("ping", "-c", "1", "-W", "1", leased.String())
		return err == nil
	})
	n.fairlead.Kill()
	n.relay.IP("route del %s/32", leased)
	n.fairlead.Start()
	if got := route(); got != want {
		t.Errorf("after a restart the route is %q, want %q", got, want)
	}
	n.fairlead.Reload(n.config(keys...))
	if got := route(); got != "" {
		t.Errorf("without host-routes there is a route: %q", got)
	}
	n.fairlead.Reload(n.config(append(keys, "host-routes: true")...))
	if got := route(); got != want {
		t.Errorf("after another reload the route is %q, want %q", got, want)
	}
	n.Need(c.Release())
	n.Until("the route of a released address has gone", func() bool { return route() == "" })
}
