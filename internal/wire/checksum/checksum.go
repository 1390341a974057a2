// Package checksum computes the checksum of UDP and ICMPv6 over IPv6 (RFC 1071, RFC 8200 section
// 8.1). It knows no packets, and allocates nothing.
package checksum

import (
	"encoding/binary"
	"math/bits"
)

// Sum adds b to a one's complement sum of 64 bits in network byte order. All parts but the last
// must have an even length.
func Sum(b []byte, s uint64) uint64 {
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

// Fold reduces s to the 16 bits of a checksum, and does not complement it.
func Fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s&0xffff)
}

// Pseudo is the sum of the pseudo-header. addresses are source and destination, 32 octets; length
// is the length of the upper-layer packet.
func Pseudo(addresses []byte, length int, protocol uint8) uint64 {
	return Sum(addresses, uint64(length)+uint64(protocol))
}
