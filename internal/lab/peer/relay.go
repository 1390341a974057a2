package peer

import (
	"net/netip"

	"fairlead/internal/lab"
)

// RelayConfig says what a DHCPv6 relay does.
type RelayConfig struct {
	Down   string     // the interface to clients
	Up     string     // the interface to the server
	Server netip.Addr // invalid: all servers (ff05::1:3)
}

// StartRelay starts ISC dhcrelay as a DHCPv6 relay in the node and waits until it
// listens. It reads and sends by UDP sockets, from port 547.
func StartRelay(d *lab.Node, c RelayConfig) (*lab.Proc, error) {
	up := c.Up
	if c.Server.IsValid() {
		up = c.Server.String() + "%" + c.Up
	}
	p, err := d.Start(lab.Command{
		Name: "dhcrelay6",
		Args: []string{"/usr/sbin/dhcrelay", "-6", "-d", "--no-pid", "-l", c.Down, "-u", up},
	})
	if err != nil {
		return nil, err
	}
	return p, p.Logged(ready, "Sending on   Socket/"+c.Up)
}
