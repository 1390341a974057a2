package attack_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// craft makes the frames that carry one message in an unusual way.
type craft func(x *thrower, source netip.Addr, message []byte) [][]byte

// behind puts a header between IPv6 and UDP. Its first octet is set to 17, which is UDP.
func behind(kind layers.IPProtocol, header ...byte) craft {
	return func(x *thrower, source netip.Addr, message []byte) [][]byte {
		h := slices.Clone(header)
		h[0] = byte(layers.IPProtocolUDP)
		return [][]byte{x.frame(source, kind, slices.Concat(h, segment(source, message)))}
	}
}

// altered returns a craft that changes something in a plain frame.
func altered(change func(frame []byte) []byte) craft {
	return func(x *thrower, source netip.Addr, message []byte) [][]byte {
		return [][]byte{change(x.frame(source, layers.IPProtocolUDP, segment(source, message)))}
	}
}

// Offsets in a plain frame.
const (
	atIPLength  = 14 + 4
	atUDPLength = 14 + 40 + 4
	atChecksum  = 14 + 40 + 6
)

// add returns a change that adds a number to a 16-bit field.
func add(at int, by int) craft {
	return altered(func(frame []byte) []byte {
		binary.BigEndian.PutUint16(frame[at:], uint16(int(binary.BigEndian.Uint16(frame[at:]))+by))
		return frame
	})
}

// overlap cuts a message into two fragments. The second repeats octets of the first, with other
// values.
func overlap(x *thrower, source netip.Addr, message []byte) [][]byte {
	all := segment(source, slices.Concat(message, script.Option(40000, make([]byte, 1300)...)))
	tail := slices.Clone(all[640:])
	tail[0] ^= 0xff
	return [][]byte{x.fragment(source, 7, 0, true, all[:1024]), x.fragment(source, 7, 640, false, tail)}
}

// These packets are made to confuse the two ways into the relay, or the kernel before them. None
// crashes the relay, none passes twice, and each message goes exactly as far as its packet
// allows.
func TestOddPackets(t *testing.T) {
	r := withServer(t, always("2001:db8:1100::/56"))
	v := r.victim()
	x := r.thrower(r.far, "c0", other)
	source := r.far.LinkLocal("c0")
	noise := r.far.Play(rig.DUID(66))
	pid := r.Fairlead.Proc().Pid()

	cases := []struct {
		name  string
		want  int // how often the server must get the message
		craft craft
	}{
		{"plain", 1, altered(func(f []byte) []byte { return f })},
		{"padded behind the packet", 1, altered(func(f []byte) []byte { return append(f, 1, 2, 3, 4, 5, 6, 7, 8) })},
		{"with a priority tag", 1, altered(func(f []byte) []byte { return slices.Insert(f, 12, 0x81, 0, 0xe0, 0) })},
		{"to the relay's link-layer address", 1, altered(func(f []byte) []byte { copy(f, x.Peer); return f })},
		{"to the broadcast address", 1, altered(func(f []byte) []byte { copy(f, net.HardwareAddr{255, 255, 255, 255, 255, 255}); return f })},
		{"to somebody else's link-layer address", 0, altered(func(f []byte) []byte { copy(f, net.HardwareAddr{2, 9, 9, 9, 9, 9}); return f })},
		{"destination options", 1, behind(layers.IPProtocolIPv6Destination, 0, 0, 1, 4, 0, 0, 0, 0)},
		{"hop-by-hop options", 1, behind(layers.IPProtocolIPv6HopByHop, 0, 0, 1, 4, 0, 0, 0, 0)},
		{"router alert", 1, behind(layers.IPProtocolIPv6HopByHop, 0, 0, 5, 2, 0, 0, 1, 0)},
		{"an option to be discarded", 0, behind(layers.IPProtocolIPv6HopByHop, 0, 0, 0x7e, 4, 0, 0, 0, 0)},
		{"a jumbogram that is none", 0, behind(layers.IPProtocolIPv6HopByHop, 0, 0, 0xc2, 4, 0, 0, 0, 9)},
		{"options longer than the packet", 0, behind(layers.IPProtocolIPv6HopByHop, 0, 255, 1, 4, 0, 0, 0, 0)},
		{"routing header type 0", 0, behind(layers.IPProtocolIPv6Routing, 0, 0, 0, 0, 0, 0, 0, 0)},
		{"routing header type 0 with a way to go", 0, behind(layers.IPProtocolIPv6Routing, append([]byte{0, 2, 0, 1, 0, 0, 0, 0}, source.AsSlice()...)...)},
		{"routing header type 2", 0, behind(layers.IPProtocolIPv6Routing, append([]byte{0, 2, 2, 1, 0, 0, 0, 0}, source.AsSlice()...)...)},
		{"no next header", 0, func(x *thrower, s netip.Addr, m []byte) [][]byte {
			return [][]byte{x.frame(s, layers.IPProtocolNoNextHeader, segment(s, m))}
		}},
		{"another version", 0, altered(func(f []byte) []byte { f[14] = 0x50; return f })},
		{"an IPv6 length beyond the frame", 0, add(atIPLength, 40)},
		{"an IPv6 length that cuts the message", 0, add(atIPLength, -4)},
		{"a UDP length beyond the packet", 0, add(atUDPLength, 40)},
		{"a UDP length below its header", 0, altered(func(f []byte) []byte { f[atUDPLength], f[atUDPLength+1] = 0, 7; return f })},
		{"a wrong checksum", 0, add(atChecksum, 1)},
		{"no checksum", 0, altered(func(f []byte) []byte { f[atChecksum], f[atChecksum+1] = 0, 0; return f })},
		{"a group as link-layer source", 0, altered(func(f []byte) []byte { f[6] |= 1; return f })},
		{"cut in the IPv6 header", 0, altered(func(f []byte) []byte { return f[:14+20] })},
		{"cut in the UDP header", 0, altered(func(f []byte) []byte { return f[:14+40+5] })},
		{"overlapping fragments", 0, overlap},
		{"fragments that end before they begin", 0, func(x *thrower, s netip.Addr, m []byte) [][]byte {
			all := segment(s, m)
			return [][]byte{x.fragment(s, 8, 24, false, all[24:]), x.fragment(s, 8, 8, false, all[8:16])}
		}},
		{"a fragment past the largest packet", 0, func(x *thrower, s netip.Addr, m []byte) [][]byte {
			return [][]byte{x.fragment(s, 9, 65528, false, segment(s, m))}
		}},
		{"a last fragment alone", 0, func(x *thrower, s netip.Addr, m []byte) [][]byte {
			return [][]byte{x.fragment(s, 10, 24, false, segment(s, m)[24:])}
		}},
	}
	messages := make([][]byte, len(cases))
	before := r.Fairlead.Counts(other)
	for i, c := range cases {
		messages[i] = noise.Message(dhcp6.InformationRequest, script.Option(40001, byte(i)))
		for _, frame := range c.craft(x, source, messages[i]) {
			x.Put(frame)
		}
	}
	heard := func(m []byte) (n int) {
		for _, q := range r.Played.Received() {
			if bytes.HasPrefix(q.Inner, m) {
				n++
			}
		}
		return n
	}
	for i, c := range cases {
		if c.want > 0 {
			r.Until(c.name+" arrives", func() bool { return heard(messages[i]) >= c.want })
		}
	}
	noise.Passed() // messages that came by frame are decided on before it, and messages by socket too:
	noise.Exchange(noise.Message(dhcp6.InformationRequest, script.Option(40000, make([]byte, 1400)...)))
	passed := 0
	for i, c := range cases {
		if n := heard(messages[i]); n != c.want {
			t.Errorf("%s: the server got it %d times, want %d", c.name, n, c.want)
		}
		passed += c.want
	}
	if got := r.Fairlead.Counts(other).Received["information-request"] - before.Received["information-request"]; got < passed+2 {
		t.Errorf("%d messages counted, want %d at least", got, passed+2)
	}
	v.Unmoved()
	if r.Fairlead.Proc().Pid() != pid || !r.Fairlead.Proc().Running() || strings.Contains(r.Fairlead.Log(), "panic") {
		t.Error("the relay has panicked or ended")
	}
}
