package server6_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

func addr(s string) netip.Addr   { return netip.MustParseAddr(s) }
func cidr(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func mac(s string) linkaddr.Addr {
	a, ok := linkaddr.Parse(s)
	if !ok {
		panic("no link-layer address: " + s)
	}
	return a
}

// option appends one option or more to a message in the making.
type option func(b []byte) []byte

// build is a message of a type with options and nothing else.
func build(t dhcp6.MessageType, options ...option) []byte {
	b := []byte{byte(t), 1, 2, 3}
	for _, o := range options {
		b = o(b)
	}
	return b
}

// xid is the transaction-id of every message that a test builds.
const xid = 0x010203

// message is a client's message as it has to be: with its client-id, and with the server-id where
// that belongs (RFC 8415 section 16).
func (c client) message(t dhcp6.MessageType, options ...option) []byte {
	own := []option{clientID(c.duid)}
	switch t {
	case dhcp6.Request, dhcp6.Renew, dhcp6.Release, dhcp6.Decline:
		own = append(own, raw(2, []byte(serverID)...))
	}
	return build(t, append(own, options...)...)
}

func raw(code int, payload ...byte) option {
	return func(b []byte) []byte {
		b = binary.BigEndian.AppendUint16(b, uint16(code))
		b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
		return append(b, payload...)
	}
}

// holding is an option with a head and options in it.
func holding(code int, head []byte, inner ...option) option {
	for _, o := range inner {
		head = o(head)
	}
	return raw(code, head...)
}

func clientID(duid string) option { return raw(1, []byte(duid)...) }

// oro asks for options.
func oro(codes ...int) option {
	var b []byte
	for _, c := range codes {
		b = binary.BigEndian.AppendUint16(b, uint16(c))
	}
	return raw(6, b...)
}

func ia(code int, iaid, t1, t2 uint32, inner ...option) option {
	head := binary.BigEndian.AppendUint32(nil, iaid)
	head = binary.BigEndian.AppendUint32(head, t1)
	return holding(code, binary.BigEndian.AppendUint32(head, t2), inner...)
}

func iaNA(iaid uint32, inner ...option) option { return ia(3, iaid, 0, 0, inner...) }
func iaPD(iaid uint32, inner ...option) option { return ia(25, iaid, 0, 0, inner...) }

// named is an address or a prefix in an IA, as a client names it: with lifetimes of 0.
func named(p string) option { return lasting(p, 0, 0) }

// lasting is an address or a prefix with lifetimes.
func lasting(text string, preferred, valid uint32, inner ...option) option {
	if strings.Contains(text, "/") {
		p := cidr(text)
		head := binary.BigEndian.AppendUint32(nil, preferred)
		head = binary.BigEndian.AppendUint32(head, valid)
		head = append(append(head, byte(p.Bits())), p.Addr().AsSlice()...)
		return holding(26, head, inner...)
	}
	head := binary.BigEndian.AppendUint32(addr(text).AsSlice(), preferred)
	return holding(5, binary.BigEndian.AppendUint32(head, valid), inner...)
}

var rapid = raw(14)

// layerOf is what a relay agent writes around messages, beside the peer-address.
type layerOf struct {
	hops    byte
	link    string
	options []option
}

// through is a relay agent on the link of a link-address.
func through(link string, options ...option) layerOf { return layerOf{0, link, options} }

// around is a Relay-forward of the relay agent for a peer.
func (l layerOf) around(peer string, inner []byte) []byte { return l.layer(12, peer, inner) }

func (l layerOf) layer(kind byte, peer string, inner []byte) []byte {
	b := append([]byte{kind, l.hops}, addr(l.link).AsSlice()...)
	b = append(b, addr(peer).AsSlice()...)
	for _, o := range l.options {
		b = o(b)
	}
	return raw(9, inner...)(b)
}

func interfaceID(id string) option { return raw(18, []byte(id)...) }

// linkLayer is option 79 for a client of Ethernet.
func linkLayer(a linkaddr.Addr) option { return raw(79, a.Append([]byte{0, 1})...) }

// rawOption is an option as it is read from the octets by hand, so that the tests do not lean on
// the parser of the product.
type rawOption struct {
	code    int
	payload []byte
}

func rawOptions(t testing.TB, b []byte) (all []rawOption) {
	t.Helper()
	for rest := b; len(rest) > 0; {
		if len(rest) < 4 || len(rest) < 4+int(binary.BigEndian.Uint16(rest[2:])) {
			t.Fatalf("torn option in %x", b)
		}
		n := int(binary.BigEndian.Uint16(rest[2:]))
		all = append(all, rawOption{int(binary.BigEndian.Uint16(rest)), rest[4 : 4+n]})
		rest = rest[4+n:]
	}
	return all
}

// innermost is the message in all relay layers.
func innermost(b []byte) []byte {
	for len(b) > 34 && (b[0] == 12 || b[0] == 13) {
		rest := b[34:]
		for len(rest) >= 4 {
			n := int(binary.BigEndian.Uint16(rest[2:]))
			if binary.BigEndian.Uint16(rest) == 9 {
				b = rest[4 : 4+n]
				break
			}
			rest = rest[4+n:]
		}
	}
	return b
}

// answer is what a server says to a client.
type answer struct {
	testing.TB
	kind           dhcp6.MessageType
	xid            int
	server, client string // identifiers; empty: none
	options        []rawOption
	ias            []readIA
}

// readIA is one IA of an answer.
type readIA struct {
	code       int
	id, t1, t2 uint32
	leases     []readLease
	status     int // -1: there is none
}

// readLease is one address or prefix of an IA.
type readLease struct {
	prefix           netip.Prefix
	preferred, valid uint32
	options          []rawOption
}

// read reads a server's message.
func (w *world) read(b []byte) answer {
	w.Helper()
	if len(b) < 4 {
		w.Fatalf("no message: %x", b)
	}
	a := answer{TB: w.TB, kind: dhcp6.MessageType(b[0]), xid: int(b[1])<<16 | int(b[2])<<8 | int(b[3]), options: rawOptions(w, b[4:])}
	for _, o := range a.options {
		switch o.code {
		case 1:
			a.client = string(o.payload)
		case 2:
			a.server = string(o.payload)
		case 3, 25:
			a.ias = append(a.ias, readIAOf(w, o))
		}
	}
	return a
}

func readIAOf(t testing.TB, o rawOption) readIA {
	t.Helper()
	number := binary.BigEndian.Uint32
	x := readIA{code: o.code, id: number(o.payload), t1: number(o.payload[4:]), t2: number(o.payload[8:]), status: -1}
	for _, in := range rawOptions(t, o.payload[12:]) {
		switch p := in.payload; in.code {
		case 5:
			x.leases = append(x.leases, readLease{netip.PrefixFrom(netip.AddrFrom16([16]byte(p)), 128), number(p[16:]), number(p[20:]), rawOptions(t, p[24:])})
		case 26:
			x.leases = append(x.leases, readLease{netip.PrefixFrom(netip.AddrFrom16([16]byte(p[9:])), int(p[8])), number(p), number(p[4:]), rawOptions(t, p[25:])})
		case 13:
			x.status = int(binary.BigEndian.Uint16(p))
		default:
			t.Errorf("option %d in an IA", in.code)
		}
	}
	return x
}

// payloads are those of all options of a code.
func (a answer) payloads(code int) (all []string) {
	for _, o := range a.options {
		if o.code == code {
			all = append(all, string(o.payload))
		}
	}
	return all
}

func (a answer) has(code int) bool { return len(a.payloads(code)) > 0 }

// status is that of the whole message; -1: there is none.
func (a answer) status() int {
	if p := a.payloads(13); len(p) == 1 {
		return int(p[0][0])<<8 | int(p[0][1])
	}
	return -1
}

// leases are the IAs as a text: "NA 1: 2001:db8::1 3000/4000; PD 2: status 6".
func (a answer) leases() string {
	var all []string
	for _, x := range a.ias {
		text := fmt.Sprintf("%s %d:", map[int]string{3: "NA", 25: "PD"}[x.code], x.id)
		for _, l := range x.leases {
			name := l.prefix.String()
			if x.code == 3 {
				name = l.prefix.Addr().String()
			}
			text += fmt.Sprintf(" %s %d/%d", name, l.preferred, l.valid)
		}
		if x.status >= 0 {
			text += fmt.Sprintf(" status %d", x.status)
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// only is the one lease of an answer.
func (a answer) only() netip.Prefix {
	a.Helper()
	if len(a.ias) != 1 || len(a.ias[0].leases) != 1 || a.ias[0].leases[0].valid == 0 {
		a.Fatalf("%v with %q, want one lease", a.kind, a.leases())
	}
	return a.ias[0].leases[0].prefix
}

// onlyAddr is the one address of an answer.
func (a answer) onlyAddr() string { a.Helper(); return a.only().Addr().String() }

// taken are the IAs of an answer as its client names them in its next message.
func (a answer) taken() (all []option) {
	for _, x := range a.ias {
		var inner []option
		for _, l := range x.leases {
			name := l.prefix.String()
			if x.code == 3 {
				name = l.prefix.Addr().String()
			}
			inner = append(inner, named(name))
		}
		all = append(all, ia(x.code, x.id, 0, 0, inner...))
	}
	return all
}
