package dhcp4_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/wire/dhcp4"
)

// added is m with an option 82 that has one sub-option, as a relay agent adds it.
func added(t testing.TB, m dhcp4.Message, circuit string) []byte {
	t.Helper()
	before, end, ok := m.Split()
	if !ok {
		t.Fatalf("%x has no options", m.Bytes())
	}
	b, mark := dhcp4.BeginAgentInformation(append([]byte(nil), before...))
	b, err := dhcp4.EndAgentInformation(dhcp4.AppendCircuitID(b, []byte(circuit)), mark)
	if err != nil {
		t.Fatal(err)
	}
	return append(b, end...)
}

// RFC 3046 section 2.1: the option is the last one before the End option, if that is present.
func TestRFC3046_2_1_AddedAsTheLastOptionBeforeEnd(t *testing.T) {
	const option = " 5204 01026131 "
	for _, tc := range []struct{ name, before, end string }{
		{"End", "350101", "ff"},
		{"End and pads", "350101", "ff 00*56"},
		{"End and other octets", "350101 0c0161", "ff 5204 01026262 ff 0c"},
		{"pads before the End", "350101 00*3", "ff"},
		{"no End", "350101 0c0161", ""},
		{"no End, pads", "350101 00*57", ""},
		{"no options", "", "ff 00*59"},
		{"nothing", "", ""},
		{"End within a payload", "0c02ff52 350101", "ff"},
		{"Overload", "340103 350101", "ff"},
	} {
		got := added(t, message(t, request+tc.before+" "+tc.end), "a1")
		if want := octets(t, request+tc.before+option+tc.end); !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%x, want\n%x", tc.name, got, want)
		}
		m, err := dhcp4.ParseMessage(got)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if a, ok, err := m.AgentInformation(nil); !ok || err != nil || string(a) != "\x01\x02a1" {
			t.Errorf("%s: the option is read back as %x, %v, %v", tc.name, a, ok, err)
		}
	}
}

// RFC 3046 section 2.1: the option that a server echoes is removed. Every other octet stays as
// the server sent it.
func TestRFC3046_2_1_RemovedFromReplies(t *testing.T) {
	for _, tc := range []struct{ name, options, want string }{
		{"last", "350105 5204 01026131 ff", "350105 ff"},
		{"last, pads", "350105 5204 01026131 ff 00*40", "350105 ff 00*40"},
		{"first", "5204 01026131 350105 ff", "350105 ff"},
		{"alone", "5204 01026131 ff", "ff"},
		{"alone, no End", "5204 01026131", ""},
		{"between pads", "350105 00 5204 01026131 00 0c0161 ff", "350105 00 00 0c0161 ff"},
		{"no End", "350105 0c0161 5204 01026131", "350105 0c0161"},
		{"empty", "350105 5200 ff", "350105 ff"},
		{"one octet", "350105 520101 ff", "350105 ff"},
		{"sub-option cut", "350105 520301ff61 ff", "350105 ff"},
		{"none", "350105 0c0161 ff 00", "350105 0c0161 ff 00"},
		{"after the End", "350105 ff 5204 01026131", "350105 ff 5204 01026131"},
		{"within a payload", "3c06 520401026131 ff", "3c06 520401026131 ff"},
		// RFC 3396 section 7: several are parts of one.
		{"split", "5203 010461 350105 5203 626364 ff", "350105 ff"},
		{"side by side", "5203 010461 5203 626364 350105", "350105"},
	} {
		m := message(t, request+tc.options)
		got := m.AppendWithoutAgentInformation([]byte{0xee})
		if want := octets(t, "ee "+request+tc.want); !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%x, want\n%x", tc.name, got, want)
		}
		if again, err := dhcp4.ParseMessage(got[1:]); err != nil {
			t.Errorf("%s: what remains is refused: %v", tc.name, err)
		} else if _, ok, _ := again.AgentInformation(nil); ok {
			t.Errorf("%s: an option 82 remains", tc.name)
		}
	}
}

// RFC 3046 section 2.1: an option 82 in the sname or file field of a server's message is neither
// read nor removed. Options shows that it is there. So a caller can refuse a request that has
// one, which a server may join with the relay agent's own.
func TestRFC3046_2_1_SNameAndFileAreLeftAlone(t *testing.T) {
	const circuit = "5204 01026666"
	for _, tc := range []struct{ name, options, file, sname string }{
		{"file", "350105 340101 ff", circuit + " ff", ""},
		{"sname", "350105 340102 ff", "", circuit + " ff"},
		{"both", "350105 340103 ff", circuit + " ff", circuit + " ff"},
		{"malformed", "350105 340101 ff", "5203 01ff61 ff", ""},
	} {
		m := overloaded(t, tc.options, tc.file, tc.sname)
		if a, ok, err := m.AgentInformation(nil); ok || err != nil || a != nil {
			t.Errorf("%s: read as %x, %v, %v", tc.name, a, ok, err)
		}
		if got := m.AppendWithoutAgentInformation(nil); !bytes.Equal(got, m.Bytes()) {
			t.Errorf("%s: changed into %x", tc.name, got)
		}
		if _, ok := m.Options().First(dhcp4.OptionAgentInformation); !ok {
			t.Errorf("%s: Options does not tell that it is there", tc.name)
		}
		both, err := dhcp4.ParseMessage(added(t, m, "a1"))
		if err != nil {
			t.Fatal(err)
		}
		if a, ok, err := both.AgentInformation(nil); !ok || err != nil || string(a) != "\x01\x02a1" {
			t.Errorf("%s: our own beside it is read as %x, %v, %v", tc.name, a, ok, err)
		}
		if got := both.AppendWithoutAgentInformation(nil); !bytes.Equal(got, m.Bytes()) {
			t.Errorf("%s: our own is not what is removed: %x", tc.name, got)
		}
	}
}

// RFC 3046 section 2.0: there is at least one sub-option; a sub-option may be empty; 0 and 255
// are codes like any other.
func TestRFC3046_2_0_AgentInformationField(t *testing.T) {
	for _, tc := range []struct {
		field, err string
		want       []pair
	}{
		{"01026131", "", []pair{{1, "a1"}}},
		{"0100", "", []pair{{1, ""}}},
		{"0203616263 0100 c80161 010178", "", []pair{{2, "abc"}, {1, ""}, {200, "a"}, {1, "x"}}},
		{"000161 ff0162", "", []pair{{0, "a"}, {255, "b"}}},
		{"", "option 82 sub-option header at octet 0", nil},
		{"01", "option 82 sub-option header at octet 0", nil},
		{"00", "option 82 sub-option header at octet 0", nil},
		{"0100 ff", "option 82 sub-option header at octet 2", nil},
		{"0101", "option 82 sub-option 1 at octet 0", nil},
		{"010161 0c0361", "option 82 sub-option 12 at octet 3", nil},
	} {
		field := octets(t, tc.field)
		a, err := dhcp4.ParseAgentInformation(field)
		if tc.err != "" {
			wantError(t, err, dhcp4.ErrTruncated, "dhcp4: "+tc.err+": truncated")
			if a != nil {
				t.Errorf("%q: sub-options beside the error", tc.field)
			}
		} else if err != nil {
			t.Errorf("%q: %v", tc.field, err)
		}
		if diff := cmp.Diff(tc.want, subPairs(a)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tc.field, diff)
		}
		// The same in a message; that shows too that there is an option at all.
		m, parseErr := dhcp4.ParseMessage(append(dhcp4.AppendOption(octets(t, request), 82, field), 0xff))
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		got, ok, err := m.AgentInformation(nil)
		if !ok || (err != nil) != (tc.err != "") || !bytes.Equal(got, a) {
			t.Errorf("%q in a message: %x, %v, %v", tc.field, got, ok, err)
		}
	}
}

// RFC 3396 section 7: an option 82 that was split is one option, wherever it was cut.
func TestRFC3396_7_SplitAgentInformation(t *testing.T) {
	field := octets(t, "010465746830 0c03 010203 0202 6162")
	for cut := range len(field) + 1 {
		b := dhcp4.AppendOption(octets(t, request), 82, field[:cut])
		b = dhcp4.AppendOption(dhcp4.AppendMessageType(b, dhcp4.ACK), 82, field[cut:])
		m, err := dhcp4.ParseMessage(b)
		if err != nil {
			t.Fatal(err)
		}
		room := make([]byte, 0, len(field))
		a, ok, err := m.AgentInformation(room)
		if !ok || err != nil || !bytes.Equal(a, field) || &a[0] != &room[:1][0] {
			t.Errorf("cut at %d: joined to %x, %v, %v; want %x in the caller's buffer", cut, a, ok, err, field)
		}
	}
}

func TestAgentInformationFirst(t *testing.T) {
	a := dhcp4.AgentInformation(octets(t, "0201 61 0100 0201 62"))
	if v, ok := a.First(dhcp4.SubOptionRemoteID); !ok || string(v) != "a" {
		t.Errorf("remote ID %q, %v, want the first of two", v, ok)
	}
	if v, ok := a.First(dhcp4.SubOptionCircuitID); !ok || v == nil || len(v) != 0 {
		t.Errorf("empty circuit ID %v, %v", v, ok)
	}
	if v, ok := a.First(dhcp4.SubOptionRelayID); ok || v != nil {
		t.Errorf("relay ID %q, want none", v)
	}
}

// RFC 3046 section 2.0: the length is one octet, and an option has at least one sub-option. An
// option that does not fit is removed again, and the message is sent without it (section 2.1).
func TestRFC3046_2_0_LengthOfWhatIsAdded(t *testing.T) {
	const start = "ee"
	for _, n := range []int{0, 1, 252, 253} {
		b, mark := dhcp4.BeginAgentInformation([]byte(start))
		b, err := dhcp4.EndAgentInformation(dhcp4.AppendRemoteID(b, make([]byte, n)), mark)
		want := append([]byte(start), 82, byte(n+2), 2, byte(n))
		if want = append(want, make([]byte, n)...); err != nil || !bytes.Equal(b, want) {
			t.Errorf("remote ID of %d octets: %x, %v", n, b, err)
		}
	}
	for _, n := range []int{254, 255} {
		b, mark := dhcp4.BeginAgentInformation([]byte(start))
		b, err := dhcp4.EndAgentInformation(dhcp4.AppendRemoteID(b, make([]byte, n)), mark)
		wantError(t, err, dhcp4.ErrTooBig, "dhcp4: option 82 at octet 2: too big")
		if string(b) != start {
			t.Errorf("remote ID of %d octets: %x remains", n, b)
		}
	}
	b, mark := dhcp4.BeginAgentInformation([]byte(start))
	if b, err := dhcp4.EndAgentInformation(b, mark); err != nil || string(b) != start {
		t.Errorf("no sub-option: %x, %v, want no option", b, err)
	}
}

// RFC 3118 section 3: the digest of an authenticated message does not cover option 82, hops and
// giaddr. It is still correct after a relay agent has added the option, and after it has removed
// it.
func TestRFC3118_3_AuthenticationSurvives(t *testing.T) {
	key := []byte("a key of client and server")
	// The digest is the last 16 octets of option 90; the message is padded.
	const digestAt = 240 + 3 + 2 + 15
	sign := func(b []byte) []byte {
		b = bytes.Clone(b)
		clear(b[digestAt : digestAt+16])
		b[3] = 0
		clear(b[24:28])
		mac := hmac.New(md5.New, key)
		mac.Write(b)
		return mac.Sum(nil)
	}
	sent := octets(t, request+"350103 5a1f 010100 0000000000000001 00000007 00*16 3204c0000205 ff 00*20")
	copy(sent[digestAt:], sign(sent))

	m, err := dhcp4.ParseMessage(sent)
	if err != nil {
		t.Fatal(err)
	}
	forwarded := added(t, m, "eth0")
	dhcp4.SetHops(forwarded, 1)
	dhcp4.SetGIAddr(forwarded, addr("192.0.2.1"))
	if m, err = dhcp4.ParseMessage(forwarded); err != nil {
		t.Fatal(err)
	}
	seen := m.AppendWithoutAgentInformation(nil) // what the server computes the digest of
	if !bytes.Equal(sign(seen), sent[digestAt:digestAt+16]) {
		t.Error("the server computes another digest")
	}
	dhcp4.SetHops(seen, 0)
	dhcp4.SetGIAddr(seen, addr("0.0.0.0"))
	if !bytes.Equal(seen, sent) {
		t.Errorf("there and back again:\n%x, want\n%x", seen, sent)
	}
}
