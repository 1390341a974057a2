package engine

import (
	"time"

	"fairlead/internal/core/instant"
)

// backlog says when so many changes are on their way through the pipeline that
// what is added would be answered late. Then the inbox holds back what asks for
// more of them: to decide on a message whose answer comes after its client has
// given up costs as much as to serve another.
type backlog struct {
	since instant.Instant // of the changes that are counted
	done  int             // since then
	rate  int             // done in worthWhile, when it was last measured
}

const (
	worthWhile   = 50 * time.Millisecond // of work that may be ahead of a change
	leastBacklog = 1024                  // changes that may always be under way: a slow disk takes many at a time
)

// settled counts Changes whose outcome the core has taken in.
func (b *backlog) settled(now instant.Instant, changes int) {
	if took := time.Duration(now - b.since); took >= worthWhile {
		b.rate = int(int64(b.done) * int64(worthWhile) / int64(took))
		b.since, b.done = now, 0
	}
	b.done += changes
}

// full reports whether so many changes are too many.
func (b *backlog) full(underway int) bool { return underway > max(leastBacklog, b.rate) }

// pauseChanges has the inbox hold back what asks for changes while there are too many,
// or too many jobs of few changes each, and let go of it afterwards.
func (e *Engine[C]) pauseChanges() {
	full := e.backlog.full(e.inflight) || len(e.pipe.jobs) > maxJobs/2
	if full == e.paused {
		return
	}
	e.paused = full
	e.inbox.pauseChanges(full)
}
