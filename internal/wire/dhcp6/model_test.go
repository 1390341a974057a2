package dhcp6_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"fairlead/internal/wire/dhcp6"
)

// packet is a DHCPv6 packet as plain values, in which the tests describe what
// they build and what each decoder found.
type packet struct {
	Relays  []relay // outermost first
	Type    uint8
	XID     uint32
	Options []option
}

// relay is one layer of relaying.
type relay struct {
	Type, Hops uint8
	Link, Peer netip.Addr
	Options    []option // the Relay Message option among them has the value inner{}
}

type option struct {
	Code  uint16
	Value any // []byte, or one of the types below
}

// The values of the options that the decoders take apart.
type (
	inner   struct{} // the next layer stands here
	iaValue struct { // IA_NA and IA_PD
		IAID, T1, T2 uint32
		Options      []option
	}
	addressValue struct {
		Address          netip.Addr
		Preferred, Valid uint32
		Options          []option
	}
	prefixValue struct {
		Address          netip.Addr
		Bits             uint8
		Preferred, Valid uint32
		Options          []option
	}
	statusValue struct {
		Code uint16
		Text string
	}
	remoteValue struct {
		Enterprise uint32
		ID         string
	}
)

// generator makes packets from a seed, always the same ones.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 8415))} }

func (g generator) octets(least, most int) []byte {
	b := make([]byte, least+g.IntN(most-least+1))
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

// text is printable, without what the tests use to separate fields.
func (g generator) text(least, most int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-./ ABCDEF"
	b := g.octets(least, most)
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}

func (g generator) addr() netip.Addr {
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	binary.BigEndian.PutUint64(a[8:], g.Uint64())
	return netip.AddrFrom16(a)
}

func (g generator) lifetime() uint32 {
	switch g.IntN(4) {
	case 0:
		return 0
	case 1:
		return 0xffffffff
	}
	return g.Uint32()
}

func (g generator) duid() []byte {
	mac := g.octets(6, 6)
	switch g.IntN(5) {
	case 0:
		return append(append([]byte{0, 1, 0, 1}, g.octets(4, 4)...), mac...) // with a time
	case 1:
		return append([]byte{0, 2}, g.octets(5, 128)...) // a vendor's
	case 2:
		return dhcp6.AppendDUIDUUID(nil, [16]byte(g.octets(16, 16)))
	case 3:
		return append([]byte{0x7f, 0xff}, g.octets(1, 128)...) // a type of the future
	}
	return dhcp6.AppendDUIDLL(nil, dhcp6.HardwareEthernet, mac)
}

func (g generator) status() option {
	return option{13, statusValue{uint16(g.IntN(16)), g.text(1, 40)}}
}

func (g generator) prefix() option {
	v := prefixValue{Address: g.addr(), Bits: uint8(1 + g.IntN(128)), Preferred: g.lifetime(), Valid: g.lifetime()}
	if g.IntN(6) == 0 {
		v.Address, v.Bits = netip.IPv6Unspecified(), 0 // a client that asks for any prefix
	} else if g.IntN(6) == 0 {
		v.Address = netip.IPv6Unspecified() // a client that asks for a length
	}
	if g.IntN(6) == 0 {
		v.Options = append(v.Options, g.status())
	}
	return option{26, v}
}

func (g generator) address() option {
	v := addressValue{Address: g.addr(), Preferred: g.lifetime(), Valid: g.lifetime()}
	if g.IntN(6) == 0 {
		v.Options = append(v.Options, g.status())
	}
	return option{5, v}
}

func (g generator) ia(code uint16, leaf func() option) option {
	v := iaValue{IAID: g.Uint32(), T1: g.lifetime(), T2: g.lifetime()}
	for range g.IntN(4) {
		v.Options = append(v.Options, leaf())
	}
	if g.IntN(4) == 0 {
		v.Options = append(v.Options, g.status())
	}
	return option{code, v}
}

// clientOption makes an option of a client/server message.
func (g generator) clientOption() option {
	switch g.IntN(11) {
	case 0:
		return option{1, g.duid()}
	case 1:
		return option{2, g.duid()}
	case 2:
		return g.ia(3, g.address)
	case 3, 4:
		return g.ia(25, g.prefix)
	case 5:
		return option{4, g.octets(4, 4)} // an IA_TA passes through unread
	case 6:
		words := 2 * (1 + g.IntN(6))
		return option{6, g.octets(words, words)}
	case 7:
		return option{8, g.octets(2, 2)}
	case 8:
		return option{14, []byte{}}
	case 9:
		return g.status()
	}
	return option{uint16(60000 + g.IntN(5000)), g.octets(0, 50)}
}

// relayOption makes an option of a relay layer.
func (g generator) relayOption() option {
	switch g.IntN(10) {
	case 0, 1:
		return option{18, g.octets(1, 30)}
	case 2:
		return option{37, remoteValue{g.Uint32(), string(g.octets(1, 30))}}
	case 3:
		return option{38, []byte(g.text(1, 30))}
	case 4:
		return option{53, g.duid()}
	case 5:
		return option{79, append([]byte{0, 1}, g.octets(6, 6)...)}
	case 6:
		return option{135, g.octets(2, 2)}
	case 7:
		return option{105, []byte{0, byte(g.IntN(6))}}
	case 8:
		return option{108, g.octets(6, 6)}
	}
	return option{109, g.octets(4, 4)}
}

// packet makes a message in 0 to 8 relay layers.
func (g generator) packet() packet {
	types := []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 36, 200}
	p := packet{Type: types[g.IntN(len(types))], XID: g.Uint32() & 0xffffff}
	for range g.IntN(9) {
		p.Options = append(p.Options, g.clientOption())
	}
	depth := g.IntN(dhcp6.MaxRelayLayers)
	direction := uint8(12 + g.IntN(2))
	for i := range depth {
		r := relay{Type: direction, Hops: uint8(depth - 1 - i), Link: g.addr(), Peer: g.addr()}
		if g.IntN(4) == 0 {
			r.Link = netip.IPv6Unspecified() // a lightweight relay agent
		}
		n := g.IntN(4)
		at := g.IntN(n + 1)
		for j := range n + 1 {
			if j == at {
				r.Options = append(r.Options, option{9, inner{}})
			} else {
				r.Options = append(r.Options, g.relayOption())
			}
		}
		p.Relays = append(p.Relays, r)
	}
	return p
}

// build writes p with the builders under test.
func build(t testing.TB, p packet) []byte {
	t.Helper()
	var b []byte
	var marks [][]option // what follows the Relay Message option of each layer
	var opened []int
	for _, r := range p.Relays {
		b = dhcp6.AppendRelayHeader(b, dhcp6.MessageType(r.Type), r.Hops, r.Link, r.Peer)
		for i, o := range r.Options {
			if o.Code == 9 {
				var mark int
				b, mark = dhcp6.BeginOption(b, dhcp6.OptionRelayMessage)
				opened, marks = append(opened, mark), append(marks, r.Options[i+1:])
				break
			}
			b = buildOption(t, b, o)
		}
	}
	b = dhcp6.AppendMessageHeader(b, dhcp6.MessageType(p.Type), p.XID)
	for _, o := range p.Options {
		b = buildOption(t, b, o)
	}
	for i := len(opened) - 1; i >= 0; i-- {
		var err error
		if b, err = dhcp6.EndOption(b, opened[i]); err != nil {
			t.Fatal(err)
		}
		for _, o := range marks[i] {
			b = buildOption(t, b, o)
		}
	}
	return b
}

func buildOption(t testing.TB, b []byte, o option) []byte {
	t.Helper()
	nested := func(options []option) (b []byte) {
		for _, o := range options {
			b = buildOption(t, b, o)
		}
		return b
	}
	switch v := o.Value.(type) {
	case []byte:
		return dhcp6.AppendOption(b, dhcp6.OptionCode(o.Code), v)
	case statusValue:
		return dhcp6.AppendStatus(b, dhcp6.Status{Code: dhcp6.StatusCode(v.Code), Message: []byte(v.Text)})
	case remoteValue:
		return dhcp6.AppendRemoteID(b, dhcp6.RemoteID{EnterpriseNumber: v.Enterprise, ID: []byte(v.ID)})
	case addressValue:
		return dhcp6.AppendIAAddr(b, dhcp6.IAAddr{
			Address: v.Address, Preferred: dhcp6.Lifetime(v.Preferred), Valid: dhcp6.Lifetime(v.Valid), Options: nested(v.Options),
		})
	case prefixValue:
		return dhcp6.AppendIAPrefix(b, dhcp6.IAPrefix{
			Prefix:    netip.PrefixFrom(v.Address, int(v.Bits)),
			Preferred: dhcp6.Lifetime(v.Preferred), Valid: dhcp6.Lifetime(v.Valid), Options: nested(v.Options),
		})
	case iaValue:
		b, mark := dhcp6.BeginIA(b, dhcp6.OptionCode(o.Code), v.IAID, dhcp6.Lifetime(v.T1), dhcp6.Lifetime(v.T2))
		b, err := dhcp6.EndOption(append(b, nested(v.Options)...), mark)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	panic(fmt.Sprintf("no builder for %T", o.Value))
}
