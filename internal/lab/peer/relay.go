package peer

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"fairlead/internal/lab"
)

// RelayKind names a DHCPv6 relay program. All read and send by UDP sockets, from port 547.
type RelayKind string

// The DHCPv6 relays. Dhcrelay sends to the server from the address of the interface that leads to
// it, and adds an interface-id where it has several interfaces to clients. Dnsmasq sends from the
// link-address.
const (
	Dhcrelay6     RelayKind = "dhcrelay6"
	DnsmasqRelay6 RelayKind = "dnsmasq-relay6"
)

// RelayConfig says what a DHCPv6 relay does.
type RelayConfig struct {
	Down   map[string]netip.Addr // client-facing interfaces and their addresses, which become link-address
	Up     string                // the interface to the server
	Server netip.Addr            // invalid: all servers (ff05::1:3), which dhcrelay alone can ask
}

// StartRelay starts a DHCPv6 relay in the node and waits until it listens.
func StartRelay(d *lab.Node, kind RelayKind, c RelayConfig) (*lab.Proc, error) {
	dir, err := d.Folder(string(kind))
	if err != nil {
		return nil, err
	}
	var args []string
	var listens string
	switch kind {
	case Dhcrelay6:
		args, listens = []string{"/usr/sbin/dhcrelay", "-6", "-d", "--no-pid"}, "Sending on   Socket/"+c.Up
		for _, name := range slices.Sorted(maps.Keys(c.Down)) {
			args = append(args, "-l", name)
		}
		up := c.Up
		if c.Server.IsValid() {
			up = c.Server.String() + "%" + c.Up
		}
		args = append(args, "-u", up)
	case DnsmasqRelay6:
		args, listens = append(dnsmasqArgs(dir), "-i", c.Up), "started"
		for name, address := range c.Down {
			args = append(args, "-i", name, fmt.Sprintf("--dhcp-relay=%s,%s", address, c.Server))
		}
	default:
		return nil, fmt.Errorf("peer: no DHCPv6 relay %q", kind)
	}
	p, err := d.Start(lab.Command{Name: string(kind), Args: args})
	if err != nil {
		return nil, err
	}
	return p, p.Logged(ready, listens)
}
