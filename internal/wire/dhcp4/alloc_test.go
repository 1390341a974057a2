package dhcp4_test

import (
	"testing"

	"fairlead/internal/wire/dhcp4"
)

// discover is the first message of a home router, padded to 300 octets.
func discover(t testing.TB) []byte {
	b := octets(t, request+`
		35 01 01
		3d 07 01 0200000000c1
		39 02 05dc
		3c 0c 756468637020312e33352e30
		37 08 01 03 06 0c 0f 1c 2a 79
		ff`)
	return append(b, make([]byte, 300-len(b))...)
}

// offer is the answer of a server, with the relay agent's option 82.
func offer(t testing.TB) []byte {
	return octets(t, `02 01 06 00 11223344 0000 0000 00*4 c0000264 c0000202 c00002fe 0200000000c1 00*10 00*192 63825363
		35 01 02
		36 04 c0000202
		33 04 00000e10
		3a 04 00000708
		01 04 ffffff00
		03 04 c0000201
		06 08 c0000235 c0000236
		52 15 01 04 65746830 0b 04 c00002fe 0c 04 00040102 0a 01 00
		ff`)
}

var (
	circuit = []byte("eth0")
	relayID = []byte("\x00\x04\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff")
	ours    = addr("192.0.2.254")
)

// readAll reads what a relay agent reads in a request.
func readAll(t testing.TB, b []byte) {
	m, err := dhcp4.ParseMessage(b)
	if err != nil || m.Type() != dhcp4.Discover || !m.GIAddr().IsUnspecified() || len(m.CHAddr()) != 6 {
		t.Fatal(m, err)
	}
	if _, ok := m.Options().First(dhcp4.OptionAgentInformation); ok {
		t.Fatal("an option 82")
	}
}

// add appends the request b in the form in which a relay agent sends it to a server.
func add(t testing.TB, out, b []byte) []byte {
	m, err := dhcp4.ParseMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	before, end, _ := m.Split()
	out, mark := dhcp4.BeginAgentInformation(append(out, before...))
	out = dhcp4.AppendCircuitID(out, circuit)
	out = dhcp4.AppendLinkSelection(out, ours)
	out = dhcp4.AppendRelayFlags(out, 0)
	out = dhcp4.AppendServerIDOverride(out, ours)
	out = dhcp4.AppendRelayID(out, relayID)
	if out, err = dhcp4.EndAgentInformation(out, mark); err != nil {
		t.Fatal(err)
	}
	out = append(out, end...)
	dhcp4.SetHops(out, m.Hops()+1)
	dhcp4.SetGIAddr(out, ours)
	return out
}

// remove appends the reply b in the form in which a relay agent sends it to a client.
func remove(t testing.TB, out, b, buf []byte) []byte {
	m, err := dhcp4.ParseMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	a, ok, err := m.AgentInformation(buf)
	if id, has := a.First(dhcp4.SubOptionCircuitID); !ok || err != nil || !has || string(id) != "eth0" {
		t.Fatal(a, ok, err)
	}
	lease, _ := m.Options().Value(dhcp4.OptionLeaseTime, buf)
	if v, err := dhcp4.ParseLifetime(dhcp4.OptionLeaseTime, lease); err != nil || v != 3600 {
		t.Fatal(v, err)
	}
	return m.AppendWithoutAgentInformation(out)
}

func TestCarryingDoesNotAllocate(t *testing.T) {
	asked, answered, room, buf := discover(t), offer(t), make([]byte, 0, 1500), make([]byte, 0, 255)
	split := octets(t, request+"5203 010461 5203 626364 ff")
	for name, do := range map[string]func(){
		"reading a request":  func() { readAll(t, asked) },
		"adding option 82":   func() { add(t, room, asked) },
		"removing option 82": func() { remove(t, room, answered, buf) },
		"joining option 82": func() {
			m, err := dhcp4.ParseMessage(split)
			if a, ok, e := m.AgentInformation(buf); err != nil || e != nil || !ok || len(a) != 6 {
				t.Fatal(err, e)
			}
		},
	} {
		if n := testing.AllocsPerRun(100, do); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func TestWritingIntoRoomDoesNotAllocate(t *testing.T) {
	h := dhcp4.Header{Op: dhcp4.BOOTRequest, HType: 1, XID: 7, CHAddr: []byte{2, 0, 0, 0, 0, 1}}
	room := make([]byte, 0, 1500)
	if n := testing.AllocsPerRun(100, func() {
		b := dhcp4.AppendHeader(room, h)
		b = dhcp4.AppendMessageType(b, dhcp4.Discover)
		b = dhcp4.AppendParameterRequestList(b, dhcp4.OptionSubnetMask, dhcp4.OptionRouter)
		b = dhcp4.AppendAddresses(b, dhcp4.OptionRouter, ours, ours)
		if b = dhcp4.AppendEnd(b, 0); len(b) != 300 {
			t.Fatal(len(b))
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkParseMessage(b *testing.B) {
	in := discover(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dhcp4.ParseMessage(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadRequest(b *testing.B) {
	in := discover(b)
	b.ReportAllocs()
	for b.Loop() {
		readAll(b, in)
	}
}

func BenchmarkAddAgentInformation(b *testing.B) {
	in, room := discover(b), make([]byte, 0, 1500)
	b.ReportAllocs()
	for b.Loop() {
		add(b, room, in)
	}
}

func BenchmarkRemoveAgentInformation(b *testing.B) {
	in, room, buf := offer(b), make([]byte, 0, 1500), make([]byte, 0, 255)
	b.ReportAllocs()
	for b.Loop() {
		remove(b, room, in, buf)
	}
}
