package dhcp6_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/wire/dhcp6"
)

func TestOptionsKeepOrderAndDuplicates(t *testing.T) {
	o, err := dhcp6.ParseOptions(octets(t, `
		0012 0002 6161
		0001 0000
		0012 0001 62
		ea60 0003 000102
		0012 0000`))
	if err != nil {
		t.Fatal(err)
	}
	want := []pair{{18, "aa"}, {1, ""}, {18, "b"}, {60000, "\x00\x01\x02"}, {18, ""}}
	if diff := cmp.Diff(want, pairs(o)); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	for c, want := range map[dhcp6.OptionCode]int{18: 3, 1: 1, 60000: 1, 2: 0, 0: 0} {
		if got := o.Count(c); got != want {
			t.Errorf("Count(%d) = %d, want %d", c, got, want)
		}
	}
	if first, ok := o.First(18); !ok || string(first) != "aa" {
		t.Errorf("First(18) = %q, %v, want the first of the three", first, ok)
	}
	if empty, ok := o.First(1); !ok || empty == nil || len(empty) != 0 {
		t.Errorf("First(1) = %v, %v, want an empty payload that is not nil", empty, ok)
	}
	if got, ok := o.First(2); ok || got != nil {
		t.Errorf("First(2) = %v, %v, want none", got, ok)
	}
}

func TestOptionsAllStopsWhenAsked(t *testing.T) {
	o, err := dhcp6.ParseOptions(octets(t, "0001 0000 0002 0000 0003 0000"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for c := range o.All() {
		seen++
		if c == 2 {
			break
		}
	}
	if seen != 2 {
		t.Errorf("saw %d options before the break, want 2", seen)
	}
}

func TestOptionsRefused(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"00", "dhcp6: option header at octet 0: truncated"},
		{"0001 0000 00 02 00", "dhcp6: option header at octet 4: truncated"},
		{"0001 0001", "dhcp6: option 1 at octet 0: truncated"},
		{"0001 0001 00 001a 0003 0000", "dhcp6: option 26 at octet 5: truncated"},
		// A sum in 16 bits would wrap to 1 here.
		{"0001 fffd 0000", "dhcp6: option 1 at octet 0: truncated"},
		{"ffff ffff 0000", "dhcp6: option 65535 at octet 0: truncated"},
	} {
		o, err := dhcp6.ParseOptions(octets(t, tc.in))
		wantError(t, err, dhcp6.ErrTruncated, tc.want)
		if o != nil {
			t.Errorf("%s: got options %x beside the error", tc.in, o)
		}
	}
}

// An Options that nobody validated ends at the first fault and does not panic.
func TestOptionsUnvalidatedEndEarly(t *testing.T) {
	for _, in := range []string{"", "00", "000100", "0001 0005 00"} {
		o := dhcp6.Options(octets(t, in))
		if got := pairs(o); got != nil || o.Count(1) != 0 {
			t.Errorf("%q: yields %v, want nothing", in, got)
		}
	}
}

// Whoever appends to a view gets a copy, and the octets behind it stay.
func TestViewsCannotGrowIntoWhatFollows(t *testing.T) {
	b := octets(t, "01 000001 0001 0001 aa 0002 0001 bb")
	m, err := dhcp6.ParseMessage(b[:9])
	if err != nil {
		t.Fatal(err)
	}
	o, err := dhcp6.ParseOptions(b[4:])
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := o.First(1)
	for name, view := range map[string][]byte{"payload": payload, "message": m.Bytes(), "its options": m.Options()} {
		_ = append(view, 0xcc)
		if want := octets(t, "01 000001 0001 0001 aa 0002 0001 bb"); !bytes.Equal(b, want) {
			t.Fatalf("appending to the %s changed the buffer: %x, want %x", name, b, want)
		}
	}
	r := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, addr("::"), addr("::"))
	r = append(dhcp6.AppendInterfaceID(r, nil), 0xbb)
	relay, err := dhcp6.ParseRelay(r[:38])
	if err != nil {
		t.Fatal(err)
	}
	_ = append(relay.Bytes(), 0xcc)
	_ = append(relay.Options(), 0xcc)
	if r[38] != 0xbb {
		t.Fatalf("appending to the relay message changed the buffer: %x", r)
	}
}

func TestAppendOptionAtTheLimit(t *testing.T) {
	b := dhcp6.AppendOption([]byte{0xee}, 7, make([]byte, 65535))
	if want := []byte{0xee, 0, 7, 0xff, 0xff, 0}; !bytes.HasPrefix(b, want) || len(b) != 5+65535 {
		t.Errorf("starts %x and has %d octets, want %x and %d", b[:6], len(b), want, 5+65535)
	}
	defer func() {
		err, _ := recover().(error)
		wantError(t, err, dhcp6.ErrTooBig, "dhcp6: option 7 at octet 1: too big")
	}()
	dhcp6.AppendOption([]byte{0xee}, 7, make([]byte, 65536))
	t.Error("65536 octets: no panic")
}

func TestBeginEndOptionNest(t *testing.T) {
	b, outer := dhcp6.BeginOption([]byte{0xee}, 25)
	b = append(b, 0x11)
	b, inner := dhcp6.BeginOption(b, 26)
	b = append(b, 0x22, 0x33)
	b, err := dhcp6.EndOption(b, inner)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = dhcp6.EndOption(b, outer); err != nil {
		t.Fatal(err)
	}
	if want := octets(t, "ee 0019 0007 11 001a 0002 2233"); !bytes.Equal(b, want) {
		t.Errorf("got %x, want %x", b, want)
	}
}

func TestEndOptionAtTheLimit(t *testing.T) {
	for _, size := range []int{65534, 65535} {
		b, mark := dhcp6.BeginOption([]byte{0xee}, 9)
		b, err := dhcp6.EndOption(append(b, make([]byte, size)...), mark)
		if err != nil {
			t.Fatalf("%d octets: %v", size, err)
		}
		o, err := dhcp6.ParseOptions(b[1:])
		if err != nil {
			t.Fatalf("%d octets: %v", size, err)
		}
		if payload, _ := o.First(9); len(payload) != size {
			t.Errorf("%d octets were read back as %d", size, len(payload))
		}
	}
	for _, size := range []int{65536, 65537, 131072} {
		b, mark := dhcp6.BeginOption([]byte{0xee}, 9)
		b, err := dhcp6.EndOption(append(b, make([]byte, size)...), mark)
		wantError(t, err, dhcp6.ErrTooBig, "dhcp6: option 9 at octet 1: too big")
		if !bytes.Equal(b, []byte{0xee}) {
			t.Errorf("%d octets: %d octets left, want what stood before the option", size, len(b))
		}
	}
}
