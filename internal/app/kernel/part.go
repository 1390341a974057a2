package kernel

import (
	"context"

	"fairlead/internal/app/config"
	"fairlead/internal/app/engine"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
)

// Part is what one role wants of the kernel. A family may have several parts. Their links differ,
// but a route or an element in the kernel does not say which part wants it. So when one part removes
// something, all parts are asked, and a part that wants it installs it again.
type Part struct {
	kernel *Kernel
	family config.Family
	first  bool // it is the first part of its family
}

// Part adds a part for a family. The part wants nothing until Restored is called.
func (k *Kernel) Part(of config.Family) *Part {
	p := &Part{kernel: k, family: of, first: k.families[of] == 0}
	k.families[of]++
	return p
}

// Engine is an engine whose core wants something of the kernel.
type Engine interface {
	compared
	CarryOutNow(now func() instant.Now, eff *effect.Effects)
}

// compared is what a comparison needs of an engine.
type compared interface {
	Kernel() ledger.Kernel // of the core; only the engine's loop calls it
	Call(ctx context.Context, f func(instant.Now, *effect.Effects)) error
	Installed(ctx context.Context, f func()) error
	Panics() uint64
}

// Core is a core that wants something of the kernel.
type Core interface {
	engine.Core
	Kernel() ledger.Kernel
}

// Of is an engine as a Part takes it.
func Of[C Core](e *engine.Engine[C]) Engine { return of[C]{e} }

type of[C Core] struct{ *engine.Engine[C] }

// Kernel is a method of compared.
func (e of[C]) Kernel() ledger.Kernel { return e.Core.Kernel() }

// Restored says that the core of an engine was restored. Begin installs what it wants.
func (p *Part) Restored(e Engine) { p.kernel.parts = append(p.kernel.parts, e) }

// Hosts are the installers for the Changes of the part: routes and filter.
func (p *Part) Hosts() []engine.Installer {
	return []engine.Installer{
		door{p.kernel.o.Routes, p, func(op hoststate.Op) bool { return op.Route != nil }},
		door{p.kernel.o.Filter, p, func(op hoststate.Op) bool { return op.Element != nil }},
	}
}

// Aggregates are the aggregates of a configuration that this part installs: the first part of a
// family installs all, the others none.
func (p *Part) Aggregates(c *config.Config) []hoststate.Aggregate {
	if p.first {
		return c.Host.Aggregates
	}
	return nil
}

// alone reports whether the family has no other part, which could want what this part removes.
func (p *Part) alone() bool { return p.kernel.families[p.family] == 1 }

// takenOut takes in what the part has removed from the kernel. It never waits.
func (p *Part) takenOut(gone []hoststate.Op) {
	select {
	case p.kernel.gone <- gone:
	default:
		p.kernel.Soon() // that comparison finds what another part misses
	}
}

// goneAtOnce bounds how many removals wait for askOthers.
const goneAtOnce = 256

// askOthers asks all parts whether they want something that one of them has removed.
func (k *Kernel) askOthers(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case gone := <-k.gone:
			if _, err := k.comparer.again(ctx, gone); err != nil && ctx.Err() == nil {
				k.Later()
			}
		}
	}
}

// door is the routes or the filter, for one part. It tells the part's Kernel what is removed.
type door struct {
	engine.Installer
	part *Part
	has  func(hoststate.Op) bool // whether the operation is for this Installer
}

// Apply is a method of engine.Installer.
func (d door) Apply(ops []hoststate.Op, failed func(i int, err error)) error {
	err := d.Installer.Apply(ops, failed)
	if d.part.alone() {
		return err
	}
	var gone []hoststate.Op
	for _, op := range ops {
		if op.Remove && d.has(op) {
			gone = append(gone, op)
		}
	}
	if len(gone) > 0 {
		d.part.takenOut(gone)
	}
	return err
}
