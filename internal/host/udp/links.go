package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// SetLinks makes client the set of client links. It joins ff02::1:2 (IPv6) on new links, leaves
// it on those that are gone, and opens and closes the wildcard sockets of VRFs. It may be called
// whenever something changes, and again to retry what has failed. A failure on one link is part
// of the joined error, and does not affect the other links.
func (c *Conn) SetLinks(client []Link) error {
	c.admin.Lock()
	defer c.admin.Unlock()
	if c.closing.Load() {
		return net.ErrClosed
	}
	var errs []error
	next := make(map[int]*link, len(client))
	order := make([]*link, 0, len(client))
	for i := range client {
		l := &link{Link: client[i]}
		if err := l.check(next); err != nil {
			errs = append(errs, err)
			continue
		}
		l.macs = l.Ethernet && len(l.MAC) == etherLen
		next[l.Index] = l
		order = append(order, l)
	}
	errs = append(errs, c.serve(order)...)
	c.mu.Lock()
	c.links = next
	c.mu.Unlock()
	c.removeUnused()
	if c.profile.group.IsMulticast() {
		errs = append(errs, c.groups.set(order, next)...)
	}
	return errors.Join(errs...)
}

func (l *link) check(others map[int]*link) error {
	if l.Index <= 0 {
		return fmt.Errorf("link %s: index %d is not an interface", l.Name, l.Index)
	}
	if other, ok := others[l.Index]; ok {
		return fmt.Errorf("link %s: index %d is that of link %s too", l.Name, l.Index, other.Name)
	}
	return nil
}

// serve gives each link the wildcard socket of its VRF.
func (c *Conn) serve(links []*link) []error {
	var errs []error
	type answer struct {
		socket *socket
		err    error
	}
	domains := map[string]answer{}
	for _, l := range links {
		a, ok := domains[l.VRF]
		if !ok {
			a.socket, a.err = c.ensure(c.wildcard(l.VRF))
			domains[l.VRF] = a
		}
		if a.err != nil {
			errs = append(errs, fmt.Errorf("link %s: %w", l.Name, a.err))
			continue
		}
		l.socket = a.socket
	}
	return errs
}

// removeUnused closes the sockets that neither a link nor AddLocal needs.
func (c *Conn) removeUnused() {
	for _, s := range c.sockets {
		s.links = 0
	}
	for _, l := range c.links {
		if l.socket != nil {
			l.socket.links++
		}
	}
	for _, s := range c.sockets {
		if s.links == 0 && !s.wanted {
			c.remove(s)
		}
	}
}

// AddLocal opens a socket for the traffic with peers. A socket that is there already stays. An
// error that wraps EADDRNOTAVAIL means that the host does not have the address, or that duplicate
// address detection has not ended. ENETUNREACH means that there is no route to the peer. Try
// again when addresses change.
func (c *Conn) AddLocal(at Local) error {
	return c.change(at, func(e Local) error {
		s, err := c.ensure(e)
		if err != nil {
			return fmt.Errorf("udp: %w", err)
		}
		s.wanted = true
		return nil
	})
}

// change calls do with the key of a socket, while c.admin is locked and the Conn is open.
func (c *Conn) change(at Local, do func(e Local) error) error {
	e, err := c.local(at)
	if err != nil {
		return err
	}
	c.admin.Lock()
	defer c.admin.Unlock()
	if c.closing.Load() {
		return net.ErrClosed
	}
	return do(e)
}

// Source is the address from which the kernel would send to a global address. An error says that
// there is no route to it.
func (c *Conn) Source(to netip.Addr, vrf string) (netip.Addr, error) {
	from, err := c.source(to, vrf)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("udp: source to %v: %w", to, err)
	}
	return from, nil
}

func (c *Conn) source(to netip.Addr, vrf string) (netip.Addr, error) {
	p := c.profile
	if !p.is(to) {
		return netip.Addr{}, ErrDestination
	}
	s := &socket{at: c.wildcard(vrf)}
	if err := s.create(p); err != nil {
		return netip.Addr{}, err
	}
	defer unix.Close(s.fd)
	if err := s.bindDevice(); err != nil {
		return netip.Addr{}, err
	}
	// The port may be any but 0; nothing is sent.
	if err := unix.Connect(s.fd, p.sockaddr(netip.AddrPortFrom(to, p.port), 0)); err != nil {
		return netip.Addr{}, err
	}
	name, err := unix.Getsockname(s.fd)
	if err != nil {
		return netip.Addr{}, err
	}
	from, _, _ := p.fromSockaddr(name)
	return from.Addr(), nil
}

// RemoveLocal closes the socket that AddLocal opened, unless client links use it. The wildcard
// socket of Open stays.
func (c *Conn) RemoveLocal(at Local) error {
	return c.change(at, func(e Local) error {
		s := c.sockets[e]
		if s == nil {
			return fmt.Errorf("%w: %v", ErrNoLocal, e)
		}
		s.wanted = e == c.wildcard("")
		c.removeUnused()
		return nil
	})
}

// local is at in the form of the keys by which sockets are found.
func (c *Conn) local(at Local) (Local, error) {
	at.Addr = at.Addr.WithZone("")
	if at.Port == 0 {
		at.Port = c.options.Port
	}
	p, peer := c.profile, at.Peer.Addr()
	switch {
	case !p.is(at.Addr) || at.Addr == p.group || at.Addr.IsMulticast() && !p.group.IsMulticast():
		return at, fmt.Errorf("udp: local address %v: not an %s address for peers", at.Addr, p.name)
	case at.Peer.IsValid() && (!p.is(peer) || !peer.IsGlobalUnicast() || at.Peer.Port() == 0):
		return at, fmt.Errorf("udp: peer %v: not a global %s address and port", at.Peer, p.name)
	case !p.scoped(at.Addr):
		at.Index = 0
	case at.Index <= 0:
		return at, fmt.Errorf("udp: local address %v: it needs an interface, and has none", at.Addr)
	}
	return at, nil
}
