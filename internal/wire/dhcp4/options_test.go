package dhcp4_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/wire/dhcp4"
)

// overloaded is a reply with options in three fields.
func overloaded(t testing.TB, options, file, sname string) dhcp4.Message {
	t.Helper()
	field := func(text string, n int) []byte {
		b := octets(t, text)
		return append(b, make([]byte, n-len(b))...)
	}
	b := octets(t, "02 01 06 00 11223344 00*20 0200000000c1 00*10")
	b = append(b, field(sname, 64)...)
	b = append(b, field(file, 128)...)
	m, err := dhcp4.ParseMessage(append(append(b, 0x63, 0x82, 0x53, 0x63), octets(t, options)...))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// RFC 2131 section 4.1: the options field comes first, then file, then sname. Each of the latter
// two counts where the option overload option says so, up to its End option.
func TestRFC2131_4_1_OverloadedFieldsInOrder(t *testing.T) {
	const file, sname = "0c0166 00 0f0166 ff 0c0178", "0c0173 ff"
	first, inFile, inSName := pair{12, "o"}, []pair{{12, "f"}, {15, "f"}}, []pair{{12, "s"}}
	for _, tc := range []struct {
		name, options string
		want          []pair
	}{
		{"none", "0c016f ff", []pair{first}},
		{"file", "340101 0c016f ff", append([]pair{{52, "\x01"}, first}, inFile...)},
		{"sname", "340102 0c016f ff", append([]pair{{52, "\x02"}, first}, inSName...)},
		{"both", "0c016f 340103 ff", append(append([]pair{first, {52, "\x03"}}, inFile...), inSName...)},
		{"none of the legal values", "340104 0c016f ff", []pair{{52, "\x04"}, first}},
		{"no octet", "3400 0c016f ff", []pair{{52, ""}, first}},
		{"two octets", "34020200 0c016f ff", append([]pair{{52, "\x02\x00"}, first}, inSName...)},
		{"two options", "340101 340102 ff", append(append([]pair{{52, "\x01"}, {52, "\x02"}}, inFile...), inSName...)},
		{"after the End", "0c016f ff 340103", []pair{first}},
	} {
		m := overloaded(t, tc.options, file, sname)
		if diff := cmp.Diff(tc.want, pairs(m.Options())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
		if got, ok := m.Options().First(12); tc.name == "sname" && (!ok || string(got) != "o") {
			t.Errorf("First is %q, %v, want that of the options field", got, ok)
		}
	}
}

// RFC 2131 section 4.1: an option is in one field only, and option 52 counts only in the options
// field. An error in file or sname is no reason for a relay agent to refuse the message.
func TestRFC2131_4_1_OptionsDoNotCrossFields(t *testing.T) {
	for _, tc := range []struct {
		name, options, file, sname string
		want                       []pair
	}{
		{"file goes past its end", "340103 ff", "0c0166 00*121 0f09 6666", "0c0173 ff", []pair{{52, "\x03"}, {12, "f"}, {12, "s"}}},
		{"sname goes past its end", "340103 ff", "0c0166 ff", "00*62 0c01", []pair{{52, "\x03"}, {12, "f"}}},
		{"half an option header", "340102 ff", "", "00*63 0c", []pair{{52, "\x02"}}},
		{"filled to the last octet", "340103 ff", "00*125 0c0166", "00*61 0c0173", []pair{{52, "\x03"}, {12, "f"}, {12, "s"}}},
		{"no options", "340103 ff", "ff", "", []pair{{52, "\x03"}}},
		{"overload in file", "340101 ff", "340103 ff", "0c0173 ff", []pair{{52, "\x01"}, {52, "\x03"}}},
	} {
		m := overloaded(t, tc.options, tc.file, tc.sname)
		if diff := cmp.Diff(tc.want, pairs(m.Options())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// RFC 3396 section 7: options with the same code are joined, in the order options, file, sname
// (section 5), wherever they were split.
func TestRFC3396_7_SplitOptionsAreJoined(t *testing.T) {
	// This is the example of section 8, with another option between its parts.
	m := message(t, request+"43 07 2f6469736b6c65 0c 01 61 43 06 73732f666f6f ff")
	room := bytes.Repeat([]byte("x"), 64) // its content does not matter
	got, ok := m.Options().Value(67, room)
	if !ok || string(got) != "/diskless/foo" || &got[0] != &room[:1][0] {
		t.Errorf("joined to %q, %v, in the caller's buffer %v", got, ok, len(got) > 0 && &got[0] == &room[:1][0])
	}
	if got, ok := m.Options().Value(12, room); !ok || string(got) != "a" || &got[0] != &m.Bytes()[251] {
		t.Errorf("one option is %q, %v, want it in place", got, ok)
	}
	if got, ok := m.Options().Value(15, room); ok || got != nil {
		t.Errorf("no option is %q, %v", got, ok)
	}
	m = overloaded(t, "430161 340103 430162 ff", "430163 430164 ff", "4300 430165 ff")
	if got, ok := m.Options().Value(67, nil); !ok || string(got) != "abcde" {
		t.Errorf("joined over three fields to %q, %v", got, ok)
	}
	if first, ok := m.Options().First(67); !ok || string(first) != "a" {
		t.Errorf("the first is now %q: it was written to", first)
	}
	for _, c := range []dhcp4.OptionCode{dhcp4.OptionPad, dhcp4.OptionEnd} {
		if got, ok := m.Options().First(c); ok {
			t.Errorf("%v has the payload %x", c, got)
		}
	}
	m = message(t, request+"4300 ff")
	if got, ok := m.Options().Value(67, nil); !ok || got == nil || len(got) != 0 {
		t.Errorf("an empty option is %v, %v", got, ok)
	}
}

// RFC 3396 section 6: no part has more than 255 octets, the parts follow one another, and joined
// they are the whole.
func TestRFC3396_6_LongOptionsAreSplit(t *testing.T) {
	for n, parts := range map[int]string{0: "0", 1: "1", 254: "254", 255: "255", 256: "255 1", 510: "255 255", 511: "255 255 1"} {
		payload := []byte(strings.Repeat("ab", n)[:n])
		b := dhcp4.AppendLongOption(octets(t, request), 67, payload)
		m, err := dhcp4.ParseMessage(append(b, 0xff))
		if err != nil {
			t.Fatal(err)
		}
		lengths := ""
		for c, part := range m.Options().All() {
			if c != 67 {
				t.Errorf("%d octets: an option %d", n, c)
			}
			lengths = strings.TrimSpace(lengths + " " + strconv.Itoa(len(part)))
		}
		if lengths != parts {
			t.Errorf("%d octets are split into %s, want %s", n, lengths, parts)
		}
		if got, ok := m.Options().Value(67, nil); !ok || !bytes.Equal(got, payload) {
			t.Errorf("%d octets are read back as %d, %v", n, len(got), ok)
		}
	}
}

func TestAppendOption(t *testing.T) {
	if got, want := dhcp4.AppendOption([]byte{0xee}, 12, []byte("ab")), octets(t, "ee 0c 02 6162"); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	whole := dhcp4.AppendOption(nil, 12, make([]byte, 255))
	if len(whole) != 257 || whole[1] != 255 {
		t.Errorf("255 octets are written as %x", whole)
	}
	wantPanic(t, "dhcp4: option 12 at octet 1: too big", func() { dhcp4.AppendOption([]byte{0xee}, 12, make([]byte, 256)) })
	wantPanic(t, "dhcp4: option 82 sub-option 2 at octet 0: too big", func() { dhcp4.AppendSubOption(nil, 2, make([]byte, 256)) })
}

// The capacity of a payload ends where the next option begins.
func TestPayloadsAreClipped(t *testing.T) {
	m := message(t, request+"0c0161 5204 01026161 0f0162 ff")
	for c, payload := range m.Options().All() {
		if cap(payload) != len(payload) {
			t.Errorf("option %d has room for %d octets", c, cap(payload)-len(payload))
		}
	}
	a, _, _ := m.AgentInformation(nil)
	for c, value := range a.All() {
		if cap(value) != len(value) {
			t.Errorf("sub-option %d has room for %d octets", c, cap(value)-len(value))
		}
	}
}

// A caller may stop after any option.
func TestStoppingEarly(t *testing.T) {
	m := overloaded(t, "340103 0c016f ff", "0c0166 ff", "0c0173 ff")
	all := pairs(m.Options())
	for n := range len(all) + 1 {
		seen := 0
		for range m.Options().All() {
			if seen++; seen > n {
				break
			}
		}
		if want := min(n+1, len(all)); seen != want {
			t.Errorf("%d options, stopped after %d: saw %d", len(all), want, seen)
		}
	}
}
