package api

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Stream are events as they come. It ends at the first error; io.EOF means that Fairlead ended it
// because it stops.
type Stream = iter.Seq2[Event, error]

// Watch opens a stream of what happens to delegations, links and so on. Nothing that happens
// after it returns is missed. The stream ends with ctx: range over it, or cancel ctx.
func (c *Client) Watch(ctx context.Context, f Filter) (Stream, error) {
	return c.open(ctx, "watch", f.query())
}

// Trace opens a stream of the steps of the messages that f selects, as Watch does.
func (c *Client) Trace(ctx context.Context, f TraceFilter) (Stream, error) {
	return c.open(ctx, "trace", f.query())
}

// silence is how long a stream may be silent: several beats of the server.
const silence = time.Minute

// maxLine bounds one line of a stream.
const maxLine = 1 << 20

var errSilent = errors.New("fairlead says nothing any more")

func (c *Client) open(ctx context.Context, path string, q url.Values) (Stream, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	answer, err := c.do(ctx, http.MethodGet, path, q, nil)
	if err != nil {
		cancel(err)
		return nil, err
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	if !lines.Scan() { // ": ready"
		err := cmp.Or(lines.Err(), io.EOF)
		cancel(err)
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), answer.Body.Close())
	}
	return func(yield func(Event, error) bool) {
		defer answer.Body.Close()
		defer cancel(nil)
		dead := time.AfterFunc(silence, func() { cancel(errSilent) })
		defer dead.Stop()
		for lines.Scan() {
			dead.Reset(silence)
			data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
			if !ok {
				continue
			}
			var e Event
			if err := json.Unmarshal(data, &e); err != nil {
				yield(Event{}, fmt.Errorf("event: %w", err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		yield(Event{}, cmp.Or(context.Cause(ctx), lines.Err(), io.EOF))
	}, nil
}
