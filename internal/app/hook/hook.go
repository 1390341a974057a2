// Package hook runs the operator's program for events of delegations and of pools. It is not a scripting
// interface: the program gets the facts in its environment, there is no shell, and its result
// changes nothing.
//
// Programs run one after another, in the order of the events, so that the program learns the
// events of one prefix in their order. Events wait in a bounded queue; an event that does not fit
// is dropped and counted. Offer never blocks. Any goroutine may call the methods.
package hook

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

// Runner runs the program.
type Runner struct {
	log  *slog.Logger
	wake chan struct{}
	// grace is the time that a program has left when fairlead stops. drain is the time for
	// which a child of the program may keep the pipe open after the program has ended.
	grace, drain time.Duration
	// after is time.AfterFunc; tests decide when the time is over.
	after func(time.Duration, func()) *time.Timer

	mu       sync.Mutex // guards all following fields
	cfg      config.Hook
	queue    []call
	counters api.HookCounters
	dropping bool // since an event was dropped, none has found room
}

// call is one run that waits.
type call struct {
	program     string
	environment []string
	event       string // for the log
	subject     slog.Attr
}

// New makes a Runner, which runs nothing before Run.
func New(c config.Hook, log *slog.Logger) *Runner {
	return &Runner{log: log, cfg: c, wake: make(chan struct{}, 1), grace: 3 * time.Second, drain: time.Second, after: time.AfterFunc}
}

// Reconfigure holds for later events. Runs that wait are not changed.
func (r *Runner) Reconfigure(c config.Hook) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg = c
}

// Stats are the present counts.
func (r *Runner) Stats() api.HookCounters {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counters
	c.Waiting = len(r.queue)
	return c
}

// Wants reports whether the program is configured for an event, in the word of the configuration.
func (r *Runner) Wants(event string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wants(event)
}

func (r *Runner) wants(event string) bool {
	return r.cfg.Program != "" && slices.Contains(r.cfg.Events, event)
}

// Offer queues a run for an event, if the program is configured for such events.
func (r *Runner) Offer(n *effect.Note, now instant.Now) {
	event := eventOf(n)
	if event == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.wants(event) {
		return
	}
	if len(r.queue) >= r.cfg.Queue {
		r.counters.Dropped++
		if !r.dropping {
			r.log.Warn("hook: events are dropped, the program is too slow for them", "waiting", len(r.queue))
		}
		r.dropping = true
		return
	}
	r.dropping = false
	r.queue = append(r.queue, call{program: r.cfg.Program, environment: environment(n, now), event: event, subject: subjectOf(n)})
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run runs programs until ctx ends. A program that is running then has a few seconds to finish;
// events that wait are dropped.
func (r *Runner) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			r.abandon()
			return nil
		case <-r.wake:
		}
		for ctx.Err() == nil {
			c, ok := r.next()
			if !ok {
				break
			}
			r.run(ctx, c)
		}
	}
}

func (r *Runner) next() (call, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		r.queue = nil
		return call{}, false
	}
	c := r.queue[0]
	r.queue[0] = call{}
	r.queue = r.queue[1:]
	return c, true
}

func (r *Runner) abandon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.queue); n > 0 {
		r.log.Warn("hook: events are dropped, fairlead stops", "waiting", n)
		r.counters.Dropped += uint64(n)
		r.queue = nil
	}
}
