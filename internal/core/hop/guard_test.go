package hop_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/dhcp6"
)

// seen is a packet as a hook of the kernel sees it.
type seen struct {
	hook              hop.Hook
	tcp               bool
	source, dest      netip.Addr
	ports             bool // a fragment after the first has none
	sport, dport      uint16
	linkIn, linkSlave string
	linkOut           string
	forwarded         bool
	socket            bool
	esp               bool // came out of it, or will go into it
	payload           []byte
	quotes            *quote // an ICMP error, or something like it
}

// quote is what an ICMP message says of another packet.
type quote struct {
	kind, protocol byte
	sport, dport   uint16
	short          bool // too short for ports
}

// read is what the kernel loads of the packet; ok is false for what is not there,
// which makes a rule not match.
func (p *seen) read(f hop.GuardField) (b []byte, ok bool) {
	six := p.source.Is6()
	name := func(s string) ([]byte, bool) { return []byte(s), true }
	port := func(v uint16) ([]byte, bool) { return binary.BigEndian.AppendUint16(nil, v), p.ports }
	number := func(v uint32) ([]byte, bool) { return binary.NativeEndian.AppendUint32(nil, v), true }
	flag := func(v bool) ([]byte, bool) { return map[bool][]byte{false: {0}, true: {1}}[v], true }
	part := func(from, to int) ([]byte, bool) {
		if p.tcp || !p.ports || to > len(p.payload) {
			return nil, false
		}
		return p.payload[from:to], true
	}
	if q := p.quotes; q != nil {
		switch f {
		case hop.FieldProtocol:
			return map[bool][]byte{false: {1}, true: {58}}[six], true
		case hop.FieldICMPType:
			return []byte{q.kind}, true
		case hop.FieldQuotedProtocol4, hop.FieldQuotedProtocol6:
			return []byte{q.protocol}, six == (f == hop.FieldQuotedProtocol6)
		case hop.FieldQuotedSource4, hop.FieldQuotedSource6:
			return binary.BigEndian.AppendUint16(nil, q.sport), !q.short && six == (f == hop.FieldQuotedSource6)
		case hop.FieldQuotedDest4, hop.FieldQuotedDest6:
			return binary.BigEndian.AppendUint16(nil, q.dport), !q.short && six == (f == hop.FieldQuotedDest6)
		}
	}
	switch f {
	case hop.FieldFamily: // at a device there is another
		return map[bool][]byte{false: {2}, true: {10}}[six], p.hook != hop.HookEgress
	case hop.FieldEther:
		return map[bool][]byte{false: {0x08, 0x00}, true: {0x86, 0xdd}}[six], p.hook == hop.HookEgress
	case hop.FieldProtocol:
		return map[bool][]byte{false: {17}, true: {6}}[p.tcp], true
	case hop.FieldSource4:
		return p.source.AsSlice(), !six
	case hop.FieldDest4:
		return p.dest.AsSlice(), !six
	case hop.FieldSource6:
		return p.source.AsSlice(), six
	case hop.FieldDest6:
		return p.dest.AsSlice(), six
	case hop.FieldSourcePort:
		return port(p.sport)
	case hop.FieldDestPort:
		return port(p.dport)
	case hop.FieldLinkIn:
		return name(p.linkIn)
	case hop.FieldSlaveIn:
		return name(p.linkSlave)
	case hop.FieldLinkOut:
		return name(p.linkOut)
	case hop.FieldIndexIn:
		return number(uint32(len(p.linkIn)))
	case hop.FieldUser:
		b, _ := number(1000)
		return b, p.socket
	case hop.FieldESPOut:
		b, _ := flag(p.esp)
		return b, p.hook != hop.HookInput && p.hook != hop.HookEgress
	case hop.FieldESPIn:
		b, _ := flag(p.esp)
		return b, p.hook == hop.HookInput
	case hop.FieldFirst:
		return part(0, 1)
	case hop.FieldGiaddr:
		return part(24, 28)
	}
	panic(f)
}

// carriesOut carries the table out on a packet as the kernel does: the counters
// that count it, and whether it is dropped.
func carriesOut(t *hop.GuardTable, p *seen) (counted []string, dropped bool) {
	for i := range t.Chains {
		if c := &t.Chains[i]; c.Hook == p.hook && (c.Device == "" || c.Device == p.linkOut) {
			return walk(t, &t.Chains[i], p)
		}
	}
	panic("no chain")
}

func walk(t *hop.GuardTable, c *hop.GuardChain, p *seen) (counted []string, dropped bool) {
rules:
	for _, r := range c.Rules {
		var counts []string
		for _, m := range r.Match {
			counter, ok := matches(t, m, p)
			if !ok {
				continue rules
			}
			if m.Count {
				counts = append(counts, counter)
			}
		}
		if r.Counter != "" {
			counts = append(counts, r.Counter)
		}
		switch r.Verdict {
		case hop.VerdictAccept:
			return counts, false
		case hop.VerdictDrop:
			return counts, true
		}
		for i := range t.Chains {
			if t.Chains[i].Name == r.Chain {
				return walk(t, &t.Chains[i], p)
			}
		}
		panic("no chain " + r.Chain)
	}
	return nil, false
}

func matches(t *hop.GuardTable, m hop.GuardMatch, p *seen) (counter string, ok bool) {
	var parts [][]byte
	for _, f := range m.Fields {
		b, ok := p.read(f)
		if !ok {
			return "", false
		}
		parts = append(parts, b)
	}
	if m.Set == "" {
		var want []byte
		switch {
		case m.Prefix.IsValid():
			a, _ := netip.AddrFromSlice(parts[0])
			return "", m.Prefix.Contains(a)
		case m.Link != "":
			want = []byte(m.Link)
		case len(parts[0]) == 1:
			want = []byte{byte(m.Value)}
		case len(parts[0]) == 2:
			want = binary.BigEndian.AppendUint16(nil, uint16(m.Value))
		case m.Fields[0] == hop.FieldGiaddr:
			want = binary.BigEndian.AppendUint32(nil, m.Value)
		default:
			want = binary.NativeEndian.AppendUint32(nil, m.Value)
		}
		return "", bytes.Equal(parts[0], want) != m.Not
	}
	i := slices.IndexFunc(t.Sets, func(s hop.GuardSet) bool { return s.Name == m.Set })
	for _, e := range t.Sets[i].Elements {
		if slices.EqualFunc(parts, t.Sets[i].Key, func(got []byte, f hop.GuardField) bool { return bytes.Equal(got, keyPart(f, e)) }) {
			return e.Counter, true
		}
	}
	return "", false
}

func keyPart(f hop.GuardField, e hop.GuardElement) []byte {
	switch f {
	case hop.FieldLinkIn, hop.FieldLinkOut:
		return []byte(e.Link)
	case hop.FieldSourcePort, hop.FieldDestPort:
		return binary.BigEndian.AppendUint16(nil, e.Port)
	}
	return e.Address.AsSlice()
}

// must is what the law wants of a packet, said without tables: the counter that
// counts it, or empty if it may pass.
func must(hops []hop.Hop, others bool, open []hop.Open, p *seen) string {
	if p.hook == hop.HookPostrouting && p.forwarded || !p.ports {
		return "" // not ours, or a fragment after the first
	}
	if p.quotes != nil {
		return mustQuoting(hops, others, p)
	}
	remote, out := p.source, p.hook != hop.HookInput
	if out {
		remote = p.dest
	}
	for _, h := range hops {
		on := h.Link == "" || (out && p.linkOut == h.Link) || (!out && (p.linkIn == h.Link || p.linkSlave == h.Link))
		port := func(v uint16) bool { return v == h.Port() || h.RelayPort != 0 && v == h.RelayPort }
		if !p.esp && on && h.Remote == remote && (port(p.sport) || port(p.dport)) {
			return hop.CounterName(h.Name, out)
		}
	}
	if others || out || p.tcp {
		return ""
	}
	if !relayPort(hops, p) {
		return ""
	}
	role, relayed := roleOf(p)
	if !relayed {
		return ""
	}
	for _, h := range hops {
		if h.Role == role && h.Remote == p.source && (h.Link == "" || h.Link == p.linkIn || h.Link == p.linkSlave) {
			return ""
		}
	}
	for _, o := range open {
		is := o.Address == p.source || o.Prefix.IsValid() && o.Prefix.Contains(p.source) || o.Address.IsMulticast() && p.source.Is6()
		if o.Role == role && is && (o.Link == "" || o.Link == p.linkIn || o.Link == p.linkSlave) {
			return ""
		}
	}
	return hop.CounterStrangers
}

// mustQuoting is what the law wants of ICMP: an error towards a peer that quotes
// a message of a guarded port does not leave in clear.
func mustQuoting(hops []hop.Hop, others bool, p *seen) string {
	q := p.quotes
	isError := map[bool]string{false: "\x03\x04\x05\x0b\x0c", true: "\x01\x02\x03\x04"}[p.source.Is6()]
	guarded := slices.ContainsFunc([]uint16{q.sport, q.dport}, func(v uint16) bool {
		return !others && (v == dhcp4.ServerPort || v == dhcp6.ServerPort) ||
			slices.ContainsFunc(hops, func(h hop.Hop) bool { return v == h.Port() || h.RelayPort != 0 && v == h.RelayPort })
	})
	if p.hook == hop.HookInput || p.esp || !strings.Contains(isError, string(rune(q.kind))) || q.protocol != 17 && q.protocol != 6 || q.short || !guarded {
		return ""
	}
	for _, h := range hops {
		if h.Remote == p.dest && (h.Link == "" || h.Link == p.linkOut) {
			return hop.CounterName(h.Name, true)
		}
	}
	return ""
}

// relayPort reports whether relayed messages come to the packet's port.
func relayPort(hops []hop.Hop, p *seen) bool {
	if p.source.Is4() && p.dport == 67 || p.source.Is6() && p.dport == 547 {
		return true
	}
	return slices.ContainsFunc(hops, func(h hop.Hop) bool {
		return h.Role == trust.Server && h.RelayPort == p.dport && h.Remote.Is4() == p.source.Is4()
	})
}

// roleOf is the role of those who may send such a message; 0 if nobody may, since
// it may be a relayed one of either kind.
func roleOf(p *seen) (role trust.PeerRole, relayed bool) {
	b := p.payload
	switch {
	case len(b) == 0:
		return 0, true
	case p.source.Is6():
		return map[byte]trust.PeerRole{12: trust.Relay, 13: trust.Server}[b[0]], b[0] == 12 || b[0] == 13
	case b[0] == 1 && len(b) >= 28 && bytes.Equal(b[24:28], []byte{0, 0, 0, 0}):
		return 0, false
	}
	return map[byte]trust.PeerRole{1: trust.Relay, 2: trust.Server}[b[0]], true
}

// guarded are hops of all kinds: each family, link-local, with a relay port, of
// each role, and a second one to the same address.
func guarded() []hop.Hop {
	return []hop.Hop{
		{Name: "core1", Role: trust.Server, Local: netip.MustParseAddr("2001:db8::1"), Remote: netip.MustParseAddr("2001:db8::2"), RelayPort: 1547},
		{Name: "core1+1", Role: trust.Server, Local: netip.MustParseAddr("2001:db8::9"), Remote: netip.MustParseAddr("2001:db8::2"), RelayPort: 1547},
		{Name: "edge", Role: trust.Relay, Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("192.0.2.2"), RelayPort: 1067},
		{Name: "v4-server", Role: trust.Server, Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("192.0.2.3")},
		{Name: "ldra.1", Role: trust.Relay, Local: netip.MustParseAddr("fe80::1"), Remote: netip.MustParseAddr("fe80::2"), Link: "e0"},
	}
}

var clearPeers = []hop.Open{
	{Role: trust.Relay, Address: netip.MustParseAddr("2001:db8::4")},
	{Role: trust.Server, Address: netip.MustParseAddr("fe80::4"), Link: "e1"},
}

var widePeers = append([]hop.Open{
	{Role: trust.Relay, Address: netip.MustParseAddr("192.0.2.5"), Prefix: netip.MustParsePrefix("192.0.2.4/30")},
	{Role: trust.Server, Address: netip.MustParseAddr("2001:db8::5"), Prefix: netip.MustParsePrefix("2001:db8::/32")},
	{Role: trust.Relay, Address: netip.MustParseAddr("fe80::5"), Prefix: netip.MustParsePrefix("fe80::/125"), Link: "e0"},
	{Role: trust.Server, Address: netip.MustParseAddr("ff02::1:3"), Link: "e1"},
	{Role: trust.Server, Address: netip.MustParseAddr("2001:db8::7"), Prefix: netip.MustParsePrefix("2001:db8::7/128")},
}, clearPeers...)

// anyPacket is a packet of the sort that the hooks may see.
func anyPacket(r *rand.Rand) *seen {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	addresses := []string{"2001:db8::1", "2001:db8::2", "2001:db8::4", "fe80::2", "fe80::4", "2001:db8::2"}
	if r.IntN(3) == 0 {
		addresses = []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}
	}
	ports := []uint16{547, 547, 67, 67, 1547, 1067, 5470}
	p := &seen{
		hook:   hop.HookInput + hop.Hook(r.IntN(3)),
		tcp:    r.IntN(4) == 0,
		source: netip.MustParseAddr(pick(addresses...)), dest: netip.MustParseAddr(pick(addresses...)),
		ports: r.IntN(10) > 0, sport: ports[r.IntN(len(ports))], dport: ports[r.IntN(len(ports))],
		esp: r.IntN(2) == 0, socket: true,
	}
	switch p.hook {
	case hop.HookInput:
		p.socket, p.linkIn = false, pick("e0", "e1")
		if r.IntN(3) == 0 {
			p.linkIn, p.linkSlave = "red", p.linkIn
		}
	case hop.HookPostrouting:
		if p.forwarded = r.IntN(3) == 0; p.forwarded {
			p.linkIn, p.socket = pick("e0", "red"), false
		} else if r.IntN(2) == 0 {
			p.linkIn = "red" // of our own, in a VRF
		} else {
			p.socket = r.IntN(2) == 0
		}
		fallthrough
	default:
		p.linkOut = pick("e0", "e1")
	}
	if r.IntN(4) == 0 {
		p.ports = true
		p.quotes = &quote{
			kind: byte(r.IntN(14)), protocol: []byte{6, 17, 17, 17, 50, 58}[r.IntN(6)],
			sport: ports[r.IntN(len(ports))], dport: ports[r.IntN(len(ports))], short: r.IntN(8) == 0,
		}
	}
	p.payload = make([]byte, []int{0, 1, 4, 27, 28, 240}[r.IntN(6)])
	if len(p.payload) > 0 {
		p.payload[0] = []byte{1, 2, 3, 7, 12, 13}[r.IntN(6)]
	}
	if len(p.payload) > 24 && r.IntN(2) == 0 {
		p.payload[24+r.IntN(min(4, len(p.payload)-24))] = 1
	}
	return p
}

// The table does to every packet what the law says, and counts it once.
func TestGuardTableIsTheLaw(t *testing.T) {
	for _, c := range []struct {
		hops   []hop.Hop
		others bool
		open   []hop.Open
		kinds  int // of what can happen: pass, two for each address of a hop, strangers
	}{
		{guarded(), true, nil, 9},
		{guarded(), false, nil, 10},
		{guarded(), false, clearPeers, 10},
		{nil, false, nil, 2},
		{nil, false, clearPeers, 2},
		{guarded(), false, widePeers, 10},
		{nil, false, widePeers, 2},
		{guarded()[2:4], false, nil, 6},
	} {
		table := hop.OwnerRelay.GuardTable(c.hops, c.others, c.open...)
		r := rand.New(rand.NewPCG(8213, uint64(len(c.hops))))
		results := map[string]int{}
		for range 40_000 {
			p := anyPacket(r)
			counted, dropped := carriesOut(&table, p)
			want := must(c.hops, c.others, c.open, p)
			got := strings.Join(counted, " and ")
			if got != want || dropped != (want != "") {
				t.Fatalf("%d hops, others %v: %+v\ncounted %q, dropped %v; want %q", len(c.hops), c.others, p, got, dropped, want)
			}
			results[want]++
		}
		if len(results) != c.kinds {
			t.Errorf("%d hops, others %v: what happened is %v, want %d kinds", len(c.hops), c.others, results, c.kinds)
		}
	}
}

// A counter has a name that nft reads, and no two hops have the same.
func TestCounterName(t *testing.T) {
	for _, c := range []struct {
		hop  string
		out  bool
		want string
	}{
		{"core1", false, "in-core1"},
		{"core1", true, "out-core1"},
		{"1.core_x-y+12", true, "out-1.core_x-y/12"},
	} {
		if got := hop.CounterName(c.hop, c.out); got != c.want {
			t.Errorf("%s: %q, want %q", c.hop, got, c.want)
		}
	}
}

// A thousand peers are a thousand elements, and no rule more than for one.
func TestGuardTableGrowsInSetsAlone(t *testing.T) {
	rules := func(n int) (rules, elements int) {
		var hops []hop.Hop
		for i := range n {
			h := guarded()[0]
			h.Name, h.Remote = fmt.Sprint("p", i), netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", 16+i))
			hops = append(hops, h)
		}
		table := hop.OwnerGuard.GuardTable(hops, false)
		for _, c := range table.Chains {
			rules += len(c.Rules)
		}
		for _, s := range table.Sets {
			elements += len(s.Elements)
		}
		return rules, elements
	}
	one, few := rules(1)
	many, lot := rules(1000)
	if one != many || lot-few != 999*6 {
		t.Errorf("%d rules and %d elements for one, %d and %d for a thousand", one, few, many, lot)
	}
}

// The text of a plan, as operators see it.
func TestGuardText(t *testing.T) {
	got := hop.GuardText(hop.OwnerRelay, guarded(), true)
	want, err := os.ReadFile("testdata/guard.nft")
	if err != nil || got != string(want) {
		t.Errorf("%v; got\n%s\nwant\n%s", err, got, want)
	}
}
