package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"fairlead/internal/lab"
)

// The cores: the relay has the first to itself.
const (
	relayCore = "0"
	otherCore = "1"
)

// Addresses of every rig.
const (
	linkAddress   = "2001:db8:1::1"  // on d0
	relayAddress  = "2001:db8:ff::1" // on u0
	serverAddress = "2001:db8:ff::2" // on s0
)

// patience is how long a program may take to start.
const patience = 60 * time.Second

// rig is the network of one contender, with the server running in it.
type rig struct {
	net             *lab.Net
	gen, relay, srv *lab.Node
	port            string // the interface that the clients are on, in gen
	pid             int    // the relay's process, once it is there
}

// newRig builds the network. With a switch the clients' link goes through a
// bridge in gen, whose ports h0 and f0 are there for two hosts.
func newRig(withSwitch bool) (*rig, error) {
	n, err := lab.New()
	if err != nil {
		return nil, err
	}
	r := &rig{net: n, port: "g0"}
	if err := r.build(withSwitch); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return r, nil
}

func (r *rig) build(withSwitch bool) error {
	for name, node := range map[string]**lab.Node{"gen": &r.gen, "relay": &r.relay, "srv": &r.srv} {
		d, err := r.net.Node(name)
		if err != nil {
			return err
		}
		*node = d
	}
	err := errors.Join(
		r.relay.Sysctl("net/ipv6/conf/all/forwarding", "1"),
		r.net.Veth(r.gen, "g0", r.relay, "d0"),
		r.net.Veth(r.relay, "u0", r.srv, "s0"),
	)
	if err == nil {
		err = errors.Join(
			r.relay.Address("d0", linkAddress+"/64"),
			r.relay.Address("u0", relayAddress+"/64"),
			r.srv.Address("s0", serverAddress+"/64"),
		)
	}
	if err == nil && withSwitch {
		r.port = "h0"
		err = errors.Join(r.gen.Stub("h0"), r.gen.Stub("f0"), r.gen.Bridge("br0", "g0", "h0p", "f0p"))
	}
	if err != nil {
		return err
	}
	_, down := r.relay.LinkLocal("d0")
	_, up := r.relay.LinkLocal("u0")
	_, port := r.gen.LinkLocal(r.port)
	if err := errors.Join(down, up, port); err != nil {
		return err
	}
	return r.startServer()
}

func (r *rig) startServer() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	_, err = r.srv.Start(lab.Command{
		Name: "reflector",
		Args: pinned(otherCore, self, "reflector", serverAddress),
	})
	if err != nil {
		return err
	}
	return r.listens(r.srv)
}

// listens waits until port 547 is open in a node.
func (r *rig) listens(d *lab.Node) error {
	return lab.Until(patience, d.Name+" listens on port 547", func() bool {
		out, err := d.Run("ss", "-H", "-u", "-l", "-n", "sport", "=", "547")
		return err == nil && strings.TrimSpace(out) != ""
	})
}

// know gives the relay's kernel the link-layer addresses of the first clients, as
// if it had asked for them: the best that can happen to a relay with sockets. It
// gives relay and server each other's too, since the machine has one neighbour
// table, which something else may have filled.
func (r *rig) know(clients int) error {
	lines := make([]string, clients)
	for n := range clients {
		a, b, c, d := byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
		lines[n] = fmt.Sprintf("neigh replace fe80::fa:%02xff:fe%02x:%02x%02x lladdr 02:fa:%02x:%02x:%02x:%02x dev d0 nud permanent",
			a, b, c, d, a, b, c, d)
	}
	up, err := r.relay.Interface("u0")
	if err != nil {
		return err
	}
	server, err := r.srv.Interface("s0")
	if err != nil {
		return err
	}
	lines = append(lines, fmt.Sprintf("neigh replace %s lladdr %s dev u0 nud permanent", serverAddress, server.HardwareAddr))
	return errors.Join(
		r.relay.Batch(lines...),
		r.srv.Batch(fmt.Sprintf("neigh replace %s lladdr %s dev s0 nud permanent", relayAddress, up.HardwareAddr)),
	)
}

// pause stops the relay while others have their turn.
func (r *rig) pause() error { return syscall.Kill(r.pid, syscall.SIGSTOP) }

// resume lets it go on.
func (r *rig) resume() error { return syscall.Kill(r.pid, syscall.SIGCONT) }

// close ends everything in the rig. A second close does nothing.
func (r *rig) close() error {
	if r.pid != 0 {
		_ = r.resume() // a stopped process does not hear SIGTERM; it may be gone
	}
	r.pid = 0
	return r.net.Close()
}
