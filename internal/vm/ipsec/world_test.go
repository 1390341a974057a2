//go:build vm

package ipsec_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"fairlead/internal/lab/script"
	"fairlead/internal/system/protected"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// Addresses of the two ends.
var (
	relayAddress  = netip.MustParseAddr("2001:db8:ff::1")
	serverAddress = netip.MustParseAddr("2001:db8:ff::2")
)

// delegated is what the scripted server gives.
var delegated = netip.MustParsePrefix("2001:db8:1100::/56")

// world is a client, a relay, a server, and somebody on the wire between these
// two:
//
//	c c0 --- d1 r u0 --- m1 m m2 --- s0 s
type world struct {
	*rig.Net
	c, r, m, s    *rig.Host
	relay, server *protected.End
	wire          *protected.Wire
	client        *rig.Client
	scripted      *rig.Server // nil where Kea serves
	intruder      *intruder
}

// newWorld makes the network and records the wire. Nothing runs yet.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Net: rig.New(t)}
	w.c, w.r, w.m, w.s = w.Node("c"), w.Node("r"), w.Node("m"), w.Node("s")
	w.Veth(w.c, "c0", w.r, "d1")
	w.Veth(w.r, "u0", w.m, "m1")
	w.Veth(w.m, "m2", w.s, "s0")
	w.Need(w.m.Bridge("br0", "m1", "m2"))
	w.r.Address("d1", "2001:db8:1::1/64")
	w.r.Address("u0", relayAddress.String()+"/64")
	w.s.Address("s0", serverAddress.String()+"/64")
	w.relay, w.server = newEnd(w.r, false), newEnd(w.s, true)
	w.wire = record(w.m, "m2")
	w.client = w.c.Play(rig.DUID(1))
	w.intruder = &intruder{toRelay: w.m.Throw("m1", w.r, "u0"), toServer: w.m.Throw("m2", w.s, "s0")}
	return w
}

// newEnd prepares the relay, or a guard.
func newEnd(h *rig.Host, guards bool) *protected.End {
	h.Net.T.Helper()
	return protected.New(h, protected.Config{Guards: guards})
}

// serve starts the scripted server.
func (w *world) serve() {
	w.T.Helper()
	w.scripted = w.s.Server(serverAddress, rig.Always(delegated))
}

// stanzas are the peers of both ends, for keys as they stand in each.
func stanzas(atRelay, atServer string) (relay, server string) {
	return fmt.Sprintf("  - name: server\n    address: %s\n    local: %s\n    role: server\n    interfaces: [u0]\n    protection: ipsec\n%s",
			serverAddress, relayAddress, atRelay),
		fmt.Sprintf("  - name: relay\n    address: %s\n    local: %s\n    role: relay\n    protection: ipsec\n%s",
			relayAddress, serverAddress, atServer)
}

// protect configures both ends with keys of that kind, with strongSwan unless
// they are made by hand.
func (w *world) protect(kind string) {
	w.T.Helper()
	w.keyed(kind != "manual", protected.Keyings[kind])
}

func (w *world) keyed(strongswan bool, keys protected.Keying) {
	w.T.Helper()
	if strongswan {
		w.relay.Strongswan()
		w.server.Strongswan()
	}
	relay, server := stanzas(keys(w.Net, serverAddress, relayAddress))
	w.relay.Configure(relay)
	w.server.Configure(server)
}

// protectedWorld is a world whose ends are protected, with the scripted server.
func protectedWorld(t *testing.T, kind string) *world {
	t.Helper()
	w := newWorld(t)
	w.protect(kind)
	w.serve()
	w.relay.Start()
	w.server.Start()
	w.becomesProtected()
	return w
}

// becomesProtected waits until both ends say that they are protected, and messages pass.
func (w *world) becomesProtected() {
	w.T.Helper()
	w.relay.BecomesProtected()
	w.server.BecomesProtected()
	w.exchange()
}

// exchange has a client solicit and the server's Advertise come back.
func (w *world) exchange() {
	w.T.Helper()
	reply := w.client.Exchange(w.client.Message(dhcp6.Solicit, script.IAPD(1)))
	if reply.Type() != dhcp6.Advertise {
		w.T.Fatalf("the answer is a %v", reply.Type())
	}
}

// drained waits until what was sent so far has come to the server or is lost: a
// message that overtakes nothing has come. It passes, so both ends are protected.
func (w *world) drained() {
	w.T.Helper()
	w.Need(w.once())
}

// traffic is what goes on while a hop is cut: a client solicits, the server
// sends what nobody asked for, and an intruder does in clear what they do.
type traffic struct {
	w    *world
	mark uint32 // transaction-id of what the intruder sends
	end  chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex      // guards all following fields
	sent    map[uint32]bool // transaction-ids of the client
	answers int             // to these: others may be late ones, to what was sent before
	forged  int             // messages of the intruder that came to the client
}

// Transaction-ids of messages that are not the client's own.
const (
	unasked = 0x555555 // the server's, in ESP or not at all
	forged  = 0x666666 // the intruder's, in clear
	later   = 0x777777 // the same, begun later
)

// busy starts traffic. A request must have come to the server before.
func (w *world) busy() *traffic { return w.busyAs(forged) }

// busyAs is busy with a mark on what the intruder sends.
func (w *world) busyAs(mark uint32) *traffic {
	w.T.Helper()
	q := w.scripted.Wait("a request", func(q script.Request) bool { return len(q.Relays) > 0 })
	message := func(xid uint32) []byte {
		return dhcp6.AppendServerID(dhcp6.AppendMessageHeader(nil, dhcp6.Advertise, xid), script.DefaultServerDUID)
	}
	f := &traffic{w: w, mark: mark, end: make(chan struct{}), sent: make(map[uint32]bool)}
	relay, server := netip.AddrPortFrom(relayAddress, 547), netip.AddrPortFrom(serverAddress, 547)
	toRelay := w.intruder.packet(w.intruder.toRelay, server, relay, q.Wrap(message(mark)))
	inner := dhcp6.AppendMessageHeader(nil, dhcp6.Solicit, mark)
	toServer := w.intruder.packet(w.intruder.toServer, relay, server, dhcp6.AppendOption(
		dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, q.Relays[0].LinkAddress(), q.Relays[0].PeerAddress()), dhcp6.OptionRelayMessage, inner))
	own := q.Wrap(message(unasked))
	f.done.Add(1)
	go func() {
		defer f.done.Done()
		for {
			select {
			case <-f.end:
				return
			default:
			}
			f.solicit()
			_ = w.scripted.Server.Send(relay, own) // refused while the guard drops it
			_ = w.intruder.toRelay.TryPut(toRelay)
			_ = w.intruder.toServer.TryPut(toServer)
			f.hear()
		}
	}()
	return f
}

// solicited is how often the client has solicited so far.
func (f *traffic) solicited() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sent)
}

// solicit has the client solicit, and not wait for the answer.
func (f *traffic) solicit() {
	b := f.w.client.Message(dhcp6.Solicit, script.IAPD(1))
	if m, err := dhcp6.ParseMessage(b); err == nil {
		f.mu.Lock()
		f.sent[m.TransactionID()] = true
		f.mu.Unlock()
	}
	_ = f.w.client.Client.Send(b)
}

// hear takes what has come to the client in a tenth of a second.
func (f *traffic) hear() {
	for end := time.Now().Add(100 * time.Millisecond); ; {
		p, err := f.w.client.Client.Receive(time.Until(end))
		if err != nil {
			return
		}
		m, err := dhcp6.ParseMessage(p.Data)
		if err != nil {
			continue
		}
		f.mu.Lock()
		switch id := m.TransactionID(); {
		case id == f.mark:
			f.forged++
		case f.sent[id]:
			f.answers++
		}
		f.mu.Unlock()
	}
}

// stop ends the traffic and returns how many messages of the intruder were
// taken by client and server.
func (f *traffic) stop() (atClient, atServer int) {
	close(f.end)
	f.done.Wait()
	return f.taken()
}

// taken is how many messages of the intruder client and server have taken so far.
func (f *traffic) taken() (atClient, atServer int) {
	for _, q := range f.w.scripted.Received() {
		if len(q.Inner) >= 4 && q.Message.TransactionID() == f.mark {
			atServer++
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.forged, atServer
}
