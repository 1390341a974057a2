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

// Part is what one role wants of the kernel. A family may have several: the links of the roles
// are not the same, but the kernel tells neither routes nor elements apart by who wants them.
// So what one part takes out is asked of all, and who wants it has it installed again.
type Part struct {
	kernel *Kernel
	family config.Family
	first  bool // of its family
}

// Part is a further part, of a family. It wants nothing before it is Restored.
func (k *Kernel) Part(of config.Family) *Part {
	p := &Part{kernel: k, family: of, first: k.families[of] == 0}
	k.families[of]++
	return p
}

// Engine is an engine, with what its core wants of the kernel.
type Engine interface {
	compared
	CarryOutNow(now func() instant.Now, eff *effect.Effects)
}

// compared is what can be compared with the kernel.
type compared interface {
	Kernel() ledger.Kernel // of the core; the loop asks
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

// Kernel is of compared.
func (e of[C]) Kernel() ledger.Kernel { return e.Core.Kernel() }

// Restored says that an engine's core wants what was kept. It is installed by Begin.
func (p *Part) Restored(e Engine) { p.kernel.parts = append(p.kernel.parts, e) }

// Hosts are where the Changes of the part are installed.
func (p *Part) Hosts() []engine.Installer {
	return []engine.Installer{
		door{p.kernel.o.Routes, p, func(op hoststate.Op) bool { return op.Route != nil }},
		door{p.kernel.o.Filter, p, func(op hoststate.Op) bool { return op.Element != nil }},
	}
}

// Aggregates are those of a configuration that the part is to have installed: the first part
// of a family has them all.
func (p *Part) Aggregates(c *config.Config) []hoststate.Aggregate {
	if p.first {
		return c.Host.Aggregates
	}
	return nil
}

// alone reports whether no other part of the family could want what the part takes out.
func (p *Part) alone() bool { return p.kernel.families[p.family] == 1 }

// takenOut is told of what the part has taken out of the kernel. It never waits.
func (p *Part) takenOut(gone []hoststate.Op) {
	select {
	case p.kernel.gone <- gone:
	default:
		p.kernel.Soon() // which finds it missing, if another part wants it
	}
}

// goneAtOnce bounds how many times that a part takes something out wait to be asked about.
const goneAtOnce = 256

// askOthers asks all parts what they want of what one of them has taken out.
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

// door is a host, as a part has it.
type door struct {
	engine.Installer
	part *Part
	has  func(hoststate.Op) bool // the operation is the host's
}

// Apply is engine.Installer's.
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
