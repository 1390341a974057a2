package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// SetLinks makes client the client links, all of them: joins ff02::1:2 on new
// ones, leaves it on those that are gone, opens and closes the wildcard sockets
// of VRFs. It may be called as often as something changes, and again to retry
// what failed. What fails for one link is part of the joined error and does not
// stop the others.
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
		l.frames = l.Ethernet && len(l.MAC) == etherLen
		next[l.Index] = l
		order = append(order, l)
	}
	errs = append(errs, c.serve(order)...)
	c.mu.Lock()
	c.links = next
	c.mu.Unlock()
	c.removeUnused()
	errs = append(errs, c.groups.set(order, next)...)
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

// AddLocal opens a socket at addr and port for the traffic with peers in a VRF
// ("" is the default one). Port 0 is that of Options; another one is the source
// port of RFC 8357. The unspecified address is a wildcard, for a VRF or a port
// that has none yet. The index of the interface is needed for link-local
// addresses and ignored for others. A socket that is there already is left
// alone. An error that wraps EADDRNOTAVAIL means that the host does not have
// the address, or that duplicate address detection has not ended: try again
// when addresses change.
func (c *Conn) AddLocal(addr netip.Addr, ifindex int, vrf string, port uint16) error {
	e, err := c.local(addr, ifindex, vrf, port)
	if err != nil {
		return err
	}
	c.admin.Lock()
	defer c.admin.Unlock()
	if c.closing.Load() {
		return net.ErrClosed
	}
	s, err := c.ensure(e)
	if err != nil {
		return fmt.Errorf("udp: %w", err)
	}
	s.wanted = true
	return nil
}

// RemoveLocal closes the socket that AddLocal opened with the same arguments,
// unless client links use it. The wildcard socket of Open stays.
func (c *Conn) RemoveLocal(addr netip.Addr, ifindex int, vrf string, port uint16) error {
	e, err := c.local(addr, ifindex, vrf, port)
	if err != nil {
		return err
	}
	c.admin.Lock()
	defer c.admin.Unlock()
	if c.closing.Load() {
		return net.ErrClosed
	}
	s := c.sockets[e]
	if s == nil {
		return fmt.Errorf("%w: %v", ErrNoLocal, e)
	}
	s.wanted = e == c.wildcard("")
	c.removeUnused()
	return nil
}

func (c *Conn) local(addr netip.Addr, ifindex int, vrf string, port uint16) (endpoint, error) {
	e := endpoint{addr: addr.WithZone(""), vrf: vrf, port: port}
	if port == 0 {
		e.port = c.options.Port
	}
	switch {
	case !addr.Is6() || addr.Is4In6() || addr.IsMulticast():
		return e, fmt.Errorf("udp: local address %v: not a unicast IPv6 address", addr)
	case addr.IsLinkLocalUnicast() && ifindex <= 0:
		return e, fmt.Errorf("udp: local address %v: link-local and no interface", addr)
	case addr.IsLinkLocalUnicast():
		e.ifindex = ifindex
	}
	return e, nil
}
