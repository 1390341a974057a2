package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"fairlead/internal/lab"
)

// contender is a relay that takes part.
type contender struct {
	name string
	// about is what it is, for the document; version asks for its number.
	about string
	deb   string // the Debian package, if it comes from one
	// command is the program and its arguments, and the folders of the machine
	// that it gets its own version of.
	command func(b *bench, r *rig) (args, private []string, err error)
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

func names(all []contender) (names []string) {
	for _, c := range all {
		names = append(names, c.name)
	}
	return names
}

// isPeer says whether a contender is a relay by somebody else.
func (c *contender) isPeer() bool { return c.deb != "" }

// version is what the machine has of a contender.
func (c *contender) version() string {
	if !c.isPeer() {
		return ""
	}
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", c.deb).Output()
	if err != nil {
		return "unknown"
	}
	return string(out)
}

// launch starts a contender of somebody else, or the blind forwarder, on the
// relay's core, and waits until it listens.
func (c *contender) launch(b *bench, r *rig) error {
	args, private, err := c.command(b, r)
	if err != nil {
		return err
	}
	p, err := r.relay.Start(lab.Command{
		Name: c.name, Private: private,
		Args: pinned(relayCore, args...),
	})
	if err != nil {
		return err
	}
	r.pid = p.Pid()
	if err := r.listens(r.relay); err != nil {
		return fmt.Errorf("%s: %w\n%s", c.name, err, p.Log())
	}
	return nil
}

func blindForwarder(b *bench, _ *rig) (args, private []string, err error) {
	binary := filepath.Join(b.dir, "blind")
	out, err := exec.Command("gcc", "-O2", "-o", binary, "tools/bench/blind/blind.c").CombinedOutput()
	if err != nil {
		return nil, nil, fmt.Errorf("gcc: %w: %s", err, out)
	}
	return []string{binary, "d0", "u0", linkAddress, serverAddress}, nil, nil
}

// dhcrelay inserts an interface-id, as it must to tell links apart. It does not
// detach, and what it says about each packet goes nowhere.
func dhcrelay(*bench, *rig) (args, private []string, err error) {
	return silent("dhcrelay", "-6", "-d", "--no-pid", "-I", "-l", "d0", "-u", serverAddress+"%u0"), nil, nil
}

func dnsmasq(*bench, *rig) (args, private []string, err error) {
	return []string{
		"dnsmasq", "-k", "-C", "/dev/null", "-u", "root", "-g", "root", "--pid-file", "--port=0",
		"--log-facility=/dev/null", "--quiet-dhcp6", "--bind-interfaces", "--interface=d0", "--interface=u0",
		"--dhcp-relay=" + linkAddress + "," + serverAddress,
	}, nil, nil
}

func dibbler(_ *bench, r *rig) (args, private []string, err error) {
	const etc = "/etc/dibbler"
	dir, err := r.relay.Private("dibbler", etc)
	if err != nil {
		return nil, nil, err
	}
	text := strings.Join([]string{
		"log-level 1", "log-mode short",
		"iface d0 {", "client multicast yes", "interface-id 5001", "}",
		"iface u0 {", "server unicast " + serverAddress, "}", "",
	}, "\n")
	if err := os.WriteFile(filepath.Join(dir, "relay.conf"), []byte(text), 0o644); err != nil {
		return nil, nil, err
	}
	return silent("dibbler-relay", "run"), []string{etc, "/var/lib/dibbler", "/var/log/dibbler"}, nil
}

func wide(_ *bench, r *rig) (args, private []string, err error) {
	dir, err := r.relay.Folder("wide")
	if err != nil {
		return nil, nil, err
	}
	return silent("dhcp6relay", "-f", "-p", filepath.Join(dir, "pid"), "-r", "u0", "-s", serverAddress, "-b", relayAddress, "d0"), nil, nil
}

// silent runs a program whose output would cost it time, and us disk space.
func silent(args ...string) []string {
	return append([]string{"sh", "-c", `exec "$@" >/dev/null 2>&1`, "sh"}, args...)
}
