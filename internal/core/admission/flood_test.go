package admission

import (
	"testing"

	"fairlead/internal/core/instant"
)

// As the daemon has it by default.
var usual = Limits{Link: Rate{10000, 10000}, Source: Rate{50, 200}, Newcomers: Rate{5000, 5000}}

// honest are 50 clients that send one message in 100 ms each. establish makes them established
// sources.
const honest = 50

func establish(t *testing.T, g *Gate, now instant.Instant, link int) {
	t.Helper()
	for n := range honest {
		if got, want := send(g, now, link, number(n), 4), (tally{Newcomer: 1, Known: 3}); got != want {
			t.Fatalf("client %d: %v, want %v", n, got, want)
		}
	}
}

// flood sends messages at 100 000 a second, the k-th from attacker(k), and has
// the honest send theirs meanwhile. It returns what became of either.
func flood(g *Gate, now instant.Instant, seconds int, attacker func(k int) Source) (bad, good tally) {
	const each = second / 100_000
	for k := range 100_000 * seconds {
		now += each
		bad[g.Admit(now, 1, attacker(k))]++
		if k%200 == 0 { // 50 clients, 10 a second: one in 2 ms
			good[g.Admit(now, 1, number(k/200%honest))]++
		}
	}
	return bad, good
}

func TestFloods(t *testing.T) {
	for _, c := range []struct {
		name     string
		seconds  int
		attacker func(k int) Source
		rate     int // what of the flood gets through in a second, and at once
		burst    int
		share    float64 // of what the honest send, that is left to them
	}{
		{"one host", 10, func(int) Source { return number(9999) }, 50, 200, 1},
		{"each message from another address", 3, func(k int) Source { return number(10_000 + k) }, 5000, 5000, 1},
		{"each address twice", 3, func(k int) Source { return number(10_000 + k/2) }, 10_000, 10_000, 1},
		{"each address thrice, later again", 3, func(k int) Source { return number(10_000 + k%100_000) }, 10_000, 10_000, 1},
		// Their bursts together are twice what the link takes at once.
		{"a hundred addresses that become established", 10, func(k int) Source { return number(10_000 + k%100) }, 100 * 50, 100 * 200, 0.9},
	} {
		g := NewGate(testKey, DefaultSources)
		g.Set(1, usual)
		establish(t, g, 0, 1)
		bad, good := flood(g, 60*second, c.seconds, c.attacker)
		sent := 500 * c.seconds
		if least := int(c.share * float64(sent)); good[Known] < least || good[Known] > sent {
			t.Errorf("%s: of the honest %v, want %d to %d known", c.name, good, least, sent)
		}
		if got, most := bad[Known]+bad[Newcomer], c.rate*c.seconds+c.burst; got == 0 || got > most {
			t.Errorf("%s: %d of the flood get through, want 1 to %d", c.name, got, most)
		}
		checkTable(t, g)
	}
}

// A flood of invented addresses that lasts for an hour does not make the gate forget
// established sources, however seldom they send.
func TestFloodDoesNotMakeForget(t *testing.T) {
	g := NewGate(testKey, 1<<12)
	g.Set(1, usual)
	establish(t, g, 0, 1)
	now := second
	for k := range 5000 * 3600 / 20 { // the twentieth part is 220 times the table
		now += second / 5000 * 20
		if v := g.Admit(now, 1, number(10_000+k)); v != Newcomer {
			t.Fatalf("address %d: %v", k, v)
		}
	}
	if got := g.Sources(); got != 1<<12 {
		t.Errorf("%d sources are known, want all %d", got, 1<<12)
	}
	for n := range honest {
		if v := g.Admit(now, 1, number(n)); v != Known {
			t.Errorf("client %d: %v, want %v", n, v, Known)
		}
	}
	checkTable(t, g)
}

// A flood on another link does not either, even if its addresses become established there:
// a link with more than its share of the table makes room for other links, and never the
// other way round.
func TestFloodStaysOnItsLink(t *testing.T) {
	g := NewGate(testKey, 1<<12)
	g.Set(1, usual)
	g.Set(2, Limits{Source: Rate{50, 200}})
	establish(t, g, 0, 1)
	now := second
	for k := range 1 << 15 {
		now += second
		send(g, now, 2, number(10_000+k), 4)
	}
	for n := range honest {
		if v := g.Admit(now, 1, number(n)); v != Known {
			t.Errorf("client %d: %v, want %v", n, v, Known)
		}
	}
	// And there is room for newcomers on the small link, at the large one's cost.
	for n := range 1000 {
		send(g, now+second, 1, number(5000+n), 4)
	}
	missing := 0
	for n := range 1000 {
		if g.Admit(now+2*second, 1, number(5000+n)) != Known {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of 1000 newcomers on the small link were not kept", missing)
	}
	checkTable(t, g)
}

// Whose bucket is in use stays; the newcomer is served as one, time and again.
func TestBusyOnesStay(t *testing.T) {
	const size = 64
	g := NewGate(testKey, size)
	g.Set(1, Limits{Source: Rate{1, 100}})
	var kept []Source
	for n := 0; g.Sources() < size; n++ {
		before := g.Sources()
		if g.Admit(0, 1, number(n)); g.Sources() > before {
			kept = append(kept, number(n))
		}
		if n > 10_000 {
			t.Fatalf("the table has %d of %d sources after %d", g.Sources(), size, n)
		}
	}
	for range 5 {
		if v := g.Admit(0, 1, number(99_999)); v != Newcomer {
			t.Errorf("one more: %v, want %v", v, Newcomer)
		}
	}
	for _, s := range kept {
		if v := g.Admit(0, 1, s); v != Known {
			t.Errorf("%v: %v, want %v", s, v, Known)
		}
	}
	// Once they are idle, one of them leaves.
	send(g, 100*second, 1, number(99_999), 1)
	if v := g.Admit(100*second, 1, number(99_999)); v != Known || g.Sources() != size {
		t.Errorf("after they became idle: %v with %d sources, want %v with %d", v, g.Sources(), Known, size)
	}
}

// 100 000 sources find room among the default number of entries.
func TestRoomForTheClients(t *testing.T) {
	const clients = 100_000
	g := NewGate(testKey, DefaultSources)
	g.Set(1, Limits{Source: Rate{1, 2}})
	for n := range clients {
		g.Admit(0, 1, number(n))
	}
	if got := g.Sources(); got < clients-clients/1000 {
		t.Errorf("%d of %d sources are known", got, clients)
	}
}

func TestGateAllocates(t *testing.T) {
	g := NewGate(testKey, 1<<10)
	g.Set(1, usual)
	n, now := 0, instant.Instant(0)
	if got := testing.AllocsPerRun(10_000, func() {
		n++
		now += millisecond
		g.Admit(now, 1, number(n))
		g.Admit(now, 1, number(n%100))
		g.Admit(now, 1, number(n).ForMany())
	}); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}
