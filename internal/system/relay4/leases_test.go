package relay4_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab/peer"
	fairlead "fairlead/internal/lab/relay"
)

// onView waits until the relay shows so many leases on each link, all of them kept.
func (n *network) onView(d1, d2 int) {
	n.T.Helper()
	n.Until("the leases on view are as many as wanted", func() bool {
		about, got := n.look(), map[string]int{}
		for _, l := range about.Links {
			got[l.Name] = l.Leases
		}
		return about.Pending == 0 && about.Leases == d1+d2 && got["d1"] == d1 && got["d2"] == d2
	})
}

// addressOf waits until a client has given an address to its interface, and returns it.
func (n *network) addressOf(link int) netip.Addr {
	n.T.Helper()
	var shown []struct {
		Addrs []struct {
			Local netip.Addr `json:"local"`
		} `json:"addr_info"`
	}
	n.Until("the client has an address", func() bool {
		n.Need(json.Unmarshal([]byte(n.clients[link-1].IP("-4 -j addr show dev c0 scope global")), &shown))
		return len(shown) == 1 && len(shown[0].Addrs) == 1
	})
	return shown[0].Addrs[0].Local
}

// A lease of dhcpcd is on view from its acknowledgement on. If the server supports the server
// identifier override (RFC 5107), renewals extend the lease, and a RELEASE ends it. Between these
// the relay is killed, and still knows the lease after its start.
func TestLeasesOnView(t *testing.T) {
	n := build(t)
	n.serve(peer.Dnsmasq4)
	n.fairlead = n.relay.Fairlead(fairlead.Config{Text: "log: {level: debug}\n" + n.config("agent-information: add", "server-id-override: true")})
	n.fairlead.Start()
	c, err := peer.StartDhcpcd4(n.clients[1].Node, "c0")
	n.Need(err)
	leased := n.addressOf(2).String()
	n.fairlead.Logged("lease granted", "link=d2", "prefix="+leased+"/32")
	n.onView(0, 1)
	n.obtain(1)
	n.onView(1, 1)

	n.fairlead.Kill()
	n.fairlead.Start()
	n.onView(1, 1)
	n.Need(c.Renew())
	n.fairlead.Logged("lease extended", "link=d2", "prefix="+leased+"/32")
	n.onView(1, 1)
	n.Need(c.Release())
	n.fairlead.Logged("lease ended", "link=d2", "prefix="+leased+"/32", "reason=released")
	n.onView(1, 0)
	n.fairlead.Stop()
	n.fairlead.Start()
	n.onView(1, 0)
}

// The leases that udhcpc and dhclient get are on view with the hardware address of each client.
// Kea sends client identifiers back; dhcpd only does so if it is configured to.
func TestLeasesOfClientsOfOthers(t *testing.T) {
	for _, kind := range []peer.Server4Kind{peer.Kea4UDP, peer.Dhcpd4} {
		t.Run(string(kind), func(t *testing.T) {
			n := build(t)
			n.serve(kind)
			n.start("agent-information: add", "limits: {link: 1}")
			n.clients[0].Run("busybox", "udhcpc", "-i", "c0", "-n", "-q", "-f", "-t", "20", "-T", "1", "-s", "/bin/true")
			n.onView(1, 0)
			n.fairlead.Logged("lease granted", "link=d1", "prefix=10.1.1.")
			dir := t.TempDir()
			n.clients[1].Run("dhclient", "-4", "-1", "-v", "-sf", "/bin/true", "-lf", dir+"/leases", "-pf", dir+"/pid", "c0")
			n.endDaemon(1, dir+"/pid")
			n.onView(1, 1)
			// The link may have one lease: a second client of it is not served. The same client
			// is.
			down := n.clients[0].Record("c0", "udp port 67 or udp port 68")
			before := n.clients[0].Interface("c0").HardwareAddr.String()
			n.clients[0].IP("link set c0 address 02:00:5e:10:00:77")
			n.discover(1)
			down.Wait("dhcp.option.dhcp == 2", "frame.number")
			if out, err := n.clients[0].Node.Run("busybox", "udhcpc", "-i", "c0", "-n", "-q", "-f", "-t", "3", "-T", "1", "-s", "/bin/true"); err == nil {
				t.Errorf("another client got an address above the limit: %s", out)
			}
			n.fairlead.Logged("request not forwarded: limit met", "link=d1", "reason=limit-link")
			n.clients[0].IP("link set c0 address %s", before)
			n.clients[0].Run("busybox", "udhcpc", "-i", "c0", "-n", "-q", "-f", "-t", "20", "-T", "1", "-s", "/bin/true")
			n.onView(1, 1)
			if out := n.fairlead.CLI("status"); !strings.Contains(out, "limit") {
				t.Errorf("status does not tell of the limit:\n%s", out)
			}
		})
	}
}
