package attack_test

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// flood sends frames as fast as the link takes them.
type flood struct {
	sent atomic.Int64
	stop chan struct{}
	done chan error
}

// start sends frames until the flood is ended.
func (x *thrower) start(frame func() []byte) *flood {
	f := &flood{stop: make(chan struct{}), done: make(chan error, 1)}
	go func() {
		for {
			select {
			case <-f.stop:
				f.done <- nil
				return
			default:
			}
			if err := x.TryPut(frame()); err != nil {
				f.done <- err
				return
			}
			f.sent.Add(1)
		}
	}()
	return f
}

// beside runs a flood while honest clients do what they do. It starts honest after the first drop
// of the flood, and waits for another drop after the end of honest.
func (r *network) beside(x *thrower, at place, reason string, frame func() []byte, honest func()) {
	r.T.Helper()
	f := x.start(frame)
	dropped := func(above int) {
		r.T.Helper()
		r.Until("the flood meets "+reason, func() bool { return r.Fairlead.Counts(at.link).Drops[reason] > above })
	}
	dropped(0)
	honest()
	dropped(r.Fairlead.Counts(at.link).Drops[reason])
	close(f.stop)
	r.Need(<-f.done)
	r.T.Logf("%d frames sent; drops on %s: %v", f.sent.Load(), at.link, r.Fairlead.Counts(at.link).Drops)
}

// solicits returns a function that makes Solicits, each of a new client. mac and source return
// the addresses that a Solicit comes from.
func solicits(mac func() net.HardwareAddr, source func() netip.Addr) func() []byte {
	return func() []byte {
		m := dhcp6.AppendMessageHeader(nil, dhcp6.Solicit, rand.Uint32N(1<<24))
		m = dhcp6.AppendClientID(m, dhcp6.AppendDUIDLL(nil, 1, []byte{6, byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32()), 6}))
		from := source()
		return frame(mac(), from, layers.IPProtocolUDP, segment(from, slices.Concat(m, script.IAPD(iaid))))
	}
}

// somebody returns a random link-local address.
func somebody() netip.Addr {
	a := [16]byte{0: 0xfe, 1: 0x80, 8: 6}
	for i := 9; i < 16; i++ {
		a[i] = byte(rand.Uint32())
	}
	return netip.AddrFrom16(a)
}

// sober is a server that answers all messages except those of the flood.
func sober(q script.Request) [][]byte {
	if client, ok := q.Message.ClientID(); ok && len(client) == 10 && client[4] == 6 {
		return nil
	}
	return numbered(q)
}

// served fails if a client cannot complete an exchange of each kind.
func (r *network) served(c *rig.Client) {
	r.T.Helper()
	reply := c.Obtain(iaid)
	c.Renew(reply)
}

// A host floods its link with ever new DUIDs and link-local addresses, and the victim's are among
// them. The victim's renewals, a new neighbour, and a client on another link are served, and what
// the host sends above its rate is dropped under a name of its own.
func TestFloodFromOneHost(t *testing.T) {
	r := withServer(t, sober)
	v := r.victim()
	x := r.thrower(r.Client(2), "c0", shared)
	neighbour, far := r.Client(3).Play(rig.DUID(3)), r.far.Play(rig.DUID(9))
	stolen := v.Own()
	r.beside(x, onShared, "rate-source", solicits(func() net.HardwareAddr { return x.Own }, func() netip.Addr {
		if rand.Uint32()&1 == 0 {
			return stolen
		}
		return somebody()
	}), func() {
		v.Unmoved()
		r.served(neighbour)
		r.served(far)
		v.Unmoved()
	})
	v.Unmoved()
}

// A host floods its link with a new link-layer address in every frame. Clients that were there
// before are served, and so is another link. The process does not grow with the number of
// addresses.
func TestFloodFromRandomLinkLayerAddresses(t *testing.T) {
	r := withServer(t, sober, "rate: {link: 2000, link-burst: 2000}") // a rate that any machine can exceed
	v := r.victim()
	neighbour, far := r.Client(3).Play(rig.DUID(3)), r.far.Play(rig.DUID(9))
	for range 2 { // established
		r.served(neighbour)
		v.Unmoved()
	}
	before := r.Fairlead.Resident()
	x := r.thrower(r.Client(2), "c0", shared)
	r.beside(x, onShared, "rate-newcomers", solicits(func() net.HardwareAddr {
		return net.HardwareAddr{2, 6, byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32())}
	}, somebody), func() {
		v.Unmoved()
		r.served(neighbour)
		r.served(far)
		v.Unmoved()
		r.Until("the flood is long", func() bool { return r.Fairlead.Counts(shared).Drops["rate-newcomers"] > 10_000 })
	})
	v.Unmoved()
	const most = 64 << 10
	grown := r.Fairlead.Resident() - before
	t.Logf("the process has grown by %d KiB", grown)
	if grown > most {
		t.Errorf("want %d KiB at most", most)
	}
}

// The same with just as many addresses as, with the rate of one host each, fill the rate of the
// link. They are used again and again. That many busy hosts would look the same, and only the
// switch knows that they are on one port. The flood fills only its own link: on other links
// everybody is served. On this link the victim's traffic passes, and its renewal, for which it
// has half of its lease, succeeds when the flood is over.
func TestFloodFromManyEstablishedLinkLayerAddresses(t *testing.T) {
	r := withServer(t, sober, "rate: {link: 1000, link-burst: 1000}")
	v := r.victim()
	far := r.far.Play(rig.DUID(9))
	x := r.thrower(r.Client(2), "c0", shared)
	// If the addresses were used in turn, they would keep step with the link's token bucket: the
	// same few would always come when it has room, and the others would take long to become
	// established.
	r.beside(x, onShared, "rate-link", solicits(func() net.HardwareAddr {
		return net.HardwareAddr{2, 6, 0, 0, 0, byte(rand.Uint32())}
	}, somebody), func() {
		r.served(far)
		v.Compare("while the link is full")
		v.Reachable()
	})
	v.Unmoved()
}

// A flood on the uplink, of messages that a server could send, from a source that is no server.
func TestFloodOnTheUplink(t *testing.T) {
	r := withServer(t, sober)
	v := r.victim()
	x := r.thrower(r.path, "x0", uplink)
	forged := replies(v, r.Client(2).LinkLocal("c0"))[0]
	datagram := x.Packet(x.Own, x.Peer, netip.AddrPortFrom(pathAddress, dhcp6.ServerPort), rig.ToRelay, forged)
	far := r.far.Play(rig.DUID(9))
	r.beside(x, onPath, "untrusted-server", func() []byte { return datagram }, func() {
		v.Unmoved()
		r.served(far)
		v.Unmoved()
	})
	v.Unmoved()
}

// A host sends more than the relay can read. The link is set apart. From then on, a single Renew
// on another link is received, however full the queue of the flood is: the kernel drops what is
// too much for that queue, under a name of its own.
func TestFloodCostsNoOtherLink(t *testing.T) {
	r := withServer(t, sober)
	v := r.victim()
	x := r.thrower(r.Client(2), "c0", shared)
	frame := solicits(func() net.HardwareAddr { return x.Own }, somebody)
	far := r.far.Play(rig.DUID(9))
	r.costsNoOther(shared, func() { x.Put(frame()) }, far, func(message []byte) { far.Send(message) })
	v.Unmoved()
}

// The same with two point-to-point links.
func TestFloodOnAPointToPointLinkCostsNoOther(t *testing.T) {
	r := onLines(t, sober)
	far := r.Client(2).Play(rig.DUID(2))
	const ethernet = 14 // octets of an Ethernet header, which these links do not have
	nobody := net.HardwareAddr{2, 0, 0, 0, 0, 0}
	solicit := solicits(func() net.HardwareAddr { return nobody }, somebody)
	r.costsNoOther(r.Downlink(1), func() { r.Need(r.Line(1).Arrive(0, solicit()[ethernet:])) }, far, func(message []byte) {
		from := far.Own()
		r.Need(r.Line(2).Arrive(0, frame(nobody, from, layers.IPProtocolUDP, segment(from, message))[ethernet:]))
	})
}

// costsNoOther floods a link by put, and shows that one message which is sent meanwhile on
// another link is answered. The message must be in the kernel when send returns.
func (r *network) costsNoOther(link string, put func(), far *rig.Client, send func(message []byte)) {
	r.T.Helper()
	reply := far.Obtain(iaid)
	var renew []byte
	r.Fairlead.Drowned(link, put, func() {
		renew = far.Message(dhcp6.Renew, serverID(reply), script.IAPD(iaid))
		send(renew) // only once
	})
	for answered := false; !answered; {
		answer := far.Receive()
		answered = bytes.Equal(answer.Data[1:4], renew[1:4]) // else it answers an earlier round
	}
}
