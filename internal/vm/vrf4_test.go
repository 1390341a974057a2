//go:build vm

package vm_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/relay"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp4"
)

// Clients and servers of DHCPv4 need not be in one VRF: giaddr is then an address where the
// server is, and link selection tells the client's subnet. The server answers to giaddr, which is
// the address that it was asked from or another one of that VRF.
//
// RFC 3527 3a.
func TestDHCPv4VRFsDiffer(t *testing.T) {
	for _, c := range []struct{ name, down, up, giaddr string }{
		{"client in a VRF", "red", "", "10.9.0.1"},
		{"server in a VRF", "", "blue", "10.9.0.1"},
		{"both in different ones", "red", "blue", "10.9.0.1"},
		{"another giaddr in the server's", "red", "blue", "10.9.9.9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := rig.New(t)
			r := build(n)
			client := n.Node("c")
			n.Veth(r.node, "d1", client, "c0")
			n.Veth(r.node, "u1", r.far, "s1")
			r.vrf("red", red)
			r.vrf("blue", blue)
			r.enslave("d1", c.down)
			r.enslave("u1", c.up)
			r.node.IP("addr add 10.1.1.1/24 dev d1")
			r.node.IP("addr add 10.9.0.1/24 dev u1")
			r.node.IP("addr add 10.9.9.9/32 dev u1")
			r.far.IP("addr add 10.9.0.2/24 dev s1")
			r.far.IP("route add 10.9.9.9/32 via 10.9.0.1")
			heard := serve4(r.far.UDP(netip.MustParseAddrPort("10.9.0.2:67")))
			p := r.node.Fairlead(relay.Config{Text: rig.NoMetrics +
				"peers:\n  - {name: server, address: 10.9.0.2, role: server, interfaces: [u1], protection: none}\n" +
				"relay4:\n  links:\n    - {match: d1, giaddr: " + c.giaddr + ", agent-information: add, link-selection: true}\n"})
			p.Start()
			asks, err := peer.StartClient4(client.Node, "c0")
			n.Need(err)
			defer asks.Close()
			got, err := asks.Obtain(labtest.Patience)
			n.Need(err)
			var about api.Relay4
			p.Ask("/v1/relay4", &about)
			if got != netip.MustParseAddr("10.1.1.100") || about.Links[0].VRF != c.down || about.Leases != 1 {
				t.Errorf("the client got %v, and the relay shows %+v", got, about)
			}
			if said, want := <-heard, [3]string{"10.9.0.1", c.giaddr, "10.1.1.0"}; said != want {
				t.Errorf("the server was asked from, with giaddr and for the subnet %q, want %q", said, want)
			}
		})
	}
}

// serve4 is a DHCPv4 server that leases the address .100 of the subnet which link selection (RFC
// 3527) names, until the socket is closed. It tells of the first message: its source, giaddr and
// that subnet.
func serve4(conn *net.UDPConn) <-chan [3]string {
	heard := make(chan [3]string, 1)
	go func() {
		b := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			m, err := dhcp4.ParseMessage(b[:max(n, 0)])
			if err != nil {
				continue
			}
			info, _, err := m.AgentInformation(nil)
			subnet, found := info.First(dhcp4.SubOptionLinkSelection)
			if err != nil || !found || len(subnet) != 4 {
				continue
			}
			select {
			case heard <- [3]string{from.Addr().Unmap().String(), m.GIAddr().String(), netip.AddrFrom4([4]byte(subnet)).String()}:
			default:
			}
			answer := append(make([]byte, 0, 512), b[:240]...)
			answer[0] = byte(dhcp4.BOOTReply)
			copy(answer[16:], []byte{subnet[0], subnet[1], subnet[2], 100})
			kind := dhcp4.Offer
			if m.Type() == dhcp4.Request {
				kind = dhcp4.ACK
			}
			answer = append(answer, 53, 1, byte(kind), 54, 4, 10, 9, 0, 2, 51, 4, 0, 0, 0x0e, 0x10, 82, byte(len(info)))
			answer = append(append(answer, info...), 255)
			_, _ = conn.WriteToUDPAddrPort(answer, netip.AddrPortFrom(m.GIAddr(), dhcp4.ServerPort)) // lost: it is asked again
		}
	}()
	return heard
}
