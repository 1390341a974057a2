package relay6_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// seeds are whole messages from both sides, for mutation.
func seeds() (fromClient, fromServer [][]byte) {
	all := []option{
		clientID(alice.duid), raw(2, 0, 3, 0, 1, 9), raw(6, 0, 23, 0, 24), raw(8, 0, 0), raw(14),
		iaNA(7, address("2001:db8:1::77", 60), address("2001:db8:77::77", 60)),
		iaPD(1, prefix("2001:db8:100::/56", 600), prefix("2001:db8:200::/60", 1200, status(0))),
		iaPD(2, status(6)), raw(12, make([]byte, 16)...), raw(4711, 1, 2, 3),
	}
	for mt := range dhcp6.MessageType(38) {
		if mt.IsRelay() {
			continue
		}
		inner := message(mt, 0x010203, all...)
		fromClient = append(fromClient, inner, throughLDRA(alice, inner),
			relayed(dhcp6.RelayForward, 3, "2001:db8:7::1", "fe80::1", throughLDRA(bob, inner), relayPort(1000)))
		fromServer = append(fromServer,
			relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, inner, interfaceID("lan0")),
			relayed(dhcp6.RelayReply, 0, "2001:db8:2::1", carol.addr, inner),
			relayed(dhcp6.RelayReply, 1, "2001:db8:1::1", alice.addr, relayed(dhcp6.RelayReply, 0, "::", alice.addr, inner, interfaceID("p")), interfaceID("lan0"), relayPort(2000)))
	}
	return fromClient, fromServer
}

// wilder is a world for bad input: everything is configured, everything is
// trusted, and every now and then something else happens.
func wilder(tb testing.TB) *world {
	return newWorld(tb, everyOption, relayPeer("fe80::99"), rule(func(r *relay6.LinkRule) {
		r.Trusted, r.Shared = true, true
		r.Delegations.ClientLimit, r.Delegations.LinkLimit, r.Delegations.HostLimit = 4, 40, 6
		r.Delegations.Move = delegation.MoveProbe
	}))
}

// feed hands in one datagram, and checks what must hold whatever it was.
func (w *world) feed(fromServer bool, payload []byte) {
	w.sent, w.notes, w.drops, w.held, w.order = w.sent[:0], w.notes[:0], w.drops[:0], w.held[:0], w.order[:0]
	given := bytes.Clone(payload)
	var got []effect.Send
	if fromServer {
		got = w.serves(payload)
	} else {
		got = w.says(alice, payload)
	}
	if !bytes.Equal(payload, given) {
		w.Fatalf("the received octets were written to:\n was %x\n is  %x", given, payload)
	}
	for _, s := range got {
		switch {
		case len(s.Payload) > 65527:
			w.Fatalf("%d octets to be sent", len(s.Payload))
		case fromServer && !bytes.Contains(given, s.Payload):
			w.Fatalf("delivered %x, which is not in %x", s.Payload, given)
		case !fromServer && !bytes.Equal(readLayer(w, s.Payload).inner, given):
			w.Fatalf("forwarded %x around what is not %x", s.Payload, given)
		}
	}
	if n := len(w.drops) + len(got); n > 1+len(w.cfg.Peers) {
		w.Fatalf("%d drops and datagrams for one packet %x", n, given)
	}
	if n := w.core.Totals().Prefixes + w.core.Totals().Addresses; n > 160 {
		w.Fatalf("%d delegations, above every limit", n)
	}
}

// mutate changes a message the way that bad senders and bad links do.
func mutate(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(4) {
		if len(b) == 0 {
			return b
		}
		at := r.IntN(len(b))
		switch r.IntN(7) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b[at] = byte(r.Uint32())
		case 2:
			b = b[:at] // torn
		case 3:
			b[at] = [...]byte{0, 1, 0x7f, 0x80, 0xff}[r.IntN(5)]
		case 4:
			end := min(len(b), at+1+r.IntN(40))
			b = append(b[:end:end], b[at:]...) // a part twice
		case 5:
			end := min(len(b), at+1+r.IntN(8))
			b = append(b[:at:at], b[end:]...) // a part gone
		case 6:
			if at+1 < len(b) { // a length that lies
				n := uint16(r.Uint32()) >> r.IntN(16)
				b[at], b[at+1] = byte(n>>8), byte(n)
			}
		}
	}
	return b
}

// stir is what else happens while packets come in.
func (w *world) stir(r *rand.Rand) {
	switch r.IntN(6) {
	case 0:
		w.move(w.now.Boot.After(time.Duration(r.IntN(600)) * time.Second))
		w.tick()
	case 1:
		w.setLink("lan0", func(l *links.Link) { l.Up = !l.Up })
	case 2:
		for _, p := range w.probes {
			w.core.Probed(w.now, p.Question, r.IntN(2) == 0, &w.eff)
		}
		w.probes = nil
		w.carryOut()
	case 3:
		w.keepFail = nil
		if r.IntN(3) == 0 {
			w.keepFail = errStoreDown
		}
	case 4:
		w.core.Clear(w.now, delegation.Selection{Link: "lan0"}, &w.eff)
		w.carryOut()
	case 5:
		w.store = make(map[string][]byte) // of the test's memory, not of the core's
	}
}

// mutations is how many packets the mutation test sends; FAIRLEAD_MUTATIONS in
// the environment asks for more.
var mutations = flag.Int("mutations", 200_000, "packets of the mutation test")

// TestMutatedPackets: no panic, bounded memory, the client's octets carried as
// they came. The same packets in every run.
func TestMutatedPackets(t *testing.T) {
	n := *mutations
	if s := os.Getenv("FAIRLEAD_MUTATIONS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatalf("FAIRLEAD_MUTATIONS: %v", err)
		}
	}
	if testing.Short() {
		n = min(n, 20_000)
	}
	r := rand.New(rand.NewPCG(8, 987))
	w := wilder(t)
	fromClient, fromServer := seeds()
	var before runtime.MemStats
	for i := range n {
		if i == n/10 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
		server := r.IntN(2) == 0
		pool := fromClient
		if server {
			pool = fromServer
		}
		w.feed(server, mutate(r, pool[r.IntN(len(pool))]))
		if i%64 == 0 {
			w.stir(r)
		}
	}
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("the heap grew by %d octets over %d packets", grown, n-n/10)
	}
	runtime.KeepAlive(w)
}

// TestEveryTruncation of every seed, from both sides.
func TestEveryTruncation(t *testing.T) {
	w := wilder(t)
	fromClient, fromServer := seeds()
	for _, b := range fromClient {
		for n := range b {
			w.feed(false, b[:n])
		}
	}
	for _, b := range fromServer {
		for n := range b {
			w.feed(true, b[:n])
		}
	}
}

// FuzzRelay feeds the core whatever the fuzzer thinks of, with a lease in the
// table to get wrong.
func FuzzRelay(f *testing.F) {
	fromClient, fromServer := seeds()
	for i := 0; i < len(fromClient); i += 7 {
		f.Add(false, fromClient[i])
		f.Add(true, fromServer[i])
	}
	f.Fuzz(func(t *testing.T, server bool, payload []byte) {
		if len(payload) > 65527 {
			return // more than a datagram holds
		}
		w := wilder(t)
		w.lease(alice, iaPD(1, prefix("2001:db8:a00::/56", 600)))
		w.feed(server, payload)
		w.sleep(time.Hour)
		w.restart()
	})
}

// Nests beyond any limit are refused or carried, and cost little.
func TestDeepNests(t *testing.T) {
	w := wilder(t)
	for _, mt := range []dhcp6.MessageType{dhcp6.RelayForward, dhcp6.RelayReply} {
		payload := message(dhcp6.Reply, 1, clientID(alice.duid), iaPD(1, prefix("2001:db8:100::/56", 600)))
		for range 1000 {
			payload = relayed(mt, 0, "::", alice.addr, payload)
		}
		w.feed(mt == dhcp6.RelayReply, payload)
	}
	w.wants()
}

// The largest datagrams, full of options and full of leases.
func TestLargestMessages(t *testing.T) {
	w := wilder(t)
	options := []option{clientID(alice.duid)}
	for n := range 2000 {
		options = append(options, iaPD(uint32(n), prefix(fmt.Sprintf("2001:db8:%x::/48", 0x1000+n), 600)))
	}
	reply := message(dhcp6.Reply, 1, options[:1400]...)
	if len(reply) > 65000 {
		t.Fatalf("%d octets do not fit", len(reply))
	}
	w.feed(true, relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, reply, interfaceID("lan0")))
	if n := w.core.Totals().Prefixes; n != 4 {
		t.Errorf("%d prefixes learned, want the client's limit of 4", n)
	}
	w.feed(false, message(dhcp6.Release, 1, options[:1400]...))
	w.feed(false, message(dhcp6.Request, 1, options[:1400]...))
	w.feed(false, bytes.Repeat([]byte{3, 0, 1, 2}, 16000))
}

// The neighbours that it remembers are bounded.
func TestNeighboursAreBounded(t *testing.T) {
	w := newWorld(t)
	solicit := message(dhcp6.Solicit, 1)
	for n := range 70_000 {
		source := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)})
		w.core.Handle(w.now, &inbound.Packet{Link: lan0Index, Source: netip.AddrPortFrom(source, 546), LinkLayer: alice.mac, Payload: solicit}, &w.eff)
		w.eff.Reset()
	}
	if n := w.core.Totals().Neighbours; n > 1<<16 || n < 1<<15 {
		t.Errorf("%d neighbours, want %d at most, and half of that at least", n, 1<<16)
	}
}
