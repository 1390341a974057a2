package control_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/control/controltest"
	"fairlead/internal/lab/labtest"
)

func granted(text string) api.Event {
	d := controltest.New().Live[0]
	return api.Event{
		Time: controltest.Start, Kind: "delegation", Text: text, Link: d.Link, Client: d.Client, IAID: d.IAID.ID, Delegation: &d,
	}
}

func TestWatch(t *testing.T) {
	s := serve(t, nil, nil)
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	stream, err := s.Watch(ctx, api.Filter{Prefix: netip.MustParsePrefix("2001:db8:4000::/56")})
	if err != nil {
		t.Fatal(err)
	}
	want := []api.Event{granted("granted"), granted("ended")}
	s.fake.Feed.Offer(want[0])
	s.fake.Feed.Offer(api.Event{Kind: "link", Text: "link vanished", Link: "ppp0"})
	s.fake.Feed.Offer(want[1])
	var got []api.Event
	for e, err := range stream {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e); len(got) == len(want) {
			break
		}
	}
	if diff := cmp.Diff(want, got, values); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestTrace(t *testing.T) {
	s := serve(t, nil, nil)
	stream, err := s.Trace(within(t), api.TraceFilter{Client: controltest.Bob})
	if err != nil {
		t.Fatal(err)
	}
	want := api.Event{Kind: "trace", Text: "forwarded", Client: controltest.Bob, Type: "Solicit", XID: 0x123456}
	s.fake.Feed.Offer(api.Event{Kind: "trace", Client: controltest.Alice})
	s.fake.Feed.Offer(want)
	for got, err := range stream {
		if diff := cmp.Diff(want, got, values); err != nil || diff != "" {
			t.Errorf("first event: %v (-want +got):\n%s", err, diff)
		}
		break
	}
}

// The form on the wire: ": ready", then one block for each event, by the rules of server-sent
// events.
func TestStreamWire(t *testing.T) {
	s := serve(t, nil, nil)
	lines := streamLines(t, s, "/v1/watch")
	s.fake.Feed.Offer(api.Event{Time: controltest.Start, Kind: "link", Text: "link\nvanished", Link: "ppp0"})
	want := []string{": ready", "", "event: link", `data: {"time":"2026-03-04T05:06:07Z","kind":"link","text":"link\nvanished","link":"ppp0"}`, ""}
	for i, w := range want {
		if !lines.Scan() || lines.Text() != w {
			t.Fatalf("line %d: %q (%v), want %q", i, lines.Text(), lines.Err(), w)
		}
	}
}

func streamLines(t *testing.T, s *served, path string) *bufio.Scanner {
	t.Helper()
	r, err := http.NewRequestWithContext(within(t), http.MethodGet, "http://x"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.raw().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if kind := answer.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("Content-Type: %q, want text/event-stream", kind)
	}
	return bufio.NewScanner(answer.Body)
}

// A stream may last longer than a request.
func TestStreamOutlivesRequestTime(t *testing.T) {
	const request = 20 * time.Millisecond
	s := serve(t, nil, func(s *control.Server) { s.SetBounds(request, request, time.Minute, request/4) })
	var stream *http.Response
	for deadline := time.Now().Add(labtest.Patience); stream == nil; {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/v1/watch", nil)
		if err != nil {
			t.Fatal(err)
		}
		// On a slow machine, the request itself may take too long.
		if stream, err = s.raw().Do(r); err != nil && time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	for beats := 0; beats < 20; {
		if !lines.Scan() {
			t.Fatalf("ended after %d beats: %v", beats, lines.Err())
		}
		if lines.Text() == ": beat" {
			beats++
		}
	}
}

// A reader that does not read loses events, over the socket too. It is told how many, and the
// publisher never waits.
func TestWatchOverflow(t *testing.T) {
	s := serve(t, nil, nil)
	stream, err := s.Watch(within(t), api.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	const offered = 8 * control.FeedQueue
	e := api.Event{Kind: "link", Text: strings.Repeat("x", 1024)}
	for range offered {
		s.fake.Feed.Offer(e)
	}
	var came, lost uint64
	for e, err := range stream {
		if err != nil {
			t.Fatalf("after %d events and %d lost: %v", came, lost, err)
		}
		if e.Kind == api.EventLost {
			lost += e.Lost
		} else {
			came++
		}
		if came+lost == offered {
			break
		}
	}
	if lost == 0 || lost != s.fake.Feed.Lost() {
		t.Errorf("told of %d lost events, the feed of %d, want the same and some", lost, s.fake.Feed.Lost())
	}
}

// A reader that never reads again is cut off, and its events are freed.
func TestStuckReaderIsCutOff(t *testing.T) {
	s := serve(t, nil, func(s *control.Server) { s.SetBounds(time.Minute, time.Minute, 50*time.Millisecond, time.Minute) })
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	for {
		_, err := s.Watch(ctx, api.Filter{})
		if err == nil {
			break
		}
		// On a slow machine, even the first line may come too late.
		if !errors.Is(err, io.EOF) || ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	e := api.Event{Kind: "link", Text: strings.Repeat("x", 4096)}
	for s.fake.Feed.Active() {
		if ctx.Err() != nil {
			t.Fatal("there is still a reader")
		}
		s.fake.Feed.Offer(e)
	}
}

// A caller who loses the role loses the stream at the next beat.
func TestStreamEndsWithTheRole(t *testing.T) {
	s := serve(t, func(c *config.Config) {
		c.Control.Group = fmt.Sprint(socketGroup)
		c.Control.Readers = numbers(20002)
	}, func(s *control.Server) { s.SetBounds(time.Minute, time.Minute, time.Minute, 10*time.Millisecond) })
	wait := startAs(t, account{20002, []uint32{socketGroup}}, "follow", s.config.Control.Socket)
	for deadline := time.Now().Add(labtest.Patience); !s.fake.Feed.Active(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody watches")
		}
	}
	next := *s.config
	next.Control.Readers = nil
	if err := s.Reconfigure(&next.Process); err != nil {
		t.Fatal(err)
	}
	if got, _ := wait(); got != "ended: EOF" {
		t.Errorf("stream: %q, want its end", got)
	}
}

func TestTooManyWatch(t *testing.T) {
	s := serve(t, nil, nil)
	for range control.MaxReaders {
		if _, err := s.fake.Feed.Subscribe(t.Context(), everything); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Watch(within(t), api.Filter{})
	wantCode(t, "watch", err, http.StatusServiceUnavailable, "busy")
}

// When Fairlead stops, streams end at once, and the client can tell why.
func TestStreamEndsWithTheServer(t *testing.T) {
	c := config.Default()
	c.Control.Socket, c.Control.Group = openDir(t)+"/c.sock", "0"
	server, err := control.Listen(&c.Process, controltest.New().Routes(), discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	stream, err := api.NewClient(c.Control.Socket).Watch(within(t), api.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	for e, err := range stream {
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("event %+v, err = %v, want an end of file", e, err)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}
