package control_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
)

func everything(*api.Event) bool { return true }

// collect reads until n events have come or were lost. It returns those that came, in order, and
// the number of lost ones at each gap.
func collect(t *testing.T, events <-chan api.Event, n int) (came []string, gaps []uint64) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for have := 0; have < n; {
		select {
		case e, ok := <-events:
			switch {
			case !ok:
				t.Fatalf("the channel was closed after %d of %d", have, n)
			case e.Kind == api.EventLost:
				gaps = append(gaps, e.Lost)
				have += int(e.Lost)
			default:
				came = append(came, e.Text)
				have++
			}
		case <-timeout:
			t.Fatalf("%d of %d events", have, n)
		}
	}
	return came, gaps
}

func TestFeedOrderAndFilter(t *testing.T) {
	f := control.NewFeed()
	if f.Active() {
		t.Error("active without a reader")
	}
	ctx := t.Context()
	all, err := f.Subscribe(ctx, everything)
	if err != nil {
		t.Fatal(err)
	}
	some, err := f.Subscribe(ctx, func(e *api.Event) bool { return e.Link == "lan1" })
	if err != nil {
		t.Fatal(err)
	}
	if !f.Active() {
		t.Error("not active with two readers")
	}
	for _, e := range []api.Event{{Text: "a", Link: "lan0"}, {Text: "b", Link: "lan1"}, {Text: "c", Link: "lan0"}, {Text: "d", Link: "lan1"}} {
		f.Offer(e)
	}
	if came, gaps := collect(t, all, 4); strings.Join(came, "") != "abcd" || gaps != nil {
		t.Errorf("all: %q, gaps %v, want abcd", came, gaps)
	}
	if came, gaps := collect(t, some, 2); strings.Join(came, "") != "bd" || gaps != nil {
		t.Errorf("lan1: %q, gaps %v, want bd", came, gaps)
	}
}

// A reader that does not read delays neither the publisher nor other readers. It is told where it
// missed events, and how many.
func TestFeedOverflow(t *testing.T) {
	f := control.NewFeed()
	slow, err := f.Subscribe(t.Context(), everything)
	if err != nil {
		t.Fatal(err)
	}
	const offered = 5 * control.FeedQueue
	for range offered {
		f.Offer(api.Event{Text: "x", Time: time.Unix(1, 0)})
	}
	lost := f.Lost()
	// The reader's goroutine may have taken one queue's worth of events before it blocked.
	if lost < offered-2*control.FeedQueue || lost > offered-control.FeedQueue {
		t.Errorf("lost %d of %d, want all but one or two queues of %d", lost, offered, control.FeedQueue)
	}
	came, gaps := collect(t, slow, offered)
	var told uint64
	for _, g := range gaps {
		told += g
	}
	if told != lost || uint64(len(came))+told != offered {
		t.Errorf("%d came, %d told as lost in %d gaps; want %d lost, %d in all", len(came), told, len(gaps), lost, offered)
	}
	f.Offer(api.Event{Text: "after"})
	if came, gaps := collect(t, slow, 1); came[0] != "after" || gaps != nil {
		t.Errorf("afterwards: %q, gaps %v, want one event and no gap", came, gaps)
	}
}

func TestFeedEnds(t *testing.T) {
	f := control.NewFeed()
	ctx, cancel := context.WithCancel(context.Background())
	events, err := f.Subscribe(ctx, everything)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for range events { // events that were on their way may still come
		t.Log("an event before the end")
	}
	// The channel is closed only after the reader has left the feed.
	if f.Active() {
		t.Error("active after the only reader has gone")
	}
}

func TestFeedIsBounded(t *testing.T) {
	f := control.NewFeed()
	for i := range control.MaxReaders {
		if _, err := f.Subscribe(t.Context(), everything); err != nil {
			t.Fatalf("reader %d: %v", i, err)
		}
	}
	if _, err := f.Subscribe(t.Context(), everything); !errors.Is(err, control.ErrBusy) {
		t.Errorf("one reader more: err = %v, want ErrBusy", err)
	}
}
