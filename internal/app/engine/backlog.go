package engine

import (
	"time"

	"fairlead/internal/core/instant"
)

// backlog tells when so many Changes are on their way through the pipeline that a further one
// would be answered late. Then the inbox holds back the messages that ask for more Changes: a
// message whose answer comes after its client has given up costs as much as a message that serves
// a client.
type backlog struct {
	since instant.Instant // when the count of done began
	done  int             // Changes settled since then
	rate  int             // Changes settled in worthWhile, at the last measurement
}

const (
	worthWhile   = 50 * time.Millisecond // the work that may be ahead of a Change
	leastBacklog = 1024                  // Changes that may always be under way: a slow disk takes many at a time
)

// settled counts Changes whose outcome the core has taken in.
func (b *backlog) settled(now instant.Instant, changes int) {
	if took := time.Duration(now - b.since); took >= worthWhile {
		b.rate = int(int64(b.done) * int64(worthWhile) / int64(took))
		b.since, b.done = now, 0
	}
	b.done += changes
}

// full reports whether so many Changes under way are too many.
func (b *backlog) full(underway int) bool { return underway > max(leastBacklog, b.rate) }

// pauseChanges has the inbox hold back messages that ask for Changes, while too many Changes, or
// too many jobs of few Changes each, are under way. Afterwards it has the inbox hand them out
// again.
func (e *Engine[C]) pauseChanges() {
	full := e.backlog.full(e.inflight) || len(e.pipe.jobs) > maxJobs/2
	if full == e.paused {
		return
	}
	e.paused = full
	e.inbox.pauseChanges(full)
}
