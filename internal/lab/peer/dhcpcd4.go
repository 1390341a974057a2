package peer

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"fairlead/internal/lab"
)

// Dhcpcd4 is a dhcpcd that only asks for an IPv4 address. It gives the address to its interface,
// and makes no route to a gateway.
type Dhcpcd4 struct{ *lab.Proc }

// StartDhcpcd4 starts a dhcpcd in the node. It does not wait for a lease.
func StartDhcpcd4(d *lab.Node, link string) (*Dhcpcd4, error) {
	const name = "dhcpcd4"
	dir, err := d.Folder(name)
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "dhcpcd.conf")
	if err := os.WriteFile(conf, []byte("ipv4only\nnoarp\nnogateway\npersistent\nreboot 0\ntimeout 60\n"), 0o644); err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	// Its own scripts would write to the machine's resolv.conf.
	p, err := d.Start(lab.Command{
		Name: name, Args: []string{"dhcpcd", "-B", "-d", "-4", "-f", conf, "-c", "/bin/true", link},
		Private: []string{"/var/lib/dhcpcd", "/run"},
	})
	return &Dhcpcd4{p}, err
}

// Renew makes it renew its lease now.
func (c *Dhcpcd4) Renew() error { return signalDhcpcd(c.Proc, syscall.SIGUSR1) }

// Release makes it give its lease back, and end.
func (c *Dhcpcd4) Release() error { return signalDhcpcd(c.Proc, syscall.SIGALRM) }
