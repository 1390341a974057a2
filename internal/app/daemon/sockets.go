package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/engine"
	"fairlead/internal/app/network"
	"fairlead/internal/app/role"
	"fairlead/internal/app/service"
	"fairlead/internal/core/instant"
	"fairlead/internal/host/ports"
	"fairlead/internal/host/udp"
)

// wire is the sockets of one family of DHCP.
type wire struct {
	conn    *udp.Conn
	sockets *sockets
}

// openSockets opens the sockets of the families that roles speak, and gives each role its
// sockets, or its share of them.
func (d *daemon) openSockets() error {
	for _, f := range []struct {
		dhcp config.Family
		ip   udp.Family
		of   network.Family
	}{{config.DHCPv6, udp.IPv6, network.IPv6}, {config.DHCPv4, udp.IPv4, network.IPv4}} {
		var players []role.Player // in the order of their roles' names
		for i := range d.Roles {
			s := &d.Roles[i].Section
			if p := d.players[s.Name]; p != nil && s.Family == f.dhcp {
				players = append(players, p)
			}
		}
		if len(players) == 0 {
			continue
		}
		conn, err := udp.Open(udp.Options{Logger: d.Told, Family: f.ip, Refused: func(x udp.Refusal) {
			for _, p := range players {
				p.Refused(x)
			}
		}})
		if err != nil {
			return taken(f.of, err)
		}
		w := wire{conn, newSockets(conn)}
		d.wires = append(d.wires, w)
		for _, p := range players {
			w.sockets.add(p)
		}
		w.sockets.open()
	}
	return nil
}

// feedRoles gives datagrams that come in to the roles that share sockets.
func (d *daemon) feedRoles(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range d.wires {
		group.Go(func() error { return w.sockets.run(ctx) })
	}
	return group.Wait()
}

// judged takes in everything that has come, and reports whether the sockets were then empty.
func (d *daemon) judged() bool {
	empty := true
	for _, w := range d.wires {
		empty = w.sockets.judge(service.Now().Boot) && empty
	}
	return empty
}

// received is how many datagrams have come.
func (d *daemon) received() (total uint64) {
	for _, w := range d.wires {
		for _, n := range w.conn.Stats().Received {
			total += n
		}
	}
	return total
}

// traffic counts the datagrams of all families together.
func (d *daemon) traffic() (t api.SocketCounters) {
	t = api.SocketCounters{Received: make(map[string]uint64), Sent: make(map[string]uint64), Drops: make(map[string]uint64)}
	for _, w := range d.wires {
		s := w.conn.Stats().Traffic
		addTo(t.Received, s.Received)
		addTo(t.Sent, s.Sent)
		addTo(t.Drops, s.Drops)
	}
	return t
}

// closeSockets closes the sockets at the end, when everything has left that was decided.
func (d *daemon) closeSockets(ctx context.Context) error {
	<-ctx.Done()
	for _, p := range d.players {
		<-p.Done()
	}
	var errs []error
	for _, w := range d.wires {
		errs = append(errs, w.conn.Close())
	}
	return errors.Join(errs...)
}

// taken adds to an error of opening sockets which program has the port.
func taken(f network.Family, err error) error {
	if !errors.Is(err, unix.EADDRINUSE) {
		return err
	}
	all, lookErr := ports.InTheWay(f.Unspecified, f.ServerPort)
	if lookErr != nil || len(all) == 0 {
		return err
	}
	var names []string
	for _, s := range all {
		names = append(names, s.String())
	}
	return fmt.Errorf("%w: it is used by %s", err, strings.Join(names, ", "))
}

// shared are the sockets of host/udp.
type shared interface {
	engine.Receiver
	role.Sockets
}

// sockets are the sockets that roles share. A single role reads from them by itself. If there are
// several, each has a share: a datagram on a link goes to the role that has its clients there,
// any other one to the first role that hears it. If no role hears it, it goes to the first, which
// counts it.
type sockets struct {
	conn   shared
	shares []*share

	mu     sync.Mutex // guards all following fields
	owner  map[int]*share
	locals map[udp.Local]int // number of roles that speak from there
}

// inbox is engine.Inbox.
type inbox interface {
	Feed(at instant.Instant, d *udp.Datagram)
	Tell()
	Judge(at instant.Instant) (empty bool)
}

// share is the part of the sockets that one role has.
type share struct {
	of      *sockets
	player  role.Player
	inbox   inbox
	clients []udp.Link // guarded by of.mu
	fed     bool       // it got a datagram in this drain; guarded by of.mu
}

func newSockets(conn shared) *sockets {
	return &sockets{conn: conn, owner: make(map[int]*share), locals: make(map[udp.Local]int)}
}

func (s *sockets) add(p role.Player) {
	s.shares = append(s.shares, &share{of: s, player: p, inbox: p.Inbox()})
}

// open has the players open their share.
func (s *sockets) open() {
	for _, x := range s.shares {
		if len(s.shares) == 1 {
			x.player.Open(s.conn, s.conn)
		} else {
			x.player.Open(nil, x)
		}
	}
}

// run feeds the roles that share the sockets, until ctx ends or they are closed.
func (s *sockets) run(ctx context.Context) error {
	if len(s.shares) == 1 {
		return nil
	}
	for {
		if err := s.conn.Wait(); err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		for s.feed(service.Now().Boot) {
			continue
		}
	}
}

// atOnce bounds the datagrams that are read from the sockets before the roles are told.
const atOnce = 512

// feed gives datagrams to the roles, and reports whether there were any.
func (s *sockets) feed(at instant.Instant) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	any := s.conn.Receive(atOnce, func(d *udp.Datagram) {
		x := s.of(d)
		x.inbox.Feed(at, d)
		x.fed = true
	}) > 0
	for _, x := range s.shares {
		if x.fed {
			x.inbox.Tell()
		}
		x.fed = false
	}
	return any
}

// of is the share of the role that a datagram is for.
func (s *sockets) of(d *udp.Datagram) *share {
	if x := s.owner[d.Link]; x != nil {
		return x
	}
	for _, x := range s.shares {
		if x.player.Hears(d) {
			return x
		}
	}
	return s.shares[0]
}

// looksAtOnce bounds how often the sockets are read until they are empty.
const looksAtOnce = 256

// judge takes in everything that has come, and reports whether the sockets were then empty.
func (s *sockets) judge(at instant.Instant) bool {
	switch {
	case s == nil:
		return true // they are not open
	case len(s.shares) == 1:
		return s.shares[0].inbox.Judge(at)
	}
	for range looksAtOnce {
		if !s.feed(at) {
			return true
		}
	}
	return false
}

// Send sends by the sockets.
func (x *share) Send(batch []udp.Outgoing, failed func(i int, err error)) {
	x.of.conn.Send(batch, failed)
}

// Source asks the sockets.
func (x *share) Source(to netip.Addr, vrf string) (netip.Addr, error) {
	return x.of.conn.Source(to, vrf)
}

// SetLinks has the sockets hear the links of all roles.
func (x *share) SetLinks(client []udp.Link) error {
	s := x.of
	s.mu.Lock()
	defer s.mu.Unlock()
	x.clients = slices.Clone(client)
	clear(s.owner)
	var all []udp.Link
	for _, of := range s.shares {
		for _, l := range of.clients {
			if s.owner[l.Index] == nil {
				s.owner[l.Index] = of
				all = append(all, l)
			}
		}
	}
	slices.SortFunc(all, func(a, b udp.Link) int { return a.Index - b.Index })
	return s.conn.SetLinks(all)
}

// AddLocal opens a socket unless another role has it open.
func (x *share) AddLocal(at udp.Local) error {
	s := x.of
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locals[at] == 0 {
		if err := s.conn.AddLocal(at); err != nil {
			return err
		}
	}
	s.locals[at]++
	return nil
}

// RemoveLocal closes a socket that no other role has open.
func (x *share) RemoveLocal(at udp.Local) error {
	s := x.of
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locals[at]--; s.locals[at] > 0 {
		return nil
	}
	delete(s.locals, at)
	return s.conn.RemoveLocal(at)
}
