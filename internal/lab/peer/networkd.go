package peer

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"

	"fairlead/internal/lab"
)

// StartNetworkd starts a systemd-networkd in the node, which asks for an IPv4 address on an
// interface. It gives the address to the interface, and makes no route to a gateway.
func StartNetworkd(d *lab.Node, link string) (*lab.Proc, error) {
	const name = "networkd"
	command, err := networkdCommand(d, name, fmt.Sprintf(
		"[Match]\nName=%s\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n[DHCPv4]\nClientIdentifier=mac\nUseRoutes=no\nUseGateway=no\nUseHostname=no\n", link))
	if err != nil {
		return nil, err
	}
	command.Name = name
	return d.Start(command)
}

// networkdCommand starts a systemd-networkd that knows no other files than these.
//
// It works without udev and D-Bus: it does not see the machine's /run, and cannot write to /sys.
func networkdCommand(d *lab.Node, name string, files ...string) (lab.Command, error) {
	folder, err := d.Private(name, "/etc/systemd")
	if err != nil {
		return lab.Command{}, err
	}
	folder = filepath.Join(folder, "network")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return lab.Command{}, fmt.Errorf("peer: %w", err)
	}
	for i, text := range files {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d.network", i)), []byte(text), 0o644); err != nil {
			return lab.Command{}, fmt.Errorf("peer: %w", err)
		}
	}
	return lab.Command{
		Args:    []string{"sh", "-c", "mount -t sysfs -o ro sysfs /sys && exec /lib/systemd/systemd-networkd"},
		Env:     []string{"SYSTEMD_LOG_TARGET=console", "SYSTEMD_LOG_LEVEL=debug"},
		Private: []string{"/run", "/etc/systemd"},
	}, nil
}

// networkd is systemd-networkd as a DHCPv6 client. It has one IA_PD for an interface.
type networkd struct{}

func (networkd) configure(c *Client) (lab.Command, error) {
	if c.Config.Prefixes != 1 || c.Config.NoAddress || len(c.Config.DUID) > 0 {
		return lab.Command{}, fmt.Errorf("peer: %s asks for one address and one prefix, with a DUID of its own", c.Kind)
	}
	up := fmt.Sprintf("[Match]\nName=%s\n[Network]\nDHCP=ipv6\nIPv6AcceptRA=no\n[DHCPv6]\nWithoutRA=solicit\nDUIDType=link-layer\nUseHostname=no\nUseDNS=no\nUseNTP=no\n", c.Config.Interface)
	lan := fmt.Sprintf("[Match]\nName=%s\n[Network]\nDHCPPrefixDelegation=yes\nIPv6AcceptRA=no\n[DHCPPrefixDelegation]\nUplinkInterface=%s\nAnnounce=no\n", c.Config.LAN, c.Config.Interface)
	return networkdCommand(c.Node, string(c.Kind), up, lan)
}

// unreachable matches the routes that networkd makes for whole prefixes.
var unreachable = regexp.MustCompile(`(?m)^unreachable ([0-9a-f:]+/[0-9]+) .*proto dhcp`)

func (networkd) prefixes(c *Client) (held []netip.Prefix) {
	routes, _ := c.Node.IP("-6 route show")
	for _, m := range unreachable.FindAllStringSubmatch(routes, -1) {
		if p, err := netip.ParsePrefix(m[1]); err == nil {
			held = append(held, p)
		}
	}
	return held
}

func (networkd) ask(c *Client, what demand) error {
	return fmt.Errorf("peer: %s: %s: %w", c.Kind, what, ErrUnable)
}
