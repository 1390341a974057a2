package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"fairlead/internal/wire/dhcp6"
)

// maxMemberSockets bounds the descriptors that hold memberships. With the smallest
// net.core.optmem_max in use, 20480, one descriptor holds 365.
const maxMemberSockets = 256

var errTooManySockets = fmt.Errorf("more than %d sockets would be needed to hold the memberships", maxMemberSockets)

// groups keeps the membership of ff02::1:2 on each client link, for IPv6; IPv4 has broadcast. A
// membership makes the network card accept the group's frames, the kernel its datagrams, and a
// snooping switch forward them. The owner of groups guards it.
type groups struct {
	sockets     []*memberSocket
	joined      map[int]membership
	nMembership *atomic.Int64
	nSocket     *atomic.Int64
}

// memberSocket is an unbound socket.
type memberSocket struct {
	fd    int
	count int
	full  bool
}

// membership tells on which interface it was made. If an interface was deleted and made again
// with the same index, the membership has to be made again too.
type membership struct {
	on        *memberSocket
	name, mac string
}

func newGroups(n *counters) *groups {
	return &groups{joined: map[int]membership{}, nMembership: &n.membershipsJoined, nSocket: &n.memberSockets}
}

// set makes the memberships exactly those of links; byIndex has the same links. A membership that
// cannot be made is tried again by the next call.
func (g *groups) set(links []*link, byIndex map[int]*link) []error {
	for index, m := range g.joined {
		if l, ok := byIndex[index]; !ok || l.Name != m.name || string(l.MAC) != m.mac {
			g.leave(index)
		}
	}
	var errs []error
	for _, l := range links {
		if _, ok := g.joined[l.Index]; ok {
			continue
		}
		if err := g.join(l); err != nil {
			errs = append(errs, fmt.Errorf("link %s: join %v: %w", l.Name, dhcp6.AllRelayAgentsAndServers, err))
		}
	}
	return errs
}

func (g *groups) join(l *link) error {
	for {
		h, err := g.roomy()
		if err != nil {
			return err
		}
		err = unix.SetsockoptIPv6Mreq(h.fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, request(dhcp6.AllRelayAgentsAndServers, l.Index))
		if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) {
			// If even an empty socket has no room, trying again does not help.
			if h.full = true; h.count == 0 {
				g.closeSocket(h)
				return err
			}
			continue
		}
		if err != nil {
			g.release(h)
			return err
		}
		h.count++
		g.joined[l.Index] = membership{on: h, name: l.Name, mac: string(l.MAC)}
		g.nMembership.Store(int64(len(g.joined)))
		return nil
	}
}

func request(group netip.Addr, index int) *unix.IPv6Mreq {
	return &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(index)}
}

// roomy returns a socket that is not known to be full.
func (g *groups) roomy() (*memberSocket, error) {
	for _, h := range g.sockets {
		if !h.full {
			return h, nil
		}
	}
	if len(g.sockets) == maxMemberSockets {
		return nil, errTooManySockets
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0); err != nil {
		unix.Close(fd)
		return nil, err
	}
	h := &memberSocket{fd: fd}
	g.sockets = append(g.sockets, h)
	g.nSocket.Store(int64(len(g.sockets)))
	return h, nil
}

// leave ends the membership on an interface, even if the interface is gone: the entry still takes
// room on its socket.
func (g *groups) leave(index int) {
	m := g.joined[index]
	delete(g.joined, index)
	g.nMembership.Store(int64(len(g.joined)))
	// The kernel removes the entry, whatever it answers.
	_ = unix.SetsockoptIPv6Mreq(m.on.fd, unix.IPPROTO_IPV6, unix.IPV6_LEAVE_GROUP, request(dhcp6.AllRelayAgentsAndServers, index))
	m.on.count--
	m.on.full = false
	g.release(m.on)
}

// storage is struct __kernel_sockaddr_storage.
type storage [128 / unsafe.Sizeof(uintptr(0))]uintptr

func (s *storage) set(a netip.Addr) {
	*(*unix.RawSockaddrInet6)(unsafe.Pointer(s)) = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: a.As16()}
}

// sourceFilter is struct group_filter with room for one source.
type sourceFilter struct {
	link          uint32
	group         storage
	mode, sources uint32
	source        storage
}

// mute has the kernel take nothing that is sent to the group on a link, for any UDP socket, or
// ends that. Packet sockets still hear it. The membership stays, with a filter that accepts no
// source address (RFC 3678 section 5.2.2). A snooping switch that looks only at groups sees no
// change. A switch that looks at sources as well does not forward the group to us.
func (g *groups) mute(index int, on bool) error {
	m, ok := g.joined[index]
	if !ok {
		return errors.New("mute: no group is joined there")
	}
	f := sourceFilter{link: uint32(index), mode: unix.MCAST_EXCLUDE}
	f.group.set(dhcp6.AllRelayAgentsAndServers)
	if on {
		f.mode, f.sources = unix.MCAST_INCLUDE, 1
		f.source.set(netip.IPv6Loopback())
	}
	octets := unsafe.Slice((*byte)(unsafe.Pointer(&f)), unsafe.Sizeof(f))
	if err := unix.SetsockoptString(m.on.fd, unix.IPPROTO_IPV6, unix.MCAST_MSFILTER, string(octets)); err != nil {
		return fmt.Errorf("mute: %w", err)
	}
	return nil
}

// release closes h if it holds no membership.
func (g *groups) release(h *memberSocket) {
	if h.count == 0 {
		g.closeSocket(h)
	}
}

func (g *groups) closeSocket(h *memberSocket) {
	for i := range g.sockets {
		if g.sockets[i] == h {
			g.sockets = append(g.sockets[:i], g.sockets[i+1:]...)
			break
		}
	}
	unix.Close(h.fd)
	g.nSocket.Store(int64(len(g.sockets)))
}

func (g *groups) close() {
	for _, h := range g.sockets {
		unix.Close(h.fd)
	}
	g.sockets, g.joined = nil, map[int]membership{}
	g.nMembership.Store(0)
	g.nSocket.Store(0)
}
