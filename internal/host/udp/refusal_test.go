package udp

import (
	"net/netip"
	"strings"
	"testing"
)

// An ICMP error about a message to a peer is reported with the message's destination. No other
// message is lost. That holds for a socket for one peer, one at an address, and one at a
// link-local address.
func TestRefusals(t *testing.T) { both(t, refusals) }

func refusals(t *testing.T, f Family) {
	told := make(chan Refusal, 64)
	l := newLabWith(t, Options{Family: f, Refused: func(r Refusal) { told <- r }})
	server, local := netip.AddrPortFrom(l.site.server, l.port), l.second
	s0 := l.server.upLink("s0")
	scoped := netip.AddrPortFrom(s0.Source, l.port)
	for _, at := range []Local{{Addr: local, Peer: server}, {Addr: local}} {
		l.relay.do(func() error { return l.conn.AddLocal(at) })
	}
	type sent struct {
		name string
		o    Outgoing
	}
	ways := []sent{
		{"a socket for one peer", Outgoing{Source: local, Dest: server}},
		{"a socket at an address", Outgoing{Source: local, Dest: netip.AddrPortFrom(server.Addr(), 5470)}},
	}
	text := "port unreachable (ICMP type 3, code 3, from "
	if f == IPv6 {
		text = "port unreachable (ICMPv6 type 1, code 4, from "
		l.relay.do(func() error { return l.conn.AddLocal(Local{Addr: l.u0.Source, Index: l.u0.Index}) })
		ways = append(ways, sent{"a socket at a link-local address", Outgoing{Source: l.u0.Source, Link: l.u0.Index, Dest: scoped}})
	}
	for _, c := range ways {
		c.o.Kind, c.o.Payload = ToPeer, []byte("hello")
		r := l.refused(told, c.o)
		zone := 0
		if f == IPv6 && c.o.Dest == scoped {
			zone = l.u0.Index
		}
		if r.Link != zone || !strings.HasPrefix(r.Error(), text) || r.From != c.o.Dest.Addr() {
			t.Errorf("%s: told %+v: %v", c.name, r, r)
		}
		there := l.server.udp(c.o.Dest.Addr().String(), s0.Index, c.o.Dest.Port())
		l.send(c.o)
		if got, _ := there.receive(); got != "hello" {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
	// Errors that a client's host sends are ignored.
	l.host.conn.Close()
	o := l.reply("to a client")
	o.MACLen = 0
	l.send(o)
	l.refused(told, Outgoing{Kind: ToPeer, Source: local, Dest: netip.AddrPortFrom(server.Addr(), 5999), Payload: []byte("last")})
}

// refused sends a message to a port where nobody listens, until an error is reported. It sends
// again and again, because hosts bound the number of errors that they send.
func (l *lab) refused(told <-chan Refusal, o Outgoing) (r Refusal) {
	l.t.Helper()
	eventually(l.t, "it is told that nobody listens at "+o.Dest.String(), func() bool {
		l.send(o)
		for {
			select {
			case r = <-told:
				if r.Dest.Port() == l.clientPort {
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
