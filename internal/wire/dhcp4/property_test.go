package dhcp4_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"fairlead/internal/wire/dhcp4"
)

func drawOctets(t *rapid.T, label string, least, most int) []byte {
	return rapid.SliceOfN(rapid.Byte(), least, most).Draw(t, label)
}

// drawOptions draws an options field octet by octet, without the builders: options, pads among
// them, and what may follow. without is the same field without its options 82, and joined is what
// those contain together.
func drawOptions(t *rapid.T) (list []pair, field, without, joined []byte, has82 bool) {
	for range rapid.IntRange(0, 8).Draw(t, "options") {
		code := rapid.OneOf(rapid.ByteRange(1, 254), rapid.SampledFrom([]byte{0, 0, 52, 53, 82, 82})).Draw(t, "code")
		if code == 0 {
			field, without = append(field, 0), append(without, 0)
			continue
		}
		payload := drawOctets(t, "payload", 0, 255)
		o := append([]byte{code, byte(len(payload))}, payload...)
		list, field = append(list, pair{int(code), string(payload)}), append(field, o...)
		if code == 82 {
			joined, has82 = append(joined, payload...), true
		} else {
			without = append(without, o...)
		}
	}
	if rapid.Bool().Draw(t, "end") {
		tail := append([]byte{255}, drawOctets(t, "tail", 0, 20)...)
		field, without = append(field, tail...), append(without, tail...)
	}
	return list, field, without, joined, has82
}

// drawHeader draws any header that is not refused.
func drawHeader(t *rapid.T) []byte {
	h := drawOctets(t, "header", 236, 236)
	h[0], h[2] = 1+h[0]%2, h[2]%17
	return append(h, 0x63, 0x82, 0x53, 0x63)
}

// What is read is what was written. Only option 82 is removed. If an option 82 is added and
// removed, the message is as before.
func TestPropertyCarriage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHeader(t)
		list, field, without, joined, has82 := drawOptions(t)
		b := append(bytes.Clone(h), field...)
		m, err := dhcp4.ParseMessage(b)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		seen := pairs(m.Options())
		if len(seen) < len(list) {
			t.Fatalf("%d options of %d", len(seen), len(list))
		}
		if diff := cmp.Diff(list, append([]pair(nil), seen[:len(list)]...)); diff != "" {
			t.Fatalf("options (-drawn +got):\n%s", diff)
		}

		bare := m.AppendWithoutAgentInformation(nil)
		if want := append(bytes.Clone(h), without...); !bytes.Equal(bare, want) {
			t.Fatalf("removed:\n%x, want\n%x", bare, want)
		}
		a, ok, err := m.AgentInformation(nil)
		want, wantErr := dhcp4.ParseAgentInformation(joined)
		if ok != has82 || !bytes.Equal(a, want) || ok && (err == nil) != (wantErr == nil) {
			t.Fatalf("option 82 is %x, %v, %v; want %x, %v, %v", a, ok, err, want, has82, wantErr)
		}

		if m, err = dhcp4.ParseMessage(bare); err != nil {
			t.Fatal(err)
		}
		before, end, _ := m.Split()
		if !bytes.Equal(append(bytes.Clone(before), end...), bare) {
			t.Fatalf("split into %x and %x", before, end)
		}
		out, mark := dhcp4.BeginAgentInformation(bytes.Clone(before))
		if out, err = dhcp4.EndAgentInformation(dhcp4.AppendRelayID(out, drawOctets(t, "id", 1, 253)), mark); err != nil {
			t.Fatal(err)
		}
		if m, err = dhcp4.ParseMessage(append(out, end...)); err != nil {
			t.Fatal(err)
		}
		if again := m.AppendWithoutAgentInformation(nil); !bytes.Equal(again, bare) {
			t.Fatalf("added and removed:\n%x, want\n%x", again, bare)
		}
	})
}

// An option of any length is read back unchanged, also if it is in three fields.
func TestPropertyLongOptions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payload := drawOctets(t, "payload", 0, 1200)
		c := dhcp4.OptionCode(rapid.ByteRange(1, 254).Filter(func(c byte) bool { return c != 52 }).Draw(t, "code"))
		inFile, inSName := min(len(payload), rapid.IntRange(0, 125).Draw(t, "file")), 0
		rest := payload[:len(payload)-inFile]
		inSName = min(len(rest), rapid.IntRange(0, 61).Draw(t, "sname"))
		// The payload is cut into a part for each field, in the order options, file, sname.
		file := payload[len(rest)-inSName : len(payload)-inSName]
		b := dhcp4.AppendHeader(nil, dhcp4.Header{
			Op:    dhcp4.BOOTReply,
			File:  append(dhcp4.AppendOption(nil, c, file), 255),
			SName: append(dhcp4.AppendOption(nil, c, payload[len(payload)-inSName:]), 255),
		})
		b = dhcp4.AppendLongOption(append(b, 52, 1, 3), c, rest[:len(rest)-inSName])
		m, err := dhcp4.ParseMessage(dhcp4.AppendEnd(b, 0))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := m.Options().Value(c, nil); !ok || !bytes.Equal(got, payload) {
			t.Fatalf("%d octets are read back as %d, %v", len(payload), len(got), ok)
		}
	})
}
