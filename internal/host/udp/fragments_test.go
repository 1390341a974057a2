package udp

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// long is a message that needs fragments. stranger is a link-layer address that is not the
// client's.
var (
	long     = strings.Repeat("release ", 300)
	stranger = [6]byte{2, 0, 0, 0, 0, 0x66}
)

// pieces are the fragments of a message to the group with this identification, of 800 octets
// each.
func (l *lab) pieces(t *testing.T, id byte, message string) (all [][]byte) {
	t.Helper()
	if l.family == IPv4 {
		return fragments4(id, l.packet(message), 800)
	}
	return pieces(id, l.packet(message))
}

// pieces cuts a packet.
func pieces(id byte, p []byte) (all [][]byte) {
	for at := ipv6Header; at < len(p); at += 800 {
		end := min(at+800, len(p))
		more := byte(0)
		if end < len(p) {
			more = 1
		}
		offset, length := at-ipv6Header, fragmentHeader+end-at
		f := append([]byte(nil), p[:ipv6Header]...)
		f[4], f[5], f[6] = byte(length>>8), byte(length), protocolFragment
		f = append(f, protocolUDP, 0, byte(offset>>8), byte(offset)|more, 0, 0, 0, id)
		all = append(all, append(f, p[at:end]...))
	}
	return all
}

// The fragments of a datagram tell its link-layer source, as the kernel makes them and in any
// order. Another sender of the same octets, or of a part of them, can only make the source
// unknown.
func TestLinkLayerSourceOfFragments(t *testing.T) { both(t, linkLayerSourceOfFragments) }

func linkLayerSourceOfFragments(t *testing.T, f Family) {
	own := [6]byte(clientMAC[:6])
	for _, test := range []struct {
		name string
		send func(l *lab)
		want []byte
	}{
		{"as the kernel makes them", func(l *lab) { l.host.multicast(l.clientEnd.Index, []byte(long)) }, own[:]},
		{"the last one first", func(l *lab) {
			all := l.pieces(t, 7, long)
			slices.Reverse(all)
			for _, f := range all {
				l.packets.writeFrom(own, f)
			}
		}, own[:]},
		{"of a stranger, with the client's IP address", func(l *lab) {
			for _, f := range l.pieces(t, 7, long) {
				l.packets.writeFrom(stranger, f)
			}
		}, stranger[:]},
		{"the first one of a stranger", func(l *lab) {
			for i, f := range l.pieces(t, 7, long) {
				if i == 0 {
					l.packets.writeFrom(stranger, f)
				} else {
					l.packets.writeFrom(own, f)
				}
			}
		}, nil},
		{"the last one of a stranger", func(l *lab) {
			all := l.pieces(t, 7, long)
			for _, f := range all[:len(all)-1] {
				l.packets.writeFrom(own, f)
			}
			l.packets.writeFrom(stranger, all[len(all)-1])
		}, nil},
		{"the same datagram of both", func(l *lab) {
			for _, f := range l.pieces(t, 8, long) {
				l.packets.writeFrom(own, f)
			}
			for _, f := range l.pieces(t, 7, long) {
				l.packets.writeFrom(stranger, f)
			}
		}, nil},
		{"beside other datagrams of a stranger", func(l *lab) {
			other := l.pieces(t, 8, strings.ToUpper(long))
			for i, f := range l.pieces(t, 7, long) {
				l.packets.writeFrom(stranger, other[i])
				l.packets.writeFrom(own, f)
			}
		}, own[:]},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newRig(t, Options{Family: f})
			test.send(l) // nothing has been read yet
			got := l.received(long)
			if !slices.Equal(got.MAC[:got.MACLen], test.want) {
				t.Errorf("link-layer source %x, want %x", got.MAC[:got.MACLen], test.want)
			}
			if known := uint16(unix.ARPHRD_ETHER); got.HardwareType != 0 && (test.want == nil || got.HardwareType != known) {
				t.Errorf("hardware type %d", got.HardwareType)
			}
		})
	}
}

// received reads until this message has come by the socket path.
func (l *lab) received(message string) (found Datagram) {
	l.t.Helper()
	eventually(l.t, "the message has come", func() bool {
		l.conn.Receive(1, func(d *Datagram) {
			if string(d.Payload) == message && d.Path == PathSocket {
				found = kept(d)
			}
		})
		return found.Payload != nil
	})
	return found
}

// If the ring was full when fragments came, the source is not known: nobody can replace them by
// those of another datagram.
func TestLostFragmentsProveNothing(t *testing.T) { both(t, lostFragmentsProveNothing) }

func lostFragmentsProveNothing(t *testing.T, f Family) {
	l := newRig(t, Options{Family: f})
	flood(l.host, l.clientEnd, ringFrames)
	for _, f := range l.pieces(t, 7, long) {
		l.packets.writeFrom([6]byte(clientMAC[:6]), f)
	}
	if got := l.received(long); got.MACLen != 0 {
		t.Errorf("link-layer source %x, want none", got.MAC[:got.MACLen])
	}
}

// Fragments are found behind any number of waiting frames, and each of them once.
func TestFragmentsBehindOtherFrames(t *testing.T) { both(t, fragmentsBehindOtherFrames) }

func fragmentsBehindOtherFrames(t *testing.T, f Family) {
	l := newRig(t, Options{Family: f})
	flood(l.host, l.clientEnd, 500)
	for range 3 {
		l.host.multicast(l.clientEnd.Index, []byte(long))
	}
	for range 3 {
		if got := l.received(long); got.MAC != clientMAC {
			t.Errorf("link-layer source %x, want %x", got.MAC[:got.MACLen], clientMAC)
		}
	}
	l.drain()
	if n := l.conn.in.conn.frames.ring.foreseen; n != 0 {
		t.Errorf("%d frames foreseen in an empty ring", n)
	}
}

// What is remembered is bounded in number, size and time.
func TestFragmentsAreForgotten(t *testing.T) { both(t, fragmentsAreForgotten) }

func fragmentsAreForgotten(t *testing.T, f Family) {
	l := newRig(t, Options{Family: f})
	r := &l.conn.in
	r.mu.Lock()
	defer r.mu.Unlock()
	start, other, another := time.Now(), strings.Repeat("other ", 200), strings.Repeat("another ", 200)
	name := make([]byte, nameRoom)
	name[4], name[11] = 11, etherLen // for a little-endian machine; all have the same link
	copy(name[12:], clientMAC[:])
	link := linkOf(name)
	hear := func(id byte, message string) {
		for _, p := range l.pieces(t, id, message) {
			r.fragments.hear(start, l.conn.profile, rawFrame{name: name, packet: p})
		}
	}
	sender := func(at time.Time, source netip.Addr, message string) bool {
		_, known := r.fragments.sender(at, link, source, []byte(message))
		return known
	}
	own := l.clientEnd.Source
	hear(1, long)
	if sender(start.Add(fragmentsLast), own, long) {
		t.Error("known after its time")
	}
	if sender(start, l.beside, long) {
		t.Error("known of another source")
	}
	if !sender(start.Add(fragmentsLast-1), own, long) {
		t.Error("not known in its time")
	}
	if sender(start, own, long) {
		t.Error("known twice")
	}
	hear(1, long)
	for id := range byte(maxPackets) {
		hear(2+id, other)
	}
	if sender(start, own, long) {
		t.Error("known after many others")
	}
	hear(1, strings.Repeat("x", maxParts*800))
	if sender(start, own, strings.Repeat("x", maxParts*800)) {
		t.Error("known with more fragments than are remembered")
	}
	hear(1, another) // after a broken one with the same identification
	if sender(start, own, another) {
		t.Error("known with an identification that was used for another")
	}
	payload := []byte(other)
	if n := testing.AllocsPerRun(100, func() { r.fragments.sender(start, link, own, payload) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// Fragments of a part of a datagram, or of a longer one, do not count as those of the datagram.
func TestFragmentsOfAnotherDatagram(t *testing.T) { both(t, fragmentsOfAnotherDatagram) }

func fragmentsOfAnotherDatagram(t *testing.T, f Family) {
	l := newRig(t, Options{Family: f})
	var table fragmentSources
	table.seed = l.conn.in.fragments.seed
	now := time.Now()
	name := make([]byte, nameRoom)
	name[11] = etherLen
	copy(name[12:], clientMAC[:])
	for n := range 20 {
		message := long[:len(long)-19+n]
		table.packets = [maxPackets]fragmented{}
		name[4] = 1
		for _, p := range l.pieces(t, 1, long[:len(long)-1]) {
			table.hear(now, l.conn.profile, rawFrame{name: name, packet: p})
		}
		if _, known := table.sender(now, linkOf(name), l.clientEnd.Source, []byte(message)); known != (len(message) == len(long)-1) {
			t.Errorf("%d octets: known %v, sent were %d", len(message), known, len(long)-1)
		}
	}
}
