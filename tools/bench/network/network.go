// Package network is the network in which the benches measure whole processes:
//
//	gen g0 ------ d0 relay u0 ------ s0 srv
//
// It has three namespaces, joined by veth pairs. `fairlead load` plays the clients in gen, and a
// server that keeps no state (lab/reflector) answers in srv. If a server is measured, it takes
// the relay's place, and `fairlead load` plays a relay agent.
package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/lab"
	"fairlead/internal/lab/reflector"
	"fairlead/internal/wire/dhcp4"
	"fairlead/tools/bench/harness"
)

// Processors, if there are two: what is measured has the first one to itself.
const (
	RelayCore     = "0"
	GeneratorCore = "1"
)

// Addresses that are the same in every network.
const (
	LinkAddress   = "2001:db8:1::1"  // on d0
	AgentAddress  = "2001:db8:1::2"  // on g0: the relay agent that a server hears
	RelayAddress  = "2001:db8:ff::1" // on u0
	ServerAddress = "2001:db8:ff::2" // on s0

	LinkAddress4   = "10.255.255.254" // reflector.Pool4 has the other addresses of the link
	RelayAddress4  = "192.0.2.1"
	ServerAddress4 = "192.0.2.2"
)

// Addresses has the addresses of link, relay and server in one family.
type Addresses struct{ Link, Relay, Server string }

// AddressesOf returns the addresses, which are the same in every network.
func AddressesOf(f loadgen.Family) Addresses {
	if f == loadgen.DHCPv4 {
		return Addresses{LinkAddress4, RelayAddress4, ServerAddress4}
	}
	return Addresses{LinkAddress, RelayAddress, ServerAddress}
}

// Patience is the time to wait for what surely happens, even in an emulated machine.
const Patience = 60 * time.Second

// Network is a network in which the server runs, and a relay once one has been started.
type Network struct {
	*lab.Net
	Gen, Relay, Srv *lab.Node
	Processes       []*lab.Proc // the relay, which is measured, and then the processes that belong to it

	options Options
}

// Options describe a network.
type Options struct {
	Generator string // path of the fairlead that plays the clients
	Family    loadgen.Family
	// Needs are, in DHCPv4, the sub-options of option 82 without which the server does not
	// answer. So a relay that has to add them is seen to do it.
	Needs []dhcp4.SubOptionCode
	// Pinned gives the relay a processor to itself, and a higher priority than other programs of
	// the machine have.
	Pinned bool
	// Server means that a server is measured, in place of the relay: it hears a relay agent in
	// gen, and nobody answers in srv.
	Server bool
	// Switched puts a bridge into the clients' link, in gen. Its ports h0 and f0 are for two
	// hosts.
	Switched bool
}

// New builds a network, which the end of the run closes if nothing else has.
func New(r *harness.Run, o Options) (*Network, error) {
	n, err := lab.New()
	if err != nil {
		return nil, err
	}
	w := &Network{Net: n, options: o}
	r.OnClose(w.Close)
	return w, w.build()
}

func (n *Network) build() error {
	for name, node := range map[string]**lab.Node{"gen": &n.Gen, "relay": &n.Relay, "srv": &n.Srv} {
		d, err := n.Node(name)
		if err != nil {
			return err
		}
		*node = d
	}
	err := errors.Join(
		n.Relay.Sysctl("net/ipv6/conf/all/forwarding", "1"),
		n.Veth(n.Gen, "g0", n.Relay, "d0"),
		n.Veth(n.Relay, "u0", n.Srv, "s0"),
	)
	if err == nil {
		err = errors.Join(
			n.Relay.Address("d0", LinkAddress+"/64"),
			n.Relay.Address("u0", RelayAddress+"/64"),
			n.Srv.Address("s0", ServerAddress+"/64"),
			n.batch(n.Relay,
				fmt.Sprintf("addr add %s/%d dev d0", LinkAddress4, reflector.Pool4.Bits()),
				"addr add "+RelayAddress4+"/24 dev u0"),
			n.batch(n.Srv,
				"addr add "+ServerAddress4+"/24 dev s0",
				fmt.Sprintf("route add %s via %s", reflector.Pool4, RelayAddress4)),
		)
	}
	if err == nil && n.options.Switched {
		err = errors.Join(n.Gen.Stub("h0"), n.Gen.Stub("f0"), n.Gen.Bridge("br0", "g0", "h0p", "f0p"))
	}
	if err != nil {
		return err
	}
	_, down := n.Relay.LinkLocal("d0")
	_, up := n.Relay.LinkLocal("u0")
	_, port := n.Gen.LinkLocal(n.port())
	if err := errors.Join(down, up, port); err != nil {
		return err
	}
	if n.options.Server {
		return n.introduce()
	}
	words := []string{AddressesOf(n.options.Family).Server}
	for _, code := range n.options.Needs {
		words = append(words, strconv.Itoa(int(code)))
	}
	if _, err := n.self(n.Srv, "reflector", words...); err != nil {
		return err
	}
	return n.Listens(n.Srv)
}

// introduce makes gen a relay agent that the server's kernel knows, and gives it the server's
// link-layer address.
func (n *Network) introduce() error {
	g0, err := n.Gen.Interface("g0")
	if err != nil {
		return err
	}
	d0, err := n.Relay.Interface("d0")
	if err != nil {
		return err
	}
	return errors.Join(
		n.Gen.Address("g0", AgentAddress+"/64"),
		n.batch(n.Gen, fmt.Sprintf("neigh replace %s lladdr %s dev g0 nud permanent", LinkAddress, d0.HardwareAddr)),
		n.batch(n.Relay, fmt.Sprintf("neigh replace %s lladdr %s dev d0 nud permanent", AgentAddress, g0.HardwareAddr)),
	)
}

// batch runs commands of ip(8), for either family.
func (n *Network) batch(d *lab.Node, lines ...string) error {
	_, err := d.Feed(strings.Join(lines, "\n")+"\n", "ip", "-batch", "-")
	return err
}

// port returns the interface that the clients are on.
func (n *Network) port() string {
	if n.options.Switched {
		return "h0"
	}
	return "g0"
}

// Self carries out the tasks for which a bench starts its own program: `bench reflector ADDRESS`
// is the server, where the sub-options that it needs may follow its IPv4 address, and `bench
// thrower INTERFACE` is a host that floods its link.
func Self(args []string) (is bool, err error) {
	if len(args) < 2 {
		return false, nil
	}
	switch args[0] {
	case "reflector":
		return true, reflect(args[1], args[2:])
	case "thrower":
		return true, throw(args[1])
	}
	return false, nil
}

// reflect runs the server until the process ends.
func reflect(address string, needs []string) error {
	at, err := netip.ParseAddr(address)
	if err != nil {
		return err
	}
	var s *reflector.Server
	if at.Is4() {
		of := reflector.Server4{Address: at}
		for _, word := range needs {
			code, err := strconv.ParseUint(word, 10, 8)
			if err != nil {
				return err
			}
			of.Needs = append(of.Needs, dhcp4.SubOptionCode(code))
		}
		s, err = reflector.Listen4(&of)
	} else {
		s, err = reflector.Listen(at)
	}
	if err != nil {
		return err
	}
	return s.Serve()
}

// self starts this program in a node, for one of these tasks.
func (n *Network) self(d *lab.Node, task string, words ...string) (*lab.Proc, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append([]string{self, task}, words...)
	if n.options.Pinned {
		args = harness.Pinned(GeneratorCore, args...)
	}
	return d.Start(lab.Command{Name: task, Args: args})
}

// Listens waits until the port of servers and relay agents is open in a node.
func (n *Network) Listens(d *lab.Node) error {
	table, port := "/proc/net/udp6", ":0223 "
	if n.options.Family == loadgen.DHCPv4 {
		table, port = "/proc/net/udp", ":0043 "
	}
	return lab.Until(Patience, d.Name+" listens", func() bool {
		out, err := d.Run("cat", table)
		return err == nil && strings.Contains(out, port)
	})
}

// Know gives the relay's kernel the link-layer addresses of the first clients, as if it had asked
// for them: this is the best case for a relay with UDP sockets. It also gives relay and server
// each other's link-layer address, because the machine has one neighbour table, which something
// else may have filled.
func (n *Network) Know(clients int) error {
	at, address := AddressesOf(n.options.Family), linkLocal
	if n.options.Family == loadgen.DHCPv4 {
		address = reflector.Address4
	}
	lines := make([]string, clients)
	for i := range uint32(clients) {
		lines[i] = fmt.Sprintf("neigh replace %s lladdr %s dev d0 nud permanent", address(i), mac(i))
	}
	up, err := n.Relay.Interface("u0")
	if err != nil {
		return err
	}
	s0, err := n.Srv.Interface("s0")
	if err != nil {
		return err
	}
	lines = append(lines, fmt.Sprintf("neigh replace %s lladdr %s dev u0 nud permanent", at.Server, s0.HardwareAddr))
	return errors.Join(
		n.batch(n.Relay, lines...),
		n.batch(n.Srv, fmt.Sprintf("neigh replace %s lladdr %s dev s0 nud permanent", at.Relay, up.HardwareAddr)),
	)
}

// Pid returns the relay's process id.
func (n *Network) Pid() int { return n.Processes[0].Pid() }

// InTurn lets the relay run while f runs, and then stops it, so that others can have their turn.
func (n *Network) InTurn(f func() error) error {
	if err := n.signal(syscall.SIGCONT); err != nil {
		return err
	}
	return errors.Join(f(), n.signal(syscall.SIGSTOP))
}

func (n *Network) signal(s syscall.Signal) (err error) {
	for _, p := range n.Processes {
		err = errors.Join(err, p.Signal(s))
	}
	return err
}

// SteadyMemory waits until the relay's memory does not change any more, and returns it, in
// octets.
func (n *Network) SteadyMemory() (rss int64, err error) {
	const quiet = 5 * time.Second
	since := time.Now()
	for end := since.Add(Patience); time.Now().Before(end) && time.Since(since) < quiet; time.Sleep(time.Second) {
		now, err := harness.Resident(n.Pid())
		if err != nil {
			return 0, err
		}
		if change := now - rss; change > rss/100 || change < -rss/100 {
			since = time.Now()
			rss = now
		}
	}
	return harness.Resident(n.Pid())
}

// Rest stops the relay until its turn comes.
func (n *Network) Rest() error { return n.signal(syscall.SIGSTOP) }

// Close ends everything in the network. A second Close does nothing.
func (n *Network) Close() error {
	for _, p := range slices.Backward(n.Processes) {
		_ = p.Signal(syscall.SIGCONT) // a stopped process does not see SIGTERM; it may have ended
	}
	n.Processes = nil
	return n.Net.Close()
}
