package dhcp6_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"fairlead/internal/wire/dhcp6"
)

// refused checks an error of a parser that was given n octets: the type, one of
// the causes, and an offset inside the octets or just after them.
func refused(t *testing.T, err error, n int) {
	t.Helper()
	var typed *dhcp6.Error
	if !errors.As(err, &typed) {
		t.Fatalf("error %v is of type %T", err, err)
	}
	if typed.Err != dhcp6.ErrTruncated && typed.Err != dhcp6.ErrMalformed {
		t.Fatalf("error %v has another cause", err)
	}
	if typed.Offset < 0 || typed.Offset > n {
		t.Fatalf("error %v points outside %d octets", err, n)
	}
}

// walked checks that the options of o are exactly its octets, and that First and
// Count agree with All.
func walked(t *testing.T, o dhcp6.Options) {
	t.Helper()
	var rebuilt []byte
	first := map[dhcp6.OptionCode][]byte{}
	count := map[dhcp6.OptionCode]int{}
	for c, payload := range o.All() {
		rebuilt = dhcp6.AppendOption(rebuilt, c, payload)
		if count[c]++; count[c] == 1 {
			first[c] = payload
		}
	}
	if !bytes.Equal(rebuilt, o) {
		t.Fatalf("options %x are walked as %x", o, rebuilt)
	}
	for c, want := range first {
		if got, ok := o.First(c); !ok || !bytes.Equal(got, want) || o.Count(c) != count[c] {
			t.Fatalf("code %d: First %x, %v, Count %d; want %x, %d", c, got, ok, o.Count(c), want, count[c])
		}
	}
}

// rewritten checks that the option b holds payload as it was read.
func rewritten(t *testing.T, b []byte, c dhcp6.OptionCode, payload []byte) {
	t.Helper()
	if want := dhcp6.AppendOption(nil, c, payload); !bytes.Equal(b, want) {
		t.Fatalf("written again as %x, want %x", b, want)
	}
}

func FuzzOptions(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := dhcp6.ParseOptions(b)
		if err != nil {
			refused(t, err, len(b))
			return
		}
		if !bytes.Equal(o, b) {
			t.Fatalf("options %x of octets %x", o, b)
		}
		walked(t, o)
	})
}

func FuzzMessage(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := dhcp6.ParseMessage(b)
		if err != nil {
			refused(t, err, len(b))
			return
		}
		walked(t, m.Options())
		again := append(dhcp6.AppendMessageHeader(nil, m.Type(), m.TransactionID()), m.Options()...)
		if !bytes.Equal(again, b) || !bytes.Equal(m.Bytes(), b) {
			t.Fatalf("%x is written again as %x", b, again)
		}
		if d, ok := m.ClientID(); ok != (m.Options().Count(dhcp6.OptionClientID) > 0) {
			t.Fatalf("client DUID %v, %v", d, ok)
		}
		if d, ok := m.ServerID(); ok != (m.Options().Count(dhcp6.OptionServerID) > 0) {
			t.Fatalf("server DUID %v, %v", d, ok)
		}
	})
}

func FuzzRelay(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		for range dhcp6.MaxRelayLayers {
			m, err := dhcp6.ParseRelay(b)
			if err != nil {
				refused(t, err, len(b))
				return
			}
			walked(t, m.Options())
			again := dhcp6.AppendRelayHeader(nil, m.Type(), m.HopCount(), m.LinkAddress(), m.PeerAddress())
			if again = append(again, m.Options()...); !bytes.Equal(again, b) || !bytes.Equal(m.Bytes(), b) {
				t.Fatalf("%x is written again as %x", b, again)
			}
			var ok bool
			if b, ok = m.Inner(); !ok {
				return
			}
		}
	})
}

func FuzzIA(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := dhcp6.ParseIA(b)
		if err != nil {
			refused(t, err, len(b))
			return
		}
		if len(b) > dhcp6.MaxOptionLen {
			return
		}
		walked(t, v.Options)
		rewritten(t, dhcp6.AppendIA(nil, dhcp6.OptionIAPD, v), dhcp6.OptionIAPD, b)
	})
}

func FuzzIAAddr(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := dhcp6.ParseIAAddr(b)
		if err != nil {
			refused(t, err, len(b))
			return
		}
		if len(b) > dhcp6.MaxOptionLen {
			return
		}
		walked(t, v.Options)
		rewritten(t, dhcp6.AppendIAAddr(nil, v), dhcp6.OptionIAAddr, b)
	})
}

func FuzzIAPrefix(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := dhcp6.ParseIAPrefix(b)
		if err != nil {
			refused(t, err, len(b))
			return
		}
		if len(b) > dhcp6.MaxOptionLen {
			return
		}
		if !v.Prefix.IsValid() {
			t.Fatalf("prefix %v of %x", v.Prefix, b)
		}
		walked(t, v.Options)
		rewritten(t, dhcp6.AppendIAPrefix(nil, v), dhcp6.OptionIAPrefix, b)
	})
}

// FuzzFlatOption reads the payload of whichever option the code names.
func FuzzFlatOption(f *testing.F) {
	f.Fuzz(func(t *testing.T, code uint16, b []byte) {
		if len(b) > dhcp6.MaxOptionLen {
			return
		}
		c := dhcp6.OptionCode(code)
		again, err := rewriteFlat(c, b)
		if err != nil {
			refused(t, err, len(b))
			return
		}
		rewritten(t, again, c, b)
	})
}

// rewriteFlat reads a payload and writes the option again.
func rewriteFlat(c dhcp6.OptionCode, b []byte) ([]byte, error) {
	switch c {
	case dhcp6.OptionORO:
		o, err := dhcp6.ParseORO(b)
		var codes []dhcp6.OptionCode
		for requested := range o.All() {
			codes = append(codes, requested)
		}
		return dhcp6.AppendORO(nil, codes...), err
	case dhcp6.OptionElapsedTime:
		v, err := dhcp6.ParseElapsedTime(b)
		return dhcp6.AppendElapsedTime(nil, v), err
	case dhcp6.OptionStatusCode:
		v, err := dhcp6.ParseStatus(b)
		return dhcp6.AppendStatus(nil, v), err
	case dhcp6.OptionAuth:
		v, err := dhcp6.ParseAuth(b)
		return dhcp6.AppendAuth(nil, v), err
	case dhcp6.OptionPreference:
		v, err := dhcp6.ParsePreference(b)
		return dhcp6.AppendPreference(nil, v), err
	case dhcp6.OptionReconfMessage:
		v, err := dhcp6.ParseReconfMessage(b)
		return dhcp6.AppendReconfMessage(nil, v), err
	case dhcp6.OptionRemoteID:
		v, err := dhcp6.ParseRemoteID(b)
		return dhcp6.AppendRemoteID(nil, v), err
	case dhcp6.OptionRelayID:
		v, err := dhcp6.ParseRelayID(b)
		return dhcp6.AppendRelayID(nil, v), err
	case dhcp6.OptionClientLinkLayer:
		v, err := dhcp6.ParseClientLinkLayer(b)
		return dhcp6.AppendClientLinkLayer(nil, v), err
	case dhcp6.OptionRelayPort:
		v, err := dhcp6.ParseRelayPort(b)
		return dhcp6.AppendRelayPort(nil, v), err
	}
	return dhcp6.AppendOption(nil, c, b), nil
}

func FuzzDUIDText(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		d, err := dhcp6.ParseDUID(text)
		if err != nil {
			refused(t, err, len(text)+1)
			return
		}
		again, err := dhcp6.ParseDUID(d.String())
		if err != nil || !bytes.Equal(again, d) {
			t.Fatalf("%q is %x, printed as %v, read back as %x, %v", text, d, d, again, err)
		}
	})
}

// FuzzPacket descends as far as a relay agent would, and further.
func FuzzPacket(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(b)
		if err == nil && len(b) > 0 && len(p.Relays) == 0 && p.XID != binary.BigEndian.Uint32(b)&0xffffff {
			t.Fatalf("%x has the transaction-id %#x", b, p.XID)
		}
	})
}
