// Package admission decides which messages are worked on at all, and in which
// order, so that a flood costs the flooder: a Gate of token buckets stands
// before all other work, and a Queue of bounded length gives each link, and
// each source on a link, its turn.
//
//	datagram -> Gate.Admit -> Queue.Push ... Queue.Pop -> the relay
//
// It looks at who sent a message and over which link, never at what the message says: that
// is the relay's. Clients are to limit themselves (RFC 8415 section 14.1); the RFC does
// not say how a relay limits what it forwards, and section 22 names the flood against
// which it must.
//
// A Gate and a Queue are used by one goroutine at a time. All memory is allocated when
// they are made and does not grow with the traffic; only the Gate's table of links grows,
// with the links that Set gives it. Items are passed by value; nothing remembers an item
// that has left.
//
// Both find a source by a keyed hash, and the Key is a secret of the process. A host that
// could choose addresses with equal hashes would push other sources out of the Gate's
// table, or make the Queue slow.
package admission

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"fairlead/internal/wire/linkaddr"
)

// Source is the sender of a message on its link: a link-layer address, or the IP address
// where no link-layer address is known (PPP, unicast). It is comparable. The zero Source
// is the unknown sender.
type Source struct {
	high, low uint64
	many      bool
}

// SourceOf is the source with a link-layer address, or else with an IP address.
func SourceOf(linkLayer linkaddr.Addr, ip netip.Addr) Source {
	if !linkLayer.IsValid() {
		octets := ip.As16()
		return Source{high: binary.BigEndian.Uint64(octets[:8]), low: binary.BigEndian.Uint64(octets[8:])}
	}
	var octets [linkaddr.MaxLen]byte
	linkLayer.Append(octets[:0])
	// No IP packet has a multicast address as its source, so that no sender can be this one.
	return Source{high: 0xff<<56 | uint64(linkLayer.Len()), low: binary.BigEndian.Uint64(octets[:])}
}

// ForMany is a sender that speaks for many clients by the operator's configuration: a
// relay agent below us, or a server. It is bounded by the limit of its link and by the
// length of the queue, and has no limit of its own.
func (s Source) ForMany() Source {
	s.many = true
	return s
}

// Newcomers is the one source under which a Queue files all newcomers of a link. However
// many addresses a host invents, they then share one place in the rotation with the known
// sources.
func Newcomers() Source { return Source{high: 0xff << 56, many: true} }

// Key is the secret of the hashes: random, never shown.
type Key [2]uint64

// sum is SipHash-1-3 of three words, as 24 octets in little-endian order.
func (k Key) sum(a, b, c uint64) uint64 {
	s := sip{k[0] ^ 0x736f6d6570736575, k[1] ^ 0x646f72616e646f6d, k[0] ^ 0x6c7967656e657261, k[1] ^ 0x7465646279746573}
	s = s.take(a).take(b).take(c).take(24 << 56)
	s.v2 ^= 0xff
	s = s.round().round().round()
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3
}

// sip is the state of SipHash; fields rather than an array keep it in registers.
type sip struct{ v0, v1, v2, v3 uint64 }

func (s sip) take(word uint64) sip {
	s.v3 ^= word
	s = s.round()
	s.v0 ^= word
	return s
}

func (s sip) round() sip {
	s.v0 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v2 = bits.RotateLeft64(s.v2, 32)
	return s
}

// of is the hash of a source on a link.
func (k Key) of(link int, s Source) uint64 { return k.sum(uint64(link), s.high, s.low) }
