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

// gate is hop.Gate for those who send and receive, whichever goroutine they are in.
// Before each answer it hears what the kernel has told: there is no moment in which a
// change has been told and not been taken in.
type gate struct {
	some atomic.Bool // there are hops
	wake func()      // has the hops looked at
	take func(*hop.KernelEvent)

	mu   sync.Mutex // guards all following fields
	told notices    // nil: nothing is told
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

// may reports whether a message may pass between two addresses. It does not wait,
// and allocates nothing while nothing was told.
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

// begin is called before the kernel is looked at.
func (g *gate) begin() (closed uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hear()
	return g.gate.Closed()
}

// see takes in what was looked at, and opens what is protected. Before that everything
// that has come must have been judged, with the gate closed: judged does that, and
// says whether it could. False says that the kernel has to be looked at again.
func (g *gate) see(seen *hop.Seen, closed uint64, judged func() bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ripe := g.gate.See(seen); ripe {
		g.mu.Unlock() // who judges asks us
		ok := judged()
		g.mu.Lock()
		g.hear()
		if ok && !g.gate.Open(closed) {
			return false
		}
	}
	seen.Gate = g.gate.Why()
	return true
}

// configure takes the hops there are, and what the kernel has of them.
func (g *gate) configure(hops []hop.Hop, kernel hop.Kernel) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hear()
	g.gate.Configure(slices.Clone(hops))
	if g.gate.See(&hop.Seen{Kernel: &kernel}) {
		g.gate.Open(g.gate.Closed())
	}
	g.some.Store(len(hops) > 0)
}
