package udp

import (
	"net/netip"
	"strings"
	"testing"
)

// The error that comes back for what was sent to a peer is told, with the place it
// was for, and costs no other message: of a socket for one peer, of one at an
// address, and of one at a link-local address.
func TestRefusals(t *testing.T) {
	told := make(chan Refusal, 64)
	l := newLabWith(t, Options{Refused: func(r Refusal) { told <- r }})
	server, local := netip.MustParseAddrPort("[2001:db8:1::547]:547"), netip.MustParseAddr("2001:db8:1::2")
	s0 := l.server.upLink("s0")
	scoped := netip.AddrPortFrom(s0.LinkLocal, 547)
	for _, at := range []Local{{Addr: local, Peer: server}, {Addr: local}, {Addr: l.u0.LinkLocal, Index: l.u0.Index}} {
		l.relay.do(func() error { return l.conn.AddLocal(at) })
	}
	for _, c := range []struct {
		name string
		o    Outgoing
	}{
		{"a socket for one peer", Outgoing{Source: local, Dest: server}},
		{"a socket at an address", Outgoing{Source: local, Dest: netip.AddrPortFrom(server.Addr(), 5470)}},
		{"a socket at a link-local address", Outgoing{Source: l.u0.LinkLocal, Link: l.u0.Index, Dest: scoped}},
	} {
		c.o.Kind, c.o.Payload = ToPeer, []byte("hello")
		r := l.refused(told, c.o)
		zone := 0
		if c.o.Dest == scoped {
			zone = l.u0.Index
		}
		if r.Link != zone || !strings.HasPrefix(r.Error(), "port unreachable (ICMPv6 type 1, code 4, from ") || r.From != c.o.Dest.Addr() {
			t.Errorf("%s: told %+v: %v", c.name, r, r)
		}
		there := l.server.udp(c.o.Dest.Addr().String(), s0.Index, c.o.Dest.Port())
		l.send(c.o)
		if got, _ := there.receive(); got != "hello" {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
	// What a client's host says of messages to it is nobody's business.
	l.host.conn.Close()
	o := l.reply("to a client")
	o.MACLen = 0
	l.send(o)
	l.refused(told, Outgoing{Kind: ToPeer, Source: local, Dest: netip.MustParseAddrPort("[2001:db8:1::547]:5999"), Payload: []byte("last")})
}

// refused sends a message that nobody listens for, again and again, as hosts bound
// how many errors they send, until it is told that it was refused.
func (l *lab) refused(told <-chan Refusal, o Outgoing) (r Refusal) {
	l.t.Helper()
	eventually(l.t, "it is told that nobody listens at "+o.Dest.String(), func() bool {
		l.send(o)
		for {
			select {
			case r = <-told:
				if r.Dest.Port() == 546 {
					l.t.Fatalf("told of a client: %v", r)
				}
				if r.Dest == o.Dest {
					return true
				}
			default:
				return false
			}
		}
	})
	return r
}
