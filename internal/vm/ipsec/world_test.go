//go:build vm

package ipsec_test

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/protected"
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
	*lab.Net
	t             *testing.T
	c, r, m, s    *lab.Node
	relay, server *protected.End
	wire          *protected.Wire
	client        *script.Client
	scripted      *script.Server // nil where Kea serves
	intruder      *intruder
}

// newWorld makes the network and records the wire. Nothing runs yet.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Net: lab.ForTest(t), t: t}
	for name, d := range map[string]**lab.Node{"c": &w.c, "r": &w.r, "m": &w.m, "s": &w.s} {
		var err error
		*d, err = w.Node(name)
		need(t, err)
	}
	need(t, w.Veth(w.c, "c0", w.r, "d1"))
	need(t, w.Veth(w.r, "u0", w.m, "m1"))
	need(t, w.Veth(w.m, "m2", w.s, "s0"))
	need(t, w.m.Bridge("br0", "m1", "m2"))
	need(t, w.r.Address("d1", "2001:db8:1::1/64"))
	need(t, w.r.Address("u0", relayAddress.String()+"/64"))
	need(t, w.s.Address("s0", serverAddress.String()+"/64"))
	w.relay, w.server = newEnd(t, w.r, false), newEnd(t, w.s, true)
	w.wire = record(t, w.m, "m2")
	var err error
	w.client, err = script.StartClient(w.c, script.ClientConfig{DUID: dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0xc0, 1}})
	need(t, err)
	w.intruder = &intruder{
		toRelay: labtest.Throw(t, w.m, "m1", hardware(t, w.r, "u0")), toServer: labtest.Throw(t, w.m, "m2", hardware(t, w.s, "s0")),
	}
	return w
}

// newEnd prepares the relay, or a guard.
func newEnd(t *testing.T, d *lab.Node, guards bool) *protected.End {
	t.Helper()
	return protected.New(t, d, protected.Config{Guards: guards, Patience: patience})
}

func hardware(t *testing.T, d *lab.Node, link string) net.HardwareAddr {
	t.Helper()
	found, err := d.Interface(link)
	need(t, err)
	return found.HardwareAddr
}

// serve starts the scripted server.
func (w *world) serve() {
	w.t.Helper()
	var err error
	w.scripted, err = script.StartServer(w.s, serverAddress, func(r script.Request) [][]byte {
		return script.Grants{T1: 1000, T2: 1600, Prefixes: func(script.Request, dhcp6.IA) []dhcp6.IAPrefix {
			return []dhcp6.IAPrefix{{Prefix: delegated, Preferred: 2000, Valid: 3000}}
		}}.Answer(r)
	})
	need(w.t, err)
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
	w.t.Helper()
	w.keyed(kind != "manual", protected.Keyings[kind])
}

func (w *world) keyed(strongswan bool, keys protected.Keying) {
	w.t.Helper()
	if strongswan {
		w.relay.Strongswan()
		w.server.Strongswan()
	}
	relay, server := stanzas(keys(w.t, w.Dir(), serverAddress, relayAddress))
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
	w.settled()
	return w
}

// under has what goes wrong from now on be that test's fault.
func (w *world) under(t *testing.T) { w.t, w.relay.T, w.server.T, w.wire.T = t, t, t, t }

// settled waits until both ends say that they are protected, and messages pass.
func (w *world) settled() {
	w.t.Helper()
	w.relay.BecomesProtected()
	w.server.BecomesProtected()
	w.exchange()
}

// exchange has a client solicit and the server's Advertise come back.
func (w *world) exchange() {
	w.t.Helper()
	reply, err := w.client.Exchange(patience, w.client.Message(dhcp6.Solicit, script.IAPD(1)))
	need(w.t, err)
	if reply.Type() != dhcp6.Advertise {
		w.t.Fatalf("the answer is a %v", reply.Type())
	}
}

// drained waits until what was sent so far has come to the server or is lost: a
// message that overtakes nothing has come. It passes, so both ends are protected.
func (w *world) drained() {
	w.t.Helper()
	need(w.t, w.once())
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
	w.t.Helper()
	q, err := w.scripted.Wait(patience, "a request", func(q script.Request) bool { return len(q.Relays) > 0 })
	need(w.t, err)
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
			_ = w.scripted.Send(relay, own) // refused while the guard drops it
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
	_ = f.w.client.Send(b)
}

// hear takes what has come to the client in a tenth of a second.
func (f *traffic) hear() {
	for end := time.Now().Add(100 * time.Millisecond); ; {
		p, err := f.w.client.Receive(time.Until(end))
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
