package relay4_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/lab/labtest"
	"fairlead/internal/system/rig"
)

// mine is how the hardware addresses begin that a flood uses. No other addresses begin so.
var mine = []byte{2, 6}

// forged returns a hardware address that was not used before.
func forged() net.HardwareAddr {
	return append(append(net.HardwareAddr{}, mine...), byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32()))
}

// neighbour puts a second host on the link of client 1, whose interface is br0 then.
func (n *network) neighbour() *rig.Host {
	n.T.Helper()
	x := n.Node("x")
	n.Veth(n.clients[0], "x0", x, "e0")
	n.Need(n.clients[0].Bridge("br0", "c0", "x0"))
	return x
}

// sober makes a server answer all messages except those of a flood.
func (p *played) sober() {
	p.silent = func(m *request) bool { return string(m.ClientHWAddr[:2]) == string(mine) }
}

// beside sends frames as fast as the link takes them while honest clients do what they do. It
// starts honest after the first drop for the reason, and waits for another such drop after the
// end of honest.
func (n *network) beside(x *labtest.Thrower, reason string, frame func() []byte, honest func()) {
	n.T.Helper()
	var sent atomic.Int64
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := x.TryPut(frame()); err != nil {
				done <- err
				return
			}
			sent.Add(1)
		}
	}()
	dropped := func(above uint64) {
		n.T.Helper()
		n.Until("the flood meets "+reason, func() bool { return n.look().Drops[reason] > above })
	}
	dropped(0)
	honest()
	dropped(n.look().Drops[reason])
	close(stop)
	n.Need(<-done)
	n.T.Logf("%d frames sent; drops: %v", sent.Load(), n.look().Drops)
}

// A host floods its link in the name of ever new clients, from its own hardware address. What it
// sends above its rate is dropped under a name of its own; a neighbour on its link, and a client
// on another link, are served.
func TestFloodFromOneHost(t *testing.T) {
	n := build(t)
	x := n.neighbour().Throw("e0", n.relay, "d1")
	n.play().sober()
	n.start("agent-information: add")
	n.beside(x, "rate-source", func() []byte {
		return datagram(x.Own, everybody, fromClient, toServers, discover(forged(), rand.Uint32()))
	}, func() {
		for range 3 {
			n.obtainAs(n.clients[0], "br0")
			n.obtain(2)
		}
	})
}

// The same with a new hardware address in every frame. Clients that were there before are served,
// and so is another link. The process does not grow with the addresses, nor with the
// transactions.
func TestFloodFromRandomHardwareAddresses(t *testing.T) {
	n := build(t)
	x := n.neighbour().Throw("e0", n.relay, "d1")
	n.play().sober()
	n.start("agent-information: add", "rate: {link: 2000, link-burst: 2000}") // a rate that any machine can exceed
	honest := func() {
		for range 3 {
			n.obtainAs(n.clients[0], "br0")
			n.obtain(2)
		}
	}
	honest() // this makes the source an established one
	before := n.fairlead.Resident()
	n.beside(x, "rate-newcomers", func() []byte {
		client := forged()
		return datagram(client, everybody, fromClient, toServers, discover(client, rand.Uint32()))
	}, func() {
		honest()
		n.Until("the flood is long", func() bool { return n.look().Drops["rate-newcomers"] > 10_000 })
	})
	const most = 64 << 10
	grown := n.fairlead.Resident() - before
	t.Logf("the process has grown by %d KiB", grown)
	if grown > most {
		t.Errorf("want %d KiB at most", most)
	}
}

// A flood on the uplink, of messages that a server could send, from a host that is no server.
func TestFloodOnTheUplink(t *testing.T) {
	n := build(t)
	n.play()
	n.start("agent-information: add")
	x := n.server.Throw("s0", n.relay, "u0")
	frame := datagram(x.Own, x.Peer, netip.MustParseAddrPort("10.9.0.66:67"), netip.AddrPortFrom(giaddr(1), 67),
		message(layers.DHCPOpReply, layers.DHCPMsgTypeOffer, x.Own, 1, giaddr(1)))
	n.beside(x, "untrusted-server", func() []byte { return frame }, func() {
		for range 3 {
			n.obtain(1)
			n.obtain(2)
		}
	})
}

// Two links share one giaddr, and the server does not echo option 82: only the transaction tells
// where an answer belongs. A flood of transactions on one link does not lose any answer for the
// other link.
func TestFloodOfTransactions(t *testing.T) {
	n := build(t)
	n.unnumbered()
	x := n.neighbour().Throw("e0", n.relay, "d1")
	p := n.play()
	p.sober()
	p.mute = true
	n.start("unnumbered: lo", "agent-information: add", "rate: {link: 2000, link-burst: 2000}")
	n.beside(x, "rate-newcomers", func() []byte {
		client := forged()
		return datagram(client, everybody, fromClient, toServers, discover(client, rand.Uint32()))
	}, func() {
		for range 5 {
			n.obtain(2)
		}
	})
}

// A host sends more than the relay can read. The link is set apart. From then on, a single
// Discover on another link is received, however full the queue of the flood is: the kernel drops
// what is too much for that queue.
func TestFloodCostsNoOtherLink(t *testing.T) {
	n := build(t)
	n.play().sober()
	n.start("agent-information: add")
	n.obtain(2)
	x, other := n.clients[0].Throw("c0", n.relay, "d1"), n.clients[1].Throw("c0", n.relay, "d2")
	heard := n.clients[1].Record("c0", "udp port 68 and src port 67")
	xid := uint32(0)
	n.fairlead.Drowned("d1", func() {
		x.Put(datagram(x.Own, everybody, fromClient, toServers, discover(forged(), rand.Uint32())))
	}, func() {
		xid = rand.Uint32()
		other.Put(datagram(other.Own, everybody, fromClient, toServers, discover(other.Own, xid))) // only once
	})
	heard.Wait(fmt.Sprintf("dhcp.option.dhcp == 2 && dhcp.id == %#x", xid), "frame.number")
}
