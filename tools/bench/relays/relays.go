package relays

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"fairlead/internal/lab"
	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

// contender is a relay that takes part.
type contender struct {
	name string
	// about is what it is, for the document.
	about string
	deb   string // the Debian package, if it comes from one
	// command is the program and its arguments, and the folders of the machine
	// that it gets its own version of.
	command func(s *Suite, n *network.Network) (args, private []string, err error)
}

const (
	ours  = "fairlead"
	limit = "blind"
	isc   = "dhcrelay"
)

var contenders = []contender{
	{name: limit, about: "a forwarder in C that looks at nothing (recvmmsg, sendmmsg)", command: blindForwarder},
	{name: ours, about: "this tree"},
	{name: "dnsmasq", about: "dnsmasq's relay", deb: "dnsmasq-base", command: dnsmasq},
	{name: isc, about: "ISC dhcrelay -6", deb: "isc-dhcp-relay", command: dhcrelay},
	{name: "dibbler", about: "dibbler-relay", deb: "dibbler-relay", command: dibbler},
	{name: "wide", about: "WIDE dhcp6relay", deb: "wide-dhcpv6-relay", command: wide},
}

func names() (names []string) {
	for _, c := range contenders {
		names = append(names, c.name)
	}
	return names
}

// isPeer says whether a contender is a relay by somebody else.
func (c *contender) isPeer() bool { return c.deb != "" }

// title is what the document says of a contender: the version is the machine's.
func (c *contender) title() string {
	title := c.name + ": " + c.about
	if !c.isPeer() {
		return title
	}
	version, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", c.deb).Output()
	if err != nil {
		version = []byte("unknown")
	}
	return title + ", " + string(version)
}

// launch starts a contender of somebody else, or the blind forwarder, on the
// relay's core, and waits until it listens.
func (s *Suite) launch(name string, n *network.Network) error {
	c := &contenders[slices.Index(names(), name)]
	args, private, err := c.command(s, n)
	if err != nil {
		return err
	}
	p, err := n.Relay.Start(lab.Command{Name: c.name, Private: private, Args: harness.Pinned(network.RelayCore, args...)})
	if err != nil {
		return err
	}
	n.Processes = []*lab.Proc{p}
	if err := n.Listens(n.Relay); err != nil {
		return fmt.Errorf("%w\n%s", err, p.Log())
	}
	return nil
}

func blindForwarder(s *Suite, _ *network.Network) (args, private []string, err error) {
	binary := filepath.Join(s.Folder, "blind")
	out, err := exec.Command("gcc", "-O2", "-o", binary, "tools/bench/relays/blind/blind.c").CombinedOutput()
	if err != nil {
		return nil, nil, fmt.Errorf("gcc: %w: %s", err, out)
	}
	return []string{binary, "d0", "u0", network.LinkAddress, network.ServerAddress}, nil, nil
}

// dhcrelay inserts an interface-id, as it must to tell links apart. It does not
// detach, and what it says about each packet goes nowhere.
func dhcrelay(*Suite, *network.Network) (args, private []string, err error) {
	return silent("dhcrelay", "-6", "-d", "--no-pid", "-I", "-l", "d0", "-u", network.ServerAddress+"%u0"), nil, nil
}

func dnsmasq(*Suite, *network.Network) (args, private []string, err error) {
	return []string{
		"dnsmasq", "-k", "-C", "/dev/null", "-u", "root", "-g", "root", "--pid-file", "--port=0",
		"--log-facility=/dev/null", "--quiet-dhcp6", "--bind-interfaces", "--interface=d0", "--interface=u0",
		"--dhcp-relay=" + network.LinkAddress + "," + network.ServerAddress,
	}, nil, nil
}

func dibbler(_ *Suite, n *network.Network) (args, private []string, err error) {
	const etc = "/etc/dibbler"
	dir, err := n.Relay.Private("dibbler", etc)
	if err != nil {
		return nil, nil, err
	}
	text := strings.Join([]string{
		"log-level 1", "log-mode short",
		"iface d0 {", "client multicast yes", "interface-id 5001", "}",
		"iface u0 {", "server unicast " + network.ServerAddress, "}", "",
	}, "\n")
	if err := os.WriteFile(filepath.Join(dir, "relay.conf"), []byte(text), 0o644); err != nil {
		return nil, nil, err
	}
	return silent("dibbler-relay", "run"), []string{etc, "/var/lib/dibbler", "/var/log/dibbler"}, nil
}

func wide(_ *Suite, n *network.Network) (args, private []string, err error) {
	dir, err := n.Relay.Folder("wide")
	if err != nil {
		return nil, nil, err
	}
	return silent("dhcp6relay", "-f", "-p", filepath.Join(dir, "pid"), "-r", "u0", "-s", network.ServerAddress, "-b", network.RelayAddress, "d0"), nil, nil
}

// silent runs a program whose output would cost it time, and us disk space.
func silent(args ...string) []string {
	return append([]string{"sh", "-c", `exec "$@" >/dev/null 2>&1`, "sh"}, args...)
}
