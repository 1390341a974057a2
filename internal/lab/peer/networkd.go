package peer

import (
	"fmt"
	"os"
	"path/filepath"

	"fairlead/internal/lab"
)

// StartNetworkd starts a systemd-networkd in the node, which asks for an IPv4 address on an
// interface. It gives the address to the interface, and makes no route to a gateway.
//
// It works without udev and D-Bus: it does not see the machine's /run, and cannot write to /sys.
func StartNetworkd(d *lab.Node, link string) (*lab.Proc, error) {
	const name = "networkd"
	folder, err := d.Private(name, "/etc/systemd")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "network", "client.network")
	text := fmt.Sprintf("[Match]\nName=%s\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n[DHCPv4]\nClientIdentifier=mac\nUseRoutes=no\nUseGateway=no\nUseHostname=no\n", link)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	return d.Start(lab.Command{
		Name:    name,
		Args:    []string{"sh", "-c", "mount -t sysfs -o ro sysfs /sys && exec /lib/systemd/systemd-networkd"},
		Env:     []string{"SYSTEMD_LOG_TARGET=console", "SYSTEMD_LOG_LEVEL=debug"},
		Private: []string{"/run", "/etc/systemd"},
	})
}
