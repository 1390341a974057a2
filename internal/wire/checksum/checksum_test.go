package checksum

import (
	"encoding/binary"
	"math/rand"
	"testing"
)

// slowSum computes as RFC 1071 describes it, two octets at a time.
func slowSum(parts ...[]byte) uint16 {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	if len(all)%2 == 1 {
		all = append(all, 0)
	}
	var s uint32
	for i := 0; i < len(all); i += 2 {
		s += uint32(all[i])<<8 | uint32(all[i+1])
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestSumEqualsSlowTwin(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for n := range 200 {
		b := make([]byte, n)
		random.Read(b)
		if n%3 == 0 {
			for i := range b {
				b[i] = 0xff // every addition carries
			}
		}
		addresses := make([]byte, 32)
		random.Read(addresses)
		pseudo := binary.BigEndian.AppendUint32(append([]byte(nil), addresses...), uint32(n))
		pseudo = append(pseudo, 0, 0, 0, 17)
		got, want := Fold(Sum(b, Pseudo(addresses, n, 17))), slowSum(pseudo, b)
		// In one's complement, both values are zero.
		if got != want && got%0xffff != want%0xffff {
			t.Fatalf("%d octets: got %#x, want %#x", n, got, want)
		}
	}
}
