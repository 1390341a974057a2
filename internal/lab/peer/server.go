package peer

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fairlead/internal/lab"
)

// ready is how long a program may take to start.
const ready = 3 * time.Minute

// Timers are the times of all leases that a server gives, in whole seconds. The zero value stands
// for ShortTimers.
type Timers struct {
	T1, T2, Preferred, Valid time.Duration
}

// ShortTimers are so short that a test sees a renewal and an expiry.
var ShortTimers = Timers{T1: 10 * time.Second, T2: 16 * time.Second, Preferred: 20 * time.Second, Valid: 30 * time.Second}

// LongTimers are so long that clients do not renew during a test.
var LongTimers = Timers{T1: 1000 * time.Second, T2: 1600 * time.Second, Preferred: 2000 * time.Second, Valid: 3000 * time.Second}

// Served is a link whose clients a server serves.
type Served struct {
	Link      netip.Prefix // its addresses are leased, from the first few thousand on
	Delegable netip.Prefix // prefixes come from here
	Length    int          // of the delegated prefixes: 56 if 0
	// InterfaceID, as text, is the Interface-ID option by which Kea chooses this link.
	InterfaceID string
}

// Links returns the first access links of a topology.
func Links(count int) []Served {
	var list []Served
	for i := 1; i <= count; i++ {
		list = append(list, Served{Link: lab.Link(i), Delegable: lab.Delegable(i)})
	}
	return list
}

// ServerConfig says what a server does. The zero value serves the first four
// links of a topology with short timers, on s0.
type ServerConfig struct {
	Interface string     // "s0"
	Address   netip.Addr // lab.ServerAddress
	Links     []Served   // Links(4)
	Timers    Timers     // ShortTimers
}

func (c *ServerConfig) complete() {
	if c.Interface == "" {
		c.Interface = "s0"
	}
	if !c.Address.IsValid() {
		c.Address = lab.ServerAddress
	}
	if c.Links == nil {
		c.Links = Links(4)
	}
	if c.Timers == (Timers{}) {
		c.Timers = ShortTimers
	}
	links := make([]Served, len(c.Links))
	for i, l := range c.Links {
		if l.Length == 0 {
			l.Length = 56
		}
		links[i] = l
	}
	c.Links = links
}

// ServerKind names a server program.
type ServerKind string

// The servers.
const (
	Kea           ServerKind = "kea-dhcp6"
	Dhcpd         ServerKind = "dhcpd"
	DibblerServer ServerKind = "dibbler-server"
	// Dnsmasq6 leases addresses, and delegates no prefixes.
	Dnsmasq6 ServerKind = "dnsmasq6"
)

// ServerKinds lists all servers that delegate prefixes.
var ServerKinds = []ServerKind{Kea, Dhcpd, DibblerServer}

// StartServer starts a server in the node, and waits until it listens. If a server is started
// again in the same node after its end, it still has its leases.
func StartServer(d *lab.Node, kind ServerKind, c ServerConfig) (*lab.Proc, error) {
	c.complete()
	switch kind {
	case Kea:
		return startKea(d, c)
	case Dhcpd:
		return startDhcpd(d, c)
	case DibblerServer:
		return startDibblerServer(d, c)
	case Dnsmasq6:
		return startDnsmasq6(d, c)
	}
	return nil, fmt.Errorf("peer: no server %q", kind)
}

// seconds returns a duration in whole seconds.
func seconds(d time.Duration) int { return int(d / time.Second) }

// pool returns the first and the last address of a link that servers lease.
func pool(link netip.Prefix) (first, last netip.Addr) {
	b := link.Masked().Addr().As16()
	b[14] = 0x10
	first = netip.AddrFrom16(b)
	b[14], b[15] = 0x1f, 0xff
	return first, netip.AddrFrom16(b)
}

func startKea(d *lab.Node, c ServerConfig) (*lab.Proc, error) {
	dir, err := d.Folder(string(Kea))
	if err != nil {
		return nil, err
	}
	var subnets []m
	for i, l := range c.Links {
		first, last := pool(l.Link)
		s := m{
			"id": i + 1, "subnet": l.Link.String(),
			"pools":    []m{{"pool": first.String() + "-" + last.String()}},
			"pd-pools": []m{{"prefix": l.Delegable.Addr().String(), "prefix-len": l.Delegable.Bits(), "delegated-len": l.Length}},
		}
		if l.InterfaceID != "" {
			s["interface-id"] = l.InterfaceID
		}
		subnets = append(subnets, s)
	}
	return RunKea(d, string(Kea), 6, m{
		"interfaces-config": m{"interfaces": []string{c.Interface + "/" + c.Address.String()}},
		"lease-database":    m{"type": "memfile", "persist": true, "name": filepath.Join(dir, "leases.csv"), "lfc-interval": 0},
		"server-id":         m{"type": "LL", "htype": 1, "identifier": "0200000000ff", "persist": false},
		"renew-timer":       seconds(c.Timers.T1), "rebind-timer": seconds(c.Timers.T2),
		"preferred-lifetime": seconds(c.Timers.Preferred), "valid-lifetime": seconds(c.Timers.Valid),
		"expired-leases-processing": m{"reclaim-timer-wait-time": 1, "flush-reclaimed-timer-wait-time": 1, "hold-reclaimed-time": 0},
		"mac-sources":               []string{"any"},
		"subnet6":                   subnets,
	})
}

func startDhcpd(d *lab.Node, c ServerConfig) (*lab.Proc, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "authoritative;\nserver-duid ll ethernet 02:00:00:00:00:fe;\ndefault-lease-time %d;\npreferred-lifetime %d;\n",
		seconds(c.Timers.Valid), seconds(c.Timers.Preferred))
	fmt.Fprintf(&b, "option dhcp-renewal-time %d;\noption dhcp-rebinding-time %d;\n", seconds(c.Timers.T1), seconds(c.Timers.T2))
	own, err := c.Address.Prefix(64)
	if err != nil {
		return nil, fmt.Errorf("peer: server address: %w", err)
	}
	fmt.Fprintf(&b, "subnet6 %s { }\n", own)
	for _, l := range c.Links {
		first, last := pool(l.Link)
		fmt.Fprintf(&b, "subnet6 %s {\n\trange6 %s %s;\n\tprefix6 %s %s /%d;\n}\n",
			l.Link, first, last, l.Delegable.Addr(), lastPrefix(l.Delegable, l.Length), l.Length)
	}
	return runDhcpd(d, string(Dhcpd), "-6", b.String(), c.Interface)
}

// lastPrefix returns the last prefix of a length inside another prefix.
func lastPrefix(in netip.Prefix, length int) netip.Addr {
	b := in.Masked().Addr().As16()
	for bit := in.Bits(); bit < length; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom16(b)
}

func startDibblerServer(d *lab.Node, c ServerConfig) (*lab.Proc, error) {
	var b strings.Builder
	near, err := c.Address.Prefix(64)
	if err != nil {
		return nil, fmt.Errorf("peer: server address: %w", err)
	}
	low, high := pool(near) // for its own link, on which nobody asks: dibbler needs a pool there
	fmt.Fprintf(&b, "log-level 8\nlog-mode full\nlog-colors 0\niface %q {\n\tunicast %s\n\tclass {\n\t\tpool %s-%s\n\t}\n}\n",
		c.Interface, c.Address, low, high)
	for i, l := range c.Links {
		first, last := pool(l.Link)
		// A relayed link needs an Interface-ID to look for. If it is one that no relay sends,
		// dibbler chooses the link by the link-address.
		fmt.Fprintf(&b, "iface relay%d {\n\trelay %q\n\tinterface-id %d\n\tT1 %d\n\tT2 %d\n\tpreferred-lifetime %d\n\tvalid-lifetime %d\n",
			i+1, c.Interface, 70000+i, seconds(c.Timers.T1), seconds(c.Timers.T2), seconds(c.Timers.Preferred), seconds(c.Timers.Valid))
		fmt.Fprintf(&b, "\tsubnet %s\n\tclass {\n\t\tpool %s-%s\n\t}\n\tpd-class {\n\t\tpd-pool %s\n\t\tpd-length %d\n\t}\n}\n",
			l.Link, first, last, l.Delegable, l.Length)
	}
	own, err := d.Private(string(DibblerServer), "/etc/dibbler")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(own, "server.conf"), []byte(b.String()), 0o644); err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	p, err := d.Start(lab.Command{
		Name:    string(DibblerServer),
		Args:    []string{"dibbler-server", "run"},
		Private: dibblerFolders,
	})
	if err != nil {
		return nil, err
	}
	return p, p.Logged(ready, "Accepting connections")
}

func startDnsmasq6(d *lab.Node, c ServerConfig) (*lab.Proc, error) {
	dir, err := d.Folder(string(Dnsmasq6))
	if err != nil {
		return nil, err
	}
	args := append(dnsmasqArgs(dir), "-i", c.Interface)
	for _, l := range c.Links {
		first, last := pool(l.Link)
		args = append(args, fmt.Sprintf("--dhcp-range=%s,%s,%d,%d", first, last, l.Link.Bits(), seconds(c.Timers.Valid)))
	}
	p, err := d.Start(lab.Command{Name: string(Dnsmasq6), Args: args})
	if err != nil {
		return nil, err
	}
	return p, p.Logged(ready, "started")
}

// dibblerFolders are the folders that are built into dibbler's programs.
var dibblerFolders = []string{"/etc/dibbler", "/var/lib/dibbler", "/var/log/dibbler"}
