package udp

import (
	"encoding/binary"
	"math/bits"
)

// sum adds b to a one's complement sum of 64 bits in the byte order of the
// network (RFC 1071). All but the last part must have an even length.
func sum(b []byte, s uint64) uint64 {
	var carry uint64
	for len(b) >= 8 {
		s, carry = bits.Add64(s, binary.BigEndian.Uint64(b), 0)
		s += carry
		b = b[8:]
	}
	var last [8]byte
	copy(last[:], b)
	s, carry = bits.Add64(s, binary.BigEndian.Uint64(last[:]), 0)
	return s + carry
}

// fold reduces s to the 16 bits of a checksum, not complemented.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s&0xffff)
}

// pseudoHeader is the sum of the pseudo-header of RFC 8200 section 8.1 for UDP:
// addresses are source and destination, 32 octets.
func pseudoHeader(addresses []byte, length int) uint64 {
	return sum(addresses, uint64(length)+protocolUDP)
}
