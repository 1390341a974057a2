package network

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/host/udp"
)

// sent keeps the last octet of each destination, and fails for some of them.
type sent struct {
	Sockets
	got  []byte
	fail byte
}

func (s *sent) Send(batch []udp.Outgoing, failed func(int, error)) {
	for i := range batch {
		n := batch[i].Dest.Addr().As16()[15]
		if n == s.fail {
			failed(i, net.ErrClosed)
			continue
		}
		s.got = append(s.got, n)
	}
}

func toPeer(kind udp.Kind, n byte) udp.Outgoing {
	to := netip.MustParseAddr("2001:db8::").As16()
	to[15] = n
	return udp.Outgoing{Kind: kind, Source: netip.MustParseAddr("2001:db8:1::1"), Dest: netip.AddrPortFrom(netip.AddrFrom16(to), 547)}
}

// A datagram that may not leave stays, and the others leave in their order. Each failure names
// its own datagram. Datagrams to clients do not pass the gate.
func TestGatedSend(t *testing.T) {
	closed := []byte{1, 4, 5, 8}
	below := &sent{fail: 7}
	g := Gated{below, func(_, remote netip.Addr) bool { return !slices.Contains(closed, remote.As16()[15]) }}
	var batch []udp.Outgoing
	for n := range byte(9) {
		batch = append(batch, toPeer(udp.ToPeer, n))
	}
	batch = append(batch, toPeer(udp.ToClient, 1))
	refused, lost := []byte{}, []byte{}
	failed := func(i int, err error) {
		if errors.Is(err, errUnprotected) {
			refused = append(refused, byte(i))
		} else {
			lost = append(lost, byte(i))
		}
	}
	g.Send(batch, failed)
	if !slices.Equal(below.got, []byte{0, 2, 3, 6, 1}) || !slices.Equal(refused, closed) || !slices.Equal(lost, []byte{7}) {
		t.Errorf("sent %v, refused %v, lost %v", below.got, refused, lost)
	}
	below.got = make([]byte, 0, 100)
	open := batch[2:4]
	if n := testing.AllocsPerRun(10, func() { g.Send(open, failed) }); n != 0 {
		t.Errorf("%v allocations where nothing is refused", n)
	}
}
