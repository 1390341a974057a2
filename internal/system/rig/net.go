package rig

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/relay"
	"fairlead/internal/lab/script"
)

// Net is a network whose failures end the test T.
type Net struct {
	*lab.Net
	T *testing.T
}

// New makes an empty network that lives as long as the test.
func New(t *testing.T) *Net {
	t.Helper()
	return &Net{Net: lab.ForTest(t), T: t}
}

// Need ends the test if there is an error.
func (n *Net) Need(err error) {
	n.T.Helper()
	labtest.Need(n.T, err)
}

// Until waits for a condition and ends the test if it never comes.
func (n *Net) Until(what string, done func() bool) {
	n.T.Helper()
	labtest.Until(n.T, what, done)
}

// Run runs a subtest, which the network fails meanwhile.
func (n *Net) Run(name string, f func(t *testing.T)) {
	outer := n.T
	outer.Run(name, func(t *testing.T) {
		n.T = t
		defer func() { n.T = outer }()
		f(t)
	})
}

// Node makes a host.
func (n *Net) Node(name string) *Host {
	n.T.Helper()
	d, err := n.Net.Node(name)
	n.Need(err)
	return &Host{Node: d, Net: n}
}

// Veth joins two hosts with a cable.
func (n *Net) Veth(a *Host, nameA string, b *Host, nameB string) {
	n.T.Helper()
	n.Need(n.Net.Veth(a.Node, nameA, b.Node, nameB))
}

// Tun joins two hosts with a point-to-point link.
func (n *Net) Tun(a *Host, nameA, addrA string, b *Host, nameB, addrB string) *lab.Pump {
	n.T.Helper()
	p, err := n.Net.Tun(a.Node, nameA, addrA, b.Node, nameB, addrB)
	n.Need(err)
	return p
}

// Host is a node of a network.
type Host struct {
	*lab.Node
	Net *Net // the network that it is in
}

// IP runs the ip command and returns what it prints.
func (h *Host) IP(format string, args ...any) string {
	h.Net.T.Helper()
	out, err := h.Node.IP(format, args...)
	h.Net.Need(err)
	return out
}

// Run runs a command and returns what it prints.
func (h *Host) Run(args ...string) string {
	h.Net.T.Helper()
	out, err := h.Node.Run(args...)
	h.Net.Need(err)
	return out
}

// Batch runs many ip -6 commands, one a line.
func (h *Host) Batch(lines ...string) {
	h.Net.T.Helper()
	h.Net.Need(h.Node.Batch(lines...))
}

// Sysctl sets a value of the namespace.
func (h *Host) Sysctl(key, value string) {
	h.Net.T.Helper()
	h.Net.Need(h.Node.Sysctl(key, value))
}

// Do calls f in the namespace.
func (h *Host) Do(f func() error) {
	h.Net.T.Helper()
	h.Net.Need(h.Node.Do(f))
}

// Address gives addresses with lengths to an interface.
func (h *Host) Address(link string, addresses ...string) {
	h.Net.T.Helper()
	h.Net.Need(h.Node.Address(link, addresses...))
}

// LinkLocal is the link-local address of an interface, without a zone.
func (h *Host) LinkLocal(link string) netip.Addr {
	h.Net.T.Helper()
	a, err := h.Node.LinkLocal(link)
	h.Net.Need(err)
	return a
}

// Interface is an interface as it is now.
func (h *Host) Interface(link string) *net.Interface {
	h.Net.T.Helper()
	found, err := h.Node.Interface(link)
	h.Net.Need(err)
	return found
}

// Start starts a program, which is ended with the network at the latest.
func (h *Host) Start(name string, args ...string) *lab.Proc {
	h.Net.T.Helper()
	p, err := h.Node.Start(lab.Command{Name: name, Args: args})
	h.Net.Need(err)
	return p
}

// Reaches waits until an address answers. An invalid from leaves the source to the
// kernel.
func (h *Host) Reaches(from, to netip.Addr) {
	h.Net.T.Helper()
	h.Net.Until(h.Name+" reaches "+to.String(), func() bool { return h.Ping(from, to) == nil })
}

// Barriers reports whether both barriers that hold a protected hop are in the kernel: a
// guard table and the policies that block.
func (h *Host) Barriers(table string) bool {
	h.Net.T.Helper()
	policies := h.IP("xfrm policy")
	_, missing := h.Node.Run("nft", "list", "table", "inet", table)
	return missing == nil && strings.Count(policies, "action block") >= 4 &&
		strings.Contains(policies, "dir in action block") && strings.Contains(policies, "dir out action block")
}

// UDP opens a socket at an address, until the test ends.
func (h *Host) UDP(at netip.AddrPort) (c *net.UDPConn) {
	h.Net.T.Helper()
	h.Do(func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	})
	h.Net.T.Cleanup(func() { c.Close() })
	return c
}

// Throw prepares packets from an interface towards a neighbour's.
func (h *Host) Throw(link string, towards *Host, at string) *labtest.Thrower {
	h.Net.T.Helper()
	peer := towards.Interface(at).HardwareAddr
	if len(peer) == 0 { // the link has no link-layer addresses
		peer = nil
	}
	return labtest.Throw(h.Net.T, h.Node, link, peer)
}

// Listen takes test packets that arrive.
func (h *Host) Listen() *labtest.Listener {
	h.Net.T.Helper()
	return labtest.Listen(h.Net.T, h.Node)
}

// Record records what passes an interface and matches a tcpdump filter.
func (h *Host) Record(link, filter string) *Capture {
	h.Net.T.Helper()
	return record(h, link, filter)
}

// Fairlead prepares a program with a configuration, which may be written later.
func (h *Host) Fairlead(c relay.Config) *Program {
	h.Net.T.Helper()
	if c.Binary == "" {
		c.Binary = Binary()
	}
	r, err := relay.New(h.Node, c)
	h.Net.Need(err)
	return &Program{Relay: r, net: h.Net}
}

// Play is PlayAs for a client on c0 with an identifier.
func (h *Host) Play(id []byte) *Client {
	h.Net.T.Helper()
	return h.PlayAs(script.ClientConfig{DUID: id})
}

// Server opens the socket of a played server on an address, which answers so; a nil
// answer is silence.
func (h *Host) Server(address netip.Addr, answer script.Answer) *Server {
	h.Net.T.Helper()
	s, err := script.StartServer(h.Node, address, answer)
	h.Net.Need(err)
	return &Server{Server: s, net: h.Net}
}

// Serve starts a DHCPv6 server by others.
func (h *Host) Serve(kind peer.ServerKind, c peer.ServerConfig) *lab.Proc {
	h.Net.T.Helper()
	p, err := peer.StartServer(h.Node, kind, c)
	h.Net.Need(err)
	return p
}

// Foreign starts a DHCPv6 client by others.
func (h *Host) Foreign(kind peer.ClientKind, c peer.ClientConfig) *Foreign {
	h.Net.T.Helper()
	f, err := peer.StartClient(h.Node, kind, c)
	h.Net.Need(err)
	return &Foreign{Client: f, net: h.Net}
}
