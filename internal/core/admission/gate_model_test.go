package admission

import (
	"math/rand/v2"
	"testing"

	"fairlead/internal/core/instant"
)

// twinBucket is a token bucket in the words of the books: a level that rises
// with time up to the burst, counted in nanoseconds of one token each.
type twinBucket struct {
	level, most, price int64
	at                 instant.Instant
}

// limit changes the limit; what was taken from the level before stays taken.
func (b *twinBucket) limit(now instant.Instant, r Rate) {
	b.refill(now)
	taken := b.most - b.level
	b.price, b.most = 0, 0
	if r.PerSecond > 0 {
		b.price = 1e9 / int64(r.PerSecond)
		b.most = b.price * int64(r.Burst)
	}
	b.level = b.most - min(b.most, taken)
}

func (b *twinBucket) refill(now instant.Instant) {
	b.level = min(b.most, b.level+int64(now-b.at))
	b.at = now
}

func (b *twinBucket) has(now instant.Instant) bool {
	b.refill(now)
	return b.level >= b.price
}

func (b *twinBucket) take() { b.level -= b.price }

type twinSource struct {
	bucket twinBucket
	count  int
}

type twinLink struct {
	limits          Limits
	whole, newcomer twinBucket
	sources         map[Source]*twinSource
}

// admit is Gate.Admit for a table without end.
func (l *twinLink) admit(now instant.Instant, s Source) Verdict {
	bySource := !s.many && l.limits != Limits{Link: l.limits.Link}
	known := l.sources[s]
	verdict, whole := Known, true
	switch {
	case !bySource:
	case known == nil:
		if !l.newcomer.has(now) {
			return OverNewcomers
		}
		verdict, whole = Newcomer, false
	case !known.bucket.has(now):
		return OverSource
	case known.count < 4:
		whole = false
	}
	whole = whole || l.limits.Newcomers == Rate{}
	if !l.whole.has(now) {
		return OverLink
	}
	if w := l.whole; !whole && w.level-w.price < (w.most-w.price+1)/2 {
		return OverNewcomers
	}
	l.whole.take()
	if !bySource {
		return verdict
	}
	if known == nil {
		l.newcomer.take()
		known = &twinSource{}
		known.bucket.limit(now, l.limits.Source)
		l.sources[s] = known
	}
	known.bucket.take()
	known.count++
	return verdict
}

func (l *twinLink) set(now instant.Instant, limits Limits) {
	l.limits = limits
	l.whole.limit(now, limits.Link)
	l.newcomer.limit(now, limits.Newcomers)
	for _, s := range l.sources {
		s.bucket.limit(now, limits.Source)
	}
}

// Random messages, limits and links: the Gate says what the books say, as long
// as its table has room.
func TestGateModel(t *testing.T) {
	var seen tally
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		rates := []Rate{{}, {1, 1}, {1, 7}, {3, 2}, {10, 40}, {1000, 30}, {50, 5}}
		anyRate := func() Rate { return rates[random.IntN(len(rates))] }
		g := NewGate(Key{seed, ^seed}, 4096)
		twins := make(map[int]*twinLink)
		now := instant.Instant(random.Int64N(1e15))
		for step := range 5000 {
			if random.IntN(3) == 0 {
				now += instant.Instant(random.Int64N(1 << (10 + random.IntN(24))))
			}
			link := random.IntN(4)
			twin := twins[link]
			switch n := random.IntN(400); {
			case n == 0 || twin == nil:
				limits := Limits{Link: anyRate(), Source: anyRate(), Newcomers: anyRate()}
				if twin == nil {
					twin = &twinLink{sources: make(map[Source]*twinSource)}
					twins[link] = twin
				}
				// The twin's levels go by the books from here on; a Gate learns of the
				// time with the next message.
				twin.set(now, limits)
				g.Set(link, limits)
				g.boundAt(now, link)
			case n == 1:
				g.Remove(link)
				delete(twins, link)
			default:
				s := number(random.IntN(12))
				if random.IntN(20) == 0 {
					s = s.ForMany()
				}
				want := twin.admit(now, s)
				got := g.Admit(now, link, s)
				if got != want {
					t.Fatalf("seed %d, step %d, link %d, limits %+v: %v, want %v", seed, step, link, twin.limits, got, want)
				}
				seen[got]++
			}
		}
		checkTable(t, g)
	}
	for v, n := range seen {
		if n == 0 {
			t.Errorf("never %v", Verdict(v))
		}
	}
}

// boundAt bounds all buckets of a link as of now, which a message of each
// source would do.
func (g *Gate) boundAt(now instant.Instant, link int) {
	p := g.places[link]
	l := &g.links[p]
	l.link.bound(&l.full, now)
	l.newcomers.bound(&l.newcomerFull, now)
	for i := range g.table.entries {
		if e := &g.table.entries[i]; e.owner != 0 && e.owner.place() == p {
			l.source.bound(&e.full, now)
		}
	}
}
