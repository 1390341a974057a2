package relays

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"fairlead/internal/lab"
	"fairlead/internal/wire/dhcp4"
	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

// contender is a relay that takes part.
type contender struct {
	name string
	// about says what it is, for the document.
	about string
	deb   string // the Debian package that it comes from; empty: none
	// adds are the sub-options of option 82 that it adds to every message of a client.
	adds []dhcp4.SubOptionCode
	// command returns the program with its arguments, and the folders of the machine of which it
	// gets private versions.
	command func(s *role, n *network.Network) (args, private []string, err error)
}

const (
	ours  = "fairlead"
	limit = "blind"
	isc   = "dhcrelay"

	helper = "dhcp-helper"
)

// Values of about, for both roles.
const (
	aboutBlind = "a forwarder in C that looks at nothing (recvmmsg, sendmmsg)"
	aboutOurs  = "this tree"
)

var contenders6 = []contender{
	{name: limit, about: aboutBlind, command: blindForwarder},
	{name: ours, about: aboutOurs},
	{name: "dnsmasq", about: "dnsmasq's relay", deb: "dnsmasq-base", command: dnsmasq},
	{name: isc, about: "ISC dhcrelay -6", deb: "isc-dhcp-relay", command: dhcrelay},
	{name: "dibbler", about: "dibbler-relay", deb: "dibbler-relay", command: dibbler},
	{name: "wide", about: "WIDE dhcp6relay", deb: "wide-dhcpv6-relay", command: wide},
}

var contenders4 = []contender{
	{name: limit, about: aboutBlind, command: blindForwarder},
	{name: ours, about: aboutOurs, adds: []dhcp4.SubOptionCode{dhcp4.SubOptionCircuitID, dhcp4.SubOptionRelayID}},
	{name: "dnsmasq", about: "dnsmasq's relay, which adds no option 82", deb: "dnsmasq-base", command: dnsmasq},
	{name: isc, about: "ISC dhcrelay -4 -a", deb: "isc-dhcp-relay", adds: []dhcp4.SubOptionCode{dhcp4.SubOptionCircuitID}, command: dhcrelay4},
	{name: helper, about: "dhcp-helper, which adds no option 82", deb: helper, command: dhcpHelper},
}

// names returns the names of all contenders of both roles.
func names() (names []string) {
	for _, c := range slices.Concat(contenders6, contenders4) {
		if !slices.Contains(names, c.name) {
			names = append(names, c.name)
		}
	}
	return names
}

// isPeer reports whether a contender is a relay of other authors.
func (c *contender) isPeer() bool { return c.deb != "" }

// title returns what the document says about a contender, with the version on this machine.
func (c *contender) title() string {
	title := c.name + ": " + c.about
	for i, code := range c.adds {
		title += [...]string{", with ", " and "}[min(i, 1)] + code.String()
	}
	if !c.isPeer() {
		return title
	}
	if c.name != helper {
		return title + ", " + harness.Debian(c.deb)
	}
	// dhcp-helper is not installed as a package, and does not print its version.
	version, err := exec.Command("sh", "-c", "apt-cache show --no-all-versions "+c.deb+" | sed -n 's/^Version: //p'").Output()
	if err != nil {
		version = []byte("unknown")
	}
	return title + ", " + strings.TrimSpace(string(version))
}

// launch starts a relay of other authors, or the blind forwarder, on the relay's processor, and
// waits until it listens.
func (s *role) launch(name string, n *network.Network) error {
	c := s.contender(name)
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

func blindForwarder(s *role, _ *network.Network) (args, private []string, err error) {
	binary := filepath.Join(s.Folder, "blind")
	out, err := exec.Command("gcc", "-O2", "-o", binary, "tools/bench/relays/blind/blind.c").CombinedOutput()
	if err != nil {
		return nil, nil, fmt.Errorf("gcc: %w: %s", err, out)
	}
	at := network.AddressesOf(s.family)
	return []string{binary, "d0", "u0", at.Link, at.Server}, nil, nil
}

// dhcrelay inserts an interface-id, which it needs to tell links apart. It does not detach, and
// its messages about each packet are discarded.
func dhcrelay(*role, *network.Network) (args, private []string, err error) {
	return silent("dhcrelay", "-6", "-d", "--no-pid", "-I", "-l", "d0", "-u", network.ServerAddress+"%u0"), nil, nil
}

// dhcrelay4 adds option 82.
func dhcrelay4(*role, *network.Network) (args, private []string, err error) {
	return silent("dhcrelay", "-4", "-d", "--no-pid", "-a", "-id", "d0", "-iu", "u0", network.ServerAddress4), nil, nil
}

// helperProgram is dhcp-helper, which scripts/packages takes out of its package: Debian does not
// allow it to be installed beside dhcrelay.
const helperProgram = "/usr/local/sbin/dhcp-helper"

func dhcpHelper(_ *role, n *network.Network) (args, private []string, err error) {
	dir, err := n.Relay.Folder(helper)
	if err != nil {
		return nil, nil, err
	}
	return silent(helperProgram, "-d", "-r", filepath.Join(dir, "pid"), "-s", network.ServerAddress4, "-i", "d0"), nil, nil
}

func dnsmasq(s *role, _ *network.Network) (args, private []string, err error) {
	at := network.AddressesOf(s.family)
	return []string{
		"dnsmasq", "-k", "-C", "/dev/null", "-u", "root", "-g", "root", "--pid-file", "--port=0",
		"--log-facility=/dev/null", "--quiet-dhcp6", "--bind-interfaces", "--interface=d0", "--interface=u0",
		"--dhcp-relay=" + at.Link + "," + at.Server,
	}, nil, nil
}

func dibbler(_ *role, n *network.Network) (args, private []string, err error) {
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

func wide(_ *role, n *network.Network) (args, private []string, err error) {
	dir, err := n.Relay.Folder("wide")
	if err != nil {
		return nil, nil, err
	}
	return silent("dhcp6relay", "-f", "-p", filepath.Join(dir, "pid"), "-r", "u0", "-s", network.ServerAddress, "-b", network.RelayAddress, "d0"), nil, nil
}

// silent runs a program without its output, which would cost it time, and us disk space.
func silent(args ...string) []string {
	return append([]string{"sh", "-c", `exec "$@" >/dev/null 2>&1`, "sh"}, args...)
}
