package udp

import (
	"encoding/binary"
	"net/netip"

	"fairlead/internal/wire/checksum"
	"fairlead/internal/wire/dhcp6"
)

// frame is the frame path: f begins with an IPv6 header that passed
// clientFilter.
func (c *Conn) frame(d *Datagram, f rawFrame) bool {
	name, packet := f.name, f.packet
	d.Link = linkOf(name)
	l := c.links[d.Link]
	switch {
	case isFragment(packet):
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
	segment, ok := udpSegment(packet)
	if !ok {
		c.count.drop(Malformed)
		return false
	}
	if !f.pending && !checksumRight(packet, segment) {
		c.count.drop(BadChecksum)
		return false
	}
	source := netip.AddrFrom16([16]byte(packet[8:24]))
	if !answerable(source) || !l.tellSender(d, name) {
		c.count.drop(BadSource)
		return false
	}
	d.Source = netip.AddrPortFrom(source, binary.BigEndian.Uint16(segment))
	d.Dest = dhcp6.AllRelayAgentsAndServers
	d.LocalPort = c.options.Port
	d.Path = PathFrame
	d.Payload = segment[udpHeader:]
	c.count.received[PathFrame].Add(1)
	return true
}

// tellSender fills in the link-layer source, on a link that has such addresses. False
// says that nobody can have it.
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

// isFragment reports whether the IPv6 header is followed by that of a fragment.
func isFragment(packet []byte) bool { return len(packet) > 6 && packet[6] == protocolFragment }

// udpSegment is the UDP header and payload of an IPv6 packet without extension
// headers. Link layers may pad, so what follows is ignored.
func udpSegment(packet []byte) ([]byte, bool) {
	if len(packet) < frameHeaders || packet[0]>>4 != 6 {
		return nil, false
	}
	inIP := int(binary.BigEndian.Uint16(packet[4:]))
	inUDP := int(binary.BigEndian.Uint16(packet[ipv6Header+4:]))
	if inUDP < udpHeader || inUDP > inIP || ipv6Header+inIP > len(packet) {
		return nil, false
	}
	return packet[ipv6Header : ipv6Header+inUDP], true
}

// checksumRight verifies the checksum, which RFC 8200 section 8.1 demands.
func checksumRight(packet, segment []byte) bool {
	if segment[6] == 0 && segment[7] == 0 {
		return false
	}
	return checksum.Fold(checksum.Sum(segment, checksum.Pseudo(packet[8:40], len(segment), protocolUDP))) == 0xffff
}

// unicastMAC says whether a frame can be sent to mac: not a group address and
// not all zeros.
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

// putFrameHeaders writes the IPv6 and UDP headers for payload to b, which has
// frameHeaders octets.
func putFrameHeaders(b []byte, source, dest netip.AddrPort, hopLimit uint8, payload []byte) {
	length := udpHeader + len(payload)
	binary.BigEndian.PutUint32(b, 6<<28)
	binary.BigEndian.PutUint16(b[4:], uint16(length))
	b[6], b[7] = protocolUDP, hopLimit
	from, to := source.Addr().As16(), dest.Addr().As16()
	copy(b[8:], from[:])
	copy(b[24:], to[:])
	segment := b[ipv6Header:frameHeaders]
	binary.BigEndian.PutUint16(segment, source.Port())
	binary.BigEndian.PutUint16(segment[2:], dest.Port())
	binary.BigEndian.PutUint16(segment[4:], uint16(length))
	segment[6], segment[7] = 0, 0
	c := ^checksum.Fold(checksum.Sum(payload, checksum.Sum(segment, checksum.Pseudo(b[8:40], length, protocolUDP))))
	if c == 0 {
		c = 0xffff // zero would say that there is none
	}
	binary.BigEndian.PutUint16(segment[6:], c)
}
