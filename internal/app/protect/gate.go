package protect

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"fairlead/internal/core/hop"
)

// notices is host/ipsec's Notices.
type notices interface {
	Read(take func(*hop.KernelEvent))
}

// gate is a hop.Gate that any goroutine may ask. Before each answer it takes in what the kernel
// has told: once the kernel has told of a change, no answer ignores it.
type gate struct {
	some atomic.Bool // there are hops
	wake func()      // asks for a look at the hops
	take func(*hop.KernelEvent)

	mu   sync.Mutex // guards all following fields
	told notices    // nil: the kernel tells nothing
	gate hop.Gate
}

func newGate(told notices, wake func()) *gate {
	g := &gate{told: told, wake: wake}
	g.take = func(e *hop.KernelEvent) {
		g.gate.Take(e)
		g.wake()
	}
	return g
}

// may reports whether a message may pass between two addresses. It does not wait, and allocates
// nothing unless the kernel has told something.
func (g *gate) may(local, remote netip.Addr) bool {
	if !g.some.Load() {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hear()
	return g.gate.May(local, remote)
}

func (g *gate) hear() {
	if g.told != nil {
		g.told.Read(g.take)
	}
}

// listen takes in what the kernel has told.
func (g *gate) listen() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hear()
}

// closed reports whether some hop is closed.
func (g *gate) closed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hear()
	return g.gate.Shut()
}

// begin is called before the kernel is looked at. What it returns is for see or configure.
func (g *gate) begin() (began uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hear()
	return g.gate.Told()
}

// see takes in what was looked at, and opens what is protected. Before that everything
// that has come must have been judged, with the gate closed: judged does that, and
// says whether it could. False says that a hop is closed and has to be looked at again.
func (g *gate) see(seen *hop.Seen, began uint64, judged func() bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hear()
	if ripe := g.gate.See(seen, began); ripe {
		g.mu.Unlock() // who judges asks us
		ok := judged()
		g.mu.Lock()
		g.hear()
		if ok {
			g.gate.Open()
		}
	}
	seen.Gate = g.gate.Why()
	return !g.gate.Overtaken(began)
}

// configure takes the hops there are, and what the kernel has had of them since begin.
func (g *gate) configure(hops []hop.Hop, kernel hop.Kernel, began uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hear()
	overtaken := g.gate.Told() != began // what was told is not remembered for hops that are new
	g.gate.Configure(slices.Clone(hops))
	if !overtaken {
		g.gate.See(&hop.Seen{Kernel: &kernel}, g.gate.Told())
		g.gate.Open()
	}
	g.some.Store(len(hops) > 0)
}
