package udp

import (
	"hash/maphash"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// fragmentSources finds the link-layer source of a datagram that was sent in fragments. The
// kernel puts such a datagram together, and the UDP socket does not tell where it came from. The
// fragments are in the rings too, each with its link-layer source. An address is believed if it
// alone has sent fragments that, put together, are the datagram, octet by octet. Another sender
// can make the source unknown, by using the same identification, or by filling this table or the
// rings. It can never make the source another one.
type fragmentSources struct {
	seed    maphash.Seed // nobody outside can find octets with the same hash
	packets [maxPackets]fragmented
	next    int // the index that is used next
}

const (
	maxPackets = 64 // number of packets that are remembered
	maxParts   = 16 // of each packet; one with more has no known source
	// fragmentsLast is how long a packet is remembered: at least as long as the kernel waits for
	// its fragments, 60 seconds in IPv6 (RFC 8200 section 4.5), 30 seconds in IPv4.
	fragmentsLast = 60 * time.Second
)

// fragmented is a packet of which fragments were seen.
type fragmented struct {
	link   int // 0: none
	source netip.Addr
	id     uint32
	since  time.Time
	mac    [etherLen]byte
	broken bool // it has several link-layer sources, or more parts than can be remembered
	n      int
	parts  [maxParts]part
}

// part is one fragment: some octets of the UDP segment.
type part struct {
	offset, length int
	more           bool
	hash           uint64 // of the octets, without the UDP header
}

// fragment is the content of a fragment of a UDP datagram.
type fragment struct {
	source netip.Addr
	id     uint32
	offset int // offset of the octets in the UDP segment
	more   bool
	length int
	octets []byte // without the UDP header; nil if they are not complete
}

// take makes f the octets of a packet from an offset to an end.
func (f *fragment) take(packet []byte, from, end int) {
	f.length = end - from
	if f.offset == 0 {
		from += udpHeader
	}
	if end <= len(packet) && from <= end {
		f.octets = packet[from:end]
	}
}

// hear remembers a frame if it is a fragment of a UDP datagram.
func (t *fragmentSources) hear(now time.Time, p *profile, f rawFrame) {
	if f.name[11] != etherLen {
		return
	}
	piece, ok := p.fragment(f.packet)
	if !ok {
		return
	}
	of := t.packet(now, linkOf(f.name), piece.source, piece.id, [etherLen]byte(f.name[12:]))
	if of.broken || of.n == maxParts || piece.octets == nil {
		of.broken = true
		return
	}
	of.parts[of.n] = part{offset: piece.offset, length: piece.length, more: piece.more, hash: maphash.Bytes(t.seed, piece.octets)}
	of.n++
}

// packet is the entry of a packet. It is made if the packet is new.
func (t *fragmentSources) packet(now time.Time, link int, source netip.Addr, id uint32, mac [etherLen]byte) *fragmented {
	for i := range t.packets {
		if p := &t.packets[i]; p.link == link && p.id == id && p.source == source && now.Sub(p.since) < fragmentsLast {
			p.broken = p.broken || p.mac != mac
			return p
		}
	}
	p := &t.packets[t.next]
	t.next = (t.next + 1) % maxPackets
	*p = fragmented{link: link, source: source, id: id, since: now, mac: mac}
	return p
}

// sender is the link-layer address that alone has sent a datagram in fragments, if that is known.
// The fragments are then forgotten.
func (t *fragmentSources) sender(now time.Time, link int, source netip.Addr, payload []byte) (mac [etherLen]byte, known bool) {
	var first *fragmented
	for i := range t.packets {
		p := &t.packets[i]
		switch {
		case p.link != link || p.source != source || now.Sub(p.since) >= fragmentsLast || !p.is(t.seed, payload):
		case p.broken, first != nil && p.mac != first.mac:
			return mac, false
		case first == nil:
			first = p
		}
	}
	if first == nil {
		return mac, false
	}
	first.link = 0
	return first.mac, true
}

// is reports whether the fragments are exactly those of a datagram, each once.
func (p *fragmented) is(seed maphash.Seed, payload []byte) bool {
	end, more := 0, true
	for range p.n {
		f := p.at(end)
		if f == nil {
			return false
		}
		from := max(0, end-udpHeader)
		end, more = end+f.length, f.more
		if end < udpHeader || end-udpHeader > len(payload) || maphash.Bytes(seed, payload[from:end-udpHeader]) != f.hash {
			return false
		}
	}
	return !more && end == udpHeader+len(payload)
}

// at is the fragment that begins at an offset.
func (p *fragmented) at(offset int) *part {
	for i := range p.n {
		if p.parts[i].offset == offset && p.parts[i].length > 0 {
			return &p.parts[i]
		}
	}
	return nil
}

// prove gives a datagram that came by a socket the link-layer address from which its fragments
// came. All its fragments were put into the rings before it came: the frames that are still
// waiting there are looked at first.
func (r *reader) prove(d *Datagram) {
	now := time.Now()
	for _, s := range []*socket{r.conn.frames, r.conn.floods.frames} {
		if s.ring != nil {
			r.foresee(now, s.ring)
		}
	}
	if mac, known := r.fragments.sender(now, d.Link, d.Source.Addr(), d.Payload); known && unicastMAC(mac[:]) {
		d.MACLen, d.HardwareType = etherLen, unix.ARPHRD_ETHER
		copy(d.MAC[:], mac[:])
	}
}

// foresee looks for fragments among the waiting frames, once in each.
func (r *reader) foresee(now time.Time, from *ring) {
	for from.foreseen < ringFrames {
		f, ok := from.ahead(from.foreseen)
		if !ok {
			return
		}
		r.fragments.hear(now, r.conn.profile, f)
		from.foreseen++
	}
}
