package bindings

import (
	"context"
	"log/slog"
	"sync"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
	"fairlead/internal/app/engine"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
)

// Core is a core that has bindings. Its methods belong to the engine's loop.
type Core interface {
	engine.Core
	// Unproved reports whether a binding on a point-to-point link may be another client's by now.
	Unproved(b *binding.Binding) bool
	// Clear ends a bounded number of the selected bindings, and returns how many. The caller
	// repeats it until the result is 0.
	Clear(now instant.Now, s delegation.Selection, eff *effect.Effects) int
	SetTrace(t *effect.Trace)
	Kernel() ledger.Kernel
}

// Book is the bindings of one role.
type Book[C Core] struct {
	role Options[C]

	mu     sync.Mutex // guards traced
	traced *effect.Trace
}

// Options are what a Book is made of.
type Options[C Core] struct {
	Engine *engine.Engine[C]
	// Level is that of the log: at debug every step of every message is logged.
	Level *slog.LevelVar
	// Live yields what clients hold now.
	Live func(core C, yield func(binding.Binding) bool)
	// Clients are the clients that an identifier may name.
	Clients func(api.Identifier) []binding.Client
	// Block has a grant not learned again; nil: the role has no blocks.
	Block func(core C, b delegation.Block, eff *effect.Effects)
}

// NewBook makes the book of a role. Its engine need not have a core yet.
func NewBook[C Core](o Options[C]) *Book[C] { return &Book[C]{role: o} }

// Live copies the live bindings in the loop. The loop does no more for it: selecting and showing
// them is done elsewhere.
func (k *Book[C]) Live(ctx context.Context) (all []Living, at instant.Now, err error) {
	err = k.role.Engine.Call(ctx, func(now instant.Now, _ *effect.Effects) {
		at = now
		core := k.role.Engine.Core
		k.role.Live(core, func(b binding.Binding) bool {
			all = append(all, Living{Binding: b, Unproved: core.Unproved(&b)})
			return true
		})
	})
	return all, at, err
}

// Orphans is described at AnyBook.
func (k *Book[C]) Orphans(ctx context.Context) (all []api.Delegation, err error) {
	err = k.role.Engine.Call(ctx, func(now instant.Now, _ *effect.Effects) {
		kernel := k.role.Engine.Core.Kernel()
		for vrf, o := range kernel.Orphans {
			all = append(all, control.OrphanOf(&o, vrf, kernel.OrphansEnd(), now))
		}
	})
	return all, err
}

// Clients is described at AnyBook.
func (k *Book[C]) Clients(id api.Identifier) []binding.Client { return k.role.Clients(id) }

// Clear is described at AnyBook.
func (k *Book[C]) Clear(ctx context.Context, s delegation.Selection) (int, error) {
	return k.clear(ctx, s, nil)
}

// Block is described at AnyBook.
func (k *Book[C]) Block(ctx context.Context, s delegation.Selection) (cleared int, can bool, err error) {
	if k.role.Block == nil {
		return 0, false, nil
	}
	if s.Client.Kind() == binding.ByAddress { // a client that is known by its addresses cannot be blocked
		cleared, err = k.clear(ctx, s, nil)
		return cleared, true, err
	}
	cleared, err = k.clear(ctx, s, k.role.Block)
	return cleared, true, err
}

func (k *Book[C]) clear(ctx context.Context, s delegation.Selection, block func(C, delegation.Block, *effect.Effects)) (cleared int, err error) {
	for {
		n := 0
		err := k.role.Engine.Call(ctx, func(now instant.Now, eff *effect.Effects) {
			n = k.role.Engine.Core.Clear(now, s, eff)
			if block != nil { // in the same turn, so that nothing is learned in between
				block(k.role.Engine.Core, delegation.Block{Prefix: s.Prefix, Client: s.Client, Link: s.Link}, eff)
			}
		})
		cleared += n
		// There may be very many: these are carried out before the next ones end.
		if err == nil && n > 0 {
			err = k.role.Engine.Installed(ctx, func() {})
		}
		if n == 0 || err != nil {
			return cleared, err
		}
	}
}

// Trace is described at AnyBook.
func (k *Book[C]) Trace(ctx context.Context, t *effect.Trace) error {
	k.mu.Lock()
	k.traced = t
	k.mu.Unlock()
	return k.Retrace(ctx)
}

// Retrace has the core trace what is wanted now, because the log may have another level.
func (k *Book[C]) Retrace(ctx context.Context) error {
	return k.role.Engine.Call(ctx, func(instant.Now, *effect.Effects) { k.role.Engine.Core.SetTrace(k.Traced()) })
}

// Traced is what a core traces: every message where the log has level debug, else the
// messages that a caller of the control interface watches, else nothing.
func (k *Book[C]) Traced() *effect.Trace {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.role.Level.Level() <= slog.LevelDebug {
		return &effect.Trace{}
	}
	return k.traced
}
