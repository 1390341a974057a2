package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/relay"
)

// These are the pictures of the network, with Fairlead's own server and with Kea.
const (
	picture = `
   home1      c0 ───────────── d1 ┐
   dhcpcd                         edge  u0 ── k0  core  k1 ── s0  server
   home2      c0 ──┐              Fairlead                        Fairlead
   dhcp6c, dhcpcd  switch ──── d2 ┘                               Kea for DHCPv4
   neighbour  c0 ──┘                              home3  c0 ── d3 ┘
                                                  dhcpcd
`
	pictureKea = `
   home1      c0 ───────────── d1 ┐
   dhcpcd                         edge  u0 ── k0  core  k1 ── s0  server
   home2      c0 ──┐              Fairlead                        Kea
   dhcp6c, dhcpcd  switch ──── d2 ┘
   neighbour  c0 ──┘
`
)

// host is a customer's machine.
type host struct {
	node      *lab.Node
	router    *lab.Node  // at the other end of its link: the edge, or the server
	port      string     // the interface of the router that leads to this host
	mac       string     // the link-layer address of its c0
	linkLocal netip.Addr // the link-local address of its c0
	wire      *capture.Capture
}

// home is a customer who asks for a prefix.
type home struct {
	host
	client *peer.Client
	prefix netip.Prefix
	inside netip.Addr // its address on lan0, from the prefix
}

// tour is the network, and the state of the story.
type tour struct {
	*stage
	kea          bool // Kea is the DHCPv6 server
	core, server *lab.Node
	edge         *lab.Node
	home1, home2 home
	home3        home // on the server's own machine; only with Fairlead's server
	neighbour    host
	relay        *relay.Relay
	own          *relay.Relay // Fairlead's server; nil with Kea
	serverWire   *capture.Capture
	serverWire4  *capture.Capture
}

// timers are so long that the clients do not renew by themselves: on the wire there are only the
// messages that the story causes.
var timers = peer.Timers{
	T1: 10 * time.Minute, T2: 16 * time.Minute, Preferred: 20 * time.Minute, Valid: 30 * time.Minute,
}

// enterprise and remoteID are what the relay is configured to say about a customer (option 37).
const enterprise = 32473

func remoteID(port string) string { return "customer-on-" + port }

// clientLimit is small, so that a client can reach it.
const clientLimit = 2

// configuration returns the relay's configuration.
func configuration() string {
	return fmt.Sprintf(`peers:
  - name: server
    address: %s
    role: server
    interfaces: [u0]
    protection: none
  - name: kea4
    address: %s
    role: server
    interfaces: [u0]
    protection: none
relay6:
  defaults:
    remote-id: {enterprise: %d, id: %q}
    limits: {client: %d}
  links:
    - match: d1
    - match: d2
      filter: strict
relay4:
  defaults:
    agent-information: add
  links:
    - match: d1
    - match: d2
`, lab.ServerAddress, server4, enterprise, remoteID("{interface}"), clientLimit)
}

// configuration6 returns the configuration of Fairlead's own server. It hears the relay, and has
// clients on a link of its own machine.
func configuration6() string {
	text := fmt.Sprintf(`peers:
  - name: edge
    address: %s
    role: relay
    interfaces: [s0]
    protection: none
server6:
  lifetimes: {preferred: %v, valid: %v, t1: %v, t2: %v}
  links:
    - match: d3
      router: true
  subnets:
`, lab.RelayAddress, span(timers.Preferred), span(timers.Valid), span(timers.T1), span(timers.T2))
	for i := 1; i <= 3; i++ {
		link := lab.Link(i)
		text += fmt.Sprintf(`    - subnet: %s
      pools:
        - pool: %[2]s1000-%[2]s1fff
      pd-pools:
        - prefix: %s
          delegated-length: 56
`, link, link.Addr(), lab.Delegable(i))
	}
	return text
}

// span returns a time in whole minutes, as configurations write it.
func span(d time.Duration) string { return fmt.Sprintf("%dm", d/time.Minute) }

// build makes the nodes, the cables and the addresses.
func (t *tour) build() error {
	nodes := map[string]**lab.Node{
		"home1": &t.home1.node, "home2": &t.home2.node, "neighbour": &t.neighbour.node,
		"edge": &t.edge, "core": &t.core, "server": &t.server,
	}
	for name, place := range nodes {
		d, err := t.net.Node(name)
		if err != nil {
			return err
		}
		*place = d
	}
	if err := t.backbone(); err != nil {
		return err
	}
	if err := errors.Join(t.access(), t.number4()); err != nil || t.kea {
		return err
	}
	return t.local()
}

// local joins home3 with the server's machine, which is its router.
func (t *tour) local() (err error) {
	if t.home3.node, err = t.net.Node("home3"); err != nil {
		return err
	}
	t.home3.host = host{node: t.home3.node, router: t.server, port: "d3", mac: "02:00:00:00:03:c0"}
	return errors.Join(
		plug(t.home3.host, t.server, "d3"),
		t.server.Sysctl("net/ipv6/conf/all/forwarding", "1"),
		t.server.Address("d3", lab.LinkAddress(3).String()+"/64"),
		t.core.Batch(
			fmt.Sprintf("route add %s via %s", lab.Link(3), lab.ServerAddress),
			fmt.Sprintf("route add %s via %s", lab.Delegable(3), lab.ServerAddress)),
		t.setUp(&t.home3.host))
}

// backbone joins edge, core and server.
func (t *tour) backbone() error {
	return errors.Join(
		t.edge.Sysctl("net/ipv6/conf/all/forwarding", "1"),
		t.core.Sysctl("net/ipv6/conf/all/forwarding", "1"),
		t.net.Veth(t.edge, "u0", t.core, "k0"),
		t.net.Veth(t.core, "k1", t.server, "s0"),
		t.edge.Batch(
			"addr add 2001:db8:fe::1/64 dev u0 nodad",
			"route add default via 2001:db8:fe::2"),
		t.core.Batch(
			"addr add 2001:db8:fe::2/64 dev k0 nodad",
			"addr add 2001:db8:ff::1/64 dev k1 nodad",
			"route add 2001:db8::/32 via 2001:db8:fe::1"),
		t.server.Batch(
			fmt.Sprintf("addr add %s/64 dev s0 nodad", lab.ServerAddress),
			"route add default via 2001:db8:ff::1"),
	)
}

// access joins the customers with the edge: home1 by a cable, home2 and the neighbour by a
// switch.
func (t *tour) access() error {
	sw, err := t.net.Node("switch")
	if err != nil {
		return err
	}
	if err := t.net.Veth(t.edge, "d2", sw, "p1"); err != nil {
		return err
	}
	t.home1.host = host{node: t.home1.node, router: t.edge, port: "d1", mac: "02:00:00:00:01:c0"}
	t.home2.host = host{node: t.home2.node, router: t.edge, port: "d2", mac: "02:00:00:00:02:c0"}
	t.neighbour = host{node: t.neighbour.node, router: t.edge, port: "d2", mac: "02:00:00:00:66:c0"}
	err = errors.Join(
		plug(t.home1.host, t.edge, "d1"),
		plug(t.home2.host, sw, "p2"),
		plug(t.neighbour, sw, "p3"))
	if err != nil {
		return err
	}
	if err := sw.Bridge("br0", "p1", "p2", "p3"); err != nil {
		return err
	}
	for i, port := range []string{"d1", "d2"} {
		if err := t.edge.Address(port, lab.LinkAddress(i+1).String()+"/64"); err != nil {
			return err
		}
	}
	return errors.Join(t.setUp(&t.home1.host), t.setUp(&t.home2.host), t.setUp(&t.neighbour))
}

// plug joins a customer's c0 with a port of another node.
func plug(h host, to *lab.Node, port string) error {
	_, err := h.node.IP("link add c0 address %s type veth peer %s netns %s", h.mac, port, to.Namespace)
	if err != nil {
		return err
	}
	if _, err := to.IP("link set %s up", port); err != nil {
		return err
	}
	_, err = h.node.IP("link set c0 up")
	return err
}

// setUp gives a customer a home network and a default route, and starts to record its DHCPv6
// messages.
func (t *tour) setUp(h *host) error {
	gateway, err := h.router.LinkLocal(h.port)
	if err != nil {
		return err
	}
	if h.linkLocal, err = h.node.LinkLocal("c0"); err != nil {
		return err
	}
	if err := h.node.Sysctl("net/ipv6/conf/all/forwarding", "1"); err != nil {
		return err
	}
	if err := h.node.Stub("lan0"); err != nil {
		return err
	}
	if _, err := h.node.LinkLocal("lan0"); err != nil {
		return err
	}
	if _, err := h.node.IP("-6 route add default via %s dev c0", gateway); err != nil {
		return err
	}
	h.wire, err = capture.Start(h.node, "c0", capture.DHCPv6)
	return err
}

// serve starts the servers and the relay, and records their messages.
func (t *tour) serve() (err error) {
	if t.serverWire, err = capture.Start(t.server, "s0", capture.DHCPv6); err != nil {
		return err
	}
	if err := errors.Join(t.serve6(), t.serve4()); err != nil {
		return err
	}
	t.relay, err = relay.Start(t.edge, relay.Config{Binary: t.binary, Text: configuration()})
	t.built = err == nil
	return err
}

// serve6 starts the DHCPv6 server.
func (t *tour) serve6() (err error) {
	if t.kea {
		_, err = peer.StartServer(t.server, peer.Kea, peer.ServerConfig{Links: peer.Links(2), Timers: timers})
		return err
	}
	t.own, err = relay.Start(t.server, relay.Config{Binary: t.binary, Text: configuration6()})
	return err
}
