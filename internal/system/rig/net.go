package rig

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/relay"
	"fairlead/internal/lab/script"
)

// Net is a network. If it fails, it ends the test T.
type Net struct {
	*lab.Net
	T *testing.T
}

// New makes an empty network that exists as long as the test.
func New(t *testing.T) *Net {
	t.Helper()
	return &Net{Net: lab.ForTest(t), T: t}
}

// Need ends the test if there is an error.
func (n *Net) Need(err error) {
	n.T.Helper()
	labtest.Need(n.T, err)
}

// must returns a function that takes the results of a call, ends the test if there is an error,
// and returns the value.
func must[T any](n *Net) func(T, error) T {
	return func(v T, err error) T {
		n.T.Helper()
		n.Need(err)
		return v
	}
}

// Until waits for a condition and ends the test if it never comes.
func (n *Net) Until(what string, done func() bool) {
	n.T.Helper()
	labtest.Until(n.T, what, done)
}

// Run runs a subtest. Meanwhile, failures of the network end the subtest.
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
	return &Host{Node: must[*lab.Node](n)(n.Net.Node(name)), Net: n}
}

// Veth joins two hosts with a cable.
func (n *Net) Veth(a *Host, nameA string, b *Host, nameB string) {
	n.T.Helper()
	n.Need(n.Net.Veth(a.Node, nameA, b.Node, nameB))
}

// Tun joins two hosts with a point-to-point link.
func (n *Net) Tun(a *Host, nameA, addrA string, b *Host, nameB, addrB string) *lab.Pump {
	n.T.Helper()
	return must[*lab.Pump](n)(n.Net.Tun(a.Node, nameA, addrA, b.Node, nameB, addrB))
}

// Host is a node of a network.
type Host struct {
	*lab.Node
	Net *Net // the network that it is in
}

// IP runs the ip command and returns what it prints.
func (h *Host) IP(format string, args ...any) string {
	h.Net.T.Helper()
	return must[string](h.Net)(h.Node.IP(format, args...))
}

// Run runs a command, and returns what it prints.
func (h *Host) Run(args ...string) string {
	h.Net.T.Helper()
	return must[string](h.Net)(h.Node.Run(args...))
}

// Batch runs many ip -6 commands, one per line.
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

// LinkLocal returns the link-local address of an interface, without a zone.
func (h *Host) LinkLocal(link string) netip.Addr {
	h.Net.T.Helper()
	return must[netip.Addr](h.Net)(h.Node.LinkLocal(link))
}

// Interface returns an interface as it is now.
func (h *Host) Interface(link string) *net.Interface {
	h.Net.T.Helper()
	return must[*net.Interface](h.Net)(h.Node.Interface(link))
}

// Start starts a program. It is ended with the network at the latest.
func (h *Host) Start(name string, args ...string) *lab.Proc {
	h.Net.T.Helper()
	return must[*lab.Proc](h.Net)(h.Node.Start(lab.Command{Name: name, Args: args}))
}

// Reaches waits until an address answers. If from is not valid, the kernel chooses the source.
func (h *Host) Reaches(from, to netip.Addr) {
	h.Net.T.Helper()
	h.Net.Until(h.Name+" reaches "+to.String(), func() bool { return h.Ping(from, to) == nil })
}

// Barriers reports whether both barriers that protect a hop are in the kernel: a guard table and
// the policies that block.
func (h *Host) Barriers(table string) bool {
	h.Net.T.Helper()
	policies := h.IP("xfrm policy")
	_, missing := h.Node.Run("nft", "list", "table", "inet", table)
	return missing == nil && strings.Count(policies, "action block") >= 4 &&
		strings.Contains(policies, "dir in action block") && strings.Contains(policies, "dir out action block")
}

// UDP opens a socket at an address, which is closed at the end of the test.
func (h *Host) UDP(at netip.AddrPort) (c *net.UDPConn) {
	h.Net.T.Helper()
	h.Do(func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	})
	h.Net.T.Cleanup(func() { c.Close() })
	return c
}

// Throw prepares the sending of packets from an interface to a neighbour.
func (h *Host) Throw(link string, towards *Host, at string) *labtest.Thrower {
	h.Net.T.Helper()
	peer := towards.Interface(at).HardwareAddr
	if len(peer) == 0 { // the link has no link-layer addresses
		peer = nil
	}
	return labtest.Throw(h.Net.T, h.Node, link, peer)
}

// Listen receives test packets that arrive.
func (h *Host) Listen() *labtest.Listener {
	h.Net.T.Helper()
	return labtest.Listen(h.Net.T, h.Node)
}

// Record records what passes an interface and matches a tcpdump filter.
func (h *Host) Record(link, filter string) *Capture {
	h.Net.T.Helper()
	return &Capture{Capture: must[*capture.Capture](h.Net)(capture.Start(h.Node, link, filter)), net: h.Net}
}

// Fairlead prepares a program with a configuration, which may also be written later.
func (h *Host) Fairlead(c relay.Config) *Program {
	h.Net.T.Helper()
	if c.Binary == "" {
		c.Binary = Binary()
	}
	return &Program{Relay: must[*relay.Relay](h.Net)(relay.New(h.Node, c)), net: h.Net}
}

// Play is PlayAs for a client on c0 with that identifier.
func (h *Host) Play(id []byte) *Client {
	h.Net.T.Helper()
	return h.PlayAs(script.ClientConfig{DUID: id})
}

// Server opens the socket of a played server on an address. It answers by the function answer; if
// that is nil, it does not answer.
func (h *Host) Server(address netip.Addr, answer script.Answer) *Server {
	h.Net.T.Helper()
	return &Server{Server: must[*script.Server](h.Net)(script.StartServer(h.Node, address, answer)), net: h.Net}
}

// Serve starts a DHCPv6 server of other authors.
func (h *Host) Serve(kind peer.ServerKind, c peer.ServerConfig) *lab.Proc {
	h.Net.T.Helper()
	return must[*lab.Proc](h.Net)(peer.StartServer(h.Node, kind, c))
}

// Foreign starts a DHCPv6 client of other authors.
func (h *Host) Foreign(kind peer.ClientKind, c peer.ClientConfig) *Foreign {
	h.Net.T.Helper()
	return &Foreign{Client: must[*peer.Client](h.Net)(peer.StartClient(h.Node, kind, c)), net: h.Net}
}
