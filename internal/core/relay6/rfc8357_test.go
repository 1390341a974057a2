package relay6_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// Section 5.2: "The IPv6 relay agent MUST include this option in the following
// three cases: [...] In the first case, the value of the "Downstream Source
// Port" field is set to zero. In the other two cases, the value of the field is
// set to the UDP port number that the downstream relay agent uses."
func TestRFC8357_5_2_OptionInThreeCases(t *testing.T) {
	for _, tc := range []struct {
		name       string
		own, below uint16
		want       []byte // payload of option 135; nil: none
	}{
		{"both ordinary", 547, 547, nil},
		{"both ordinary, by default", 0, 547, nil},
		{"own port", 1000, 547, []byte{0, 0}},
		{"port below", 0, 2000, binary.BigEndian.AppendUint16(nil, 2000)},
		{"both", 1000, 2000, binary.BigEndian.AppendUint16(nil, 2000)},
	} {
		w := newWorld(t, relayPeer("fe80::99"), func(c *relay6.Config) { c.SourcePort = tc.own })
		got := w.forwards("fe80::99", tc.below, relayed(dhcp6.RelayForward, 0, "2001:db8:7::1", "fe80::1", message(dhcp6.Solicit, 1)))
		if l := readLayer(t, got[0].Payload); !bytes.Equal(l.option(135), tc.want) || l.count(135) > 1 {
			t.Errorf("%s: option 135 %x, want %x", tc.name, l.option(135), tc.want)
		}
		if got[0].SourcePort != tc.own {
			t.Errorf("%s: sent from port %d, want %d", tc.name, got[0].SourcePort, tc.own)
		}
		// From a client: only our own port can matter.
		l := readLayer(t, w.says(alice, message(dhcp6.Solicit, 1))[0].Payload)
		if own := tc.own != 0 && tc.own != 547; (l.count(135) == 1) != own || own && !bytes.Equal(l.option(135), []byte{0, 0}) {
			t.Errorf("%s: from a client: option 135 %x", tc.name, l.option(135))
		}
	}
}

// Section 5.2: "if the "Downstream Source Port" field in the option is non-zero,
// it MUST use this UDP port number to forward the Relay-reply message to the
// downstream relay agent." Section 6: zero means 547 to a relay agent, 546 to a
// client.
func TestRFC8357_5_2_PortOfTheRelayReply(t *testing.T) {
	w := newWorld(t, relayPeer("fe80::99"))
	toRelay := relayed(dhcp6.RelayReply, 0, "2001:db8:7::1", "fe80::1", w.reply(alice))
	for _, tc := range []struct {
		inner []byte
		peer  string
		extra []option
		want  string
	}{
		{toRelay, "fe80::99", []option{relayPort(2000)}, "[fe80::99]:2000"},
		{toRelay, "fe80::99", []option{relayPort(0)}, "[fe80::99]:547"},
		{toRelay, "fe80::99", nil, "[fe80::99]:547"},
		{toRelay, "fe80::99", []option{raw(135, 7)}, "[fe80::99]:547"}, // malformed: as if it were not there
		{w.reply(carol), "fe80::c", []option{relayPort(2000)}, "[fe80::c]:546"},
	} {
		got := w.serves(relayed(dhcp6.RelayReply, 1, "2001:db8:2::1", tc.peer, tc.inner, append([]option{interfaceID("lan1")}, tc.extra...)...))
		if len(got) != 1 || got[0].Dest.String() != tc.want {
			t.Errorf("delivered %+v, want to %s", got, tc.want)
		}
	}
}

// Section 6's example, seen from Relay2: the port goes up in the option and
// comes back in it.
func TestRFC8357_6_CascadedRelays(t *testing.T) {
	w := newWorld(t, relayPeer("2001:db8:7::1"))
	below := relayed(dhcp6.RelayForward, 0, "2001:db8:7::1", "fe80::1", message(dhcp6.Solicit, 1), relayPort(0))
	up := w.forwards("2001:db8:7::1", 1000, below)
	down := w.serves(w.answer(up[0].Payload, message(dhcp6.Advertise, 1)))
	if len(down) != 1 || down[0].Dest.String() != "[2001:db8:7::1]:1000" {
		t.Fatalf("back down: %+v, want to [2001:db8:7::1]:1000", down)
	}
	if inner := readLayer(t, down[0].Payload); !slices.Equal(inner.option(135), []byte{0, 0}) {
		t.Errorf("Relay1's own option came back as %x, want 0000", inner.option(135))
	}
}
