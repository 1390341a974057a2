package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/peer"
)

// The network has IPv4 as well, with these addresses.
const (
	edge4   = "10.254.0.1"
	core4   = "10.254.0.2" // towards the edge
	beyond4 = "10.255.0.1" // an address of the core too, towards the server
	server4 = "10.255.0.4"
)

// subnet4 returns the subnet of an access port of the edge, d1 or d2: the edge has the first
// address there, and Kea leases other addresses of it.
func subnet4(port string) netip.Prefix {
	return netip.MustParsePrefix("10.1." + strings.TrimPrefix(port, "d") + ".0/24")
}

func gateway4(port string) netip.Addr { return subnet4(port).Addr().Next() }

// number4 gives the backbone and the access ports their IPv4 addresses.
func (t *tour) number4() error {
	var errs []error
	for _, d := range []*lab.Node{t.edge, t.core} {
		errs = append(errs, d.Sysctl("net/ipv4/ip_forward", "1"))
	}
	for _, one := range []struct {
		node    *lab.Node
		command string
	}{
		{t.edge, "addr add " + edge4 + "/24 dev u0"},
		{t.edge, fmt.Sprintf("addr add %s/24 dev d1", gateway4("d1"))},
		{t.edge, fmt.Sprintf("addr add %s/24 dev d2", gateway4("d2"))},
		{t.edge, "route add default via " + core4},
		{t.core, "addr add " + core4 + "/24 dev k0"},
		{t.core, "addr add " + beyond4 + "/24 dev k1"},
		{t.core, "route add 10.1.0.0/16 via " + edge4},
		{t.server, "addr add " + server4 + "/24 dev s0"},
		{t.server, "route add default via " + beyond4},
	} {
		_, err := one.node.IP("-4 %s", one.command)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// serve4 starts Kea's DHCPv4 server beside the DHCPv6 server, and records what it receives.
// Fairlead has no DHCPv4 server of its own.
func (t *tour) serve4() (err error) {
	type m = map[string]any
	var subnets []m
	for i, port := range []string{"d1", "d2"} {
		subnets = append(subnets, m{
			"id": i + 1, "subnet": subnet4(port).String(), "pools": []m{{"pool": pool4(port)}},
			"option-data": []m{{"name": "routers", "data": gateway4(port).String()}},
		})
	}
	if t.serverWire4, err = capture.Start(t.server, "s0", dhcpv4); err != nil {
		return err
	}
	_, err = peer.RunKea(t.server, "kea-dhcp4", 4, m{
		"interfaces-config": m{"interfaces": []string{"s0/" + server4}, "dhcp-socket-type": "udp"},
		"lease-database":    m{"type": "memfile", "persist": false},
		"valid-lifetime":    int(timers.Valid.Seconds()),
		"subnet4":           subnets,
	})
	return err
}

// pool4 returns the addresses that Kea leases on a port, as Kea's configuration writes them.
func pool4(port string) string { return strings.Replace(subnet4(port).String(), "0/24", "128/25", 1) }

// dhcpv4 is the tcpdump filter for the messages of DHCPv4 programs.
const dhcpv4 = "udp port 67 or udp port 68"

// dhcpcd4 is the configuration of a dhcpcd that only asks for an IPv4 address. Without ARP it
// does not wait for others to claim the address.
const dhcpcd4 = "ipv4only\nclientid\nnoarp\nnoipv4ll\n"

// askFor4 starts a DHCPv4 client in home2, beside the client that is there. It runs no script, so
// it does not touch files of this machine, such as resolv.conf.
func (t *tour) askFor4() (*lab.Proc, error) {
	const name = "dhcpcd-4"
	dir, err := t.home2.node.Folder(name)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "dhcpcd.conf")
	if err := os.WriteFile(file, []byte(dhcpcd4), 0o644); err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	return t.home2.node.Start(lab.Command{
		Name:    name,
		Args:    []string{"dhcpcd", "-B", "-d", "-4", "-f", file, "-c", "/bin/true", "c0"},
		Private: []string{"/var/lib/dhcpcd", "/run"},
	})
}

// family4 makes a home ask for an IPv4 address, and checks what the relay added.
func (t *tour) family4() error {
	t.say("The same file has a section for DHCPv4, and the same process relays it, on the same links. " +
		"Beside its DHCPv6 client home2 starts dhcpcd, for IPv4; Kea's DHCPv4 server is where the DHCPv6 server is: Fairlead has none of its own.")
	below, err := capture.Start(t.home2.node, "c0", dhcpv4)
	if err != nil {
		return err
	}
	client, err := t.askFor4()
	if err != nil {
		return err
	}
	t.net.OnClose(client.Kill) // when asked to end, it would wait in vain until its Release has left
	port := t.home2.port
	var leased netip.Addr
	err = until(t.ctx, slowPace, patience, "home2 has an IPv4 address", func() bool {
		leased = address4(t.home2.node, "c0")
		return leased.IsValid()
	})
	if t.check(err, "home2 has %s", leased) != nil {
		return err
	}
	if _, err := t.in(t.home2.node, "ip", "-4", "addr", "show", "dev", "c0"); err != nil {
		return err
	}
	pool := netip.MustParsePrefix(pool4(port))
	_ = t.check(expect(pool.Contains(leased), "%s is not in %s", leased, pool), "it is out of the pool that Kea has for the link %s", port)
	_ = t.check(t.ping(t.home2.node, leased, netip.MustParseAddr(server4)), "home2 reaches the server from there, through the router that Kea has told it")
	if err := t.described4(); err != nil {
		return err
	}
	return t.untold4(below, leased)
}

// address4 returns the IPv4 address of an interface; it is invalid if there is none.
func address4(d *lab.Node, link string) netip.Addr {
	out, _ := d.IP("-4 -brief addr show dev %s", link)
	words := strings.Fields(out) // "c0@if7 UP 10.1.2.128/24"
	if len(words) < 3 {
		return netip.Addr{}
	}
	p, _ := netip.ParsePrefix(words[2])
	return p.Addr()
}

// described4 checks what the relay told the server about home2.
func (t *tour) described4() error {
	t.say("tshark reads what came to Kea. The relay has put in its address on the client's link (giaddr), and the " +
		"Relay Agent Information option (82, RFC 3046) with a circuit-id and with its relay-id (RFC 6925):")
	const discovers = "dhcp.option.dhcp == 1 && ip.dst == " + server4
	rows, err := t.recorded(t.serverWire4, discovers+" && dhcp.hw.mac_addr == "+t.home2.mac, "dhcp.hops", "dhcp.ip.relay", circuitID4, relayID4)
	if err != nil {
		return err
	}
	if _, err := t.tshark(t.serverWire4, discovers, "dhcp.hw.mac_addr", "dhcp.hops", "dhcp.ip.relay", circuitID4, relayID4); err != nil {
		return err
	}
	forwards, err := t.atServer("dhcpv6.msgtype == 12")
	if err != nil {
		return err
	}
	if len(forwards) == 0 {
		return errors.New("there is no Relay-forward")
	}
	port, row := t.home2.port, rows[0]
	circuit, identity := fmt.Sprintf("%x", port), fmt.Sprintf("%x", forwards[0].options[relayID])
	_ = t.check(expect(row[0] == "1" && row[1] == gateway4(port).String(), "%s hops, giaddr %s", row[0], row[1]), "giaddr is %s, and one relay was passed", gateway4(port))
	_ = t.check(expect(octets4(row[2]) == circuit, "it is %s", row[2]), "the circuit-id says %s", port)
	_ = t.check(expect(octets4(row[3]) == identity, "it is %s, and not %s", row[3], identity), "the relay-id is the very DUID that Fairlead has named in DHCPv6")
	return nil
}

// recorded returns fields of the packets that match a filter of tshark's, once there are any.
func (t *tour) recorded(c *capture.Capture, filter string, fields ...string) (rows [][]string, err error) {
	err = until(t.ctx, slowPace, patience, filter+" is recorded", func() bool {
		rows, _ = c.Fields(filter, fields...) // a file that is being written may end inside a packet
		return len(rows) > 0
	})
	return rows, err
}

// These are tshark's fields for the parts of option 82.
const (
	circuitID4 = "dhcp.option.agent_information_option.agent_circuit_id"
	relayID4   = "dhcp.option.agent_information_option.relay_agent_id"
)

// octets4 returns octets that tshark has printed, without the separators.
func octets4(text string) string { return strings.ReplaceAll(text, ":", "") }

// untold4 checks that the client has not received what was added, and that the server has sent it
// back.
func (t *tour) untold4(below *capture.Capture, leased netip.Addr) error {
	acks := "dhcp.option.dhcp == 5 && dhcp.ip.your == " + leased.String()
	for _, side := range []struct {
		wire  *capture.Capture
		has   bool
		claim string
	}{{t.serverWire4, true, "Kea sends option 82 back in its Ack, as it must"}, {below, false, "the relay takes it out: the Ack that reaches home2 has none"}} {
		rows, err := t.recorded(side.wire, acks, "dhcp.option.type")
		for _, row := range rows {
			if has := strings.Contains(","+row[0]+",", ",82,"); has != side.has {
				err = fmt.Errorf("an Ack has the options %s", row[0])
			}
		}
		_ = t.check(err, "%s", side.claim)
	}
	return nil
}
