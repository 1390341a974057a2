package relay4_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab/peer"
	fairlead "fairlead/internal/lab/relay"
)

// The server is told in which VPN a client is, and that we send from another port than 67. A
// server that leases in that VPN, and answers at that port, has its answers delivered, without
// option 82. The identifiers of the access network are not sent to it: they are for protected
// servers.
//
// RFC 6607 5a and 5b. RFC 8357 5.1.
func TestServersThatKnowVPNs(t *testing.T) {
	for _, c := range []struct{ key, vss string }{
		{"vss: red", "00" + "726564"},
		{`vss: "0x00005e00000001"`, "01" + "00005e00000001"},
		{"vss: global", "ff"},
	} {
		t.Run(c.key, func(t *testing.T) {
			n := build(t)
			n.play().vpns = true
			text := n.config("agent-information: add", c.key, "access-network: {technology: 3, network-name: Example Net}")
			n.fairlead = n.relay.Fairlead(fairlead.Config{Text: strings.Replace(text, "relay4:\n", "relay4:\n  source-port: 1067\n", 1)})
			n.fairlead.Start()
			up, down := n.server.Record("s0", "udp port 67 or udp port 1067"), n.clients[0].Record("c0", "udp port 67 or udp port 68")
			if got := n.obtain(1); !subnet(1).Contains(got) {
				t.Errorf("the client got %v, want one of %v", got, subnet(1))
			}
			// Source Port, Virtual Subnet Selection and its Control: tshark only decodes their
			// framing.
			want := fmt.Sprintf("1300"+"97%02x%s"+"9800", len(c.vss)/2, c.vss)
			for _, kind := range []string{"1", "3"} {
				got := up.Wait("dhcp.option.dhcp == "+kind+" && udp.srcport == 1067 && udp.dstport == 67", "dhcp.option.agent_information_option.suboption", "dhcp.option.value")[0]
				if got[0] != "1,12,19,151,152" || !strings.Contains(strings.ReplaceAll(got[1], ":", ""), want) {
					t.Errorf("message of type %s: sub-options %s in %s, want %s", kind, got[0], got[1], want)
				}
			}
			up.Wait("dhcp.option.dhcp == 5 && udp.dstport == 1067 && udp.srcport == 67 && ip.dst == "+giaddr(1).String(), "frame.number")
			if got := down.Wait("dhcp.option.dhcp == 5", "dhcp.option.type", "udp.srcport"); slices.Contains(strings.Split(got[0][0], ","), "82") || got[0][1] != "67" {
				t.Errorf("the client got options %s from port %s, want no option 82, and port 67", got[0][0], got[0][1])
			}
			if got := n.linkNow("d1"); got.SensitiveOmitted < 2 || got.VSSIgnored != 0 {
				t.Errorf("%d messages went without the access network, and %d answers were for another VPN; want each of 2 or more, and none", got.SensitiveOmitted, got.VSSIgnored)
			}
			wellFormed(t, down)
		})
	}
}

// Kea does not support VPNs, and leases from giaddr's subnet as if there were none. The client
// does not get that lease (section 4.1), and this is counted. A client on a link without a VPN is
// served.
func TestRFC6607_5c_ServerThatDoesNotHeedIt(t *testing.T) {
	n := build(t)
	n.serve(peer.Kea4UDP)
	n.fairlead = n.relay.Fairlead(fairlead.Config{Text: strings.Replace(n.config("agent-information: add"), "  links:\n", "  links:\n    - {match: d1, agent-information: add, vss: red}\n", 1)})
	n.fairlead.Start()
	down := n.clients[0].Record("c0", "udp port 68 and src port 67")
	n.Until("answers of Kea are dropped", func() bool {
		n.discover(1) // it asks again, because the first messages may be lost
		return n.look().Drops["wrong-vpn"] >= 2
	})
	if got := n.obtain(2); !subnet(2).Contains(got) {
		t.Errorf("the client without a VPN got %v, want one of %v", got, subnet(2))
	}
	down.Stop()
	if got := down.Fields("dhcp", "dhcp.option.dhcp"); len(got) > 0 {
		t.Errorf("the client in the VPN was sent messages of types %v", got)
	}
	if l := n.linkNow("d1"); l.VSSIgnored < 2 || l.Leases > 0 {
		t.Errorf("the link is shown as %+v", l)
	}
}
