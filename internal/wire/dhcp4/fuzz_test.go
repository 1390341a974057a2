package dhcp4_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"fairlead/internal/wire/dhcp4"
)

// refused checks the error of a parser that got n octets: its type, its cause, and an offset that
// is inside the octets or just after them.
func refused(t *testing.T, err error, n int) {
	t.Helper()
	var typed *dhcp4.Error
	if !errors.As(err, &typed) {
		t.Fatalf("error %v is of type %T", err, err)
	}
	if typed.Err != dhcp4.ErrTruncated && typed.Err != dhcp4.ErrMalformed {
		t.Fatalf("error %v has another cause", err)
	}
	if typed.Offset < 0 || typed.Offset > n {
		t.Fatalf("error %v points outside %d octets", err, n)
	}
}

// slowOptions walks an options field, or the file or sname field, one octet at a time.
func slowOptions(field []byte) (list []pair) {
	const (
		code = iota
		length
		payload
	)
	state, c, n := code, 0, 0
	var p []byte
	for _, o := range field {
		switch state {
		case code:
			if o == 255 {
				return list
			}
			if o != 0 {
				state, c = length, int(o)
			}
		case length:
			state, n, p = payload, int(o), nil
		case payload:
			p = append(p, o)
		}
		if state == payload && len(p) == n {
			state, list = code, append(list, pair{c, string(p)})
		}
	}
	return list
}

func FuzzMessage(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := dhcp4.ParseMessage(b)
		if err != nil {
			refused(t, err, len(b))
			return
		}
		if !bytes.Equal(m.Bytes(), b) {
			t.Fatalf("%x is kept as %x", b, m.Bytes())
		}
		before, end, ok := m.Split()
		if !bytes.Equal(slices.Concat(before, end), b) || ok != bytes.Equal(b[236:240], []byte{0x63, 0x82, 0x53, 0x63}) {
			t.Fatalf("%x is split into %x and %x, %v", b, before, end, ok)
		}
		again := dhcp4.AppendHeader(nil, dhcp4.Header{
			Op: m.Op(), HType: m.HType(), Hops: m.Hops(), XID: m.XID(), Secs: m.Secs(), Flags: m.Flags(),
			CIAddr: m.CIAddr(), YIAddr: m.YIAddr(), SIAddr: m.SIAddr(), GIAddr: m.GIAddr(),
			CHAddr: m.CHAddr(), SName: m.SName(), File: m.File(),
		})
		copy(again[28+len(m.CHAddr()):44], b[28+len(m.CHAddr()):44]) // octets after hlen, which are not read
		if !bytes.Equal(again[:236], b[:236]) {
			t.Fatalf("%x is written again as %x", b[:236], again[:236])
		}
		if !ok {
			if len(pairs(m.Options())) > 0 || !bytes.Equal(m.AppendWithoutAgentInformation(nil), b) {
				t.Fatalf("%x has options", b)
			}
			return
		}
		options(t, m, b)
		carried(t, m)
	})
}

// options compares what is read of the options of m with the slow walk.
func options(t *testing.T, m dhcp4.Message, b []byte) {
	t.Helper()
	want := slowOptions(b[240:])
	var overload byte
	for _, p := range want {
		if p.Code == 52 && p.Payload != "" {
			overload |= p.Payload[0]
		}
	}
	inField := len(want)
	if overload&1 != 0 {
		want = append(want, slowOptions(b[108:236])...)
	}
	if overload&2 != 0 {
		want = append(want, slowOptions(b[44:108])...)
	}
	if got := pairs(m.Options()); !slices.Equal(got, want) {
		t.Fatalf("options %v, want %v", got, want)
	}
	var types []pair
	for _, p := range want {
		if p.Code == 53 {
			types = append(types, p)
		}
	}
	kind := dhcp4.MessageType(0)
	if len(types) == 1 && len(types[0].Payload) == 1 {
		kind = dhcp4.MessageType(types[0].Payload[0])
	}
	if m.Type() != kind {
		t.Fatalf("type %v among %v, want %v", m.Type(), want, kind)
	}
	joined := map[int]string{}
	for _, p := range want {
		joined[p.Code] += p.Payload
	}
	for c, want := range joined {
		if got, ok := m.Options().Value(dhcp4.OptionCode(c), nil); !ok || string(got) != want {
			t.Fatalf("option %d is %x, %v, want %x", c, got, ok, want)
		}
	}
	a, ok, err := m.AgentInformation(nil)
	field, has82 := "", false
	for _, p := range want[:inField] {
		if p.Code == 82 {
			field, has82 = field+p.Payload, true
		}
	}
	if ok != has82 || err == nil && string(a) != field {
		t.Fatalf("option 82 is %x, %v, %v, want %x, %v", a, ok, err, field, has82)
	}
}

// carried checks that nothing but option 82 is removed, and that an option 82 that was added is
// removed again.
func carried(t *testing.T, m dhcp4.Message) {
	t.Helper()
	bare, err := dhcp4.ParseMessage(m.AppendWithoutAgentInformation(nil))
	if err != nil {
		t.Fatalf("%x without option 82: %v", m.Bytes(), err)
	}
	want := slices.DeleteFunc(slowOptions(m.Bytes()[240:]), func(p pair) bool { return p.Code == 82 })
	if got := slowOptions(bare.Bytes()[240:]); !slices.Equal(got, want) {
		t.Fatalf("%x without option 82 has options %v, want %v", m.Bytes(), got, want)
	}
	with, err := dhcp4.ParseMessage(added(t, bare, "a1"))
	if err != nil {
		t.Fatalf("%x with option 82: %v", bare.Bytes(), err)
	}
	if got, want := slowOptions(with.Bytes()[240:]), append(want, pair{82, "\x01\x02a1"}); !slices.Equal(got, want) {
		t.Fatalf("%x with option 82 has options %v, want %v", bare.Bytes(), got, want)
	}
	if got := with.AppendWithoutAgentInformation(nil); !bytes.Equal(got, bare.Bytes()) {
		t.Fatalf("added and removed again: %x, want %x", got, bare.Bytes())
	}
}

func FuzzAgentInformation(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := dhcp4.ParseAgentInformation(b)
		if err != nil {
			refused(t, err, len(b))
			return
		}
		var rebuilt []byte
		first := map[dhcp4.SubOptionCode][]byte{}
		for c, value := range a.All() {
			rebuilt = dhcp4.AppendSubOption(rebuilt, c, value)
			if _, seen := first[c]; !seen {
				first[c] = value
			}
		}
		if !bytes.Equal(rebuilt, b) || len(b) < 2 {
			t.Fatalf("%x is walked as %x", b, rebuilt)
		}
		for c, want := range first {
			if got, ok := a.First(c); !ok || !bytes.Equal(got, want) {
				t.Fatalf("sub-option %d: First %x, %v; want %x", c, got, ok, want)
			}
		}
	})
}

// FuzzValue reads the payload of the option, or of the sub-option of option 82, that the code
// names.
func FuzzValue(f *testing.F) {
	f.Fuzz(func(t *testing.T, sub bool, code byte, b []byte) {
		if len(b) > dhcp4.MaxOptionLen {
			return
		}
		rewrite := rewriteOption
		if sub {
			rewrite = rewriteSubOption
		}
		again, err := rewrite(code, b)
		if err != nil {
			refused(t, err, len(b))
			return
		}
		if want := append([]byte{code, byte(len(b))}, b...); !bytes.Equal(again, want) {
			t.Fatalf("written again as %x, want %x", again, want)
		}
	})
}

// rewriteOption reads a payload, and writes the option again.
func rewriteOption(code byte, b []byte) ([]byte, error) {
	c := dhcp4.OptionCode(code)
	switch c {
	case 1, 28, 50, 54:
		v, err := dhcp4.ParseAddress(c, b)
		return dhcp4.AppendAddress(nil, c, v), err
	case 3, 6:
		v, err := dhcp4.ParseAddresses(c, b)
		return dhcp4.AppendAddresses(nil, c, slices.Collect(v.All())...), err
	case 51, 58, 59:
		v, err := dhcp4.ParseLifetime(c, b)
		return dhcp4.AppendLifetime(nil, c, v), err
	case dhcp4.OptionMessageType:
		v, err := dhcp4.ParseMessageType(b)
		return dhcp4.AppendMessageType(nil, v), err
	case dhcp4.OptionParameterRequestList:
		v, err := dhcp4.ParseParameterRequestList(b)
		return dhcp4.AppendParameterRequestList(nil, slices.Collect(v.All())...), err
	case dhcp4.OptionMaxMessageSize:
		v, err := dhcp4.ParseMaxMessageSize(b)
		return dhcp4.AppendMaxMessageSize(nil, v), err
	case dhcp4.OptionClientID:
		v, err := dhcp4.ParseClientID(b)
		return dhcp4.AppendClientID(nil, v), err
	}
	return dhcp4.AppendOption(nil, c, b), nil
}

// rewriteSubOption reads a value, and writes the sub-option again. Parts that the reader ignores
// are copied from the value.
func rewriteSubOption(code byte, b []byte) ([]byte, error) {
	c := dhcp4.SubOptionCode(code)
	switch c {
	case dhcp4.SubOptionDeviceClass:
		v, err := dhcp4.ParseDeviceClass(b)
		return dhcp4.AppendDeviceClass(nil, v), err
	case dhcp4.SubOptionLinkSelection:
		v, err := dhcp4.ParseLinkSelection(b)
		return dhcp4.AppendLinkSelection(nil, v), err
	case dhcp4.SubOptionSubscriberID:
		v, err := dhcp4.ParseSubscriberID(b)
		return dhcp4.AppendSubscriberID(nil, v), err
	case dhcp4.SubOptionAuthentication:
		v, err := dhcp4.ParseAuthentication(b)
		again := dhcp4.AppendAuthentication(nil, v)
		if err == nil {
			again[3] |= b[1] & 0xf0
		}
		return again, err
	case dhcp4.SubOptionVendorInformation:
		v, err := dhcp4.ParseVendorInformation(b)
		var again []byte
		for enterprise, data := range v.All() {
			again = append(again, dhcp4.AppendVendorInformation(nil, enterprise, data)[2:]...)
		}
		return append([]byte{code, byte(len(again))}, again...), err
	case dhcp4.SubOptionFlags:
		v, err := dhcp4.ParseRelayFlags(b)
		again := dhcp4.AppendRelayFlags(nil, v)
		if err == nil {
			again = append(again, b[1:]...)
			again[1] = byte(len(b))
		}
		return again, err
	case dhcp4.SubOptionServerIDOverride:
		v, err := dhcp4.ParseServerIDOverride(b)
		return dhcp4.AppendServerIDOverride(nil, v), err
	case dhcp4.SubOptionRelayID:
		v, err := dhcp4.ParseRelayID(b)
		return dhcp4.AppendRelayID(nil, v), err
	case dhcp4.SubOptionAccessTechnology:
		v, err := dhcp4.ParseAccessTechnology(b)
		again := dhcp4.AppendAccessTechnology(nil, v)
		if err == nil {
			again[2] = b[0]
		}
		return again, err
	case dhcp4.SubOptionAccessPointBSSID:
		v, err := dhcp4.ParseAccessPointBSSID(b)
		return dhcp4.AppendAccessPointBSSID(nil, v), err
	case dhcp4.SubOptionOperatorID:
		v, err := dhcp4.ParseOperatorID(b)
		return dhcp4.AppendOperatorID(nil, v), err
	case dhcp4.SubOptionVSS:
		v, err := dhcp4.ParseVSS(b)
		return dhcp4.AppendVSS(nil, v), err
	}
	return dhcp4.AppendSubOption(nil, c, b), nil
}
