package admission

import (
	"net/netip"
	"testing"

	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

const benchNow = instant.Instant(1e12)

var benchLimits = Limits{Link: Rate{1e9, 1e9}, Source: Rate{1e9, 1e9}, Newcomers: Rate{1e9, 1e9}}

// number is a source of its own for each number.
func number(n int) Source {
	return SourceOf(linkaddr.From([]byte{2, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), netip.Addr{})
}

func BenchmarkAdmitKnown(b *testing.B) {
	g := NewGate(testKey, DefaultSources)
	g.Set(3, benchLimits)
	for i := range 50000 {
		g.Admit(benchNow, 3, number(i))
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n = (n + 7919) % 50000
		g.Admit(benchNow+instant.Instant(n), 3, number(n))
	}
}

// Every source is new, the table is full and each makes another leave.
func BenchmarkAdmitNewcomers(b *testing.B) {
	g := NewGate(testKey, DefaultSources)
	g.Set(3, benchLimits)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		g.Admit(benchNow+1000*instant.Instant(n), 3, number(n))
	}
}

// What a flood costs once it is over the limit.
func BenchmarkRefuseNewcomers(b *testing.B) {
	g := NewGate(testKey, DefaultSources)
	g.Set(3, Limits{Newcomers: Rate{1, 1}})
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		g.Admit(benchNow, 3, number(n))
	}
}

func BenchmarkQueuePushPop(b *testing.B) {
	q := NewQueue[int32](testKey, DefaultBounds()...)
	for i := range 512 {
		q.Push(Clients, i%8, number(i), Source{}, 0)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		q.Push(Clients, n%8, number(n%700), Source{}, int32(n))
		q.Pop()
	}
}

// A full queue, and a flood from made-up sources: each push sheds.
func BenchmarkQueueShed(b *testing.B) {
	q := NewQueue[int32](testKey, DefaultBounds()...)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		q.Push(Clients, 1, number(n), Source{}, int32(n))
	}
}
