package admission

import (
	"encoding/binary"
	"math/bits"
	"testing"
)

var testKey = Key{0x0706050403020100, 0x0f0e0d0c0b0a0908}

// siphash is the function as its paper has it, over octets and with any number
// of rounds.
func siphash(compress, finish int, key Key, message []byte) uint64 {
	v0, v1 := key[0]^0x736f6d6570736575, key[1]^0x646f72616e646f6d
	v2, v3 := key[0]^0x6c7967656e657261, key[1]^0x7465646279746573
	rounds := func(n int) {
		for range n {
			v0, v2 = v0+v1, v2+v3
			v1, v3 = bits.RotateLeft64(v1, 13), bits.RotateLeft64(v3, 16)
			v1, v3 = v1^v0, v3^v2
			v0 = bits.RotateLeft64(v0, 32)
			v2, v0 = v2+v1, v0+v3
			v1, v3 = bits.RotateLeft64(v1, 17), bits.RotateLeft64(v3, 21)
			v1, v3 = v1^v2, v3^v0
			v2 = bits.RotateLeft64(v2, 32)
		}
	}
	padded := append([]byte(nil), message...)
	for len(padded)%8 != 7 {
		padded = append(padded, 0)
	}
	padded = append(padded, byte(len(message)))
	for ; len(padded) > 0; padded = padded[8:] {
		m := binary.LittleEndian.Uint64(padded)
		v3 ^= m
		rounds(compress)
		v0 ^= m
	}
	v2 ^= 0xff
	rounds(finish)
	return v0 ^ v1 ^ v2 ^ v3
}

// The twin is checked with the example of the paper (appendix A), which is for
// SipHash-2-4, and our SipHash-1-3 with the twin.
func TestSum(t *testing.T) {
	octets := make([]byte, 24)
	for i := range octets {
		octets[i] = byte(i)
	}
	const want = 0xa129ca6149be45e5
	if got := siphash(2, 4, testKey, octets[:15]); got != want {
		t.Fatalf("SipHash-2-4 of 00 to 0e = %#x, want %#x", got, uint64(want))
	}
	for i := range 200 {
		a, b, c := uint64(i)*0x9e3779b97f4a7c15, uint64(i)<<40, ^uint64(i)
		key := Key{a ^ 5, c}
		octets = binary.LittleEndian.AppendUint64(octets[:0], a)
		octets = binary.LittleEndian.AppendUint64(octets, b)
		octets = binary.LittleEndian.AppendUint64(octets, c)
		if got, want := key.sum(a, b, c), siphash(1, 3, key, octets); got != want {
			t.Errorf("sum(%#x, %#x, %#x) with key %#x = %#x, want %#x", a, b, c, key, got, want)
		}
	}
}
