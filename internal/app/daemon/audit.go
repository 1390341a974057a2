package daemon

import (
	"context"
	"sync"
	"time"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
)

// auditor compares the kernel with what is wanted: on a slow timer, and soon
// after anything that may have put them apart.
type auditor struct {
	d   *daemon
	due chan struct{}

	mu    sync.Mutex // guards all following fields
	last  time.Time
	found int
}

// settleTime lets a burst of changes end before the kernel is read.
const settleTime = 200 * time.Millisecond

func newAuditor(d *daemon) *auditor { return &auditor{d: d, due: make(chan struct{}, 1)} }

// soon asks for an audit; it never waits.
func (a *auditor) soon() {
	select {
	case a.due <- struct{}{}:
	default:
	}
}

func (a *auditor) run(ctx context.Context) error {
	for {
		var slow <-chan time.Time
		if every := a.d.config().Host.Audit; every > 0 {
			slow = time.After(every)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-slow:
		case <-a.due:
			select {
			case <-time.After(settleTime):
			case <-ctx.Done():
				return nil
			}
		}
		if err := a.audit(ctx); err != nil && ctx.Err() == nil {
			a.d.log.Error("kernel not compared with what is wanted", "error", err)
		}
	}
}

// tries is how often an audit starts anew because something changed meanwhile.
// After that it takes what it saw: mending is idempotent, only the report may
// then name what was on its way.
const tries = 5

func (a *auditor) audit(ctx context.Context) error {
	for try := 1; ; try++ {
		before, err := a.settled(ctx)
		if err != nil {
			return err
		}
		if mended, err := a.d.nft.Mend(); err != nil {
			return err
		} else if mended {
			a.d.log.Warn("filter rules were changed by somebody else: mended")
		}
		actual, err := a.d.actual()
		if err != nil {
			return err
		}
		stale := false
		err = a.d.loop.call(ctx, func(_ instant.Now, eff *relay6.Effects) {
			if stale = a.d.loop.core.LastChange() != before && try < tries; !stale {
				a.report(a.d.loop.core.AuditHost(actual, eff))
			}
		})
		if err != nil || !stale {
			return err
		}
	}
}

// settled waits until everything that was decided is installed, and returns the
// newest change there was.
func (a *auditor) settled(ctx context.Context) (newest relay6.ChangeID, err error) {
	done := make(chan struct{})
	offered := false
	err = a.d.loop.call(ctx, func(instant.Now, *relay6.Effects) {
		newest = a.d.loop.core.LastChange()
		offered = a.d.pipe.offer(&job{look: func() { close(done) }})
	})
	if err != nil || !offered {
		return newest, err
	}
	select {
	case <-done:
		return newest, nil
	case <-ctx.Done():
		return newest, ctx.Err()
	}
}

// maxReported bounds how many differences of one audit are named in the log.
const maxReported = 10

func (a *auditor) report(found []hoststate.Finding) {
	a.mu.Lock()
	a.last, a.found = time.Now(), len(found)
	a.mu.Unlock()
	a.d.mu.Lock()
	for _, f := range found {
		a.d.findings[f.Kind.String()]++
	}
	a.d.mu.Unlock()
	for i, f := range found {
		if i == maxReported {
			a.d.log.Warn("kernel differed: more was mended", "differences", len(found))
			return
		}
		a.d.log.Warn("kernel differed: mended", "what", f.String())
		a.d.feed.Offer(foundEvent(f))
	}
}

func (a *auditor) state() (last time.Time, found int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last, a.found
}
