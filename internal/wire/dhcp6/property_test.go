package dhcp6_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"fairlead/internal/wire/dhcp6"
)

// sameValues compares what was drawn with what was read back: an empty slice and
// none are the same on the wire.
var sameValues = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func drawOctets(t *rapid.T, label string, least, most int) []byte {
	return rapid.SliceOfN(rapid.Byte(), least, most).Draw(t, label)
}

func drawAddr(t *rapid.T, label string) netip.Addr {
	return netip.AddrFrom16([16]byte(drawOctets(t, label, 16, 16)))
}

func drawLifetime(t *rapid.T, label string) dhcp6.Lifetime {
	return dhcp6.Lifetime(rapid.OneOf(rapid.Uint32(), rapid.SampledFrom([]uint32{0, 1, 0xfffffffe, 0xffffffff})).Draw(t, label))
}

// drawOptions draws options and writes them octet by octet, without the builders.
func drawOptions(t *rapid.T) (list []pair, wire []byte) {
	n := rapid.IntRange(0, 6).Draw(t, "options")
	for range n {
		p := pair{
			Code:    dhcp6.OptionCode(rapid.OneOf(rapid.Uint16Range(0, 40), rapid.Uint16()).Draw(t, "code")),
			Payload: string(drawOctets(t, "payload", 0, 300)),
		}
		list = append(list, p)
		wire = append(wire, byte(p.Code>>8), byte(p.Code), byte(len(p.Payload)>>8), byte(len(p.Payload)))
		wire = append(wire, p.Payload...)
	}
	return list, wire
}

// payloadOf strips the header off the one option that b must be.
func payloadOf(t *rapid.T, b []byte, c dhcp6.OptionCode) []byte {
	t.Helper()
	if got := dhcp6.OptionCode(binary.BigEndian.Uint16(b)); got != c {
		t.Fatalf("option-code %d, want %d", got, c)
	}
	if got, want := int(binary.BigEndian.Uint16(b[2:])), len(b)-4; got != want {
		t.Fatalf("option-len %d, want %d", got, want)
	}
	return b[4:]
}

// same fails unless what was read back is what was drawn.
func same[T any](t *rapid.T, drawn, got T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%+v is written and then refused: %v", drawn, err)
	}
	if diff := cmp.Diff(drawn, got, sameValues); diff != "" {
		t.Fatalf("drawn and read back (-drawn +got):\n%s", diff)
	}
}

func TestPropertyOptions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list, wire := drawOptions(t)
		o, err := dhcp6.ParseOptions(wire)
		if err != nil {
			t.Fatalf("%x: %v", wire, err)
		}
		same(t, list, pairs(o), nil)
		var rebuilt []byte
		for _, p := range list {
			rebuilt = dhcp6.AppendOption(rebuilt, p.Code, []byte(p.Payload))
		}
		same(t, wire, rebuilt, nil)
		for _, p := range list {
			first, ok := o.First(p.Code)
			n := 0
			for i := len(list) - 1; i >= 0; i-- {
				if list[i].Code == p.Code {
					n++
					p = list[i]
				}
			}
			if !ok || string(first) != p.Payload || o.Count(p.Code) != n {
				t.Fatalf("code %d: First %x, %v, Count %d; want %x, %d", p.Code, first, ok, o.Count(p.Code), p.Payload, n)
			}
		}
	})
}

func TestPropertyMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list, wire := drawOptions(t)
		typ := dhcp6.MessageType(rapid.Byte().Draw(t, "type"))
		if typ.IsRelay() {
			hops, link, peer := rapid.Byte().Draw(t, "hops"), drawAddr(t, "link"), drawAddr(t, "peer")
			b := append(dhcp6.AppendRelayHeader(nil, typ, hops, link, peer), wire...)
			m, err := dhcp6.ParseRelay(b)
			same(t, list, pairs(m.Options()), err)
			if m.Type() != typ || m.HopCount() != hops || m.LinkAddress() != link || m.PeerAddress() != peer || !bytes.Equal(m.Bytes(), b) {
				t.Fatalf("%v %d %v %v is read back as %v %d %v %v", typ, hops, link, peer, m.Type(), m.HopCount(), m.LinkAddress(), m.PeerAddress())
			}
			return
		}
		xid := rapid.Uint32Range(0, 1<<24-1).Draw(t, "xid")
		b := append(dhcp6.AppendMessageHeader(nil, typ, xid), wire...)
		m, err := dhcp6.ParseMessage(b)
		same(t, list, pairs(m.Options()), err)
		if m.Type() != typ || m.TransactionID() != xid || !bytes.Equal(m.Bytes(), b) {
			t.Fatalf("%v %#x is read back as %v %#x", typ, xid, m.Type(), m.TransactionID())
		}
	})
}

func TestPropertyIAs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, inner := drawOptions(t)
		code := rapid.SampledFrom([]dhcp6.OptionCode{dhcp6.OptionIANA, dhcp6.OptionIAPD}).Draw(t, "code")
		ia := dhcp6.IA{IAID: rapid.Uint32().Draw(t, "iaid"), T1: drawLifetime(t, "t1"), T2: drawLifetime(t, "t2"), Options: inner}
		gotIA, err := dhcp6.ParseIA(payloadOf(t, dhcp6.AppendIA(nil, code, ia), code))
		same(t, ia, gotIA, err)

		address := dhcp6.IAAddr{Address: drawAddr(t, "address"), Preferred: drawLifetime(t, "preferred"), Valid: drawLifetime(t, "valid"), Options: inner}
		gotAddress, err := dhcp6.ParseIAAddr(payloadOf(t, dhcp6.AppendIAAddr(nil, address), 5))
		same(t, address, gotAddress, err)

		delegated := dhcp6.IAPrefix{
			Prefix:    netip.PrefixFrom(drawAddr(t, "prefix"), rapid.IntRange(0, 128).Draw(t, "bits")),
			Preferred: drawLifetime(t, "preferred"), Valid: drawLifetime(t, "valid"), Options: inner,
		}
		gotPrefix, err := dhcp6.ParseIAPrefix(payloadOf(t, dhcp6.AppendIAPrefix(nil, delegated), 26))
		same(t, delegated, gotPrefix, err)
	})
}

func TestPropertySmallOptions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		status := dhcp6.Status{Code: dhcp6.StatusCode(rapid.Uint16().Draw(t, "status")), Message: drawOctets(t, "text", 0, 99)}
		gotStatus, err := dhcp6.ParseStatus(payloadOf(t, dhcp6.AppendStatus(nil, status), 13))
		same(t, status, gotStatus, err)

		remote := dhcp6.RemoteID{EnterpriseNumber: rapid.Uint32().Draw(t, "enterprise"), ID: drawOctets(t, "remote-id", 1, 99)}
		gotRemote, err := dhcp6.ParseRemoteID(payloadOf(t, dhcp6.AppendRemoteID(nil, remote), 37))
		same(t, remote, gotRemote, err)

		link := dhcp6.ClientLinkLayer{HardwareType: rapid.Uint16().Draw(t, "hardware"), Address: drawOctets(t, "link-layer", 0, 20)}
		gotLink, err := dhcp6.ParseClientLinkLayer(payloadOf(t, dhcp6.AppendClientLinkLayer(nil, link), 79))
		same(t, link, gotLink, err)

		port := dhcp6.RelayPort(rapid.Uint16().Draw(t, "port"))
		gotPort, err := dhcp6.ParseRelayPort(payloadOf(t, dhcp6.AppendRelayPort(nil, port), 135))
		same(t, port, gotPort, err)
	})
}

func TestPropertyDUIDText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := dhcp6.DUID(drawOctets(t, "duid", dhcp6.MinDUIDLen, dhcp6.MaxDUIDLen))
		got, err := dhcp6.ParseDUID(d.String())
		same(t, d, got, err)
	})
}
