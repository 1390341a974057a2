package dhcp4_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairlead/internal/wire/dhcp4"
)

// packet has the values of a DHCPv4 packet. The tests describe with it what they build, and what
// each decoder has found.
type packet struct {
	Op, HType, Hops uint8
	XID             uint32
	Secs, Flags     uint16
	CI, YI, SI, GI  netip.Addr
	CHAddr          []byte
	SName, File     string   // empty where the fields hold options
	Options         []option // in the order in which they are interpreted, the sub-options of option 82 included
	InFile, InSName int      // how many of the last options are in these fields
}

type option struct {
	Code  uint8
	Value any // []byte, or one of the types below
}

// The values of the options that the decoders take apart.
type (
	typeValue    uint8
	secondsValue uint32
	addrValue    struct{ netip.Addr }
	addrsValue   []netip.Addr
	agentValue   []pair // sub-options
)

// sameValues compares what was built with what was read. An empty slice equals nil, because the
// two are the same on the wire. Most decoders do not tell in which field an option was, so that
// is not compared.
var sameValues = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreFields(packet{}, "InFile", "InSName"),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
}

// generator makes packets from a seed: the same seed makes the same packets.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 2131))} }

func (g generator) octets(least, most int) []byte {
	b := make([]byte, least+g.IntN(most-least+1))
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

// text is a printable text, without the characters with which the tests separate fields.
func (g generator) text(least, most int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-./ABCDEF"
	b := g.octets(least, most)
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}

func (g generator) addr() netip.Addr {
	if g.IntN(4) == 0 {
		return netip.IPv4Unspecified()
	}
	return netip.AddrFrom4([4]byte(g.octets(4, 4)))
}

func (g generator) seconds() secondsValue {
	switch g.IntN(4) {
	case 0:
		return 0
	case 1:
		return 0xffffffff
	}
	return secondsValue(g.Uint32())
}

// agent makes sub-options, each code at most once, in the order of the codes.
func (g generator) agent() agentValue {
	makers := []struct {
		code int
		make func() []byte
	}{
		{1, func() []byte { return g.octets(1, 20) }},
		{2, func() []byte { return g.octets(1, 20) }},
		{4, func() []byte { return g.octets(4, 4) }},
		{5, func() []byte { return g.octets(4, 4) }},
		{6, func() []byte { return []byte(g.text(1, 20)) }},
		{8, func() []byte { return append([]byte{1, 1}, g.octets(36, 36)...) }},
		{10, func() []byte { return []byte{byte(g.IntN(2) << 7)} }},
		{11, func() []byte { return g.octets(4, 4) }},
		{12, func() []byte { return g.octets(1, 30) }},
		{13, func() []byte { return []byte{0, byte(g.IntN(7))} }},
		{14, func() []byte { return []byte(g.text(1, 10)) }},
		{15, func() []byte { return []byte(g.text(1, 10)) }},
		{16, func() []byte { return g.octets(6, 6) }},
		{17, func() []byte { return g.octets(4, 4) }},
		{18, func() []byte { return []byte(g.text(1, 10)) }},
		{19, func() []byte { return nil }},
		{200, func() []byte { return g.octets(0, 5) }}, // one that no RFC has defined
	}
	var list agentValue
	for len(list) == 0 {
		for _, m := range makers {
			if g.IntN(4) == 0 {
				list = append(list, pair{m.code, string(m.make())})
			}
		}
	}
	return list
}

// option makes the option with the code c.
func (g generator) option(c uint8) option {
	switch c {
	case 1, 28, 50, 54:
		return option{c, addrValue{netip.AddrFrom4([4]byte(g.octets(4, 4)))}}
	case 3, 6:
		list := addrsValue{}
		for range 1 + g.IntN(3) {
			list = append(list, netip.AddrFrom4([4]byte(g.octets(4, 4))))
		}
		return option{c, list}
	case 12:
		return option{c, []byte(g.text(1, 20))}
	case 51, 58, 59:
		return option{c, g.seconds()}
	case 53:
		return option{c, typeValue(1 + g.IntN(8))}
	case 55:
		return option{c, g.octets(1, 10)}
	case 57:
		return option{c, []byte{5, 0xdc}}
	case 61:
		return option{c, append([]byte{1}, g.octets(6, 6)...)}
	case 82:
		return option{c, g.agent()}
	}
	return option{c, g.octets(0, 30)}
}

// plainCodes are the codes of the options that the generator makes, in order.
var plainCodes = []uint8{1, 3, 6, 12, 28, 50, 51, 53, 54, 55, 57, 58, 59, 61, 224, 230}

// packet makes a packet that has each option at most once, in the order of the codes, with option
// 82 last: insomniacslk/dhcp handles no others.
func (g generator) packet() packet {
	p := packet{
		Op: uint8(1 + g.IntN(2)), HType: 1, Hops: uint8(g.IntN(17)), XID: g.Uint32(),
		Secs: uint16(g.IntN(256)), Flags: uint16(g.IntN(2)) << 15,
		CI: g.addr(), YI: g.addr(), SI: g.addr(), GI: g.addr(), CHAddr: g.octets(6, 6),
	}
	if g.IntN(3) == 0 {
		p.SName, p.File = g.text(0, 63), g.text(0, 127)
	}
	for _, c := range plainCodes {
		if c == 53 || g.IntN(3) == 0 {
			p.Options = append(p.Options, g.option(c))
		}
	}
	if g.IntN(2) == 0 {
		p.Options = append(p.Options, g.option(82))
	}
	return p
}

// wild makes a packet whose options are in any order, may be there several times, and may be in
// the file and sname fields.
func (g generator) wild() packet {
	p := g.packet()
	p.Options = nil
	for range g.IntN(12) {
		c := plainCodes[g.IntN(len(plainCodes))]
		if g.IntN(8) == 0 {
			c = 82
		}
		p.Options = append(p.Options, g.option(c))
	}
	if overload := g.IntN(4); overload > 0 {
		p.Options = slices.Insert(p.Options, g.IntN(len(p.Options)+1), option{52, []byte{byte(overload)}})
		if overload&1 != 0 {
			p.File, p.InFile = "", 1+g.IntN(2)
		}
		if overload&2 != 0 {
			p.SName, p.InSName = "", 1
		}
		for i := range p.InFile + p.InSName {
			p.Options = append(p.Options, g.option([]uint8{3, 12}[i%2]))
		}
	}
	return p
}

// build writes p with the builders that are tested.
func build(t testing.TB, p packet) []byte {
	t.Helper()
	field := func(list []option) (b []byte) {
		for _, o := range list {
			b = buildOption(t, b, o)
		}
		return b
	}
	h := dhcp4.Header{
		Op: dhcp4.Op(p.Op), HType: p.HType, Hops: p.Hops, XID: p.XID, Secs: p.Secs, Flags: p.Flags,
		CIAddr: p.CI, YIAddr: p.YI, SIAddr: p.SI, GIAddr: p.GI, CHAddr: p.CHAddr, SName: []byte(p.SName), File: []byte(p.File),
	}
	rest := p.Options
	if n := len(rest) - p.InSName; p.InSName > 0 {
		h.SName, rest = append(field(rest[n:]), 255), rest[:n]
	}
	if n := len(rest) - p.InFile; p.InFile > 0 {
		h.File, rest = append(field(rest[n:]), 255), rest[:n]
	}
	return dhcp4.AppendEnd(append(dhcp4.AppendHeader(nil, h), field(rest)...), 0)
}

func buildOption(t testing.TB, b []byte, o option) []byte {
	t.Helper()
	c := dhcp4.OptionCode(o.Code)
	switch v := o.Value.(type) {
	case []byte:
		return dhcp4.AppendOption(b, c, v)
	case typeValue:
		return dhcp4.AppendMessageType(b, dhcp4.MessageType(v))
	case secondsValue:
		return dhcp4.AppendLifetime(b, c, dhcp4.Lifetime(v))
	case addrValue:
		return dhcp4.AppendAddress(b, c, v.Addr)
	case addrsValue:
		return dhcp4.AppendAddresses(b, c, v...)
	case agentValue:
		b, mark := dhcp4.BeginAgentInformation(b)
		for _, s := range v {
			b = dhcp4.AppendSubOption(b, dhcp4.SubOptionCode(s.Code), []byte(s.Payload))
		}
		b, err := dhcp4.EndAgentInformation(b, mark)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	panic(fmt.Sprintf("no builder for %T", o.Value))
}
