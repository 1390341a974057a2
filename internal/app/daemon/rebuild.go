package daemon

import (
	"context"
	"log/slog"

	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
)

// try lets the core decide and returns what it panicked with, if it did: then
// nothing of what it had wanted is left in the Effects.
func (l *loop) try(decide func()) (cause any) {
	defer l.caught(l.turn.eff.Mark(), &cause)
	decide()
	return nil
}

// caught is deferred around the core.
func (l *loop) caught(mark effect.Mark, cause *any) {
	if *cause = recover(); *cause != nil {
		l.log.LogAttrs(context.Background(), slog.LevelError, "panic while deciding: this event is lost, and a packet is refused from now on", l.notes.privacy.Panic(*cause)...)
		l.turn.eff.Rewind(mark)
	}
}

// decideOn lets the core decide on one event that is not a packet, and reports
// whether it did. One that makes it panic costs that event, as a packet does.
func (l *loop) decideOn(ctx context.Context, event func(instant.Now, *effect.Effects)) bool {
	l.startAfresh()
	cause := l.try(func() {
		if l.planted != nil {
			l.planted(nil)
		}
		event(l.at, &l.turn.eff)
	})
	if cause != nil {
		l.guard.panics++
		l.rebuild(ctx, cause)
	}
	return cause == nil
}

// rebuild makes the core anew from the store, once everything that was decided
// is kept.
func (l *loop) rebuild(ctx context.Context, cause any) {
	if !l.finish(ctx) {
		return
	}
	if n := l.core.Totals().Unkept; n > 0 {
		l.log.Error("core not rebuilt: the store has not got everything that it knows", "records", n, "panic", l.notes.privacy.Cause(cause))
		return
	}
	l.turn.eff.Reset()
	var core *relay6.Relay
	err := errPanicked
	_ = l.try(func() { core, err = l.build(service.Now(), &l.turn.eff) })
	if err != nil {
		// Without the store the old core is the only one there is.
		l.log.Error("core not rebuilt: going on with the old one", "error", err, "panic", l.notes.privacy.Cause(cause))
		l.turn.eff.Reset()
		return
	}
	l.core = core
	l.auditDue()
}

// finish waits until the pipeline has carried out everything, and leaves the
// Effects empty. It reports false when ctx ends before. What it sends points into
// messages that the turn does not hold yet: the rest of the batch is to come.
func (l *loop) finish(ctx context.Context) bool {
	l.begin(ctx)
	l.sendHere()
	for l.inflight > 0 {
		select {
		case outcomes := <-l.pipe.outcomes:
			l.returned(outcomes)
			l.turn.eff.Reset()
			_ = l.try(func() {
				for _, o := range outcomes {
					l.core.Settle(l.at, o, &l.turn.eff)
				}
			})
			l.carryOut(ctx)
		case <-ctx.Done():
			l.turn.eff.Reset()
			return false
		}
	}
	l.turn.eff.Reset()
	return true
}
