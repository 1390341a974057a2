package udp

import "encoding/binary"

// fragments4 cuts an IPv4 packet without options into fragments with this identification, each
// with size octets of the UDP segment.
func fragments4(id byte, p []byte, size int) (all [][]byte) {
	for at := 0; at < len(p)-ipv4Header; at += size {
		data := p[ipv4Header+at : min(ipv4Header+at+size, len(p))]
		f := append(append([]byte(nil), p[:ipv4Header]...), data...)
		flags := uint16(at / 8)
		if ipv4Header+at+len(data) < len(p) {
			flags |= moreFragments
		}
		binary.BigEndian.PutUint16(f[2:], uint16(len(f)))
		binary.BigEndian.PutUint16(f[4:], uint16(id))
		binary.BigEndian.PutUint16(f[6:], flags)
		all = append(all, rightHeader4(f))
	}
	return all
}

// rightHeader4 gives an IPv4 packet the correct header checksum.
func rightHeader4(p []byte) []byte {
	p[10], p[11] = 0, 0
	sum := uint32(0)
	for i := 0; i < headerLength4(p); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum>>16+sum))
	return p
}
