package server6_test

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/links"
	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// wilder is a world for bad input: everything is configured, the limits are low, and every now and then
// something else happens.
func wilder(tb testing.TB) *world {
	w := newWorld(tb, wild)
	w.sender = alice
	return w
}

func wild(c *server6.Config) {
	everything(c)
	c.Networks[0].Subnets[0].RapidCommit, c.Networks[2].Subnets[0].RapidCommit = true, true
	c.Networks[0].Subnets[0].InterfaceIDs = [][]byte{[]byte("eth1")}
	c.Links[0].Limits = delegation.Policy{ClientLimit: 4, LinkLimit: 40, HostLimit: 6, Move: delegation.MoveAuto}
}

// seeds are whole messages for mutation: of each type, as they come from a client and through relay agents.
func seeds() (all [][]byte) {
	for kind := range dhcp6.MessageType(38) {
		if kind.IsRelay() {
			continue
		}
		for _, ias := range [][]option{
			{iaNA(7, named("2001:db8:1::1:77"), lasting("2001:db8:77::77", 1, 2)), iaPD(1, named("2001:db8:4000:1000::/56"), named("::/60"))},
			{iaNA(1), iaNA(2, raw(13, 0, 0)), iaPD(1, lasting("2001:db8:6000:4000::/52", 7, 8, raw(67, 64, 0, 0)))},
			{iaPD(1), iaPD(2, named("2001:db8:4000::/48"), raw(13, 0, 6)), raw(4, 0, 0, 0, 1)},
		} {
			options := append([]option{rapid, oro(17, 23, 82, 67), raw(8, 0, 0), raw(15, 0, 1, 'x'), raw(61, 0, 7), raw(4711, 1)}, ias...)
			options = append(options, asking...)
			m := alice.message(kind, options...)
			ldra := layerOf{0, "::", []option{interfaceID("eth1")}}.around(alice.addr, m)
			all = append(all, m,
				through("2001:db8:8::1", interfaceID("eth3"), raw(37, append([]byte{0, 0, 0, 1}, "line 2"...)...), raw(53, []byte("\x00\x03\x00\x01relay!")...), linkLayer(alice.mac)).around(alice.addr, m),
				layerOf{1, "2001:db8:8::1", []option{raw(135, 0, 7), raw(43, 0, 37, 0, 99), raw(99, 1, 2)}}.around("fe80::9", ldra))
		}
	}
	return all
}

// feed hands in one datagram, and checks what must hold whatever it was.
func (w *world) feed(relayed bool, payload []byte) {
	w.sent, w.held, w.notes, w.drops, w.order = w.sent[:0], w.held[:0], w.notes[:0], w.drops[:0], w.order[:0]
	given := bytes.Clone(payload)
	p := w.sender.from(payload)
	if relayed {
		p = fromRelay(payload)
	}
	got := w.packet(p)
	for n := len(w.probes); n > 0; n = len(w.probes) { // those of one message come one by one
		q := w.probes[0].Question
		w.probes = w.probes[1:]
		before := len(w.sent)
		w.core.Probed(w.now, q, len(payload)%2 == 0, &w.eff)
		w.carryOut()
		got = append(got, w.sent[before:]...)
	}
	if !bytes.Equal(payload, given) {
		w.Fatalf("the received octets were written to:\n was %x\n is  %x", given, payload)
	}
	if n := len(w.drops) + len(got) + len(w.held); n != 1 {
		w.Fatalf("%d drops and datagrams for one packet %x", n, given)
	}
	for _, s := range got {
		if len(s.Payload) > 65527 || s.ToPeer != relayed {
			w.Fatalf("%d octets to a peer: %v", len(s.Payload), s.ToPeer)
		}
		if relayed {
			for _, l := range w.layers(s.Payload) {
				if l.kind != 13 {
					w.Fatalf("a layer of type %d in %x", l.kind, s.Payload)
				}
			}
		}
		if a := w.read(innermost(s.Payload)); a.server != serverID || a.kind != dhcp6.Reply && a.kind != dhcp6.Advertise {
			w.Fatalf("%v of %q", a.kind, a.server)
		}
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
			if r.IntN(4) == 0 {
				b = b[:at] // torn
			}
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
	switch r.IntN(7) {
	case 0:
		most := 7200
		if w.keepErr != nil {
			most = 60 // the store is tried every two seconds
		}
		w.sleep(time.Duration(r.IntN(most)) * time.Second)
	case 1:
		w.setLink("lan0", func(l *links.Link) { l.VRF = []string{"", "red"}[r.IntN(2)] })
	case 2:
		w.reconfigure(wild, func(c *server6.Config) {
			if r.IntN(3) == 0 {
				c.Networks[0].Subnets[0].PDPools[0].Min = 56
				c.Networks[2].Subnets[0].Pools = nil
			}
		})
	case 3:
		w.keepErr = nil
		if r.IntN(3) == 0 {
			w.keepErr = errStoreDown
		}
	case 4:
		w.clears(delegation.Selection{Link: "lan0"})
	case 5:
		w.core.SetTrace(nil)
	case 6: // with a copy of her DUID, from her other address, or she herself
		w.sender = []client{thieves["another host"], elsewhere, alice}[r.IntN(3)]
	}
}

// mutations is how many packets the mutation test sends; FAIRLEAD_MUTATIONS in the environment asks for
// more.
var mutations = flag.Int("mutations", 50_000, "packets of the mutation test")

// TestMutatedPackets: no panic, bounded memory, no lease that two clients have, and one answer or one
// reason for each packet. The same packets in every run.
func TestMutatedPackets(t *testing.T) {
	n := *mutations
	if s := os.Getenv("FAIRLEAD_MUTATIONS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatalf("FAIRLEAD_MUTATIONS: %v", err)
		}
	}
	if testing.Short() {
		n = min(n, 10_000)
	}
	r := rand.New(rand.NewPCG(8, 415))
	w, all := wilder(t), seeds()
	var before runtime.MemStats
	for i := range n {
		if i == n/10 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
		at := r.IntN(len(all))
		w.feed(at%3 != 0, mutate(r, all[at]))
		if i%64 == 0 {
			w.stir(r)
		}
		if i%256 == 0 && w.keepErr == nil {
			w.sleep(3 * time.Second) // what the store lacks is kept again
			w.agrees()
		}
		if i%4096 == 0 {
			clear(w.store) // of the test's memory: the history grows for ever
			w.restart()
		}
	}
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("the heap grew by %d octets over %d packets", grown, n-n/10)
	}
	runtime.KeepAlive(w)
}

// TestEveryTruncation of every seed.
func TestEveryTruncation(t *testing.T) {
	w := wilder(t)
	for i, b := range seeds() {
		for n := range b {
			w.feed(i%3 != 0, b[:n])
		}
	}
	w.agrees()
}

// FuzzServer feeds the core whatever the fuzzer thinks of, with leases in the table to get wrong.
func FuzzServer(f *testing.F) {
	for i, b := range seeds() {
		if i%7 == 0 {
			f.Add(i%3 != 0, b)
		}
	}
	f.Fuzz(func(t *testing.T, relayed bool, payload []byte) {
		if len(payload) > 65527 {
			return // more than a datagram holds
		}
		w := wilder(t)
		w.asks(alice, dhcp6.Request, append(asking, iaNA(7), iaPD(1))...)
		w.feed(relayed, payload)
		w.agrees()
		w.sleep(2 * time.Hour)
		w.restart()
		w.agrees()
	})
}

// Nests beyond any limit are refused, and cost little.
func TestDeepNests(t *testing.T) {
	w := wilder(t)
	for _, kind := range []byte{12, 13} {
		payload := alice.message(dhcp6.Solicit, iaNA(1))
		for range 1000 {
			payload = through("::").layer(kind, alice.addr, payload)
		}
		w.feed(true, payload)
		w.feed(false, payload)
	}
}

// The largest datagrams, full of IAs, and full of leases in one IA.
func TestLargestMessages(t *testing.T) {
	w := wilder(t)
	var ias, inner []option
	for n := range uint32(2000) {
		ias = append(ias, iaNA(n), iaPD(n))
		inner = append(inner, named(addr("2001:db8:1::1:0").Next().String()), named("2001:db8:1::1:9"))
	}
	for _, kind := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Request, dhcp6.Renew, dhcp6.Rebind, dhcp6.Release, dhcp6.Decline} {
		for _, options := range [][]option{ias[:3000], ias[:64], {iaNA(1, inner[:2200]...)}} {
			w.feed(false, alice.message(kind, append(asking, options...)...))
		}
	}
	w.feed(false, bytes.Repeat([]byte{3, 0, 1, 2}, 16000))
	if n := len(w.holds()); n > 8 {
		t.Errorf("%d leases of one client: %q", n, w.holds())
	}
	w.agrees()
}
