package udp

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	etherLen   = 6
	maxMAC     = 8
	nameRoom   = 32  // sockaddr_in6, sockaddr_in and sockaddr_ll are shorter
	oobRoom    = 256 // longer control messages are cut, and the kernel reports that
	maxSockets = 64  // ready sockets that are looked at in one round
)

// slot is the room for one datagram of a UDP socket in a system call.
type slot struct {
	oob  [oobRoom]byte
	name [nameRoom]byte
	iov  unix.Iovec
}

// reader is the receiving half of a Conn.
type reader struct {
	conn    *Conn
	mu      sync.Mutex // held by one Receive; guards all following fields
	slots   []slot
	headers []unix.Mmsghdr
	// Of the arena, only those pages exist that were written to. It is outside the heap, so the
	// garbage collector does not look at it.
	arena     []byte
	buffers   [][]byte
	events    []unix.EpollEvent
	ready     []*socket
	d         Datagram           // given to handle
	left      int                // how many more datagrams this Receive takes
	handle    func(*Datagram)    // the argument of this Receive
	drain     func(poll uintptr) // the method round, made once
	waiting   func(uintptr) bool // the method something, made once
	first     [1]unix.EpollEvent // the result of something
	fragments fragmentSources
	crowd     map[int]int // frames of each link that wait in the first ring: scratch
	apart     map[int]int // recent frames of each link that is apart; a long datagram counts as several
}

func (r *reader) init(c *Conn) error {
	size, room := c.options.Batch, c.options.MaxDatagram
	r.conn = c
	r.fragments.seed = maphash.MakeSeed()
	r.crowd, r.apart = map[int]int{}, map[int]int{}
	r.slots = make([]slot, size)
	r.headers = make([]unix.Mmsghdr, size)
	r.buffers = make([][]byte, size)
	r.events = make([]unix.EpollEvent, maxSockets)
	r.ready = make([]*socket, 0, maxSockets)
	arena, err := unix.Mmap(-1, 0, size*room, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("memory for datagrams: %w", err)
	}
	r.arena = arena
	for i := range r.slots {
		r.buffers[i] = arena[i*room : (i+1)*room : (i+1)*room]
		r.slots[i].iov.Base = &r.buffers[i][0]
		r.slots[i].iov.SetLen(room)
		h := &r.headers[i].Hdr
		h.Name = &r.slots[i].name[0]
		h.Control = &r.slots[i].oob[0]
		h.Iov = &r.slots[i].iov
		h.SetIovlen(1)
	}
	r.drain, r.waiting = r.round, r.something
	return nil
}

// close frees the memory. Nobody receives after it.
func (r *reader) close() {
	if r.arena != nil {
		_ = unix.Munmap(r.arena) // it can fail only for memory that is not mapped
		r.arena = nil
	}
}

// Wait returns when there is something to receive. After Close it returns net.ErrClosed.
func (c *Conn) Wait() error {
	err := c.wait.Read(c.in.waiting)
	if c.closing.Load() {
		return net.ErrClosed
	}
	if err != nil {
		return fmt.Errorf("udp: wait for datagrams: %w", err)
	}
	return nil
}

// something is called by the runtime's poller. It returns false if there is nothing to receive.
// One goroutine at a time waits.
func (r *reader) something(poll uintptr) bool {
	return r.conn.closing.Load() || pollNow(poll, r.first[:]) > 0
}

// Receive takes at most limit of the datagrams that have arrived, and calls handle with each. All
// sockets that have datagrams get an equal share. Receive does not wait. It returns how many
// datagrams there were, those that were discarded included.
//
// The Datagram and its payload belong to the Conn, and are valid until handle returns. handle
// must not call the Conn.
func (c *Conn) Receive(limit int, handle func(*Datagram)) int {
	r := &c.in
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handle, r.left = handle, limit
	_ = c.wait.Control(r.drain) // it fails only after Close
	r.handle = nil
	return limit - r.left
}

// round shares what is left of the limit among the sockets that are ready, until nothing of it is
// left, or the sockets are empty.
func (r *reader) round(poll uintptr) {
	events := r.events[:max(0, pollNow(poll, r.events))]
	r.conn.mu.RLock()
	defer r.conn.mu.RUnlock()
	r.ready = r.ready[:0]
	for i := range events {
		// The socket may have been closed meanwhile.
		if s := r.conn.byFD[events[i].Fd]; s != nil {
			if events[i].Events&unix.EPOLLERR != 0 && s.hearsRefusals() {
				r.refusals(s)
			}
			r.ready = append(r.ready, s)
		}
	}
	for len(r.ready) > 0 && r.left > 0 {
		share := max(1, r.left/len(r.ready))
		busy := r.ready[:0]
		for _, s := range r.ready {
			room := min(share, r.left)
			if room == 0 {
				break
			}
			n := r.take(s, room)
			r.left -= n
			if n == room {
				busy = append(busy, s)
			}
		}
		r.ready = busy
	}
}

// take receives at most room datagrams from s and returns how many there were.
func (r *reader) take(s *socket, room int) int {
	if s.ring != nil {
		return r.takeFrames(s, room)
	}
	if s.weights != nil {
		s.weights.look(s.memory())
	}
	taken := 0
	for taken < room {
		size := min(room-taken, len(r.slots))
		n := r.takeSome(s, r.headers[:size])
		taken += n
		if n < size {
			break
		}
	}
	return taken
}

// takeFrames is take for a packet socket.
func (r *reader) takeFrames(s *socket, room int) int {
	if s == r.conn.frames {
		r.look()
	}
	for n := range room {
		f, ok := s.ring.peek()
		if !ok {
			return n
		}
		if s.ring.foreseen == 0 && r.conn.profile.isFragment(f.packet) {
			r.fragments.hear(time.Now(), r.conn.profile, f)
		}
		r.d = Datagram{}
		if r.conn.frame(&r.d, f) {
			r.handle(&r.d)
		}
		if s.apart {
			r.apart[r.d.Link]++
		}
		s.ring.release()
	}
	return room
}

// takeSome fills vec by one system call.
func (r *reader) takeSome(s *socket, vec []unix.Mmsghdr) int {
	for i := range vec {
		vec[i].Hdr.Namelen = nameRoom
		vec[i].Hdr.SetControllen(oobRoom)
	}
	n, errno := receiveMany(s.fd, vec)
	if errno != 0 {
		if errno != unix.EAGAIN {
			// An error such as ENETDOWN of a device: the kernel reports it once, and then the
			// socket goes on.
			r.conn.count.drop(ReceiveError)
			r.conn.options.Logger.Debug("socket reported an error", "reason", errno.Error())
		}
		return 0
	}
	for i := range n {
		r.d = Datagram{}
		if r.decode(s, i, &r.d) {
			r.handle(&r.d)
		}
		switch length := int(r.headers[i].Len); {
		case s.apart:
			r.apart[r.d.Link] += 1 + length/ringFrame
		case s.weights != nil && s.weights.add(r.d.Link, length):
			r.conn.hear(r.d.Link, s)
		}
	}
	return n
}

// decode makes d from slot i. If it cannot, it counts the reason.
func (r *reader) decode(s *socket, i int, d *Datagram) bool {
	h, n := &r.headers[i], &r.conn.count
	if h.Hdr.Flags&unix.MSG_TRUNC != 0 {
		n.drop(Truncated)
		return false
	}
	name, packet := &r.slots[i].name, r.buffers[i][:h.Len]
	oob := r.slots[i].oob[:h.Hdr.Controllen]
	cut := h.Hdr.Flags&unix.MSG_CTRUNC != 0
	if !r.conn.datagram(d, s, name, packet, oob, cut) {
		return false
	}
	if s.multicast && d.Dest == r.conn.profile.group && r.conn.links[d.Link].macs {
		r.prove(d)
	}
	return true
}

// datagram handles a datagram of the socket path.
func (c *Conn) datagram(d *Datagram, s *socket, name *[nameRoom]byte, payload, oob []byte, cut bool) bool {
	p := c.profile
	h := p.readControl(oob)
	h.headers = h.headers || cut
	d.Link, d.Dest = h.ifindex, h.dest
	d.Source = netip.AddrPortFrom(p.addr(name[p.nameAt:]), binary.BigEndian.Uint16(name[2:]))
	d.LocalPort = s.at.Port
	d.Payload = payload
	switch {
	case s.multicast && !c.multicast(d, s, h):
		return false
	case !s.multicast && h.broadcast:
		// It was sent to a broadcast address, but not by link-layer broadcast, so the filter of
		// this socket let it pass. The socket for the group has it too.
		c.count.otherPath.Add(1)
		return false
	case !p.answerable(d.Source.Addr()):
		c.count.drop(BadSource)
		return false
	}
	c.count.received[PathSocket].Add(1)
	return true
}

// multicast decides whether a datagram that came by s, for multicast or broadcast, is for the
// socket path.
func (c *Conn) multicast(d *Datagram, s *socket, h hints) bool {
	l, toGroup := c.links[d.Link], d.Dest == c.profile.group
	switch {
	case !toGroup && !h.broadcast && c.sockets[Local{Addr: d.Dest, Index: d.Link, Port: s.at.Port}] != nil:
		c.count.otherPath.Add(1) // the socket of that group has it
	case !toGroup && !h.broadcast:
		c.count.drop(OtherGroup)
	case toGroup && !h.headers && c.profile.headers()+h.options+len(d.Payload) <= frameRoom:
		// The frame path has it. If it is not for us, the frame path counts that.
		c.count.otherPath.Add(1)
	case l == nil:
		c.count.drop(NotClientLink)
	case s.at.VRF != l.VRF:
		// With net.ipv4.udp_l3mdev_accept, the wildcard socket of the default VRF gets datagrams
		// of enslaved links too.
		c.count.otherPath.Add(1)
	default:
		return true
	}
	return false
}
