package peer

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"fairlead/internal/lab"
)

// Server4Kind names a DHCPv4 server program, and how it listens.
type Server4Kind string

// The DHCPv4 servers. Kea by default, and dhcpd always, read frames from packet sockets; Kea with
// UDP sockets and dnsmasq read UDP sockets.
const (
	Kea4UDP  Server4Kind = "kea-dhcp4"
	Kea4Raw  Server4Kind = "kea-dhcp4-raw"
	Dhcpd4   Server4Kind = "dhcpd4"
	Dnsmasq4 Server4Kind = "dnsmasq4"
)

// Server4Config says what a DHCPv4 server does: from each subnet it leases the
// addresses from .0.100 to .0.200, or .100 to .200, for an hour.
type Server4Config struct {
	Interface string
	Address   netip.Addr     // the server's own address
	Subnets   []netip.Prefix // subnets of relayed clients, chosen by giaddr; with at most 24 bits
	// LogsRelayID makes Kea and dhcpd log the relay-id of each message (RFC 6925), in the form of
	// LoggedRelayID.
	LogsRelayID bool
}

// LoggedRelayID returns the text for a relay-id in a server's log.
func LoggedRelayID(kind Server4Kind, id []byte) string {
	if kind != Dhcpd4 {
		return fmt.Sprintf("type=012, len=%03d: %s", len(id), colons(id))
	}
	var parts []string
	for _, octet := range id {
		parts = append(parts, fmt.Sprintf("%x", octet))
	}
	return "relay-id " + strings.Join(parts, ":")
}

// pool4 returns the first and the last address of a subnet that servers lease.
func pool4(subnet netip.Prefix) (first, last netip.Addr) {
	b := subnet.Masked().Addr().As4()
	b[3] = 100
	first = netip.AddrFrom4(b)
	b[3] = 200
	return first, netip.AddrFrom4(b)
}

// StartServer4 starts a DHCPv4 server in the node and waits until it listens.
func StartServer4(d *lab.Node, kind Server4Kind, c Server4Config) (*lab.Proc, error) {
	switch kind {
	case Kea4UDP, Kea4Raw:
		return startKea4(d, kind, c)
	case Dhcpd4:
		return startDhcpd4(d, c)
	case Dnsmasq4:
		return startDnsmasq4(d, c)
	}
	return nil, fmt.Errorf("peer: no DHCPv4 server %q", kind)
}

func startKea4(d *lab.Node, kind Server4Kind, c Server4Config) (*lab.Proc, error) {
	var subnets []m
	for i, s := range c.Subnets {
		first, last := pool4(s)
		subnets = append(subnets, m{"id": i + 1, "subnet": s.String(), "pools": []m{{"pool": first.String() + "-" + last.String()}}})
	}
	listen := "udp"
	if kind == Kea4Raw {
		listen = "raw"
	}
	var loggers []m
	if c.LogsRelayID {
		const packets = 55 // the level at which Kea logs the content of messages
		loggers = append(loggers, keaLogger("kea-dhcp4.packets", m{"severity": "DEBUG", "debuglevel": packets}))
	}
	return RunKea(d, string(kind), 4, m{
		"loggers":           loggers,
		"interfaces-config": m{"interfaces": []string{c.Interface + "/" + c.Address.String()}, "dhcp-socket-type": listen},
		"lease-database":    m{"type": "memfile", "persist": false},
		"valid-lifetime":    3600,
		"subnet4":           subnets,
	})
}

// netmask returns a prefix's length as a netmask, which dhcpd and dnsmasq need.
func netmask(p netip.Prefix) string {
	b := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	mask, _ := b.Prefix(p.Bits())
	return mask.Addr().String()
}

func startDhcpd4(d *lab.Node, c Server4Config) (*lab.Proc, error) {
	var b strings.Builder
	b.WriteString("authoritative;\ndefault-lease-time 3600;\nping-check false;\n")
	own, err := c.Address.Prefix(24)
	if err != nil {
		return nil, fmt.Errorf("peer: server address: %w", err)
	}
	if c.LogsRelayID {
		b.WriteString("option agent.relay-id code 12 = string;\nif exists agent.relay-id {\n\tlog(info, concat(\"relay-id \", binary-to-ascii(16, 8, \":\", option agent.relay-id)));\n}\n")
	}
	fmt.Fprintf(&b, "subnet %s netmask %s { }\n", own.Addr(), netmask(own))
	for _, s := range c.Subnets {
		first, last := pool4(s)
		fmt.Fprintf(&b, "subnet %s netmask %s {\n\trange %s %s;\n}\n", s.Masked().Addr(), netmask(s), first, last)
	}
	return runDhcpd(d, string(Dhcpd4), "-4", b.String(), c.Interface)
}

// dnsmasqArgs are the arguments with which every dnsmasq here is started: in the foreground,
// without DNS, and without the machine's files.
func dnsmasqArgs(dir string) []string {
	return []string{
		"/usr/sbin/dnsmasq", "-k", "-C", "/dev/null", "-p", "0", "-u", "root", "-g", "root", "--log-facility=-", "--log-dhcp",
		"--pid-file=", "--dhcp-leasefile=" + filepath.Join(dir, "leases"), "--no-ping",
	}
}

func startDnsmasq4(d *lab.Node, c Server4Config) (*lab.Proc, error) {
	dir, err := d.Folder(string(Dnsmasq4))
	if err != nil {
		return nil, err
	}
	args := append(dnsmasqArgs(dir), "-i", c.Interface)
	for _, s := range c.Subnets {
		first, last := pool4(s)
		args = append(args, fmt.Sprintf("--dhcp-range=%s,%s,%s,1h", first, last, netmask(s)))
	}
	p, err := d.Start(lab.Command{Name: string(Dnsmasq4), Args: args})
	if err != nil {
		return nil, err
	}
	return p, p.Logged(ready, "started")
}
