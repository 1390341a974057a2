package engine

import (
	"context"
	"log/slog"

	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

// try lets the core decide. If the core panics, try returns what it panicked with, and nothing of
// what the core wanted is left in the Effects.
func (e *Engine[C]) try(decide func()) (cause any) {
	defer e.caught(e.turn.eff.Mark(), &cause)
	decide()
	return nil
}

// caught is deferred around each call of the core.
func (e *Engine[C]) caught(mark effect.Mark, cause *any) {
	if *cause = recover(); *cause != nil {
		e.log.LogAttrs(context.Background(), slog.LevelError, "panic while deciding: this event is lost, and a packet is refused from now on", e.privacy.Panic(*cause)...)
		e.turn.eff.Rewind(mark)
	}
}

// decideOn lets the core decide on one event that is not a packet, and reports whether it did. An
// event that makes the core panic is lost, as a packet is.
func (e *Engine[C]) decideOn(ctx context.Context, event func(instant.Now, *effect.Effects)) bool {
	e.startAfresh()
	cause := e.try(func() {
		if e.planted != nil {
			e.planted(nil)
		}
		event(e.at, &e.turn.eff)
	})
	if cause != nil {
		e.quarantine.panics++
		e.rebuild(ctx, cause)
	}
	return cause == nil
}

// rebuild makes the core anew from the store, once everything that was decided is kept.
func (e *Engine[C]) rebuild(ctx context.Context, cause any) {
	if !e.finish(ctx) {
		return
	}
	if n := e.Core.Unkept(); n > 0 {
		e.log.Error("core not rebuilt: the store has not got everything that it knows", "records", n, "panic", e.privacy.Cause(cause))
		return
	}
	e.turn.eff.Reset()
	var core C
	err := errPanicked
	_ = e.try(func() { core, err = e.role.Build(service.Now(), &e.turn.eff) })
	if err != nil {
		// If the store cannot be read, there is no other core than the old one.
		e.log.Error("core not rebuilt: going on with the old one", "error", err, "panic", e.privacy.Cause(cause))
		e.turn.eff.Reset()
		return
	}
	e.Core = core
	e.kernel.Soon()
}

// finish waits until the pipeline has carried out everything, and leaves the Effects empty. It
// returns false if ctx ends before. What it sends points into messages that are not the turn's
// yet, as the rest of the batch is still to come.
func (e *Engine[C]) finish(ctx context.Context) bool {
	e.begin(ctx)
	e.sendHere()
	for e.inflight > 0 {
		select {
		case outcomes := <-e.pipe.outcomes:
			e.returned(outcomes)
			e.turn.eff.Reset()
			_ = e.try(func() {
				for _, o := range outcomes {
					e.Core.Settle(e.at, o, &e.turn.eff)
				}
			})
			e.carryOut(ctx)
		case <-ctx.Done():
			e.turn.eff.Reset()
			return false
		}
	}
	e.turn.eff.Reset()
	return true
}
