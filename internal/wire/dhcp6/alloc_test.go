package dhcp6_test

import (
	"testing"

	"fairlead/internal/wire/dhcp6"
)

// solicit is what a home router sends first: identifiers, options wanted, one
// address and one prefix with a hint.
func solicit(t testing.TB) []byte {
	return octets(t, `
		01 112233
		0001 000e 0001 0001 2c0ffee0 0200000000c1
		0006 0008 0017 0018 0052 0053
		0008 0002 0000
		000e 0000
		0003 000c 00000001 00000000 00000000
		0019 0029 00000001 00000000 00000000
			001a 0019 00000000 00000000 38 00000000000000000000000000000000`)
}

// relayed is that Solicit in a Relay-forward.
func relayed(t testing.TB) []byte {
	b := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, addr("2001:db8::1"), addr("fe80::c1"))
	b = dhcp6.AppendInterfaceID(b, []byte("en0"))
	return dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, solicit(t))
}

// readAll reads everything that a relay agent looks at, and returns how many
// prefixes it saw.
func readAll(t testing.TB, b []byte) int {
	m, err := dhcp6.ParseMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := m.ClientID(); !ok || m.Options().Count(dhcp6.OptionIAPD) != 1 {
		t.Fatal("no client DUID or no IA_PD")
	}
	prefixes := 0
	for c, payload := range m.Options().All() {
		switch c {
		case dhcp6.OptionORO:
			if !dhcp6.ORO(payload).Contains(dhcp6.OptionSolMaxRT) {
				t.Fatal("SOL_MAX_RT is not requested")
			}
		case dhcp6.OptionIAPD:
			ia, err := dhcp6.ParseIA(payload)
			if err != nil {
				t.Fatal(err)
			}
			for c, payload := range ia.Options.All() {
				if c != dhcp6.OptionIAPrefix {
					continue
				}
				if _, err := dhcp6.ParseIAPrefix(payload); err != nil {
					t.Fatal(err)
				}
				prefixes++
			}
		}
	}
	return prefixes
}

func TestReadingDoesNotAllocate(t *testing.T) {
	direct, wrapped := solicit(t), relayed(t)
	if n := testing.AllocsPerRun(100, func() {
		if readAll(t, direct) != 1 {
			t.Fatal("the prefix was not seen")
		}
	}); n != 0 {
		t.Errorf("a Solicit: %v allocations, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		m, err := dhcp6.ParseRelay(wrapped)
		if err != nil || m.LinkAddress() == m.PeerAddress() {
			t.Fatal(m, err)
		}
		inner, ok := m.Inner()
		if !ok || readAll(t, inner) != 1 {
			t.Fatal("the inner message was not read")
		}
	}); n != 0 {
		t.Errorf("a Relay-forward: %v allocations, want 0", n)
	}
}

func TestWritingIntoRoomDoesNotAllocate(t *testing.T) {
	inner, id := solicit(t), []byte("en0")
	link, peer := addr("2001:db8::1"), addr("fe80::c1")
	room := make([]byte, 0, 1500)
	if n := testing.AllocsPerRun(100, func() {
		b := dhcp6.AppendRelayHeader(room, dhcp6.RelayForward, 0, link, peer)
		b = dhcp6.AppendInterfaceID(b, id)
		b = dhcp6.AppendRelayPort(b, 1024)
		b = dhcp6.AppendORO(b, dhcp6.OptionERO, dhcp6.OptionRelayID)
		b, mark := dhcp6.BeginOption(b, dhcp6.OptionRelayMessage)
		if _, err := dhcp6.EndOption(append(b, inner...), mark); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkParseMessage(b *testing.B) {
	in := solicit(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dhcp6.ParseMessage(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadSolicit(b *testing.B) {
	in := solicit(b)
	b.ReportAllocs()
	for b.Loop() {
		readAll(b, in)
	}
}

func BenchmarkWrap(b *testing.B) {
	in, id, room := solicit(b), []byte("en0"), make([]byte, 0, 1500)
	link, peer := addr("2001:db8::1"), addr("fe80::c1")
	b.ReportAllocs()
	for b.Loop() {
		out := dhcp6.AppendRelayHeader(room, dhcp6.RelayForward, 0, link, peer)
		out = dhcp6.AppendInterfaceID(out, id)
		dhcp6.AppendOption(out, dhcp6.OptionRelayMessage, in)
	}
}
