package peer

import (
	"fmt"
	"net/netip"

	"fairlead/internal/lab"
)

// Relay4Kind names a DHCPv4 relay program.
type Relay4Kind string

// The DHCPv4 relays. Dhcrelay reads frames from packet sockets and sends to
// servers from the address of the interface that leads there; dnsmasq reads a
// UDP socket and sends from the giaddr.
const (
	Dhcrelay     Relay4Kind = "dhcrelay4"
	DnsmasqRelay Relay4Kind = "dnsmasq-relay4"
)

// Relay4Config says what a DHCPv4 relay does.
type Relay4Config struct {
	Down   map[string]netip.Addr // client-facing interfaces and their addresses, which become giaddr
	Up     string                // the interface to the server
	Server netip.Addr
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
		args = []string{"/usr/sbin/dhcrelay", "-4", "-d", "--no-pid", "-i", c.Up}
		for name := range c.Down {
			args = append(args, "-i", name)
		}
		args, listens = append(args, c.Server.String()), "Sending on   Socket/fallback"
	case DnsmasqRelay:
		args = append(dnsmasqArgs(dir), "-i", c.Up)
		for name, address := range c.Down {
			args = append(args, "-i", name, fmt.Sprintf("--dhcp-relay=%s,%s", address, c.Server))
		}
		listens = "started"
	default:
		return nil, fmt.Errorf("peer: no DHCPv4 relay %q", kind)
	}
	p, err := d.Start(lab.Command{Name: string(kind), Args: args})
	if err != nil {
		return nil, err
	}
	return p, p.Logged(ready, listens)
}
