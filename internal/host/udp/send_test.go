package udp

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"
)

// An answer to a link-layer address reaches an ordinary client. A foreign decoder finds the
// packet correct, and the neighbour table does not change.
func TestAnswerAsFrame(t *testing.T) { both(t, answerAsFrame) }

func answerAsFrame(t *testing.T, f Family) {
	l := newLabWith(t, Options{Family: f})
	headers := f.profile().headers()
	for _, payload := range []string{"", "odd", "even", strings.Repeat("m", 1500-headers)} {
		l.send(l.reply(payload))
		got, from := l.host.receive()
		if want := netip.AddrPortFrom(l.c0.Source, l.port); got != payload || from != want {
			t.Errorf("got %d octets from %v, want %d from %v", len(got), from, len(payload), want)
		}
		sent, sender := l.packets.readUDP(l.clientPort)
		if want := recoded(t, sent); !bytes.Equal(sent, want) {
			t.Errorf("packet\n%x, a foreign encoder writes\n%x", sent, want)
		}
		if !bytes.Equal(sender.Addr[:6], l.c0.MAC) {
			t.Errorf("frame from %x, want %v", sender.Addr[:6], l.c0.MAC)
		}
		if hopLimit := hopLimitOf(sent); hopLimit != 64 {
			t.Errorf("hop limit %d, want 64", hopLimit)
		}
	}
	if table := l.relay.ip("neigh show dev c0"); table != "" {
		t.Errorf("neighbour table: %q, want nothing", table)
	}
	if s := l.conn.Stats(); s.Sent["frame"] != 4 || s.Sent["socket"] != 0 {
		t.Errorf("frames %d, by socket %d, want 4 and 0", s.Sent["frame"], s.Sent["socket"])
	}
}

// recoded is packet, written again by a foreign encoder, which computes lengths and checksum.
func recoded(t *testing.T, packet []byte) []byte {
	t.Helper()
	p := gopacket.NewPacket(packet, layerType(packet), gopacket.Default)
	udp := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
	payload := append([]byte(nil), udp.Payload...)
	udp.Checksum, udp.Length = 0, 0
	if ip, ok := p.NetworkLayer().(*layers.IPv4); ok {
		ip.Checksum, ip.Length = 0, 0
		return encoded(t, ip, udp, string(payload))
	}
	ip := p.NetworkLayer().(*layers.IPv6)
	ip.Length = 0
	return encoded(t, ip, udp, string(payload))
}

// hopLimitOf is the hop limit of a packet, or the time to live in IPv4.
func hopLimitOf(packet []byte) byte {
	if packet[0]>>4 == 4 {
		return packet[8]
	}
	return packet[7]
}

// What a frame cannot carry leaves by the socket, and arrives.
func TestAnswerBySocket(t *testing.T) { both(t, answerBySocket) }

func answerBySocket(t *testing.T, f Family) {
	headers := f.profile().headers()
	for name, change := range map[string]func(*lab, *Outgoing){
		"above the MTU":            func(_ *lab, o *Outgoing) { o.Payload = bytes.Repeat([]byte("b"), 1500-headers+1) },
		"far above the MTU":        func(_ *lab, o *Outgoing) { o.Payload = bytes.Repeat([]byte("B"), 60000) },
		"no link-layer address":    func(_ *lab, o *Outgoing) { o.MAC, o.MACLen = [8]byte{}, 0 },
		"EUI-64":                   func(_ *lab, o *Outgoing) { o.MACLen = 8 },
		"group link-layer address": func(_ *lab, o *Outgoing) { o.MAC[0] |= 1 },
		"all zeros":                func(_ *lab, o *Outgoing) { o.MAC = [8]byte{} },
		"source not known": func(l *lab, _ *Outgoing) {
			c0 := l.c0
			c0.Source = netip.Addr{}
			l.relay.setLinks(l.conn, c0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLabWith(t, Options{Family: f})
			o := l.reply("plain")
			change(l, &o)
			l.send(o)
			got, from := l.host.receive()
			if want := netip.AddrPortFrom(l.c0.Source, l.port); got != string(o.Payload) || from != want {
				t.Errorf("got %d octets from %v, want %d from %v", len(got), from, len(o.Payload), want)
			}
			if s := l.conn.Stats(); s.Sent["frame"] != 0 || s.Sent["socket"] != 1 {
				t.Errorf("frames %d, by socket %d, want 0 and 1", s.Sent["frame"], s.Sent["socket"])
			}
		})
	}
}

// A relay agent below may have another port (RFC 8357). A hop limit can be asked for on either
// path.
func TestPortAndHopLimit(t *testing.T) { both(t, portAndHopLimit) }

func portAndHopLimit(t *testing.T, f Family) {
	l := newLabWith(t, Options{Family: f})
	relay := l.client.udp(l.clientEnd.Source.String(), l.clientEnd.Index, 5470)
	for _, macLen := range []uint8{6, 0} {
		o := l.reply("relay-reply")
		o.Dest = netip.AddrPortFrom(l.clientEnd.Source, 5470)
		o.HopLimit, o.MACLen = 9, macLen
		l.send(o)
		if got, _ := relay.receive(); got != "relay-reply" {
			t.Errorf("got %q", got)
		}
		if p, _ := l.packets.readUDP(5470); hopLimitOf(p) != 9 {
			t.Errorf("hop limit %d with a link-layer address of %d octets, want 9", hopLimitOf(p), macLen)
		}
	}
}

// A peer is reached only by sockets, even if its link-layer address is known, from the address
// that was asked for.
func TestToPeer(t *testing.T) { both(t, toPeer) }

func toPeer(t *testing.T, f Family) {
	l := newLabWith(t, Options{Family: f})
	server := l.server.udp(l.site.server.String(), 0, l.port)
	to := netip.AddrPortFrom(l.site.server, l.port)
	second := l.second
	l.relay.do(func() error { return l.conn.AddLocal(Local{Addr: second}) })
	l.relay.do(func() error { return l.conn.AddLocal(Local{Addr: second, Port: 5470}) })
	l.relay.do(func() error { return l.conn.AddLocal(Local{Addr: f.profile().unspecified, Port: 5471}) })
	for _, test := range []struct {
		name string
		o    Outgoing
		from netip.AddrPort
	}{
		{"local socket", Outgoing{Source: second}, netip.AddrPortFrom(l.second, l.port)},
		{"wildcard socket", Outgoing{Source: l.first}, netip.AddrPortFrom(l.first, l.port)},
		{"source port of RFC 8357", Outgoing{Source: second, SourcePort: 5470}, netip.AddrPortFrom(l.second, 5470)},
		{"source port of RFC 8357, wildcard", Outgoing{Source: second, SourcePort: 5471}, netip.AddrPortFrom(l.second, 5471)},
		{"link-layer address given", Outgoing{Source: second, Link: l.c0.Index, MAC: clientMAC, MACLen: 6}, netip.AddrPortFrom(l.second, l.port)},
	} {
		test.o.Kind, test.o.Dest, test.o.Payload = ToPeer, to, []byte(test.name)
		l.send(test.o)
		if got, from := server.receive(); got != test.name || from != test.from {
			t.Errorf("%s: got %q from %v, want it from %v", test.name, got, from, test.from)
		}
	}
	// Without a source the kernel chooses one of the two.
	l.send(Outgoing{Kind: ToPeer, Dest: to, Payload: []byte("any")})
	if got, from := server.receive(); got != "any" || from.Addr() != l.first && from.Addr() != l.second {
		t.Errorf("got %q from %v", got, from)
	}
	// The peer answers to the port that the message came from.
	server.send(second, 0, 5470, []byte("answer"))
	if got := l.in.next(); string(got.Payload) != "answer" || got.LocalPort != 5470 || got.Dest != second || got.Link != l.u0.Index {
		t.Errorf("got %+v", got)
	}
	if f == IPv6 {
		l.toScopedPeer()
	}
	if n := l.conn.Stats().Sent["frame"]; n != 0 {
		t.Errorf("%d frames to a peer, want none", n)
	}
	l.relay.do(func() error { return l.conn.RemoveLocal(Local{Addr: second, Port: 5470}) })
	var got error
	l.conn.Send([]Outgoing{{Kind: ToPeer, Source: second, SourcePort: 5470, Dest: to}}, func(_ int, err error) { got = err })
	if !errors.Is(got, ErrNoLocal) {
		t.Errorf("source port without a socket: %v, want %v", got, ErrNoLocal)
	}
}

// toScopedPeer is for peers with link-local addresses.
func (l *lab) toScopedPeer() {
	l.t.Helper()
	t := l.t
	l.relay.do(func() error { return l.conn.AddLocal(Local{Addr: l.u0.Source, Index: l.u0.Index}) })
	s0 := l.server.upLink("s0")
	scoped := l.server.udp(s0.Source.String(), s0.Index, l.port)
	l.send(Outgoing{
		Kind: ToPeer, Link: l.u0.Index, Source: l.u0.Source,
		Dest: netip.AddrPortFrom(s0.Source, l.port), Payload: []byte("scoped"),
	})
	if got, from := scoped.receive(); got != "scoped" || from != netip.AddrPortFrom(l.u0.Source, l.port) {
		t.Errorf("got %q from %v", got, from)
	}
	l.relay.do(func() error { return l.conn.AddLocal(Local{Addr: l.u0.Source, Index: l.u0.Index, Port: 5472}) })
	l.send(Outgoing{
		Kind: ToPeer, Link: l.u0.Index, Source: l.u0.Source, SourcePort: 5472,
		Dest: netip.AddrPortFrom(s0.Source, l.port), Payload: []byte("scoped"),
	})
	if got, from := scoped.receive(); got != "scoped" || from != netip.AddrPortFrom(l.u0.Source, 5472) {
		t.Errorf("got %q from %v", got, from)
	}
}

// A socket for one peer carries what goes to that peer, and what it answers. Others use the
// socket beside it. If the peer was away for a time, which the kernel reports on such a socket,
// no later message is lost.
func TestSocketForOnePeer(t *testing.T) { both(t, socketForOnePeer) }

func socketForOnePeer(t *testing.T, f Family) {
	var refused atomic.Bool
	l := newLabWith(t, Options{Family: f, Refused: func(Refusal) { refused.Store(true) }})
	second, to := l.second, netip.AddrPortFrom(l.site.server, l.port)
	// Without nodad, an IPv6 address cannot be bound until the kernel's own worker has looked at
	// it.
	l.server.ip(fmt.Sprintf("addr add %s dev s0 nodad", netip.PrefixFrom(l.beside, 24)))
	only := Local{Addr: second, Peer: to}
	l.relay.do(func() error { return errors.Join(l.conn.AddLocal(Local{Addr: second}), l.conn.AddLocal(only)) })
	exchange := func(what, address string) {
		t.Helper()
		server := l.server.udp(address, 0, l.port)
		defer server.conn.Close()
		l.send(Outgoing{Kind: ToPeer, Source: second, Dest: netip.AddrPortFrom(netip.MustParseAddr(address), l.port), Payload: []byte(what)})
		if got, from := server.receive(); got != what || from != netip.AddrPortFrom(second, l.port) {
			t.Errorf("got %q from %v, want %q from %v", got, from, what, second)
		}
		server.send(second, 0, l.port, []byte(what))
		if got := l.in.next(); string(got.Payload) != what || got.Dest != second || got.Link != l.u0.Index {
			t.Errorf("got %+v, want %q on link %d", got, what, l.u0.Index)
		}
	}
	exchange("the peer", l.site.server.String())
	exchange("another", l.beside.String())
	// Nobody listens. The kernel answers the first message with an error.
	l.send(Outgoing{Kind: ToPeer, Source: second, Dest: to, Payload: []byte("to nobody")})
	eventually(t, "the peer's host refuses", refused.Load)
	for _, again := range []string{"back", "and back"} {
		l.send(Outgoing{Kind: ToPeer, Source: second, Dest: to, Payload: []byte("to nobody")})
		exchange(again, l.site.server.String())
	}
	if n := l.conn.Stats().Drops["send-failed"]; n != 0 {
		t.Errorf("%d messages were not sent", n)
	}
	l.relay.do(func() error { return l.conn.RemoveLocal(only) })
	exchange("without its own socket", l.site.server.String())
}

// RFC 8415 section 19.1: to a multicast address the hop limit is 8.
func TestToMulticastPeer(t *testing.T) {
	l := newLab(t)
	packets := l.server.tap("s0")
	for want, o := range map[byte]Outgoing{8: {}, 3: {HopLimit: 3}} {
		o.Kind, o.Link = ToPeer, l.u0.Index
		o.Dest, o.Payload = netip.MustParseAddrPort("[ff05::1:3]:547"), []byte("relay-forward")
		l.send(o)
		p, _ := packets.readUDP(547)
		if p[7] != want || netip.AddrFrom16([16]byte(p[24:40])) != o.Dest.Addr() {
			t.Errorf("hop limit %d to %x, want %d to %v", p[7], p[24:40], want, o.Dest.Addr())
		}
	}
}

// One bad destination does not stop the other messages, at whatever index of the batch it is, and
// whichever socket it is for.
func TestOneBadDestination(t *testing.T) { both(t, oneBadDestination) }

func oneBadDestination(t *testing.T, f Family) {
	const size = 64
	for _, bad := range []int{0, 31, 63} {
		t.Run(fmt.Sprint("sockets at ", bad), func(t *testing.T) {
			l := newLabWith(t, Options{Family: f})
			node := l.server.udp(l.site.server.String(), 0, l.port)
			batch := make([]Outgoing, size)
			for i := range batch {
				batch[i] = Outgoing{Kind: ToPeer, Dest: netip.AddrPortFrom(l.site.server, l.port), Payload: fmt.Append(nil, i)}
			}
			batch[bad].Dest = netip.AddrPortFrom(l.nowhere, l.port)
			l.sendWithOneBad(batch, bad, unix.ENETUNREACH, node)
		})
		t.Run(fmt.Sprint("frames at ", bad), func(t *testing.T) {
			l := newLabWith(t, Options{Family: f})
			gone := l.c0
			gone.Index = 4711
			_ = l.conn.SetLinks([]Link{l.c0, gone})
			batch := make([]Outgoing, size)
			for i := range batch {
				batch[i] = l.reply(fmt.Sprint(i))
			}
			batch[bad].Link = gone.Index
			l.sendWithOneBad(batch, bad, unix.ENXIO, l.host)
		})
	}
}

func (l *lab) sendWithOneBad(batch []Outgoing, bad int, want error, to *node) {
	l.t.Helper()
	failures := map[int]error{}
	l.conn.Send(batch, func(i int, err error) { failures[i] = err })
	if len(failures) != 1 || !errors.Is(failures[bad], want) {
		l.t.Errorf("failed: %v, want only %d: %v", failures, bad, want)
	}
	for i := range batch {
		if i == bad {
			continue
		}
		if got, _ := to.receive(); got != fmt.Sprint(i) {
			l.t.Errorf("got %q, want %d", got, i)
		}
	}
	if n := l.conn.Stats().Drops["send-failed"]; n != 1 {
		l.t.Errorf("counted %d failures, want 1", n)
	}
}

// A message that is itself wrong is reported before any system call. The others of a batch, which
// is longer than one system call takes, are sent.
func TestRefused(t *testing.T) {
	l := newLab(t)
	c := l.relay.open(Options{Batch: 4, Port: 5547})
	l.relay.setLinks(c, l.c0)
	var batch []Outgoing
	want := map[int]error{}
	refuse := func(err error, change func(*Outgoing)) {
		o := l.reply("refused")
		change(&o)
		want[len(batch)] = err
		batch = append(batch, o, l.reply(fmt.Sprint(len(want))))
	}
	refuse(ErrNotClientLink, func(o *Outgoing) { o.Link = l.u0.Index })
	refuse(ErrDestination, func(o *Outgoing) { o.Dest = netip.AddrPort{} })
	refuse(ErrDestination, func(o *Outgoing) { o.Dest = netip.AddrPortFrom(o.Dest.Addr(), 0) })
	refuse(ErrDestination, func(o *Outgoing) { o.Dest = netip.MustParseAddrPort("192.0.2.1:546") })
	refuse(ErrDestination, func(o *Outgoing) { o.Dest = netip.MustParseAddrPort("[::ffff:192.0.2.1]:546") })
	refuse(ErrTooBig, func(o *Outgoing) { o.Payload = make([]byte, 65528) })
	refuse(ErrNoLocal, func(o *Outgoing) { o.Kind, o.VRF = ToPeer, "nowhere" })
	failures := map[int]error{}
	c.Send(batch, func(i int, err error) { failures[i] = err })
	for i := range batch {
		if !errors.Is(failures[i], want[i]) {
			t.Errorf("message %d: %v, want %v", i, failures[i], want[i])
		}
	}
	for i := range len(want) {
		if got, from := l.host.receive(); got != fmt.Sprint(i+1) || from.Port() != 5547 {
			t.Errorf("got %q from %v, want %d", got, from, i+1)
		}
	}
	c.Send(batch[:1], nil) // failed may be nil
	if n := c.Stats().Drops["send-failed"]; n != uint64(len(want))+1 {
		t.Errorf("counted %d failures, want %d", n, len(want)+1)
	}
}
