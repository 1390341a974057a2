package lab

import (
	"errors"
	"fmt"
	"net/netip"
)

// Access is how the clients of a topology reach the relay.
type Access int

const (
	// Cables gives each client an Ethernet link of its own: on the relay d1,
	// d2, and so on.
	Cables Access = iota
	// Switch joins all clients in one Ethernet link: on the relay br0, with
	// the ports d1, d2, and so on.
	Switch
	// PPP gives each client a point-to-point link without link-layer
	// addresses: on the relay ppp1, ppp2, and so on.
	PPP
)

// maxClients is so low that the addresses of links and those of servers differ.
const maxClients = 200

// Addresses of the topology. See also Link, LinkAddress and Delegable.
var (
	ServerAddress = netip.MustParseAddr("2001:db8:ff::2") // on s0 of the server
	RelayAddress  = netip.MustParseAddr("2001:db8:fe::1") // on u0 of the relay
	CoreAddress   = netip.MustParseAddr("2001:db8:fe::2") // on k0 of the core, towards the relay
)

// Plan says what a topology looks like.
type Plan struct {
	Clients int // how many clients
	Access  Access
	// Dynamic leaves the core router without routes to the delegable prefixes: a routing protocol
	// has to provide them.
	Dynamic bool
}

// Topology is the usual network of an access provider:
//
//	c1 c0 ------ d1 .
//	c2 c0 ------ d2 r u0 ------ k0 k k1 ------ s0 s
//	...             .
//
// There are clients (each with a home network lan0), the relay (the access edge), a core router
// and the server. All routers forward. Everything but the delegated prefixes can be reached from
// everywhere.
type Topology struct {
	*Net
	Plan   Plan
	Relay  *Node // r
	Core   *Node // k
	Server *Node // s

	clients []*Node
	lines   []*Pump
}

// Link returns the prefix of the access link with that number, counted from 1. With Switch there
// is only link 1.
func Link(number int) netip.Prefix {
	return netip.PrefixFrom(LinkAddress(number), 64).Masked()
}

// LinkAddress returns the relay's address on an access link: the link-address of relayed
// messages.
func LinkAddress(number int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::1", number))
}

// Delegable returns the prefix from which the servers of the lab delegate to the clients of an
// access link: 2001:db8:1100::/40 on link 1.
func Delegable(number int) netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::/40", 0x1000+number<<8))
}

// Topology builds the usual network.
func (n *Net) Topology(plan Plan) (*Topology, error) {
	if plan.Clients < 0 || plan.Clients > maxClients {
		return nil, fmt.Errorf("lab: topology: %d clients: at most %d", plan.Clients, maxClients)
	}
	t := &Topology{Net: n, Plan: plan}
	for name, node := range map[string]**Node{"r": &t.Relay, "k": &t.Core, "s": &t.Server} {
		d, err := n.Node(name)
		if err != nil {
			return nil, err
		}
		*node = d
	}
	if err := t.backbone(); err != nil {
		return nil, err
	}
	if plan.Access == Switch {
		if err := t.accessSwitch(); err != nil {
			return nil, err
		}
	}
	for i := 1; i <= plan.Clients; i++ {
		if err := t.addClient(i); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Client returns the client with that number, counted from 1.
func (t *Topology) Client(number int) *Node { return t.clients[number-1] }

// Line returns the point-to-point link to a client, whose first end is the relay's.
func (t *Topology) Line(number int) *Pump { return t.lines[number-1] }

// Downlink returns the name of the relay's interface towards a client.
func (t *Topology) Downlink(number int) string {
	switch t.Plan.Access {
	case Switch:
		return "br0"
	case PPP:
		return fmt.Sprintf("ppp%d", number)
	default:
		return fmt.Sprintf("d%d", number)
	}
}

// backbone joins relay, core and server.
func (t *Topology) backbone() error {
	inner := "route add 2001:db8::/32 via 2001:db8:fe::1"
	if t.Plan.Dynamic {
		inner = "route add 2001:db8::/36 via 2001:db8:fe::1" // the prefixes of the links, without what is delegable
	}
	return errors.Join(
		t.Relay.Sysctl("net/ipv6/conf/all/forwarding", "1"),
		t.Core.Sysctl("net/ipv6/conf/all/forwarding", "1"),
		t.Veth(t.Relay, "u0", t.Core, "k0"),
		t.Veth(t.Core, "k1", t.Server, "s0"),
		t.Relay.Batch(
			"addr add 2001:db8:fe::1/64 dev u0 nodad",
			"route add default via 2001:db8:fe::2"),
		t.Core.Batch(
			"addr add 2001:db8:fe::2/64 dev k0 nodad",
			"addr add 2001:db8:ff::1/64 dev k1 nodad",
			inner),
		t.Server.Batch(
			"addr add 2001:db8:ff::2/64 dev s0 nodad",
			"route add default via 2001:db8:ff::1"),
	)
}

func (t *Topology) accessSwitch() error {
	if err := t.Relay.Bridge("br0"); err != nil {
		return err
	}
	return t.Relay.Address("br0", LinkAddress(1).String()+"/64")
}

func (t *Topology) addClient(number int) error {
	c, err := t.Node(fmt.Sprintf("c%d", number))
	if err != nil {
		return err
	}
	t.clients = append(t.clients, c)
	if err := c.Sysctl("net/ipv6/conf/all/forwarding", "1"); err != nil {
		return err
	}
	if err := t.attach(c, number); err != nil {
		return err
	}
	router, err := t.Relay.LinkLocal(t.Downlink(number))
	if err != nil {
		return err
	}
	if _, err := c.IP("-6 route add default via %s dev c0", router); err != nil {
		return err
	}
	if err := c.Stub("lan0"); err != nil {
		return err
	}
	for _, name := range []string{"c0", "lan0"} { // some clients do not start without these addresses
		if _, err := c.LinkLocal(name); err != nil {
			return err
		}
	}
	return nil
}

// attach joins a client with the relay.
func (t *Topology) attach(c *Node, number int) error {
	down := t.Downlink(number)
	if t.Plan.Access == PPP {
		line, err := t.Tun(t.Relay, down, "fe80::1/64", c, "c0", fmt.Sprintf("fe80::c:%x/64", number))
		if err != nil {
			return err
		}
		t.lines = append(t.lines, line)
		return t.Relay.Address(down, LinkAddress(number).String()+"/64")
	}
	port := fmt.Sprintf("d%d", number)
	err := cable(
		t.Relay, fmt.Sprintf("name %s address 02:00:00:00:d0:%02x", port, number),
		c, fmt.Sprintf("name c0 address 02:00:00:00:c0:%02x", number))
	if err != nil {
		return err
	}
	if t.Plan.Access == Switch {
		_, err := t.Relay.IP("link set %s master br0", port)
		return err
	}
	return t.Relay.Address(port, LinkAddress(number).String()+"/64")
}

// ExtraServerAddress returns the address of a further server; see AddServer.
func ExtraServerAddress(number int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("2001:db8:ff%02x::2", number))
}

// AddServer makes a further server node, s2 or higher, on a link of its own
// behind the core. Its interface is s0.
func (t *Topology) AddServer(number int) (*Node, error) {
	s, err := t.Node(fmt.Sprintf("s%d", number))
	if err != nil {
		return nil, err
	}
	port := fmt.Sprintf("k%d", number)
	gateway := fmt.Sprintf("2001:db8:ff%02x::1", number)
	return s, errors.Join(
		t.Veth(t.Core, port, s, "s0"),
		t.Core.Address(port, gateway+"/64"),
		s.Batch(
			fmt.Sprintf("addr add %s/64 dev s0 nodad", ExtraServerAddress(number)),
			"route add default via "+gateway),
	)
}
