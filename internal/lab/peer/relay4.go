package peer

import (
	"fmt"
	"net/netip"

	"fairlead/internal/lab"
	"fairlead/internal/wire/dhcp4"
)

// Relay4Kind names a DHCPv4 relay program.
type Relay4Kind string

// The DHCPv4 relays. Dhcrelay reads frames from packet sockets; dhcp-helper and dnsmasq read a
// UDP socket. Dnsmasq sends to servers from the giaddr, the others from the address of the
// interface that leads to the server.
const (
	Dhcrelay     Relay4Kind = "dhcrelay4"
	DnsmasqRelay Relay4Kind = "dnsmasq-relay4"
	DhcpHelper   Relay4Kind = "dhcp-helper"
)

// Relay4Config says what a DHCPv4 relay does.
type Relay4Config struct {
	Down   map[string]netip.Addr // client-facing interfaces and their addresses, which become giaddr
	Up     string                // the interface to the server; empty: the server is on one of the interfaces to clients
	Server netip.Addr
	// Informs makes dhcrelay add option 82, with the interface's name as circuit-id.
	Informs bool
}

// StartRelay4 starts a DHCPv4 relay in the node and waits until it listens.
func StartRelay4(d *lab.Node, kind Relay4Kind, c Relay4Config) (*lab.Proc, error) {
	dir, err := d.Folder(string(kind))
	if err != nil {
		return nil, err
	}
	var args []string
	var listens string
	switch kind {
	case Dhcrelay:
		args = []string{"/usr/sbin/dhcrelay", "-4", "-d", "--no-pid"}
		if c.Up != "" {
			args = append(args, "-i", c.Up)
		}
		if c.Informs {
			args = append(args, "-a", "-m", "append")
		}
		for name := range c.Down {
			args = append(args, "-i", name)
		}
		args, listens = append(args, c.Server.String()), "Sending on   Socket/fallback"
	case DnsmasqRelay:
		args = dnsmasqArgs(dir)
		if c.Up != "" {
			args = append(args, "-i", c.Up)
		}
		for name, address := range c.Down {
			args = append(args, "-i", name, fmt.Sprintf("--dhcp-relay=%s,%s", address, c.Server))
		}
		listens = "started"
	case DhcpHelper:
		args = []string{"/usr/local/sbin/dhcp-helper", "-d", "-u", "root", "-s", c.Server.String()}
		for name := range c.Down {
			args = append(args, "-i", name)
		}
	default:
		return nil, fmt.Errorf("peer: no DHCPv4 relay %q", kind)
	}
	p, err := d.Start(lab.Command{Name: string(kind), Args: args})
	if err != nil {
		return nil, err
	}
	if listens == "" { // this program logs nothing
		return p, lab.Until(ready, p.Name+" listens", func() bool { return p.Listens(dhcp4.ServerPort) })
	}
	return p, p.Logged(ready, listens)
}
