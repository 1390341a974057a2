package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	frameHopLimit         = 64
	multicastPeerHopLimit = 8 // RFC 8415 section 19.1
	maxPayload            = 65535 - udpHeader
)

// parcel is the place of one message in a system call.
type parcel struct {
	oob     [oobOutRoom]byte
	name    [nameRoom]byte
	headers [frameHeaders]byte
	iov     [2]unix.Iovec // headers of a frame, payload
}

const oobOutRoom = 64 // IPV6_PKTINFO and IPV6_HOPLIMIT: 40 and 24 octets

// writer is the memory of one Send.
type writer struct {
	conn    *Conn
	parcels []parcel
	headers []unix.Mmsghdr
	route   []*socket // socket of each message, nil when it is done with
	index   []int     // which message a parcel is
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

// Send sends batch, with one system call for all that leaves by one socket.
// What cannot be sent does not stop the rest: failed, if not nil, is called for
// it with its index in batch, from this goroutine and before Send returns. The
// order is kept among messages that leave by one socket. A full queue is a
// failure of that message (EAGAIN), never a wait.
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
		// It may be about an earlier datagram, and it was told by this; there may be
		// several. EINVAL says that the SA that was chosen was deleted just then, as
		// happens when it is rekeyed: now the new one is taken.
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

// choose returns the socket that o leaves by.
func (c *Conn) choose(o *Outgoing) (*socket, error) {
	switch {
	case c.closing.Load():
		return nil, net.ErrClosed
	case !o.Dest.Addr().Is6() || o.Dest.Addr().Is4In6() || o.Dest.Port() == 0:
		return nil, ErrDestination
	case len(o.Payload) > maxPayload:
		return nil, ErrTooBig
	case o.Kind == ToPeer:
		return c.toPeer(o)
	}
	l := c.links[o.Link]
	switch {
	case l == nil:
		return nil, ErrNotClientLink
	case l.takesFrame(o):
		return c.frames, nil
	case l.socket == nil:
		return nil, ErrNoLocal
	}
	return l.socket, nil
}

// takesFrame says whether o can leave as one frame.
func (l *link) takesFrame(o *Outgoing) bool {
	return l.macs && o.MACLen == etherLen && unicastMAC(o.MAC[:etherLen]) &&
		(l.LinkLocal.Is6() || o.Source.Is6()) && !o.Dest.Addr().IsMulticast() &&
		frameHeaders+len(o.Payload) <= l.MTU
}

// toPeer prefers the socket that is for this peer alone, then the one at
// o.Source, then the wildcard of the VRF.
func (c *Conn) toPeer(o *Outgoing) (*socket, error) {
	e := Local{Addr: o.Source, VRF: o.VRF, Port: o.SourcePort}
	if e.Port == 0 {
		e.Port = c.options.Port
	}
	if o.Source.Is6() {
		if o.Source.IsLinkLocalUnicast() {
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
	e.Addr, e.Index = netip.IPv6Unspecified(), 0
	if s := c.sockets[e]; s != nil {
		return s, nil
	}
	return nil, ErrNoLocal
}

// pack fills parcel n with o.
func (w *writer) pack(n int, s *socket, o *Outgoing) {
	p, h := &w.parcels[n], &w.headers[n].Hdr
	if s.frames {
		p.frame(h, w.conn.links[o.Link], w.conn.options.Port, o)
		return
	}
	p.datagram(h, s, o)
}

func (p *parcel) frame(h *unix.Msghdr, l *link, port uint16, o *Outgoing) {
	source, hopLimit := l.LinkLocal, o.HopLimit
	if o.Source.Is6() {
		source = o.Source
	}
	if hopLimit == 0 {
		hopLimit = frameHopLimit
	}
	putFrameHeaders(p.headers[:], netip.AddrPortFrom(source, port), o.Dest, hopLimit, o.Payload)
	p.name = [nameRoom]byte{}
	binary.NativeEndian.PutUint16(p.name[0:], unix.AF_PACKET)
	binary.BigEndian.PutUint16(p.name[2:], unix.ETH_P_IPV6)
	binary.NativeEndian.PutUint32(p.name[4:], uint32(l.Index))
	p.name[11] = etherLen
	copy(p.name[12:], o.MAC[:etherLen])
	p.load(h, unix.SizeofSockaddrLinklayer, 0, p.headers[:], o.Payload)
}

func (p *parcel) datagram(h *unix.Msghdr, s *socket, o *Outgoing) {
	if s.at.Peer.IsValid() && o.HopLimit == 0 {
		p.load(h, 0, 0, nil, o.Payload)
		return
	}
	dest := o.Dest.Addr()
	scoped := dest.IsLinkLocalUnicast() || dest.IsMulticast()
	p.name = [nameRoom]byte{}
	binary.NativeEndian.PutUint16(p.name[0:], unix.AF_INET6)
	binary.BigEndian.PutUint16(p.name[2:], o.Dest.Port())
	addr := dest.As16()
	copy(p.name[8:], addr[:])
	if scoped {
		binary.NativeEndian.PutUint32(p.name[24:], uint32(o.Link))
	}
	var ifindex int
	if o.Kind == ToClient || scoped {
		ifindex = o.Link
	}
	size := 0
	// A socket that is bound to an address needs no telling.
	if source := o.Source.Is6() && s.at.Addr.IsUnspecified(); source || ifindex != 0 {
		size += p.putPacketInfo(size, source, o.Source, ifindex)
	}
	hopLimit := o.HopLimit
	if hopLimit == 0 && o.Kind == ToPeer && dest.IsMulticast() {
		hopLimit = multicastPeerHopLimit
	}
	if hopLimit != 0 {
		data := p.control(size, unix.IPV6_HOPLIMIT, 4)
		binary.NativeEndian.PutUint32(data, uint32(hopLimit))
		size += unix.CmsgSpace(4)
	}
	p.load(h, unix.SizeofSockaddrInet6, size, nil, o.Payload)
}

// putPacketInfo writes the source address and the interface (RFC 3542 section
// 6.1) and returns the room taken.
func (p *parcel) putPacketInfo(at int, withSource bool, source netip.Addr, ifindex int) int {
	data := p.control(at, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
	clear(data[:16])
	if withSource {
		a := source.As16()
		copy(data, a[:])
	}
	binary.NativeEndian.PutUint32(data[16:], uint32(ifindex))
	return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
}

// control writes the header of a control message at an offset and returns the
// place of its data.
func (p *parcel) control(at, kind, length int) []byte {
	header := (*unix.Cmsghdr)(unsafe.Pointer(&p.oob[at]))
	header.Level, header.Type = unix.IPPROTO_IPV6, int32(kind)
	header.SetLen(unix.CmsgLen(length))
	data := at + unix.CmsgLen(0)
	return p.oob[data : data+length]
}

// load points h at what is to be sent.
func (p *parcel) load(h *unix.Msghdr, nameLen, oobLen int, headers, payload []byte) {
	h.Name = nil // as a connected socket wants it
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
