package dhcp4_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Other decoders: each one decodes what we build, and builds what we decode. insomniacslk/dhcp
// puts options into a map, so it gets only packets that have each option once, in the order in
// which it writes them.
var opinions = []struct {
	name     string
	generate func(generator) packet
	decode   func([]byte) (packet, error)
	build    func(packet) ([]byte, error)
}{
	{"insomniacslk/dhcp", generator.packet, decodeInsomniac, buildInsomniac},
	{"gopacket", generator.wild, decodeGopacket, buildGopacket},
}

const generatedPackets = 400

func TestGeneratedPacketsReadBack(t *testing.T) {
	g := newGenerator(1)
	for i := range generatedPackets {
		want := g.wild()
		b := build(t, want)
		got, err := decode(b)
		if err != nil {
			t.Fatalf("packet %d, %x: %v", i, b, err)
		}
		if diff := cmp.Diff(want, got, sameValues); diff != "" {
			t.Fatalf("packet %d (-built +decoded):\n%s", i, diff)
		}
	}
}

func TestOthersDecodeWhatWeBuild(t *testing.T) {
	for _, other := range opinions {
		t.Run(other.name, func(t *testing.T) {
			g := newGenerator(2)
			for i := range generatedPackets {
				want := other.generate(g)
				b := build(t, want)
				got, err := other.decode(b)
				if err != nil {
					t.Fatalf("packet %d, %x: %v", i, b, err)
				}
				if diff := cmp.Diff(want, got, sameValues); diff != "" {
					t.Fatalf("packet %d, %x (-built +decoded):\n%s", i, b, diff)
				}
			}
		})
	}
}

func TestWeDecodeWhatOthersBuild(t *testing.T) {
	for _, other := range opinions {
		t.Run(other.name, func(t *testing.T) {
			g := newGenerator(3)
			for i := range generatedPackets {
				want := other.generate(g)
				b, err := other.build(want)
				if err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
				got, err := decode(b)
				if err != nil {
					t.Fatalf("packet %d, %x: %v", i, b, err)
				}
				if diff := cmp.Diff(want, got, sameValues); diff != "" {
					t.Fatalf("packet %d, %x (-built +decoded):\n%s", i, b, diff)
				}
				if ours := build(t, want); !bytes.Equal(ours, b) {
					t.Fatalf("packet %d: we write\n%x, they write\n%x", i, ours, b)
				}
			}
		})
	}
}
