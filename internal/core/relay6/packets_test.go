package relay6_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// option appends one option or more to a message in the making.
type option func(b []byte) []byte

// message builds a client/server message.
func message(t dhcp6.MessageType, xid uint32, options ...option) []byte {
	b := dhcp6.AppendMessageHeader(nil, t, xid)
	for _, o := range options {
		b = o(b)
	}
	return b
}

// relayed builds a relay message around another one.
func relayed(t dhcp6.MessageType, hops uint8, link, peer string, inner []byte, options ...option) []byte {
	b := dhcp6.AppendRelayHeader(nil, t, hops, addr(link), addr(peer))
	for _, o := range options {
		b = o(b)
	}
	return dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, inner)
}

func clientID(duid string) option {
	return func(b []byte) []byte { return dhcp6.AppendClientID(b, dhcp6.DUID(duid)) }
}

func raw(code dhcp6.OptionCode, payload ...byte) option {
	return func(b []byte) []byte { return dhcp6.AppendOption(b, code, payload) }
}

func interfaceID(id string) option { return raw(dhcp6.OptionInterfaceID, []byte(id)...) }

func relayPort(port uint16) option {
	return func(b []byte) []byte { return dhcp6.AppendRelayPort(b, dhcp6.RelayPort(port)) }
}

func status(code dhcp6.StatusCode) option {
	return raw(dhcp6.OptionStatusCode, byte(code>>8), byte(code))
}

// ia wraps options into an IA_PD or IA_NA.
func ia(code dhcp6.OptionCode, iaid uint32, t1, t2 dhcp6.Lifetime, inner ...option) option {
	return func(b []byte) []byte {
		b, mark := dhcp6.BeginIA(b, code, iaid, t1, t2)
		for _, o := range inner {
			b = o(b)
		}
		b, err := dhcp6.EndOption(b, mark)
		if err != nil {
			panic(err)
		}
		return b
	}
}

func iaPD(iaid uint32, inner ...option) option {
	return ia(dhcp6.OptionIAPD, iaid, 0, 0, inner...)
}

func iaNA(iaid uint32, inner ...option) option {
	return ia(dhcp6.OptionIANA, iaid, 0, 0, inner...)
}

// prefix is an IAPREFIX whose preferred lifetime is half the valid one.
func prefix(p string, valid dhcp6.Lifetime, inner ...option) option {
	preferred := valid / 2
	if valid == dhcp6.Infinity {
		preferred = valid
	}
	return prefixOf(p, preferred, valid, inner...)
}

func prefixOf(p string, preferred, valid dhcp6.Lifetime, inner ...option) option {
	return func(b []byte) []byte {
		var options []byte
		for _, o := range inner {
			options = o(options)
		}
		return dhcp6.AppendIAPrefix(b, dhcp6.IAPrefix{Prefix: netip.MustParsePrefix(p), Preferred: preferred, Valid: valid, Options: options})
	}
}

func address(a string, valid dhcp6.Lifetime) option {
	return func(b []byte) []byte {
		return dhcp6.AppendIAAddr(b, dhcp6.IAAddr{Address: addr(a), Preferred: valid / 2, Valid: valid})
	}
}

func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

func cidr(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func mac(s string) linkaddr.Addr {
	a, ok := linkaddr.Parse(s)
	if !ok {
		panic("no link-layer address: " + s)
	}
	return a
}

// layer is one relay layer of a forwarded message, read by hand from the
// octets, so that the tests do not lean on the parser of the product.
type layer struct {
	msgType    byte
	hops       byte
	link, peer netip.Addr
	options    []rawOption
	inner      []byte // payload of the Relay Message option
}

type rawOption struct {
	code    int
	payload []byte
}

func (l layer) count(code int) (n int) {
	for _, o := range l.options {
		if o.code == code {
			n++
		}
	}
	return n
}

func (l layer) option(code int) []byte {
	for _, o := range l.options {
		if o.code == code {
			return o.payload
		}
	}
	return nil
}

func (l layer) codes() []int {
	var all []int
	for _, o := range l.options {
		all = append(all, o.code)
	}
	return all
}

// readLayer reads the outermost relay layer of b.
func readLayer(t testing.TB, b []byte) layer {
	t.Helper()
	if len(b) < 34 || b[0] != 12 && b[0] != 13 {
		t.Fatalf("no relay message: %x", b)
	}
	l := layer{msgType: b[0], hops: b[1], link: netip.AddrFrom16([16]byte(b[2:18])), peer: netip.AddrFrom16([16]byte(b[18:34]))}
	for rest := b[34:]; len(rest) > 0; {
		if len(rest) < 4 {
			t.Fatalf("torn option header in %x", b)
		}
		code, n := int(binary.BigEndian.Uint16(rest)), int(binary.BigEndian.Uint16(rest[2:]))
		if len(rest) < 4+n {
			t.Fatalf("option %d runs past the end of %x", code, b)
		}
		l.options = append(l.options, rawOption{code, rest[4 : 4+n]})
		rest = rest[4+n:]
	}
	l.inner = l.option(9)
	if l.count(9) != 1 {
		t.Fatalf("%d Relay Message options in %x, want 1", l.count(9), b)
	}
	return l
}
