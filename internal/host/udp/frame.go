package udp

import (
	"encoding/binary"
	"net/netip"
)

// frame is the frame path. f begins with an IP header, and has passed clientFilter.
func (c *Conn) frame(d *Datagram, f rawFrame) bool {
	name, packet, p := f.name, f.packet, c.profile
	d.Link = linkOf(name)
	l := c.links[d.Link]
	switch {
	case p.isFragment(packet):
		if l != nil {
			c.hearFragments()
		}
		c.count.fragments.Add(1)
		return false
	case l == nil:
		c.count.drop(NotClientLink)
		return false
	case len(packet) > c.options.MaxDatagram:
		c.count.drop(Truncated)
		return false
	}
	segment, flaw, ok := p.segment(packet)
	if !ok {
		c.count.drop(flaw)
		return false
	}
	if !f.pending && !p.checksumRight(packet, segment) {
		c.count.drop(BadChecksum)
		return false
	}
	source := p.addr(packet[p.sourceAt:])
	if !p.answerable(source) || !l.tellSender(d, name) {
		c.count.drop(BadSource)
		return false
	}
	d.Source = netip.AddrPortFrom(source, binary.BigEndian.Uint16(segment))
	d.Dest = p.group
	d.LocalPort = c.options.Port
	d.Path = PathFrame
	d.Payload = segment[udpHeader:]
	c.count.received[PathFrame].Add(1)
	return true
}

// tellSender fills in the link-layer source, on a link that has such addresses. It returns false
// for an address that nobody can have.
func (l *link) tellSender(d *Datagram, name []byte) bool {
	if !l.macs {
		return true
	}
	d.HardwareType = binary.NativeEndian.Uint16(name[8:])
	d.MACLen = name[11]
	if d.MACLen > maxMAC {
		d.MACLen = 0
	}
	copy(d.MAC[:d.MACLen], name[12:])
	return unicastMAC(d.MAC[:d.MACLen])
}

// unicastMAC reports whether a frame can be sent to mac: it is no group address and not all
// zeros.
func unicastMAC(mac []byte) bool {
	if len(mac) == 0 || mac[0]&1 != 0 {
		return false
	}
	for _, b := range mac {
		if b != 0 {
			return true
		}
	}
	return false
}
