package udp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	etherLen   = 6
	maxMAC     = 8
	nameRoom   = 32  // sockaddr_in6 and sockaddr_ll are shorter
	oobRoom    = 256 // longer control messages are cut, which is told
	maxSockets = 64  // ready sockets looked at in one round
)

// slot is the place of one datagram in a system call.
type slot struct {
	oob  [oobRoom]byte
	name [nameRoom]byte
	iov  unix.Iovec
}

// reader is the receiving half. Slot i holds what becomes batch[i]; a datagram
// that is discarded gives its buffer to the next one.
type reader struct {
	conn    *Conn
	mu      sync.Mutex // held by one Receive; guards all following fields
	slots   []slot
	headers []unix.Mmsghdr
	buffers [][]byte
	events  []unix.EpollEvent
	ready   []*socket
	batch   []Datagram
	n       int // how many of batch are filled
	drain   func(poll uintptr) bool
}

func (r *reader) init(c *Conn) {
	size, room := c.options.Batch, c.options.MaxDatagram
	r.conn = c
	r.slots = make([]slot, size)
	r.headers = make([]unix.Mmsghdr, size)
	r.buffers = make([][]byte, size)
	r.events = make([]unix.EpollEvent, maxSockets)
	r.ready = make([]*socket, 0, maxSockets)
	// The kernel gives pages of this when they are first written to, so that
	// what costs memory is what has arrived, not what may.
	arena := make([]byte, size*room)
	for i := range r.slots {
		r.buffers[i] = arena[i*room : (i+1)*room : (i+1)*room]
		r.slots[i].iov.SetLen(room)
		h := &r.headers[i].Hdr
		h.Name = &r.slots[i].name[0]
		h.Control = &r.slots[i].oob[0]
		h.Iov = &r.slots[i].iov
		h.SetIovlen(1)
	}
	r.drain = r.fill
}

// Receive waits for datagrams and fills batch with as many as there are, at
// most Options.Batch. All sockets that have something get an equal share. It
// returns net.ErrClosed after Close.
func (c *Conn) Receive(batch []Datagram) (int, error) {
	if len(batch) == 0 {
		return 0, nil
	}
	r := &c.in
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batch = batch[:min(len(batch), len(r.slots))]
	r.n = 0
	err := c.wait.Read(r.drain)
	r.batch = nil
	if c.closing.Load() {
		return 0, net.ErrClosed
	}
	if err != nil {
		return 0, fmt.Errorf("udp: wait for datagrams: %w", err)
	}
	return r.n, nil
}

// fill is called by the runtime's poller; false means to wait for more.
func (r *reader) fill(poll uintptr) bool {
	for !r.conn.closing.Load() {
		n, err := unix.EpollWait(int(poll), r.events, 0)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return false
		}
		if r.round(r.events[:n]); r.n > 0 {
			return true
		}
	}
	return true
}

// round shares what is left of the batch among the sockets that are ready,
// until it is full or they are empty.
func (r *reader) round(events []unix.EpollEvent) {
	r.conn.mu.RLock()
	defer r.conn.mu.RUnlock()
	r.ready = r.ready[:0]
	for i := range events {
		// A socket may have been closed since.
		if s := r.conn.byFD[events[i].Fd]; s != nil {
			r.ready = append(r.ready, s)
		}
	}
	for len(r.ready) > 0 && r.n < len(r.batch) {
		share := max(1, (len(r.batch)-r.n)/len(r.ready))
		busy := r.ready[:0]
		for _, s := range r.ready {
			room := min(share, len(r.batch)-r.n)
			if room == 0 {
				break
			}
			if r.take(s, room) == room {
				busy = append(busy, s)
			}
		}
		r.ready = busy
	}
}

// take receives at most room datagrams from s, keeps the good ones and returns
// how many there were.
func (r *reader) take(s *socket, room int) int {
	first := r.n
	vec := r.headers[first : first+room]
	for i := range vec {
		sl := &r.slots[first+i]
		sl.iov.Base = &r.buffers[first+i][0]
		vec[i].Hdr.Namelen = nameRoom
		vec[i].Hdr.SetControllen(oobRoom)
	}
	n, errno := receiveMany(s.fd, vec)
	if errno != 0 {
		if errno != unix.EAGAIN {
			// Such as ENETDOWN of a device: told once, and then it goes on.
			r.conn.count.receiveErrors.Add(1)
			r.conn.options.Logger.Debug("socket reported an error", "reason", errno.Error())
		}
		return 0
	}
	for i := first; i < first+n; i++ {
		d := &r.batch[r.n]
		*d = Datagram{}
		if !r.decode(s, i, d) {
			continue
		}
		r.buffers[r.n], r.buffers[i] = r.buffers[i], r.buffers[r.n]
		r.n++
	}
	return n
}

// decode makes d of what is in slot i, or counts why not.
func (r *reader) decode(s *socket, i int, d *Datagram) bool {
	h, n := &r.headers[i], &r.conn.count
	if h.Hdr.Flags&unix.MSG_TRUNC != 0 {
		n.truncated.Add(1)
		return false
	}
	name, packet := &r.slots[i].name, r.buffers[i][:h.Len]
	oob := r.slots[i].oob[:h.Hdr.Controllen]
	if s.frames {
		return r.conn.frame(d, name, packet, oob)
	}
	cut := h.Hdr.Flags&unix.MSG_CTRUNC != 0
	return r.conn.datagram(d, s, name, packet, oob, cut)
}

// datagram is the socket path.
func (c *Conn) datagram(d *Datagram, s *socket, name *[nameRoom]byte, payload, oob []byte, cut bool) bool {
	hints := readControl(oob)
	d.Link, d.Dest = hints.ifindex, hints.dest
	d.Source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(name[8:24])), binary.BigEndian.Uint16(name[2:]))
	d.LocalPort = s.at.port
	d.Payload = payload
	if s.multicast && !c.multicast(d, s, hints.headers || cut) {
		return false
	}
	if !answerable(d.Source.Addr()) {
		c.count.badSource.Add(1)
		return false
	}
	c.count.socketReceived.Add(1)
	return true
}

// multicast decides whether what came by s, for multicast, is one for the socket
// path. headers says that it was fragmented or had extension headers.
func (c *Conn) multicast(d *Datagram, s *socket, headers bool) bool {
	l := c.links[d.Link]
	switch {
	case d.Dest != AllRelayAgentsAndServers:
		c.count.otherGroup.Add(1)
	case l == nil && headers:
		c.count.notClientLink.Add(1)
	case l == nil:
		// The frame path sees it as well and counts it as not ours.
		c.count.otherPath.Add(1)
	case l.frames && !headers:
		c.count.otherPath.Add(1)
	case s.twin != l.socket:
		// With net.ipv4.udp_l3mdev_accept the wildcard socket of the default
		// VRF sees what comes in on enslaved links, too.
		c.count.otherPath.Add(1)
	default:
		return true
	}
	return false
}

// answerable says whether a datagram from a can be one, as the kernel does for
// its own sockets, and can be answered.
func answerable(a netip.Addr) bool {
	return !a.IsMulticast() && !a.IsUnspecified() && !a.IsLoopback() && !a.Is4In6()
}

type hints struct {
	ifindex int
	dest    netip.Addr
	headers bool
}

// readControl reads the control messages of a UDP socket: RFC 3542 section 6.2
// for the interface and the destination; the presence of others shows that the
// packet was not just IPv6 and UDP. Of the other extension headers, the kernel
// refuses routing headers in multicast.
func readControl(oob []byte) hints {
	var h hints
	for len(oob) >= unix.SizeofCmsghdr {
		header, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		oob = rest
		if header.Level != unix.IPPROTO_IPV6 {
			continue
		}
		switch header.Type {
		case unix.IPV6_PKTINFO:
			if len(data) >= unix.SizeofInet6Pktinfo {
				h.dest = netip.AddrFrom16([16]byte(data))
				h.ifindex = int(binary.NativeEndian.Uint32(data[16:]))
			}
		case unix.IPV6_RECVFRAGSIZE, unix.IPV6_HOPOPTS, unix.IPV6_DSTOPTS:
			h.headers = true
		}
	}
	return h
}
