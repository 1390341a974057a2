package control

import (
	"context"
	"fmt"
	"sync"

	"fairlead/internal/app/api"
)

// Feed hands events to all who watch. Offer never waits: each reader has a queue of its own, and
// a reader that falls behind finds an EventLost in the place of the events that did not fit.
type Feed struct {
	mu      sync.Mutex // guards all following fields and all fields of readers
	readers map[*reader]struct{}
	lost    uint64
}

// The bounds of a Feed.
const (
	maxReaders = 64
	feedQueue  = 1024 // events that wait for one reader
)

// NewFeed is a Feed that nobody reads yet.
func NewFeed() *Feed { return &Feed{readers: make(map[*reader]struct{})} }

// reader is one subscription. Its queue is a ring that starts small and grows.
type reader struct {
	wants  func(*api.Event) bool
	queue  []api.Event
	lost   uint64    // events lost since the last one that went into the queue
	lostAt api.Event // the first of the lost events: its time stands for all of them
	wake   chan struct{}
}

// Active reports whether anybody watches. If nobody does, the publisher need not make events.
func (f *Feed) Active() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.readers) > 0
}

// Lost is how many events were lost because readers were too slow.
func (f *Feed) Lost() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

// Offer hands an event to every reader that wants it, and returns at once.
func (f *Feed) Offer(e api.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := range f.readers {
		if r.wants(&e) {
			f.queue(r, e)
		}
	}
}

func (f *Feed) queue(r *reader, e api.Event) {
	if len(r.queue) == feedQueue {
		if r.lost == 0 {
			r.lostAt = e
		}
		r.lost++
		f.lost++
		return
	}
	r.flushLost()
	r.queue = append(r.queue, e)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reader) flushLost() {
	if r.lost > 0 {
		r.queue = append(r.queue, api.Event{Time: r.lostAt.Time, Kind: api.EventLost, Lost: r.lost})
		r.lost, r.lostAt = 0, api.Event{}
	}
}

// take empties a reader's queue.
func (f *Feed) take(r *reader, into []api.Event) []api.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.flushLost()
	into = append(into[:0], r.queue...)
	clear(r.queue)
	r.queue = r.queue[:0]
	return into
}

// Subscribe returns the events that wants selects, from now until ctx is done; then it closes the
// channel. Offer calls wants, which must be quick. The error is ErrBusy where too many watch
// already.
func (f *Feed) Subscribe(ctx context.Context, wants func(*api.Event) bool) (<-chan api.Event, error) {
	r := &reader{wants: wants, wake: make(chan struct{}, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.readers) >= maxReaders {
		return nil, fmt.Errorf("%w: %d watch already", ErrBusy, maxReaders)
	}
	f.readers[r] = struct{}{}
	out := make(chan api.Event)
	go f.deliver(ctx, r, out)
	return out, nil
}

func (f *Feed) deliver(ctx context.Context, r *reader, out chan<- api.Event) {
	defer close(out)
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.readers, r)
	}()
	var batch []api.Event
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		batch = f.take(r, batch)
		for _, e := range batch {
			select {
			case <-ctx.Done():
				return
			case out <- e:
			}
		}
	}
}
