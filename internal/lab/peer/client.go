package peer

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"fairlead/internal/lab"
)

// ErrUnable says that a program has no way to do something on demand.
var ErrUnable = errors.New("the program cannot do this on demand")

// ClientKind names a client program.
type ClientKind string

// The clients.
const (
	Dhcpcd        ClientKind = "dhcpcd"
	Wide          ClientKind = "dhcp6c"
	DibblerClient ClientKind = "dibbler-client"
	Dhclient      ClientKind = "dhclient"
	// Networkd asks for one address and one prefix, and sends no Release.
	Networkd ClientKind = "systemd-networkd"
)

// ClientKinds lists the clients that can do all that tests ask of one.
var ClientKinds = []ClientKind{Dhcpcd, Wide, DibblerClient, Dhclient}

// ClientConfig says what a client asks for. The zero value asks on c0 for one
// address and one prefix for lan0.
type ClientConfig struct {
	Interface string // "c0"
	LAN       string // gets an address of the prefix
	// Prefixes is how many IA_PDs are sent, 1 if 0. The IAIDs are 11, 12 and
	// so on; dibbler and dhclient choose their own.
	Prefixes int
	// NoAddress leaves the IA_NA out.
	NoAddress bool
	// DUID sets the client's identifier. If empty, the program makes one from the interface's
	// link-layer address.
	DUID []byte
}

// Client is a running DHCPv6 client.
type Client struct {
	Kind   ClientKind
	Config ClientConfig
	Node   *lab.Node
	Dir    string

	proc    *lab.Proc
	command lab.Command
	program program
}

// program is the part of a Client that differs between the programs.
type program interface {
	// configure writes the client's files, and returns how it is started.
	configure(c *Client) (lab.Command, error)
	// prefixes returns what the client holds.
	prefixes(c *Client) []netip.Prefix
	// ask makes it renew, rebind or release.
	ask(c *Client, what demand) error
}

type demand string

const (
	renew   demand = "renew"
	rebind  demand = "rebind"
	release demand = "release"
)

var programs = map[ClientKind]program{
	Dhcpcd: dhcpcd{}, Wide: wide{}, DibblerClient: dibbler{}, Dhclient: dhclient{}, Networkd: networkd{},
}

// StartClient starts a client in the node. It does not wait for a lease.
func StartClient(d *lab.Node, kind ClientKind, config ClientConfig) (*Client, error) {
	if config.Interface == "" {
		config.Interface = "c0"
	}
	if config.LAN == "" {
		config.LAN = "lan0"
	}
	if config.Prefixes == 0 {
		config.Prefixes = 1
	}
	c := &Client{Kind: kind, Config: config, Node: d, program: programs[kind]}
	if c.program == nil {
		return nil, fmt.Errorf("peer: no client %q", kind)
	}
	var err error
	if c.Dir, err = d.Folder(string(kind)); err != nil {
		return nil, err
	}
	if c.command, err = c.program.configure(c); err != nil {
		return nil, err
	}
	c.command.Name = string(kind)
	return c, c.Start()
}

// Start starts the program again after its end, with the files that it has left.
func (c *Client) Start() error {
	var err error
	c.proc, err = c.Node.Start(c.command)
	return err
}

// Proc returns the program as it was last started.
func (c *Client) Proc() *lab.Proc { return c.proc }

// Prefixes returns the prefixes that the client holds, as the program itself reports them, in
// order.
func (c *Client) Prefixes() []netip.Prefix {
	list := c.program.prefixes(c)
	slices.SortFunc(list, netip.Prefix.Compare)
	return slices.Compact(list)
}

// Await waits until the client holds that many prefixes, and returns them.
func (c *Client) Await(limit time.Duration, count int) ([]netip.Prefix, error) {
	var list []netip.Prefix
	err := lab.Until(limit, fmt.Sprintf("%s in %s holds %d prefixes", c.Kind, c.Node.Name, count), func() bool {
		list = c.Prefixes()
		return len(list) == count
	})
	if err != nil {
		err = fmt.Errorf("%w (it holds %v)", err, list)
	}
	return list, err
}

// Inside returns an address of the client's home network in one of its prefixes, to send pings
// from. It waits some time for the address.
func (c *Client) Inside() (netip.Addr, error) {
	var found netip.Addr
	err := lab.Until(ready, fmt.Sprintf("%s in %s has an address in its prefix on %s", c.Kind, c.Node.Name, c.Config.LAN), func() bool {
		list, _ := c.Node.Addresses(c.Config.LAN)
		for _, a := range list {
			for _, p := range c.Prefixes() {
				if p.Contains(a.Addr()) {
					found = a.Addr()
				}
			}
		}
		return found.IsValid()
	})
	return found, err
}

// Renew makes the client send a Renew now. Only dhcpcd can.
func (c *Client) Renew() error { return c.program.ask(c, renew) }

// Rebind makes the client send a Rebind now. Only dhcpcd and dhclient can; dhclient is stopped
// and started again for that.
func (c *Client) Rebind() error { return c.program.ask(c, rebind) }

// Release makes the client send a Release and end. All clients can but systemd-networkd.
func (c *Client) Release() error { return c.program.ask(c, release) }

// Crash ends the program at once, without a Release.
func (c *Client) Crash() error { return c.proc.Kill() }

// signalAndEnd sends a signal that makes the program end, and waits.
func (c *Client) signalAndEnd(sig syscall.Signal) error {
	if err := c.proc.Signal(sig); err != nil {
		return err
	}
	return lab.Until(ready, fmt.Sprintf("%s ends", c.Kind), func() bool { return !c.proc.Running() })
}

// write writes a file into the program's folder and returns its path.
func (c *Client) write(name, text string, mode os.FileMode) (string, error) {
	path := filepath.Join(c.Dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		return "", fmt.Errorf("peer: %w", err)
	}
	return path, nil
}

// hook writes the script that a client calls, and makes the file to which the script adds lines:
// "add PREFIX/LENGTH", "del PREFIX/LENGTH" and "clear".
func (c *Client) hook(body string) (string, error) {
	events := filepath.Join(c.Dir, "events")
	if err := touch(events); err != nil {
		return "", err
	}
	head := "#!/bin/sh\nexport PATH=/usr/sbin:/usr/bin:/sbin:/bin\n" +
		"events='" + events + "' interface_asked='" + c.Config.Interface + "' lan='" + c.Config.LAN + "'\n"
	return c.write("hook", head+body, 0o755)
}

// hooked returns the prefixes that are left after the lines that the hook has written.
func (c *Client) hooked() []netip.Prefix {
	text, _ := os.ReadFile(filepath.Join(c.Dir, "events"))
	var held []netip.Prefix
	for line := range strings.Lines(string(text)) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if verb == "clear" {
			held = nil
			continue
		}
		p, err := netip.ParsePrefix(rest)
		if err != nil {
			continue
		}
		held = slices.DeleteFunc(held, func(h netip.Prefix) bool { return h == p })
		if verb == "add" {
			held = append(held, p)
		}
	}
	return held
}
