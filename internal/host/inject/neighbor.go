package inject

import (
	"encoding/binary"

	"fairlead/internal/core/loadgen"
)

const (
	advertised  = 136 // Neighbor Advertisement, RFC 4861 section 4.4
	advertLen   = 32  // with the link-layer address
	ndHops      = 255 // RFC 4861 section 7.1.1: it has passed no router
	flagAnswer  = 0x40
	flagReplace = 0x20
)

// solicitation queues the answer to a Neighbor Solicitation for a client's
// address (RFC 4861 section 7.2.4).
func (p *Port) solicitation(f []byte) {
	if len(f) < atTarget+16 || f[atHops] != ndHops {
		return
	}
	client, ok := p.clientOf(f[atTarget : atTarget+16])
	if !ok {
		return
	}
	a := frame(p.answers.room())
	mac := loadgen.MAC(client)
	copy(a, f[6:12])
	copy(a[6:], mac[:])
	binary.BigEndian.PutUint16(a[atIP+4:], advertLen)
	a[atNext], a[atHops] = protoICMP6, ndHops
	copy(a[atSource:], f[atTarget:atTarget+16])
	copy(a[atDest:], f[atSource:atSource+16])
	flags := byte(flagAnswer | flagReplace)
	if [16]byte(f[atSource:atSource+16]) == [16]byte{} {
		// Somebody asks whether the address is free: all nodes are told.
		copy(a, []byte{0x33, 0x33, 0, 0, 0, 1})
		copy(a[atDest:], []byte{0: 0xff, 1: 0x02, 15: 1})
		flags = flagReplace
	}
	clear(a[atUpper : atUpper+8])
	a[atUpper], a[atUpper+4] = advertised, flags
	copy(a[atTarget:], f[atTarget:atTarget+16])
	a[atTarget+16], a[atTarget+17] = 2, 1 // Target Link-Layer Address, in units of 8 octets
	copy(a[atTarget+18:], mac[:])
	a.checksum(atUpper+2, protoICMP6, advertLen)
	p.answers.add(nobody, atUpper+advertLen)
}
