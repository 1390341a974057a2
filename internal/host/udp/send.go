package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const frameHopLimit = 64

// parcel is the room for one message in a system call.
type parcel struct {
	oob     [oobOutRoom]byte
	name    [nameRoom]byte
	headers [ipv6Header + udpHeader]byte // those of IPv4 are shorter
	iov     [2]unix.Iovec                // headers of a frame, payload
}

const oobOutRoom = 64 // IPV6_PKTINFO and IPV6_HOPLIMIT: 40 and 24 octets; those of IPv4 are shorter

// writer is the memory of one Send.
type writer struct {
	conn    *Conn
	parcels []parcel
	headers []unix.Mmsghdr
	route   []*socket // the socket of each message; nil when the message is done
	index   []int     // the index in the batch of each parcel's message
}

func newWriter(c *Conn) *writer {
	size := c.options.Batch
	w := &writer{conn: c}
	w.parcels = make([]parcel, size)
	w.headers = make([]unix.Mmsghdr, size)
	w.route = make([]*socket, size)
	w.index = make([]int, size)
	return w
}

// sendsAtOnce bounds the Send calls that run at the same time; others wait.
const sendsAtOnce = 3

// Send sends batch, with one system call for all messages that leave by one socket. If a message
// cannot be sent, the others are sent all the same. failed, if not nil, is then called with the
// index of the message in batch, by this goroutine and before Send returns. Messages that leave
// by one socket keep their order. If a queue is full, the message fails with EAGAIN; Send never
// waits.
func (c *Conn) Send(batch []Outgoing, failed func(i int, err error)) {
	w := <-c.out
	defer func() { c.out <- w }()
	c.mu.RLock()
	defer c.mu.RUnlock()
	for first := 0; first < len(batch); first += len(w.parcels) {
		w.chunk(batch[first:min(len(batch), first+len(w.parcels))], first, failed)
	}
}

// chunk sends a part of a batch whose first message has index base.
func (w *writer) chunk(batch []Outgoing, base int, failed func(int, error)) {
	for i := range batch {
		s, err := w.conn.choose(&batch[i])
		if w.route[i] = s; err != nil {
			w.fail(base+i, err, failed)
		}
	}
	for i := range batch {
		s := w.route[i]
		if s == nil {
			continue
		}
		n := 0
		for j := i; j < len(batch); j++ {
			if w.route[j] == s {
				w.route[j] = nil
				w.pack(n, s, &batch[j])
				w.index[n] = base + j
				n++
			}
		}
		w.flush(s, n, failed)
	}
}

func (w *writer) fail(i int, err error, failed func(int, error)) {
	w.conn.count.drop(SendFailed)
	if failed != nil {
		failed(i, err)
	}
}

// flush sends the first n parcels by s.
func (w *writer) flush(s *socket, n int, failed func(int, error)) {
	sent := &w.conn.count.sent[PathSocket]
	if s.frames {
		sent = &w.conn.count.sent[PathFrame]
	}
	for i := 0; i < n; {
		done, errno := sendMany(s.fd, w.headers[i:n])
		// The error may be about an earlier datagram, and was reported only now; there may be
		// several. EINVAL says that the SA that was chosen has just been deleted, as happens when
		// it is rekeyed: the next try uses the new SA.
		for tries := 0; errno != 0 && errno != unix.EAGAIN && tries < 3; tries++ {
			done, errno = sendMany(s.fd, w.headers[i:n])
		}
		if errno != 0 {
			w.fail(w.index[i], errno, failed)
			i++
			continue
		}
		sent.Add(uint64(done))
		i += done
	}
	for i := range n {
		w.parcels[i].iov[0].Base, w.parcels[i].iov[1].Base = nil, nil
	}
}

// choose returns the socket by which o leaves.
func (c *Conn) choose(o *Outgoing) (*socket, error) {
	switch {
	case c.closing.Load():
		return nil, net.ErrClosed
	case !c.profile.is(o.Dest.Addr()) || o.Dest.Port() == 0:
		return nil, ErrDestination
	case len(o.Payload) > c.profile.maxPayload:
		return nil, ErrTooBig
	case o.Kind == ToPeer:
		return c.toPeer(o)
	}
	l := c.links[o.Link]
	switch {
	case l == nil:
		return nil, ErrNotClientLink
	case c.takesFrame(l, o):
		return c.frames, nil
	case l.socket == nil:
		return nil, ErrNoLocal
	}
	return l.socket, nil
}

// takesFrame reports whether o can leave as one frame on l.
func (c *Conn) takesFrame(l *link, o *Outgoing) bool {
	p, dest := c.profile, o.Dest.Addr()
	return l.macs && o.MACLen == etherLen && !dest.IsMulticast() &&
		(unicastMAC(o.MAC[:etherLen]) || dest == p.group && [etherLen]byte(o.MAC[:]) == broadcastMAC) &&
		(p.is(l.Source) || p.is(o.Source)) && p.headers()+len(o.Payload) <= l.MTU
}

var broadcastMAC = [etherLen]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// toPeer returns the socket for this peer alone, or else the one at o.Source, or else the
// wildcard of the VRF.
func (c *Conn) toPeer(o *Outgoing) (*socket, error) {
	e := Local{Addr: o.Source, VRF: o.VRF, Port: o.SourcePort}
	if e.Port == 0 {
		e.Port = c.options.Port
	}
	if c.profile.is(o.Source) {
		if c.profile.scoped(o.Source) {
			e.Index = o.Link
		}
		e.Peer = o.Dest
		if s := c.sockets[e]; s != nil {
			return s, nil
		}
		e.Peer = netip.AddrPort{}
		if s := c.sockets[e]; s != nil {
			return s, nil
		}
	}
	e.Addr, e.Index = c.profile.unspecified, 0
	if s := c.sockets[e]; s != nil {
		return s, nil
	}
	return nil, ErrNoLocal
}

// pack fills parcel n with o.
func (w *writer) pack(n int, s *socket, o *Outgoing) {
	p, h := &w.parcels[n], &w.headers[n].Hdr
	p.name = [nameRoom]byte{}
	if s.frames {
		p.frame(h, w.conn.links[o.Link], w.conn.options.Port, o, w.conn.profile)
		return
	}
	p.datagram(h, s, o, w.conn.profile)
}

func (p *parcel) frame(h *unix.Msghdr, l *link, port uint16, o *Outgoing, ip *profile) {
	source, hopLimit := l.Source, o.HopLimit
	if ip.is(o.Source) {
		source = o.Source
	}
	if hopLimit == 0 {
		hopLimit = frameHopLimit
	}
	headers := ip.putFrameHeaders(p.headers[:], netip.AddrPortFrom(source, port), o.Dest, hopLimit, o.Payload)
	binary.NativeEndian.PutUint16(p.name[0:], unix.AF_PACKET)
	binary.BigEndian.PutUint16(p.name[2:], ip.etherType)
	binary.NativeEndian.PutUint32(p.name[4:], uint32(l.Index))
	p.name[11] = etherLen
	copy(p.name[12:], o.MAC[:etherLen])
	p.load(h, unix.SizeofSockaddrLinklayer, 0, headers, o.Payload)
}

func (p *parcel) datagram(h *unix.Msghdr, s *socket, o *Outgoing, ip *profile) {
	if s.at.Peer.IsValid() && o.HopLimit == 0 {
		p.load(h, 0, 0, nil, o.Payload)
		return
	}
	dest := o.Dest.Addr()
	scope, ifindex := 0, 0
	if ip.scoped(dest) {
		scope = o.Link
	}
	if ifindex = scope; o.Kind == ToClient {
		ifindex = o.Link
	}
	ip.putName(p.name[:], o.Dest, scope)
	size := 0
	var source netip.Addr
	if s.at.Addr.IsUnspecified() && ip.is(o.Source) { // a socket that is bound to an address does not need it
		source = o.Source
	}
	if source.IsValid() || ifindex != 0 {
		ip.putPacketInfo(p.control(ip.level, &size, ip.packetInfo, ip.packetInfoLen), source, ifindex)
	}
	hopLimit := o.HopLimit
	if hopLimit == 0 && o.Kind == ToPeer && dest.IsMulticast() {
		hopLimit = ip.multicastHopLimit
	}
	if hopLimit != 0 {
		binary.NativeEndian.PutUint32(p.control(ip.level, &size, ip.hopLimit, 4), uint32(hopLimit))
	}
	p.load(h, ip.nameLen, size, nil, o.Payload)
}

// control begins a control message after those of *size octets. It increases size, and returns
// the room for the data, which is zero.
func (p *parcel) control(level int, size *int, kind, length int) []byte {
	header := (*unix.Cmsghdr)(unsafe.Pointer(&p.oob[*size]))
	header.Level, header.Type = int32(level), int32(kind)
	header.SetLen(unix.CmsgLen(length))
	data := p.oob[*size+unix.CmsgLen(0):][:length]
	clear(data)
	*size += unix.CmsgSpace(length)
	return data
}

// load makes h refer to what is to be sent.
func (p *parcel) load(h *unix.Msghdr, nameLen, oobLen int, headers, payload []byte) {
	h.Name = nil // for a connected socket
	if nameLen > 0 {
		h.Name = &p.name[0]
	}
	h.Namelen = uint32(nameLen)
	h.Control = nil
	if oobLen > 0 {
		h.Control = &p.oob[0]
	}
	h.SetControllen(oobLen)
	first := 1
	if len(headers) > 0 {
		first = 0
		p.iov[0].Base = &headers[0]
		p.iov[0].SetLen(len(headers))
	}
	if len(payload) > 0 {
		p.iov[1].Base = &payload[0]
	}
	p.iov[1].SetLen(len(payload))
	h.Iov = &p.iov[first]
	h.SetIovlen(2 - first)
}
