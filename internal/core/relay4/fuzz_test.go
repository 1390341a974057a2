package relay4_test

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"fairlead/internal/core/relay4"
)

// seeds are whole messages from both sides, for mutation.
func seeds() [][]byte {
	all := [][]byte{
		from(alice, bootp), from(alice, inFile(foreign)), from(alice, with(foreign, option(12, 'x'), foreign)), from(alice, func(m *message) { m.pads = -1 }),
		from(alice, giaddr("10.9.0.1")), from(alice, giaddr(lan0Addr)), from(alice, giaddr("10.0.0.255")), from(alice, with(authentication)),
		from(alice, with(option(53, 10))), from(alice, with([]byte{0, 0, 0, 255, 82, 2, 1, 0})),
	}
	for n := range byte(20) {
		all = append(all, from(alice, ofType(n), with(foreign)), from(carol, ofType(n), func(m *message) { m.flags = 0x8000 }))
		for _, g := range []string{lan0Addr, "10.0.1.1", lentAddr, "0.0.0.0"} {
			asked := forwarded(from(alice, ofType(n)), g, agent(circuit("lan1"), option(151, 0, 'v'), option(152)))
			all = append(all, answer(asked, n, n%2 == 0), answer(asked, n, true, inFile(foreign), with(option(82, 1))))
		}
	}
	return all
}

// script lets steps happen that any octets stand for, and one message come between.
func script(tb testing.TB, steps, payload []byte) {
	mode := relay4.Off
	if len(steps)%2 == 1 {
		mode = relay4.Add
	}
	t := newTwin(newWorld(tb, twinWorld(mode)))
	for i := range byte(4) {
		t.step(5, i, i, 0)
	}
	for n := 0; n < 40 && len(steps) >= 4; n++ {
		t.step(steps[0], steps[1], steps[2], steps[3])
		if steps = steps[4:]; n%8 == 0 {
			t.feed(payload)
		}
	}
	t.feed(payload)
}

// FuzzRelay: whatever comes and whatever happens to links, nothing panics, each datagram is
// what its law says, no reply goes to a link that was guessed, and no giaddr of ours is a
// broadcast address.
func FuzzRelay(f *testing.F) {
	for i, payload := range seeds() {
		if i%7 == 0 {
			f.Add([]byte{5, 1, 3, 0, 5, 2, 3, 0, 0, 1, 0, 0, 3, 0, 0, byte(i)}[:16-i%2], payload)
		}
	}
	f.Fuzz(func(t *testing.T, steps, payload []byte) {
		if len(payload) <= 65507 { // no more than a datagram holds
			script(t, steps, payload)
		}
	})
}

// mutate changes a message the way that bad senders and bad links do.
func mutate(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(4) {
		if len(b) == 0 {
			return b
		}
		at := r.IntN(len(b))
		if r.IntN(2) == 0 { // where there is something to break
			at = []int{0, 1, 2, 3, 10, 24, 25, 28, 236, 240, 241, 242, 243}[r.IntN(13)] % len(b)
		}
		switch r.IntN(6) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b[at] = byte(r.Uint32())
		case 2:
			b = b[:at] // torn
		case 3:
			b[at] = [...]byte{0, 1, 82, 53, 0xff}[r.IntN(5)]
		case 4:
			end := min(len(b), at+1+r.IntN(40))
			b = append(b[:end:end], b[at:]...) // a part twice
		case 5:
			end := min(len(b), at+1+r.IntN(8))
			b = append(b[:at:at], b[end:]...) // a part gone
		}
	}
	return b
}

// TestMutatedPackets feeds messages that are broken in many ways, between steps of all kinds:
// the same ones in every run. The memory that it takes is bounded.
func TestMutatedPackets(t *testing.T) {
	n := 40_000
	if testing.Short() {
		n = 4_000
	}
	r := rand.New(rand.NewPCG(15, 42))
	tw := newTwin(newWorld(t, twinWorld(relay4.Add)))
	all := seeds()
	var before, after runtime.MemStats
	for i := range n {
		if i == n/10 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
		if tw.feed(mutate(r, all[r.IntN(len(all))])); i%4 == 0 {
			tw.step(byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()))
		}
		tw.forget()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("the heap grew by %d octets over %d messages", grown, n-n/10)
	}
	sum, _ := tw.core.Sum()
	if sum.Sent[typeOffer] == 0 || sum.Received[typeDiscover] == 0 {
		t.Errorf("nothing passed: %+v", sum)
	}
	runtime.KeepAlive(tw)
}

// TestEveryTruncation of every seed.
func TestEveryTruncation(t *testing.T) {
	tw := newTwin(newWorld(t, twinWorld(relay4.Add)))
	for i := range byte(4) {
		tw.step(5, i, i, 0)
	}
	for _, b := range seeds() {
		for n := range b {
			tw.feed(b[:n])
			tw.move(tw.now.Boot.After(time.Minute))
			tw.forget()
		}
	}
}
