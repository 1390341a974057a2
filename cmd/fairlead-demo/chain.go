package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/ike"
	"fairlead/internal/lab/relay"
	"fairlead/internal/lab/script"
)

// hops is the story of messages that nobody between the hosts can read.
var hops = story{
	limit:    8 * time.Minute, // a minute is enough, but the machine may be emulated and busy
	packages: "demo-ipsec",
	programs: []string{"ip", "nft", "tcpdump", "nsenter", "mount", "kea-dhcp6", "dhcrelay", "/usr/lib/ipsec/charon"},
	tell: func(s *stage, _ options) (func(context.Context) error, func()) {
		c := &chain{stage: s}
		return c.lead, c.linger
	},
}

const chainPicture = `
   client  c0 ── d1  relaya  u0 ── x0  relayb  u0 ── s0  server
                     Fairlead          Fairlead          Kea, and "fairlead guard"
                     charon            charon            charon
`

// Addresses of the chain.
var (
	addressA      = netip.MustParseAddr("2001:db8:ab::a") // of relaya, towards relayb
	addressBelow  = netip.MustParseAddr("2001:db8:ab::b") // of relayb, towards relaya
	addressAbove  = netip.MustParseAddr("2001:db8:b5::b") // of relayb, towards the server
	addressServer = netip.MustParseAddr("2001:db8:b5::5")
	chainLink     = netip.MustParsePrefix("2001:db8:1::/64")
	chainPool     = netip.MustParsePrefix("2001:db8:1100::/40")
)

// subscriber identifies the customer. Kea has prefixes for no other subscriber.
const subscriber = "ms-jones-line-7"

// ample is the time to wait for what surely happens, even in an emulated machine.
const ample = 90 * time.Second

// chain is the network of the story, and the state of the story. The client's messages are made
// by the demo; all other programs are those that operators have.
type chain struct {
	*stage
	client, relaya, relayb, server *lab.Node
	asker                          *script.Client
	a, b, guard                    *relay.Relay
	charons                        [3]*ike.Charon // on relaya, relayb and the server
	wires                          [2]*wire       // relaya to relayb, relayb to server
}

// wire has what passes between two hosts.
type wire struct {
	name    string
	node    *lab.Node
	link    string
	capture *capture.Capture
}

// lead tells the story.
func (c *chain) lead(ctx context.Context) error {
	c.ctx = ctx
	c.write("%s\n", c.paint(bold, "Fairlead: what relays and servers say to each other, under IPsec (RFC 8213)"))
	c.say("A chain of two relays and a server, in network namespaces on this machine:")
	c.write("%s\n", c.paint(dim, chainPicture))
	c.say("The customer on port d1 is known as %q. Relays tell the server so (the Subscriber-ID option, RFC 4580), and the server, Kea, "+
		"has a prefix for that subscriber and for nobody else. What passes the two cables is seen by tcpdump.", subscriber)
	for _, prepare := range []func() error{c.findESP, c.build} {
		if err := prepare(); err != nil {
			return err
		}
	}
	return c.tell(ctx, []step{
		{"Relays as they were: all is said in clear", c.naive, false},
		{"Fairlead does not say it in clear", c.discreet, false},
		{"Both hops under IPsec", c.protect, true},
		{"The security associations are deleted", c.deleted, false},
		{"strongSwan is killed", c.killed, false},
		{"What the operator sees", c.overview, false},
	})
}

// findESP fails on a kernel without ESP. It also makes the kernel load what ESP needs, which
// takes seconds in an emulated machine.
func (c *chain) findESP() error {
	probe, err := c.net.Node("probe")
	if err != nil {
		return err
	}
	_, err = probe.IP("xfrm state add src ::1 dst ::2 proto esp spi 0x1001 mode transport aead rfc4106(gcm(aes)) 0x%040d 128", 1)
	if err != nil {
		return fmt.Errorf("the kernel has no ESP (make demo-ipsec has a virtual machine for that): %w", err)
	}
	return nil
}

// build makes the nodes, the cables and the addresses, and starts the server.
func (c *chain) build() error {
	for name, place := range map[string]**lab.Node{"client": &c.client, "relaya": &c.relaya, "relayb": &c.relayb, "server": &c.server} {
		d, err := c.net.Node(name)
		if err != nil {
			return err
		}
		*place = d
	}
	err := errors.Join(
		c.net.Veth(c.client, "c0", c.relaya, "d1"),
		c.net.Veth(c.relaya, "u0", c.relayb, "x0"),
		c.net.Veth(c.relayb, "u0", c.server, "s0"))
	if err != nil {
		return err
	}
	err = errors.Join(
		c.relaya.Address("d1", chainLink.Addr().Next().String()+"/64"),
		c.relaya.Address("u0", addressA.String()+"/64"),
		c.relayb.Address("x0", addressBelow.String()+"/64"),
		c.relayb.Address("u0", addressAbove.String()+"/64"),
		c.server.Address("s0", addressServer.String()+"/64"))
	if err != nil {
		return err
	}
	c.wires = [2]*wire{
		{name: "relaya and relayb", node: c.relayb, link: "x0"},
		{name: "relayb and the server", node: c.server, link: "s0"},
	}
	c.asker, err = script.StartClient(c.client, script.ClientConfig{DUID: []byte{0, 3, 0, 1, 2, 0, 0, 0, 0xc0, 1}})
	if err != nil {
		return err
	}
	return c.startKea()
}

// linger prints commands by which the network can be examined.
func (c *chain) linger() {
	c.suggest("A shell on each host:", shells(c.client, c.relaya, c.relayb, c.server)...)
	if c.guard != nil {
		c.suggest("Fairlead, through its control sockets:",
			c.cli(c.a.Socket, "peers"), c.cli(c.b.Socket, "ipsec", "status"), c.cli(c.guard.Socket, "guard", "status"))
	}
	c.say("")
	c.say("Logs, configurations and recordings are in %s.", c.net.Dir())
}
